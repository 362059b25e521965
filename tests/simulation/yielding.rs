//! How lanes are given up: writes end, then the cycle, then the release, then Kafka gets its answer; and how a worker stops.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use profile_linker::ledger::{Claim, NewRow};

use crate::group::Client;
use crate::world::State;

/// `shutdown_timeout`, the wait for calls on the wire, and as much again: a stop takes no longer.
const STOPPED_WITHIN: Duration = Duration::from_secs(100);

/// What processes are in the middle of.
#[derive(Default)]
pub struct Yielding {
    /// Partitions of cycles that are out.
    cycles: BTreeMap<u32, BTreeSet<i32>>,
    /// Writes that are out, by claim.
    writes: BTreeMap<(u32, Claim), u32>,
    /// Processes that released lanes and did not answer Kafka yet.
    releasing: BTreeSet<u32>,
    /// When a stop was asked of those that have not ended.
    stopping: BTreeMap<u32, Duration>,
    /// Processes that know that everything is paused.
    paused: BTreeMap<u32, Paused>,
}

/// Since when, and what it had in memory then: partition, offset, the topic's number.
struct Paused {
    since: Duration,
    handed: BTreeSet<(i32, i64, usize)>,
}

impl State {
    /// A cycle goes out.
    pub fn cycle_begins(&mut self, number: u32, partitions: BTreeSet<i32>) {
        if self.yielding.releasing.contains(&number) {
            let detail = format!("{number} publishes for {partitions:?} and has not answered Kafka");
            self.violated("no_cycle_begins_before_a_revocation_is_answered", detail);
        }
        self.yielding.cycles.insert(number, partitions);
    }

    pub fn cycle_ends(&mut self, number: u32) {
        self.yielding.cycles.remove(&number);
    }

    /// What a process's cycle holds stays its own until the cycle has ended.
    pub fn invariant_a_lane_changes_hands_after_its_cycle(&mut self, number: u32, lanes: &[i32]) {
        let cycle = self.yielding.cycles.get(&number);
        if let Some(lane) = lanes.iter().find(|lane| cycle.is_some_and(|cycle| cycle.contains(lane))) {
            let detail = format!("{number} lets go of {lane}, or takes it again, while its cycle is out");
            self.violated("a_lane_changes_hands_after_its_cycle", detail);
        }
    }

    pub fn write_begins(&mut self, number: u32, claims: &[Claim]) {
        for claim in claims {
            *self.yielding.writes.entry((number, *claim)).or_default() += 1;
        }
    }

    pub fn write_ends(&mut self, number: u32, claims: &[Claim]) {
        for claim in claims {
            if let Some(out) = self.yielding.writes.get_mut(&(number, *claim)) {
                *out = out.saturating_sub(1);
            }
        }
    }

    /// A process releases lanes. One that lost them waits for nothing.
    pub fn invariant_a_release_comes_after_the_last_writes(&mut self, number: u32, lanes: &[(Claim, bool)]) {
        let asked = |client: &Client| matches!(client.open, Some((false, ..)));
        if self.group.clients.get(&number).is_some_and(asked) {
            self.yielding.releasing.insert(number);
        }
        let lost = self.group.clients.get(&number).is_some_and(|client| client.knows_of_a_loss(self.now));
        let is_out = |claim: &Claim| self.yielding.writes.get(&(number, *claim)).is_some_and(|out| *out > 0);
        let early = lanes.iter().map(|(claim, _)| claim).find(|claim| is_out(claim));
        if let Some(claim) = early.filter(|_| !lost) {
            let detail = format!("{number} releases {claim:?} before its last writes are done");
            self.violated("a_release_comes_after_the_last_writes", detail);
        }
    }

    /// Kafka was answered, or lanes are taken anew.
    pub fn has_yielded(&mut self, number: u32, lanes: &[i32]) {
        self.yielding.releasing.remove(&number);
        self.forget_refusals(number, lanes);
    }

    /// A stop is asked of a process.
    pub fn stop_is_asked(&mut self, number: u32) {
        let now = self.now;
        self.disturbed_at = now;
        self.yielding.stopping.entry(number).or_insert(now);
    }

    /// What a process was told of pauses, or that it pauses of its own accord.
    pub fn pause_is_known(&mut self, number: u32, holds: bool) {
        self.flood_is_answered(number, holds);
        if !holds {
            self.yielding.paused.remove(&number);
            return;
        }
        let handed = self.group.clients.get(&number).map(|client| client.ever_handed.clone()).unwrap_or_default();
        let since = self.now;
        self.disturbed_at = since;
        self.yielding.paused.entry(number).or_insert(Paused { since, handed });
    }

    /// A process asks for a call. Paused or stopping, it begins none that changes anything.
    pub fn invariant_a_pause_and_a_stop_begin_nothing(&mut self, number: u32, operation: &str) {
        if !matches!(operation, "link" | "promote") {
            return;
        }
        let now = self.now;
        let paused = self.yielding.paused.get(&number).is_some_and(|paused| paused.since < now);
        let stopping = self.yielding.stopping.get(&number).is_some_and(|since| *since < now);
        if paused || stopping {
            self.violated("a_pause_and_a_stop_begin_nothing", format!("{number} begins a {operation}"));
        }
    }

    /// What a paused worker has accepted it had fetched before.
    pub fn invariant_a_pause_takes_nothing_in(&mut self, number: u32, rows: &[NewRow]) {
        let Some(paused) = self.yielding.paused.get(&number) else { return };
        let place = |row: &NewRow| (row.lane.0, row.offset, self.broker.topic_of(row.timestamp));
        let is_new = |row: &&NewRow| !paused.handed.contains(&place(row));
        if let Some(row) = rows.iter().find(is_new) {
            let detail = format!("{number} takes {:?}/{} in", row.lane, row.offset);
            self.violated("a_pause_takes_nothing_in", detail);
        }
    }

    /// A process is no more.
    pub fn forget_yielding(&mut self, number: u32) {
        self.yielding.cycles.remove(&number);
        self.yielding.writes.retain(|(of, _), _| *of != number);
        self.yielding.releasing.remove(&number);
        self.yielding.stopping.remove(&number);
        self.yielding.paused.remove(&number);
    }
}

/// A stop does not last for ever.
pub fn invariant_a_stop_ends(state: &State) -> Result<(), String> {
    let late = |since: &Duration| *since + STOPPED_WITHIN < state.now;
    match state.yielding.stopping.iter().find(|(_, since)| late(since)) {
        Some((number, since)) => Err(format!("{number} was stopped at {since:?} and goes on")),
        None => Ok(()),
    }
}
