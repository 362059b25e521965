//! That everything comes to its end once the faults are over: what a history waits for, and what is checked last.

use std::collections::BTreeSet;
use std::time::Duration;

use profile_linker::domain::Lane;
use profile_linker::kafka::cursor::{self, CursorText};
use profile_linker::ledger::RowState;

use crate::ledger::LEDGER_ID;
use crate::tables::Row;
use crate::vendors::Vendor;
use crate::wire::RUN_AHEAD;
use crate::world::State;

/// In so long a conversion that may go has gone.
const LONG_ENOUGH: Duration = Duration::from_secs(30);

/// I10.
pub fn invariant_everything_ends(state: &State) -> Result<(), String> {
    match state.unended() {
        Some(what) => Err(what),
        None => Ok(()),
    }
}

impl State {
    /// I6: while nothing but the link target is away, the conversions of a customer's next few are done.
    pub fn invariant_conversions_do_not_wait_for_links(&mut self) {
        let alone = self.plan.outage && self.vendors_down.2 == Some(Vendor::LoanPro);
        if !alone || self.disturbed_at.max(self.quiet_since()) + LONG_ENOUGH > self.now {
            return;
        }
        let waits = |row: &&Row| {
            row.stored.state == RowState::Accepted
                && row.stored.generation == 1
                && row.accepted_at + LONG_ENOUGH < self.now
                && !self.is_permanent(row)
                && self.is_worked_on(row.stored.lane)
                && self.earlier(row).count() < RUN_AHEAD
        };
        let late = self.tables.rows.values().find(waits).map(|row| format!("{:?} is not converted", row.identity));
        late.into_iter().for_each(|detail| self.violated("conversions_do_not_wait_for_links", detail));
    }

    fn is_worked_on(&self, lane: Lane) -> bool {
        let mut running = self.group.clients.iter().filter(|(_, client)| client.process.is_running());
        running.any(|(number, _)| self.holds(*number, lane))
    }

    /// Everything that a worker must answer is answered from then on.
    fn quiet_since(&self) -> Duration {
        let open = self.group.clients.values().any(|client| client.open.is_some());
        let paused = !self.tables.pauses.is_empty();
        if open || paused || self.group.unsettled { self.now } else { Duration::ZERO }
    }

    /// The cursor in Kafka's commit, where nothing was done to it.
    fn committed_cursor(&self, partition: i32) -> Option<i64> {
        let untouched = !self.broker.forgetful && !self.restoring.happened() && self.broker.topic() == 0;
        let metadata = self.broker.committed.get(&partition).filter(|_| untouched).map(|(_, metadata)| metadata)?;
        match cursor::decode(metadata, LEDGER_ID) {
            CursorText::Ours(cursor) => Some(cursor),
            _ => None,
        }
    }

    /// What has not come to its end yet.
    pub fn unended(&self) -> Option<String> {
        if let Some(row) = self.tables.rows.values().find(|row| row.is_unfinished()) {
            return Some(format!("{:?} is unfinished", row.identity));
        }
        for partition in 0..self.broker.partitions {
            let end = self.broker.partition(partition).len();
            let mut committed = self.broker.committed.get(&partition).map_or(0, |(offset, _)| *offset);
            if self.broker.forgetful {
                // What Kafka forgot is committed again with the next cycle; until then the ledger's position counts.
                committed = self.accepted_up_to(partition);
            }
            if self.restoring.happened() || self.broker.topic() > 0 {
                // Kafka's commit may be of before the restore, or of a deleted topic: the ledger must have come as far.
                committed = committed.min(self.accepted_up_to(partition));
            }
            // One that stands where the new topic's would stand passes over nothing, and nobody has a reason to commit it again.
            let stands = self.broker.committed.get(&partition).map(|(offset, _)| *offset);
            let is_right = stands.is_none_or(|offset| offset == self.accepted_up_to(partition));
            if !is_right && !self.broker.commit_is_of_this_topic(partition) {
                return Some(format!("the position of {partition} is of a topic that is no more"));
            }
            if usize::try_from(committed).unwrap_or(0) < end {
                return Some(format!("partition {partition} is committed up to {committed} of {end}"));
            }
            let (cursor, last) = (self.committed_cursor(partition), self.tables.last_numbered(partition));
            if cursor.is_some_and(|cursor| cursor < last) {
                return Some(format!("the cursor of {partition} is committed up to {cursor:?} of {last}"));
            }
        }
        let seen: BTreeSet<&str> = self.broker.visible.iter().map(|visible| visible.id.as_str()).collect();
        let unseen = self.tables.numbered.values().flatten().find(|id| !seen.contains(id.as_str()));
        unseen.map(|id| format!("the result {id} is not published"))
    }
}
