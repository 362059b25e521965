//! Cycles: durable results of many lanes, each lane's position and cursor, published as one. While one is out the next
//! one fills.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::WorkerError;
use super::dispatcher::{Dispatcher, Report};
use super::lane::{Held, Lane};
use super::positions;
use super::scribe::{EndedResult, Job};
use crate::conditions::{Conditions, Health, Part};
use crate::contract::TopicRole;
use crate::domain::PublishSeq;
use crate::kafka::cursor::{self, CursorText};
use crate::kafka::{Committed, Cycle, CycleError, Position};
use crate::ledger::Claim;

/// Records of one cycle: a few milliseconds of a broker's time, so that a transaction stays short.
const MAX_CYCLE_RECORDS: usize = 2_000;
/// Pause after a cycle that was aborted.
const CYCLE_PAUSE: Duration = Duration::from_millis(200);
/// For so long cycles may fail before publishing counts as down: a rebalance aborts one or two.
const DOWN_AFTER: Duration = Duration::from_secs(5);
/// First and longest pause of a lane that was refused.
const HELD_PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A cycle that is out.
pub(super) struct CycleInFlight {
    parts: BTreeMap<i32, CyclePart>,
}

struct CyclePart {
    claim: Claim,
    results: Vec<EndedResult>,
    cursor: i64,
    position: i64,
}

impl Dispatcher {
    /// Puts the next cycle together, unless one is out, a rebalance is unanswered, or there is nothing to say.
    pub fn compose(&mut self) {
        if self.cycle.is_some() || self.leaving.is_some() {
            return;
        }
        let now = self.shared.clock.tick();
        if now < self.cycle_after {
            return;
        }
        if !self.lanes.values().any(|lane| lane.has_news(now)) {
            // What could not be published is another worker's to publish.
            self.publishing_trouble = None;
            return;
        }
        // The membership is taken here, where ownership is known, never at the commit. Without one nothing is ours.
        let Some(group) = self.shared.source.group() else { return };
        let parts = self.take_parts(now);
        if parts.is_empty() {
            return;
        }
        let records = parts.values().flat_map(|part| &part.results).flat_map(|result| result.records.clone()).collect();
        let positions = parts.iter().map(|(partition, part)| self.position(*partition, part)).collect();
        // The ledger was heard before the first record was taken in; a result that was found in it may come sooner.
        let at_ms = self.time.is_known().then(|| self.time.likely_ms(now));
        let cycle = Cycle { records, at_ms, positions, group: Some(group) };
        self.cycle = Some(CycleInFlight { parts });
        let shared = Arc::clone(&self.shared);
        self.spawn(async move {
            let began = shared.clock.tick();
            let published = shared.publisher.publish(cycle).await;
            if published.is_ok() {
                shared.metrics.published(shared.clock.tick().saturating_sub(began));
            }
            Report::Published(published)
        });
    }

    /// A refused result that is due goes alone, so that another refusal holds up nobody else; otherwise all lanes go.
    fn take_parts(&mut self, now: Duration) -> BTreeMap<i32, CyclePart> {
        let due = self.lanes.iter_mut().find(|(_, lane)| lane.is_due(now));
        if let Some((partition, lane)) = due {
            let taken = lane.take_refused();
            return BTreeMap::from([(*partition, CyclePart::new(lane, taken))]);
        }
        let mut quota = MAX_CYCLE_RECORDS;
        let mut parts = BTreeMap::new();
        for (partition, lane) in &mut self.lanes {
            if quota == 0 || !lane.has_news(now) {
                continue;
            }
            let taken = lane.take(quota);
            quota = quota.saturating_sub(taken.0.iter().map(|result| result.records.len()).sum());
            parts.insert(*partition, CyclePart::new(lane, taken));
        }
        parts
    }

    fn position(&self, partition: i32, part: &CyclePart) -> Position {
        let metadata = cursor::encode(self.shared.ledger_id, part.cursor);
        Position { partition, offset: part.position, metadata }
    }

    /// A cycle ended.
    pub fn on_published(&mut self, result: Result<(), CycleError>) {
        self.note_publishing(&result);
        match result {
            Ok(()) => self.cycle_done(),
            Err(CycleError::InDoubt(why)) => {
                tracing::warn!(error = %why, "a cycle is in doubt; reading the committed cursors back");
                self.resolve();
            }
            Err(CycleError::Refused { index, error, delivered, too_large }) => {
                let alone = self.cycle.as_ref().filter(|_| too_large).and_then(|cycle| cycle.lone(index));
                self.on_refused(index, &error, &delivered);
                if let Some((partition, topic)) = alone {
                    self.leave_original_out(partition, topic);
                }
            }
            Err(CycleError::RefusedSomewhere(error)) => self.on_refused_somewhere(&error),
            Err(CycleError::Stuck(why)) => self.failed = Some(WorkerError::Kafka(why)),
            Err(CycleError::Aborted(why)) => {
                tracing::warn!(error = %why, "a cycle was aborted; it is put together again");
                self.put_back();
            }
        }
    }

    /// What is told of publishing: a cycle that was aborted for a rebalance's sake is soon forgotten.
    fn note_publishing(&mut self, result: &Result<(), CycleError>) {
        let why = match result {
            Err(CycleError::Aborted(why) | CycleError::InDoubt(why)) => why,
            // A refusal is told of the lane that it holds up.
            _ => return self.publishing_trouble = None,
        };
        let now = self.shared.clock.tick();
        let reason = format!("nothing is published: {why}");
        match &self.publishing_trouble {
            Some((since, trouble)) if now.saturating_sub(*since) >= DOWN_AFTER => trouble.say(Health::Down, &reason),
            Some((_, trouble)) => trouble.say(Health::Degraded, &reason),
            None => {
                let trouble = self.shared.conditions.trouble(Part::Broker, Health::Degraded, &reason);
                self.publishing_trouble = Some((now, trouble));
            }
        }
    }

    fn cycle_done(&mut self) {
        for (partition, part) in self.cycle.take().map(|cycle| cycle.parts).unwrap_or_default() {
            if let Some(lane) = self.lanes.get_mut(&partition).filter(|lane| lane.claim == part.claim) {
                part.is_published(lane);
            }
        }
    }

    /// Reads the stable committed cursors: they tell what became of the cycle.
    fn resolve(&mut self) {
        let partitions: Vec<i32> = self.cycle.iter().flat_map(|cycle| cycle.parts.keys().copied()).collect();
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { Report::Resolved(positions::committed(&shared, &partitions).await) });
    }

    /// What the committed cursors say of a cycle in doubt, lane by lane.
    pub fn on_resolved(&mut self, committed: &[Committed]) {
        // What made it doubtful may last: a group that rebalances refuses commits for a while.
        self.cycle_after = self.shared.clock.tick() + CYCLE_PAUSE;
        for (partition, part) in self.cycle.take().map(|cycle| cycle.parts).unwrap_or_default() {
            let Some(lane) = self.lanes.get_mut(&partition).filter(|lane| lane.claim == part.claim) else { continue };
            let stands = committed.iter().find(|committed| committed.partition == partition);
            let cursor = stands.map(|committed| cursor::decode(&committed.metadata, self.shared.ledger_id));
            match (stands, cursor) {
                (Some(stands), Some(CursorText::Ours(cursor)))
                    if cursor >= part.cursor && stands.offset >= Some(part.position) =>
                {
                    part.is_published(lane);
                }
                _ => lane.give_back(part.results),
            }
        }
    }

    /// One record was refused: its lane waits there. What was delivered all the same is published; its cursor follows.
    fn on_refused(&mut self, index: usize, error: &str, delivered: &BTreeSet<usize>) {
        let now = self.shared.clock.tick();
        let place = self.cycle.as_ref().and_then(|cycle| cycle.place_of(index));
        if let Some((partition, seq)) = place
            && let Some(lane) = self.lanes.get_mut(&partition)
        {
            hold(lane, seq, now);
            tell_refused(&self.shared.conditions, lane, partition, error);
        }
        tracing::error!(
            kafka.partition = place.map_or(-1, |(partition, _)| partition),
            publish_seq = place.map_or(-1, |(_, seq)| seq.0),
            error = %error,
            "the broker refuses a record of this partition; its publishing waits, the others go on",
        );
        if !delivered.is_empty() {
            self.note_delivered(delivered);
        }
        self.put_back();
    }

    /// A topic may take less than it did when the worker read its settings: what was tried alone and is too large goes without its
    /// original, which the ledger keeps. Where that is refused, too, its lane waits for a person.
    fn leave_original_out(&mut self, partition: i32, topic: TopicRole) {
        let Some(lane) = self.lanes.get_mut(&partition) else { return };
        if lane.leave_originals_out(topic) {
            tracing::warn!(
                kafka.partition = partition,
                "the dead-letter topic takes less than it did: a dead letter goes without its original, which the ledger keeps",
            );
        }
    }

    /// The broker refused something and did not say what: each result is tried alone until it is found.
    fn on_refused_somewhere(&mut self, error: &str) {
        let parts = self.cycle.iter().flat_map(|cycle| &cycle.parts);
        let fronts: Vec<(i32, PublishSeq)> =
            parts.filter_map(|(partition, part)| Some((*partition, part.results.first()?.seq))).collect();
        let records = self.cycle.iter().flat_map(|cycle| cycle.parts.values()).map(|part| part.results.len());
        if records.sum::<usize>() == 1 {
            return self.on_refused(0, error, &BTreeSet::new());
        }
        tracing::warn!(error = %error, "the broker refuses a record of a cycle; its results are tried one by one");
        let until = self.shared.clock.tick();
        for (partition, seq) in fronts {
            if let Some(lane) = self.lanes.get_mut(&partition) {
                lane.held = Some(Held { seq, until, pause: Duration::ZERO, trouble: None });
            }
        }
        self.put_back();
    }

    /// Without a transaction the records before a refused one are there: they are not sent again.
    fn note_delivered(&mut self, delivered: &BTreeSet<usize>) {
        let mut index = 0;
        for (partition, part) in self.cycle.iter_mut().flat_map(|cycle| &mut cycle.parts) {
            let lane = self.lanes.get_mut(partition).filter(|lane| lane.claim == part.claim);
            let is_there =
                |records: std::ops::Range<usize>| records.into_iter().all(|record| delivered.contains(&record));
            let mut published = 0;
            let mut complete = true;
            for result in &mut part.results {
                let next = index + result.records.len();
                complete &= is_there(index..next);
                published += usize::from(complete);
                if !is_there(index..next) {
                    // A rejection whose dead letter is refused: it is not published once more with each try.
                    let mut record = index..next;
                    result.records.retain(|_| !record.next().is_some_and(|record| delivered.contains(&record)));
                }
                index = next;
            }
            let published: Vec<EndedResult> = part.results.drain(..published).collect();
            if let (Some(lane), Some(last)) = (lane, published.last()) {
                lane.cursor = last.seq.0;
                lane.owes_commit = true;
            }
        }
    }

    /// Nothing of the cycle is visible: its results go back in front.
    fn put_back(&mut self) {
        self.cycle_after = self.shared.clock.tick() + CYCLE_PAUSE;
        for (partition, part) in self.cycle.take().map(|cycle| cycle.parts).unwrap_or_default() {
            if let Some(lane) = self.lanes.get_mut(&partition).filter(|lane| lane.claim == part.claim) {
                lane.give_back(part.results);
            }
        }
    }

    /// Tells the ledger what is published, about once a second, off the hot path.
    pub fn save_cursors(&mut self) {
        let mut jobs = Vec::new();
        for lane in self.lanes.values_mut().filter(|lane| lane.cursor > lane.saved_cursor) {
            lane.saved_cursor = lane.cursor;
            jobs.push((lane.claim, lane.cursor));
        }
        for (claim, cursor) in jobs {
            self.ask(claim.lane, Job::Cursor(claim, cursor));
        }
    }
}

impl CycleInFlight {
    /// Whether it publishes for this partition.
    pub fn has(&self, partition: i32) -> bool {
        self.parts.contains_key(&partition)
    }

    /// The partition of its only result, where it has one only, and the topic of that one's record at this index.
    fn lone(&self, index: usize) -> Option<(i32, TopicRole)> {
        let mut results = self.parts.iter().flat_map(|(id, part)| part.results.iter().map(move |result| (*id, result)));
        let (partition, result) = results.next().filter(|_| results.next().is_none())?;
        Some((partition, result.records.get(index)?.topic))
    }

    /// The partition and the result that the record at this index belongs to.
    fn place_of(&self, index: usize) -> Option<(i32, PublishSeq)> {
        let mut before = 0;
        let mut results = self.parts.iter().flat_map(|(id, part)| part.results.iter().map(move |result| (id, result)));
        results.find_map(|(partition, result)| {
            before += result.records.len();
            (index < before).then_some((*partition, result.seq))
        })
    }
}

impl CyclePart {
    fn new(lane: &Lane, (results, cursor): (Vec<EndedResult>, i64)) -> Self {
        // Nothing accepted of a topic that was made anew: results of the old one are published all the same.
        Self { claim: lane.claim, results, cursor, position: lane.position.unwrap_or(0) }
    }

    /// What was refused before is published with it, also where that was seen in the committed cursor only.
    fn is_published(&self, lane: &mut Lane) {
        lane.cursor = self.cursor;
        lane.committed = Some(self.position);
        lane.owes_commit = false;
        if lane.held.as_ref().is_some_and(|held| held.seq.0 <= self.cursor) {
            tracing::info!(kafka.partition = self.claim.lane.0, "the broker takes the refused record now");
            lane.held = None;
        }
    }
}

/// The lane waits at this result, each time longer.
fn hold(lane: &mut Lane, seq: PublishSeq, now: Duration) {
    let (first, longest) = HELD_PAUSES;
    let again = lane.held.as_ref().filter(|held| held.seq == seq && held.pause > Duration::ZERO);
    let pause = again.map_or(first, |held| (held.pause * 2).min(longest));
    let trouble = lane.held.take().and_then(|held| held.trouble);
    lane.held = Some(Held { seq, until: now + pause, pause, trouble });
}

/// Told for as long as the lane is held up.
fn tell_refused(conditions: &Conditions, lane: &mut Lane, partition: i32, error: &str) {
    let reason = format!("a result or dead letter of partition {partition} is refused: {error}");
    if let Some(held) = lane.held.as_mut().filter(|held| held.trouble.is_none()) {
        held.trouble = Some(conditions.trouble(Part::Broker, Health::Down, &reason));
    }
}
