//! The publishing seam, in its two ways.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use profile_linker::contract::{OutgoingRecord, TopicRole};
use profile_linker::kafka::{Cycle, CycleError, GroupMetadata, Publisher, Source};

use crate::broker::Transaction;
use crate::mutations::{Mutation, altered, hurried};
use crate::process::Process;
use crate::source::Joined;

/// A process's producer.
pub struct WorldPublisher {
    pub process: Arc<Process>,
    pub source: Arc<dyn Source>,
    pub idempotent: bool,
}

#[async_trait]
impl Publisher for WorldPublisher {
    async fn publish(&self, cycle: Cycle) -> Result<(), CycleError> {
        let cycle = altered(&mut self.process.world.lock(), cycle);
        let partitions = cycle.positions.iter().map(|position| position.partition).collect();
        {
            let mut state = self.process.world.lock();
            state.cycle_begins(self.process.number, partitions);
            state.invariant_a_refused_result_is_tried_alone(self.process.number, &cycle.records);
        }
        let published = self.perform(cycle).await;
        self.process.world.lock().cycle_ends(self.process.number);
        published
    }
}

impl WorldPublisher {
    async fn perform(&self, cycle: Cycle) -> Result<(), CycleError> {
        self.process.boundary("publish").await;
        self.process.world.pass(1, 30).await;
        if let Some(refused) = self.refused(&cycle.records) {
            return Err(refused);
        }
        if self.idempotent { self.one_after_the_other(cycle).await } else { self.transact(cycle).await }
    }

    fn refused(&self, records: &[OutgoingRecord]) -> Option<CycleError> {
        let mut state = self.process.world.lock();
        if records.is_empty() || !state.strikes(|rates| rates.record_refused) {
            return None;
        }
        state.coverage.fault("refused", "record");
        let index = usize::try_from(state.chance.below(records.len() as u64)).unwrap_or(0);
        state.say(|| format!("the broker refuses record {index} of {}", records.len()));
        let error = "not this one".to_owned();
        if state.chance.permille(300) {
            state.coverage.fault("refused", "some record");
            // Each lane waits at its first result from now on, and not at what was refused before.
            let lanes: Vec<i32> = (0..state.plan.partitions).collect();
            state.forget_refusals(self.process.number, &lanes);
            return Some(CycleError::RefusedSomewhere(error));
        }
        state.is_refused(self.process.number, &records[index]);
        let mut delivered = BTreeSet::new();
        if self.idempotent {
            // What was sent before it is there, and some of what was sent behind it.
            let there = |place: &usize| *place < index || (*place > index && state.chance.permille(500));
            delivered = (0..records.len()).filter(there).collect();
            delivered.iter().for_each(|place| state.show(std::slice::from_ref(&records[*place])));
        }
        // Now and then it is a dead letter's size; nothing here is drawn, so that a seed tells the history that it told.
        let too_large = records[index].topic == TopicRole::DeadLetter && state.now.as_millis().is_multiple_of(2);
        Some(CycleError::Refused { index, error, delivered, too_large })
    }

    async fn transact(&self, cycle: Cycle) -> Result<(), CycleError> {
        let number = self.process.number;
        let open = |state: &mut crate::world::State, cycle: &Cycle| {
            let since = state.now;
            let records = cycle.records.clone();
            state.broker.open.insert(number, Transaction { since, records, positions: Vec::new() });
        };
        open(&mut self.process.world.lock(), &cycle);
        self.process.boundary("transaction, produced").await;
        let slow = self.process.world.strikes(|rates| rates.publish_slow);
        self.process.world.pass(1, if slow { 3_000 } else { 30 }).await;
        self.send_offsets(&cycle)?;
        self.process.boundary("transaction, positions sent").await;
        self.process.world.pass(1, 30).await;
        let outcome = self.commit();
        self.process.answered("transaction").await;
        if let Err(CycleError::InDoubt(_)) = &outcome {
            // Making the producer anew resolves what is left of the old one's transaction.
            self.process.world.pass(10, 2_000).await;
            self.process.world.lock().end_transaction(number, false);
            self.process.boundary("transaction, fenced").await;
        }
        outcome
    }

    fn send_offsets(&self, cycle: &Cycle) -> Result<(), CycleError> {
        let mut state = self.process.world.lock();
        let number = self.process.number;
        let late = if state.is(Mutation::MetadataAtCommit) { self.membership_now(&state) } else { None };
        let group = late.as_ref().or(cycle.group.as_ref());
        let joined = group.and_then(|group| group.get::<Joined>()).copied();
        let taken = joined.is_some_and(|joined| state.is_member(joined.number, joined.generation));
        // The topic may have lost a partition since.
        let taken = taken && !state.is_elsewhere(&cycle.positions);
        if !taken || state.now < state.publishing_down || state.strikes(|rates| rates.aborted) {
            state.coverage.fault("aborted", "transaction");
            state.end_transaction(number, false);
            return Err(CycleError::Aborted(format!("illegal generation, or a fault: {taken}")));
        }
        let Some(open) = state.broker.open.get_mut(&number) else {
            return Err(CycleError::InDoubt("the broker aborted the transaction".to_owned()));
        };
        open.positions = cycle.positions.clone();
        Ok(())
    }

    fn membership_now(&self, state: &crate::world::State) -> Option<GroupMetadata> {
        let client = state.group.clients.get(&self.process.number)?;
        client.joined.map(|generation| GroupMetadata::new(Joined { number: self.process.number, generation }))
    }

    fn commit(&self) -> Result<(), CycleError> {
        let mut state = self.process.world.lock();
        let number = self.process.number;
        let in_doubt = state.strikes(|rates| rates.commit_in_doubt);
        if in_doubt {
            state.coverage.fault("in doubt", "transaction");
            if state.chance.permille(500) {
                state.end_transaction(number, true);
            }
            return Err(CycleError::InDoubt("no answer to the commit".to_owned()));
        }
        if let Some(mut open) = state.broker.open.remove(&number) {
            open.positions = hurried(&state, number, open.positions);
            state.broker.open.insert(number, open);
        }
        if state.end_transaction(number, true) {
            Ok(())
        } else {
            Err(CycleError::InDoubt("the broker aborted the transaction".to_owned()))
        }
    }

    async fn one_after_the_other(&self, cycle: Cycle) -> Result<(), CycleError> {
        for record in &cycle.records {
            self.process.boundary("produce").await;
            let mut state = self.process.world.lock();
            if state.now < state.publishing_down || state.strikes(|rates| rates.aborted) {
                return Err(CycleError::Aborted("not acknowledged".to_owned()));
            }
            state.show(std::slice::from_ref(record));
        }
        self.source.commit(&cycle.positions).await.map_err(|error| CycleError::InDoubt(error.0))
    }
}
