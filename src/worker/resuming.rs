//! Resuming rows of the ledger: after a take-over, and after an operator reopened them.
//!
//! After an unclean end of the predecessor nothing is begun before its calls must have ended. A row that was running in that
//! end is counted, durably, before it is begun: one that ends its process each time must not do so for ever. What can be
//! told of "was running" from the rows: it was due, and had its turn among its customer's events. A row that waited is not
//! counted; one that came due while nobody ran is, at worst, counted once too often.

use std::collections::BTreeMap;
use std::time::Duration;

use super::WorkerError;
use super::customers::RUN_AHEAD;
use super::dispatcher::Dispatcher;
use super::event::{Count, Event};
use super::gate::OWNERSHIP_FRESH;
use super::prepare::{ReviveError, Revived};
use super::replaying::live_first;
use super::scribe::Job;
use super::starting::Start;
use crate::domain::machine::State;
use crate::domain::{Customer, EventKey};
use crate::ledger::{Claim, LaneRow, StartedRow, StoredRow};
use crate::upstream::retry_after::MAX_RETRY_AFTER;

impl Dispatcher {
    /// Until when calls of the predecessor may be on the wire, by the monotonic clock. What a restored ledger says of it is of
    /// another time.
    pub fn wire_until(&self, row: &LaneRow, start: &Start, raised_at: Duration) -> Duration {
        match row.clean && !start.restored {
            true => Duration::ZERO,
            false => raised_at + OWNERSHIP_FRESH + self.shared.longest_call,
        }
    }

    /// Resumes unfinished rows in input order, replays behind live events.
    pub fn resume(&mut self, claim: Claim, clean: bool, rows: Vec<StoredRow>) {
        let mut places = BTreeMap::new();
        for row in self.leave_what_has_no_room(live_first(rows)) {
            let due = self.due_in(&row);
            let Some(mut event) = self.revive(claim, row) else { continue };
            let ordered = self.shared.settings.per_customer_order;
            if had_its_turn(&event, ordered, &mut places) && due.is_zero() && !clean {
                event.count = Count::Due;
            }
            let hold = self.hold(claim).max(due);
            self.admit(event, hold);
        }
    }

    /// Writes down that an event starts once more; it begins when that is durable. Not before its wait is over: a lane that
    /// two workers take from each other starts nothing, and must not use its rows' starts up.
    /// One that will run alone is counted when its turn to do so has come: what only waits for that was not running, should
    /// the process end again.
    pub fn count_start(&mut self, key: EventKey) {
        let Some(event) = self.events.get_mut(&key).filter(|event| event.count == Count::Due) else { return };
        if event.will_run_alone() && self.alone != Some(key) {
            self.lone.push_back(key);
            return;
        }
        event.count = Count::Asked;
        event.past.starts += 1;
        let (claim, starts) = (event.claim, i32::try_from(event.past.starts).unwrap_or(i32::MAX));
        self.ask(claim.lane, Job::Started(claim, vec![StartedRow { key, lane: claim.lane, starts }]));
    }

    /// Lets the next one run alone, once the last one waits or has ended, and all calls are over.
    pub fn start_alone(&mut self) {
        let is_there = |key: &EventKey| self.events.contains_key(key);
        if !self.alone.as_ref().is_some_and(is_there) {
            self.alone = self.next_alone();
        }
        if let Some(key) = self.alone.filter(|_| self.running == 0) {
            self.count_start(key);
        }
    }

    fn next_alone(&mut self) -> Option<EventKey> {
        loop {
            let key = self.lone.pop_front()?;
            if self.may_start_alone(key) {
                return Some(key);
            }
        }
    }

    /// One whose lane is being given up is its next owner's.
    fn may_start_alone(&self, key: EventKey) -> bool {
        let Some(event) = self.events.get(&key) else { return false };
        event.count == Count::Due && !event.held && self.claim(event.claim.lane.0) == Some(event.claim)
    }

    /// Picks rows up that an operator reopened, or that this record's earlier acceptance left, unless they are in memory.
    pub fn pick_up(&mut self, claim: Claim, row: StoredRow) {
        if !row.state.is_unfinished() || self.events.contains_key(&row.key) || row.epoch > claim.epoch {
            return;
        }
        let hold = self.hold(claim).max(self.due_in(&row));
        // A replay that was left to its note may have been running all the same, when an earlier owner ended.
        let may_have_run = row.is_replay() && row.epoch < claim.epoch && row.due_in_ms == 0;
        let after_a_crash = self.lanes.get(&claim.lane.0).is_some_and(|lane| !lane.clean);
        if let Some(mut event) = self.revive(claim, row) {
            if may_have_run && after_a_crash {
                event.count = Count::Due;
            }
            self.admit(event, hold);
        }
    }

    /// A count is durable: the event may begin.
    pub fn on_started(&mut self, claim: Claim, keys: &[EventKey]) {
        for key in keys {
            if let Some(event) = self.events.get_mut(key).filter(|event| event.claim == claim) {
                event.count = Count::No;
                self.begin_if_possible(*key);
            }
        }
    }

    /// How long rows that this lane's predecessor may be calling for must wait still.
    fn hold(&self, claim: Claim) -> Duration {
        let until = self.lanes.get(&claim.lane.0).map_or(Duration::ZERO, |lane| lane.wire_until);
        until.saturating_sub(self.shared.clock.tick())
    }

    /// How long a row's wait lasts still.
    fn due_in(&self, row: &StoredRow) -> Duration {
        let back_off = self.shared.rules.values().map(|rules| rules.retry.longest()).max().unwrap_or_default();
        still_to_wait(row.due_in_ms, back_off)
    }

    /// The event of a row. A row that cannot be worked on at all ends again; a damaged one is left as it is, loudly, and
    /// holds up nothing else. A missing key is no row's fault and ends the worker.
    fn revive(&mut self, claim: Claim, row: StoredRow) -> Option<Event> {
        let key = row.key;
        match self.shared.preparer.revive(claim, row) {
            Ok(Revived::Event(event)) => Some(*event),
            Ok(Revived::Ends(end)) => {
                // Once: a second end of the row would not find it as it expects.
                if self.ending_at_once.insert(key, claim) != Some(claim) {
                    self.shared.metrics.ended(end.ending.reason.map(|(code, _)| code), None);
                    self.ask(claim.lane, Job::End(claim, *end));
                }
                None
            }
            Err(error @ ReviveError::MissingKey { .. }) => {
                self.failed = Some(WorkerError::Misconfigured(error.to_string()));
                None
            }
            Err(error) => {
                tracing::error!(
                    event.key = ?key,
                    error = %error,
                    "a row of the ledger is damaged and stays unfinished; the others go on. Restore it from a backup",
                );
                None
            }
        }
    }
}

/// What the ledger's clock says of a wait. None that we store is longer than what a vendor may ask for and the longest back-off
/// behind it: more says that the clock was put back meanwhile.
fn still_to_wait(due_in_ms: i64, back_off: Duration) -> Duration {
    Duration::from_millis(u64::try_from(due_in_ms).unwrap_or(0)).min(MAX_RETRY_AFTER + back_off)
}

/// Whether the row, as the next one of its customer, was among those that run: the first may link, the next few may convert.
fn had_its_turn(event: &Event, ordered: bool, places: &mut BTreeMap<Customer, usize>) -> bool {
    let place = places.entry(event.profile.customer.clone()).or_default();
    let before = std::mem::replace(place, *place + 1);
    let converts = event.facts().temporary && matches!(event.flow.state, State::Accepted);
    !ordered || before < if converts { RUN_AHEAD } else { 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledgers_clock_that_was_put_back_postpones_no_event_by_as_much() {
        let back_off = Duration::from_secs(30);
        assert_eq!(still_to_wait(250_000, back_off), Duration::from_secs(250));
        assert_eq!(still_to_wait(3_600_000, back_off), Duration::from_secs(330));
        assert_eq!(still_to_wait(-1, back_off), Duration::ZERO);
    }
}
