//! Cycles: durable results of many lanes, each lane's position and cursor, published as one. While one is out the next
//! one fills.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::dispatcher::{Dispatcher, Report};
use super::lane::{Held, Lane};
use super::positions;
use super::scribe::{EndedResult, Job};
use crate::kafka::cursor::{self, CursorText};
use crate::kafka::{Committed, Cycle, CycleError, Position};
use crate::ledger::Claim;

/// Records of one cycle: a few milliseconds of a broker's time, so that a transaction stays short.
const MAX_CYCLE_RECORDS: usize = 2_000;
/// Pause after a cycle that was aborted.
const CYCLE_PAUSE: Duration = Duration::from_millis(200);
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
        if !self.lanes.values().any(Lane::has_news) {
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
        let cycle = Cycle { records, positions, group: Some(group) };
        self.cycle = Some(CycleInFlight { parts });
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { Report::Published(shared.publisher.publish(cycle).await) });
    }

    /// A held lane that is due goes alone; otherwise all that are not held.
    fn take_parts(&mut self, now: Duration) -> BTreeMap<i32, CyclePart> {
        let due = |lane: &Lane| lane.held.as_ref().is_some_and(|held| held.until <= now) && lane.has_news();
        let alone = self.lanes.iter().find(|(_, lane)| due(lane)).map(|(partition, _)| *partition);
        let mut quota = MAX_CYCLE_RECORDS;
        let mut parts = BTreeMap::new();
        for (partition, lane) in &mut self.lanes {
            let chosen = alone.map_or(lane.held.is_none(), |alone| alone == *partition);
            if !chosen || quota == 0 || !lane.has_news() {
                continue;
            }
            // Nothing accepted of a topic that was made anew: results of the old one are published all the same.
            let position = lane.position.unwrap_or(0);
            let (results, cursor) = lane.take(quota);
            quota = quota.saturating_sub(results.iter().map(|result| result.records.len()).sum());
            parts.insert(*partition, CyclePart { claim: lane.claim, results, cursor, position });
        }
        parts
    }

    fn position(&self, partition: i32, part: &CyclePart) -> Position {
        let metadata = cursor::encode(self.shared.ledger_id, part.cursor);
        Position { partition, offset: part.position, metadata }
    }

    /// A cycle ended.
    pub fn on_published(&mut self, result: Result<(), CycleError>) {
        match result {
            Ok(()) => self.cycle_done(),
            Err(CycleError::InDoubt(why)) => {
                tracing::warn!(error = %why, "a cycle is in doubt; reading the committed cursors back");
                self.resolve();
            }
            Err(CycleError::Refused { index, error }) => self.on_refused(index, &error),
            Err(CycleError::Aborted(why)) => {
                tracing::warn!(error = %why, "a cycle was aborted; it is put together again");
                self.put_back();
            }
        }
    }

    fn cycle_done(&mut self) {
        for (partition, part) in self.cycle.take().map(|cycle| cycle.parts).unwrap_or_default() {
            if let Some(lane) = self.lanes.get_mut(&partition).filter(|lane| lane.claim == part.claim) {
                lane.cursor = part.cursor;
                lane.committed = Some(part.position);
                lane.held = None;
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
                    lane.cursor = part.cursor;
                    lane.committed = Some(part.position);
                }
                _ => give_back(lane, part.results),
            }
        }
    }

    fn on_refused(&mut self, index: usize, error: &str) {
        let (pause, longest) = HELD_PAUSES;
        let now = self.shared.clock.tick();
        let refused = self.cycle.as_ref().and_then(|cycle| cycle.part_of(index));
        if let Some(lane) = refused.and_then(|partition| self.lanes.get_mut(&partition)) {
            let pause = lane.held.as_ref().map_or(pause, |held| (held.pause * 2).min(longest));
            lane.held = Some(Held { until: now + pause, pause });
        }
        tracing::error!(
            kafka.partition = refused.unwrap_or(-1),
            error = %error,
            "the broker refuses a record of this partition; its publishing waits, the others go on",
        );
        self.put_back();
    }

    /// Nothing of the cycle is visible: its results go back in front.
    fn put_back(&mut self) {
        self.cycle_after = self.shared.clock.tick() + CYCLE_PAUSE;
        for (partition, part) in self.cycle.take().map(|cycle| cycle.parts).unwrap_or_default() {
            if let Some(lane) = self.lanes.get_mut(&partition).filter(|lane| lane.claim == part.claim) {
                give_back(lane, part.results);
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

    /// The partition that the record at this index belongs to.
    fn part_of(&self, index: usize) -> Option<i32> {
        let mut before = 0;
        self.parts.iter().find_map(|(partition, part)| {
            before += part.results.iter().map(|result| result.records.len()).sum::<usize>();
            (index < before).then_some(*partition)
        })
    }
}

fn give_back(lane: &mut Lane, results: Vec<EndedResult>) {
    for result in results.into_iter().rev() {
        lane.unpublished.push_front(result);
    }
}
