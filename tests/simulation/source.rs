//! The consuming seam.

use std::sync::Arc;

use async_trait::async_trait;
use profile_linker::kafka::{Committed, GroupMetadata, KafkaTrouble, KnownTopic, Position, Source, SourceEvent};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::group::Client;
use crate::mutations::hurried;
use crate::parts;
use crate::process::Process;
use crate::remaking::Knowledge;
use crate::world::State;

/// Records handed over at once.
const BATCH: usize = 5;

/// A process's consumer.
pub struct WorldSource(pub Arc<Process>);

/// Who joined, and when.
#[derive(Clone, Copy)]
pub struct Joined {
    pub number: u32,
    pub generation: i32,
}

impl WorldSource {
    /// Joins the group.
    pub fn start(process: &Arc<Process>) -> (Arc<dyn Source>, UnboundedReceiver<SourceEvent>) {
        let (events, receiver) = unbounded_channel();
        let mut state = process.world.lock();
        let client = Client {
            process: Arc::clone(process),
            events,
            fetching: std::collections::BTreeMap::new(),
            open: None,
            joined: None,
            lost: false,
            evicted: None,
            raised: std::collections::BTreeSet::new(),
            unanswered: std::collections::BTreeSet::new(),
            topics: Knowledge::default(),
            restarts: Vec::new(),
            handed: std::collections::BTreeMap::new(),
            ever_handed: std::collections::BTreeSet::new(),
        };
        state.group.clients.insert(process.number, client);
        state.join(process.number);
        drop(state);
        (Arc::new(Self(Arc::clone(process))), receiver)
    }

    fn with(&self, act: impl FnOnce(&mut State)) -> Result<(), KafkaTrouble> {
        if !self.0.is_dead() {
            act(&mut self.0.world.lock());
        }
        Ok(())
    }

    /// Whether the commit was taken, and its answer seen.
    fn take_commit(&self, positions: &[Position]) -> bool {
        let mut state = self.0.world.lock();
        let joined = state.group.clients.get(&self.0.number).and_then(|client| client.joined);
        let is_member = joined.is_some_and(|generation| state.is_member(self.0.number, generation));
        let taken = is_member && !state.is_elsewhere(positions);
        if taken {
            let positions = hurried(&state, self.0.number, positions.to_vec());
            state.store_positions(self.0.number, positions);
        }
        taken && !state.strikes(|rates| rates.commit_in_doubt)
    }

    fn pause_or_resume(&self, partitions: &[i32], paused: bool) -> Result<(), KafkaTrouble> {
        self.with(|state| {
            let Some(client) = state.group.clients.get_mut(&self.0.number) else { return };
            for (partition, fetch) in &mut client.fetching {
                if partitions.contains(partition) {
                    fetch.paused = paused;
                }
            }
        })
    }
}

#[async_trait]
impl Source for WorldSource {
    fn assign(&self, starts: &[(i32, Option<i64>)]) -> Result<(), KafkaTrouble> {
        self.with(|state| state.answer_assigned(self.0.number, starts))
    }

    fn unassign(&self, partitions: &[i32]) -> Result<(), KafkaTrouble> {
        self.with(|state| state.answer_revoked(self.0.number, partitions))
    }

    fn restart(&self, partition: i32, start: Option<i64>) -> Result<(), KafkaTrouble> {
        self.with(|state| {
            let Some(client) = state.group.clients.get_mut(&self.0.number) else { return };
            client.restarts.push((partition, start));
        })
    }

    fn pause(&self, partitions: &[i32]) -> Result<(), KafkaTrouble> {
        self.pause_or_resume(partitions, true)
    }

    fn resume(&self, partitions: &[i32]) -> Result<(), KafkaTrouble> {
        self.pause_or_resume(partitions, false)
    }

    async fn committed(&self, partitions: &[i32]) -> Result<Vec<Committed>, KafkaTrouble> {
        self.0.boundary("kafka committed").await;
        self.0.world.pass(1, 20).await;
        let stable = {
            let state = self.0.world.lock();
            if state.hears_the_coordinator(self.0.number) { state.broker.stable(partitions) } else { None }
        };
        self.0.answered("kafka committed").await;
        match stable {
            Some(positions) => Ok(positions),
            None => {
                self.0.world.pass(500, 5_000).await;
                Err(KafkaTrouble("unstable offsets".to_owned()))
            }
        }
    }

    async fn commit(&self, positions: &[Position]) -> Result<(), KafkaTrouble> {
        self.0.boundary("kafka commit").await;
        self.0.world.pass(1, 20).await;
        let taken = self.take_commit(positions);
        self.0.answered("kafka commit").await;
        if taken { Ok(()) } else { Err(KafkaTrouble("the commit failed".to_owned())) }
    }

    fn group(&self) -> Option<GroupMetadata> {
        let state = self.0.world.lock();
        let client = state.group.clients.get(&self.0.number).filter(|client| !client.knows_of_a_loss(state.now))?;
        client.joined.map(|generation| GroupMetadata::new(Joined { number: self.0.number, generation }))
    }

    async fn log_ends(&self, partitions: &[i32]) -> Result<Vec<(i32, i64)>, KafkaTrouble> {
        self.0.boundary("kafka log ends").await;
        let ends = {
            let state = self.0.world.lock();
            let end =
                |partition: &i32| (*partition, i64::try_from(state.broker.partition(*partition).len()).unwrap_or(0));
            partitions.iter().map(end).collect()
        };
        self.0.answered("kafka log ends").await;
        Ok(ends)
    }

    async fn topic(&self) -> Result<Option<KnownTopic>, KafkaTrouble> {
        self.0.boundary("kafka topic").await;
        self.0.world.pass(1, 20).await;
        let topic = {
            let mut state = self.0.world.lock();
            KnownTopic { id: state.tell_topic(self.0.number), partitions: Some(state.broker.partitions) }
        };
        self.0.answered("kafka topic").await;
        Ok(Some(topic))
    }

    async fn close(&self) {
        self.0.boundary("kafka close").await;
        self.0.world.lock().leave_group(self.0.number);
    }
}

impl Client {
    /// As the polling thread does it: behind what it has fetched already.
    fn restart(&mut self) {
        for (partition, start) in std::mem::take(&mut self.restarts) {
            if let Some(fetch) = self.fetching.get_mut(&partition) {
                fetch.next = start.unwrap_or(0);
            }
            let _ = self.events.send(SourceEvent::Restarted(partition));
        }
    }
}

impl State {
    /// Whether a worker has in memory all that it may have; told of those alone that may have little.
    fn is_full(&self, number: u32) -> bool {
        self.plan.tight && self.broker.topic() == 0 && self.certainly_in_memory(number) >= parts::MOST_WHEN_TIGHT
    }

    fn invariant_a_full_worker_fetches_nothing(&mut self, number: u32, fetches: bool) {
        if fetches {
            self.violated("a_full_worker_fetches_nothing", format!("{number} fetches on"));
        }
    }

    /// Hands fetched records over, here and there.
    pub fn fetch(&mut self) {
        let numbers: Vec<u32> = self.group.clients.keys().copied().collect();
        for number in numbers {
            if !self.chance.permille(600) {
                continue;
            }
            if self.group.clients.get(&number).is_none_or(|client| !client.process.is_running()) {
                continue;
            }
            (0..self.plan.partitions).for_each(|partition| self.tell_of_offset(partition, number));
            let full = self.is_full(number);
            let topic = self.broker.topic();
            let Some(client) = self.group.clients.get_mut(&number) else { continue };
            // What is given up is not paused any more: its records are dropped.
            let open = client.open.as_ref().filter(|(given, ..)| !given);
            let going: Vec<i32> = open.into_iter().flat_map(|(_, partitions, _)| partitions.clone()).collect();
            let (mut records, mut kept) = (Vec::new(), 0);
            for (partition, fetch) in client.fetching.iter_mut().filter(|(_, fetch)| !fetch.paused) {
                let log = self.broker.partition(*partition);
                let from = usize::try_from(fetch.next).unwrap_or(0).min(log.len());
                records.extend(log[from..].iter().take(BATCH).cloned());
                kept += if going.contains(partition) { 0 } else { log[from..].len().min(BATCH) };
                for offset in (from..log.len().min(from + BATCH)).filter_map(|offset| i64::try_from(offset).ok()) {
                    *client.handed.entry((*partition, offset, topic)).or_default() += 1;
                    client.ever_handed.insert((*partition, offset, topic));
                }
                fetch.next = i64::try_from((from + BATCH).min(log.len())).unwrap_or(0).max(fetch.next);
            }
            if !records.is_empty() {
                let _ = client.events.send(SourceEvent::Records(records.into()));
            }
            client.restart();
            self.invariant_a_full_worker_fetches_nothing(number, full && kept > 0);
        }
    }
}
