//! Partitions that the topic has no longer, since it was made anew with fewer: what was left of them is gathered by the owner of the
//! first one. Later it may have more again.
//!
//! A commit for a partition that is not there is refused, and the cycle with it. One whose positions were sent before the topic
//! went can come through behind it: what it showed may be seen twice, since what said so went with the topic.

use std::collections::BTreeSet;
use std::time::Duration;

use profile_linker::domain::{Epoch, EventKey, Lane, PublishSeq};
use profile_linker::kafka::Position;
use profile_linker::kafka::cursor::{self, CursorText};
use profile_linker::ledger::{Gathered, Gathering, RowState};

use crate::ledger::LEDGER_ID;
use crate::tables::{Row, Tables};
use crate::world::State;

/// In so long the group's leader has heard how many partitions there are.
const HEARD_WITHIN_MS: u64 = 5_000;

impl Tables {
    /// The lost lanes, by what a gathering knows of the topic.
    fn lost(&self, gathering: &Gathering) -> Vec<i32> {
        let into = gathering.into.lane.0;
        let is_lost = |(lane, state): &(&i32, &crate::tables::LaneState)| {
            **lane >= gathering.partitions && **lane != into && state.topic_id.as_ref() != Some(&gathering.topic_id)
        };
        self.lanes.iter().filter(is_lost).map(|(lane, _)| *lane).collect()
    }

    /// As both ledgers do it, in one transaction; and the keys of what was moved.
    pub fn gather(&mut self, held: &BTreeSet<Lane>, gathering: &Gathering) -> (Gathered, Vec<EventKey>) {
        let mut gathered = Gathered { clean: true, ..Gathered::default() };
        let mut moved = Vec::new();
        if !held.contains(&gathering.into.lane) {
            return (gathered, moved);
        }
        for lane in self.lost(gathering) {
            gathered.clean &= self.raise_lost(lane, &gathering.topic_id);
            self.renumber(lane, gathering, &mut gathered, &mut moved);
            self.move_sealed(lane, gathering, &mut moved);
            gathered.lanes.push(Lane(lane));
        }
        gathered.rows = moved.len() as u64;
        gathered.last_seq = self.last_number(gathering.into.lane);
        (gathered, moved)
    }

    /// Answers whether nobody's call for one of its rows is under way.
    fn raise_lost(&mut self, lane: i32, topic_id: &str) -> bool {
        let Some(state) = self.lanes.get_mut(&lane) else { return true };
        state.epoch += 1;
        (state.position, state.suspect_below) = (None, 0);
        state.topic_id = Some(topic_id.to_owned());
        std::mem::replace(&mut state.clean, true)
    }

    /// Results above the saved cursor get the next numbers of the new lane.
    fn renumber(&mut self, lane: i32, gathering: &Gathering, gathered: &mut Gathered, moved: &mut Vec<EventKey>) {
        let (into, saved) = (gathering.into.lane, self.lanes.get(&lane).map_or(0, |state| state.saved_cursor));
        let numbers: Vec<i64> =
            self.outbox.range((lane, saved + 1)..=(lane, i64::MAX)).map(|((_, one), _)| *one).collect();
        for old in numbers {
            let new = gathering.first_seq.0 + gathered.numbers;
            gathered.numbers += 1;
            for row in self.rows.values_mut().filter(|row| of_end(row, lane, old)) {
                move_to(row, gathering, PublishSeq(new));
                moved.push(row.stored.key);
            }
            if let Some(records) = self.outbox.remove(&(lane, old)) {
                self.outbox.insert((into.0, new), records);
            }
            if let Some(ids) = self.numbered.get(&(lane, old)).cloned() {
                self.numbered.insert((into.0, new), ids);
            }
            self.moved.insert((lane, old));
            if let Some(state) = self.lanes.get_mut(&lane) {
                state.saved_cursor = state.saved_cursor.max(old);
            }
        }
    }

    /// What is unfinished or a dead letter goes too, whatever was published of it.
    fn move_sealed(&mut self, lane: i32, gathering: &Gathering, moved: &mut Vec<EventKey>) {
        let is_kept = |row: &&mut Row| row.stored.lane.0 == lane && !row.stored.sealed_record.is_empty();
        for row in self.rows.values_mut().filter(is_kept) {
            move_to(row, gathering, PublishSeq(0));
            moved.push(row.stored.key);
        }
    }
}

fn of_end(row: &Row, lane: i32, number: i64) -> bool {
    row.stored.lane.0 == lane && row.stored.publish_seq == Some(PublishSeq(number))
}

fn move_to(row: &mut Row, gathering: &Gathering, number: PublishSeq) {
    row.stored.lane = gathering.into.lane;
    row.stored.epoch = Epoch(gathering.into.epoch.0 - 1);
    row.stored.publish_seq = row.stored.publish_seq.map(|_| number);
}

impl State {
    /// The new topic has so many partitions; the group hears of it after a while.
    pub fn resize(&mut self, partitions: i32) {
        if partitions == self.broker.partitions {
            return;
        }
        let kind = if partitions < self.broker.partitions { "fewer partitions" } else { "more partitions" };
        self.coverage.fault(kind, "topic");
        self.broker.partitions = partitions;
        self.group.resized_at = Some(self.now + Duration::from_millis(self.chance.between(0, HEARD_WITHIN_MS)));
    }

    pub fn hear_of_partitions(&mut self) {
        if self.group.resized_at.is_some_and(|at| at <= self.now) {
            self.group.resized_at = None;
            self.group.unsettled = true;
        }
    }

    /// Whether the topic has no partition for one of these positions.
    pub fn is_elsewhere(&self, positions: &[Position]) -> bool {
        positions.iter().any(|position| position.partition >= self.broker.partitions)
    }

    /// A commit that came through behind its partition's end shows what nobody will know to be published.
    pub fn note_late_commit(&mut self, position: &Position) {
        if position.partition >= self.broker.partitions
            && let CursorText::Ours(cursor) = cursor::decode(&position.metadata, LEDGER_ID)
        {
            self.results_may_repeat(position.partition, cursor);
        }
    }

    /// Results of a lane up to a number, which the ledger does not know to be published.
    pub fn results_may_repeat(&mut self, partition: i32, cursor: i64) {
        let ids = (1..=cursor).filter_map(|number| self.tables.numbered.get(&(partition, number)));
        let saved = self.tables.lanes.get(&partition).map_or(0, |lane| lane.saved_cursor);
        let moved = &self.tables.moved;
        let unknown = ids.zip(1..).filter(|(_, number)| *number > saved || moved.contains(&(partition, *number)));
        self.broker.may_repeat.extend(unknown.flat_map(|(ids, _)| ids.clone()));
    }

    /// What a process has gathered may have been sent by whoever had it before.
    pub fn rows_are_gathered(&mut self, number: u32, keys: &[EventKey]) {
        self.forget_calls_of(number, keys);
        let may_be_sent =
            |row: &&Row| row.is_unfinished() && (row.stored.state == RowState::Converted || self.is_permanent(row));
        let rows = keys.iter().filter_map(|key| self.tables.rows.get(key));
        let owed: Vec<EventKey> = rows.filter(may_be_sent).map(|row| row.stored.key).collect();
        owed.into_iter().for_each(|key| self.owe_all_looks(number, key));
        if !keys.is_empty() {
            self.coverage.fault("rows are gathered", "lost partition");
        }
    }
}
