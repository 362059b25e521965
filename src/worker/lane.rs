//! A lane in its owner's memory.

use std::collections::VecDeque;
use std::time::Duration;

use super::intake::{Drafted, Fetched};
use super::load::Tally;
use super::scribe::EndedResult;
use super::starting::Start;
use crate::conditions::Trouble;
use crate::contract::results::without_original;
use crate::contract::{OutgoingRecord, TopicRole};
use crate::domain::PublishSeq;
use crate::ledger::{Claim, LaneRow};

/// A lane that waits at a result that the broker refused: what is before it is published, and nothing passes it.
pub(super) struct Held {
    /// The result's number.
    pub seq: PublishSeq,
    /// By the monotonic clock.
    pub until: Duration,
    /// The last pause; doubles.
    pub pause: Duration,
    /// What is told of it meanwhile.
    pub trouble: Option<Trouble>,
}

impl Held {
    /// Whether it is known to be refused, not only tried alone.
    pub fn is_told(&self) -> bool {
        self.trouble.is_some()
    }
}

/// What its owner knows of a lane.
pub(super) struct Lane {
    pub claim: Claim,
    /// The next offset to accept, durable in the ledger; `None` before anything was accepted.
    pub position: Option<i64>,
    /// The position in Kafka's last commit.
    pub committed: Option<i64>,
    /// The highest number published.
    pub cursor: i64,
    /// The cursor that the ledger has.
    pub saved_cursor: i64,
    /// Durable results beyond the cursor, in order.
    pub unpublished: VecDeque<EndedResult>,
    /// Fetched batches that wait to be decoded.
    pub fetched: VecDeque<Fetched>,
    /// One is being decoded.
    pub drafting: bool,
    /// One that is decoded, and held by a pause, or until earlier ones are accepted.
    pub drafted: Option<Drafted>,
    /// Records that the ledger is asked to accept.
    pub asked: usize,
    /// Records fetched and not accepted yet.
    pub accepting: usize,
    /// Their bytes.
    pub accepting_bytes: usize,
    /// Its events in memory.
    pub tally: Tally,
    /// Bytes of the results beyond the cursor.
    unpublished_bytes: usize,
    /// Calls on the wire.
    pub on_the_wire: usize,
    /// Set where the broker refused one of its records.
    pub held: Option<Held>,
    /// Results are published whose cursor is not committed.
    pub owes_commit: bool,
    /// So many results wait to be published that nothing is fetched.
    held_up: bool,
    /// It has more than its share of the memory: nothing is fetched.
    pub above_share: bool,
    /// Being given up: nothing new is begun.
    pub leaving: bool,
    /// Fetching was taken up anew; records before the consumer's word of it are stale.
    pub stale: bool,
    /// Its predecessor released it.
    pub clean: bool,
    /// Until when, by the monotonic clock, calls of an uncleanly ended predecessor may be on the wire.
    pub wire_until: Duration,
    /// Records below this offset were possibly sent before the ledger accepted them.
    pub suspect_below: i64,
}

impl Lane {
    /// A lane just taken over; the predecessor's calls are over at `wire_until`.
    pub fn new(row: &LaneRow, start: &Start, wire_until: Duration) -> Self {
        Self {
            claim: row.claim,
            position: start.position,
            committed: start.committed,
            cursor: start.cursor,
            saved_cursor: row.saved_cursor,
            unpublished: VecDeque::new(),
            fetched: VecDeque::new(),
            drafting: false,
            drafted: None,
            asked: 0,
            accepting: 0,
            accepting_bytes: 0,
            tally: Tally::default(),
            unpublished_bytes: 0,
            on_the_wire: 0,
            held: None,
            owes_commit: false,
            held_up: false,
            above_share: false,
            leaving: false,
            stale: false,
            clean: row.clean,
            wire_until,
            suspect_below: row.suspect_below.max(start.suspect_below),
        }
    }

    /// Whether nothing is to be fetched for its own sake.
    pub fn is_paused(&self) -> bool {
        self.held_up || self.above_share
    }

    /// Records in memory, but for results.
    pub fn records(&self) -> usize {
        self.tally.records() + self.accepting
    }

    /// Bytes in memory.
    pub fn bytes(&self) -> usize {
        self.tally.bytes() + self.accepting_bytes + self.unpublished_bytes
    }

    /// Holds the lane up when too many results wait to be published, and lets it go on at half of them.
    pub fn note_unpublished(&mut self, partition: i32, most: usize) {
        let (waiting, before) = (self.unpublished.len(), self.held_up);
        self.held_up = waiting >= most || (before && waiting > most / 2);
        if self.held_up != before {
            tracing::warn!(kafka.partition = partition, paused = self.held_up, "publishing holds up the intake");
        }
    }

    /// Whether a cycle has something to say for it now.
    pub fn has_news(&self, now: Duration) -> bool {
        let moved = self.position.is_some() && self.position != self.committed;
        self.owes_commit || moved || self.is_due(now) || self.front_may_go()
    }

    /// Whether the refused result, which stands in front, may be tried again.
    pub fn is_due(&self, now: Duration) -> bool {
        let front = self.unpublished.front().map(|result| result.seq);
        self.held.as_ref().is_some_and(|held| front == Some(held.seq) && held.until <= now)
    }

    fn front_may_go(&self) -> bool {
        let Some(front) = self.unpublished.front() else { return false };
        self.held.as_ref().is_none_or(|held| front.seq < held.seq)
    }

    /// Takes up to `quota` records for a cycle, whole results only; answers them with the cursor after them. A refused
    /// result is not passed.
    pub fn take(&mut self, quota: usize) -> (Vec<EndedResult>, i64) {
        let mut taken = Vec::new();
        let mut records = 0;
        while self.front_may_go()
            && let Some(result) = self.unpublished.front()
        {
            if records > 0 && records + result.records.len() > quota {
                break;
            }
            records += result.records.len();
            taken.extend(self.pop());
        }
        let cursor = self.cursor_after(&taken);
        (taken, cursor)
    }

    /// Takes the refused result alone: what follows must not go with it.
    pub fn take_refused(&mut self) -> (Vec<EndedResult>, i64) {
        let taken: Vec<EndedResult> = self.pop().into_iter().collect();
        let cursor = self.cursor_after(&taken);
        (taken, cursor)
    }

    fn pop(&mut self) -> Option<EndedResult> {
        let result = self.unpublished.pop_front()?;
        self.unpublished_bytes = self.unpublished_bytes.saturating_sub(bytes_of(&result.records));
        Some(result)
    }

    /// Puts results back in front that were not published after all.
    pub fn give_back(&mut self, results: Vec<EndedResult>) {
        for result in results.into_iter().rev() {
            self.unpublished_bytes += bytes_of(&result.records);
            self.unpublished.push_front(result);
        }
    }

    /// Leaves the original out of the dead letter in front, if this topic, which refused it, is the dead letters'; whether there
    /// was one. The ledger's outbox keeps the whole one: a successor finds out for itself.
    pub fn leave_originals_out(&mut self, topic: TopicRole) -> bool {
        let Some(EndedResult { seq, records }) = self.pop() else { return false };
        let lighter: Vec<Option<OutgoingRecord>> =
            records.iter().map(|record| without_original(record).filter(|_| record.topic == topic)).collect();
        let is_lighter = lighter.iter().any(Option::is_some);
        let records = lighter.into_iter().zip(records).map(|(lighter, record)| lighter.unwrap_or(record)).collect();
        self.give_back(vec![EndedResult { seq, records }]);
        is_lighter
    }

    fn cursor_after(&self, taken: &[EndedResult]) -> i64 {
        taken.last().map_or(self.cursor, |result| result.seq.0)
    }

    /// Adds a durable result; results arrive in their order.
    pub fn push(&mut self, seq: PublishSeq, records: Vec<OutgoingRecord>) {
        self.unpublished_bytes += bytes_of(&records);
        self.unpublished.push_back(EndedResult { seq, records });
    }
}

fn bytes_of(records: &[OutgoingRecord]) -> usize {
    records.iter().map(|record| record.value.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Epoch;
    use crate::worker::starting::starting_point;

    const NOW: Duration = Duration::from_secs(10);

    fn lane() -> Lane {
        let claim = Claim { lane: crate::domain::Lane(0), epoch: Epoch(1) };
        let row = LaneRow {
            claim,
            clean: true,
            position: None,
            saved_cursor: 0,
            last_seq: 0,
            suspect_below: 0,
            topic_id: None,
        };
        let start = starting_point([0; 8], false, &row, false, None).unwrap();
        let mut lane = Lane::new(&row, &start, Duration::ZERO);
        for seq in 1..=4 {
            lane.push(PublishSeq(seq), Vec::new());
        }
        lane
    }

    fn held(seq: i64, until: Duration) -> Option<Held> {
        Some(Held { seq: PublishSeq(seq), until, pause: Duration::from_secs(1), trouble: None })
    }

    fn numbers(taken: &[EndedResult]) -> Vec<i64> {
        taken.iter().map(|result| result.seq.0).collect()
    }

    #[test]
    fn what_is_before_a_refused_result_goes_and_nothing_passes_it() {
        let mut lane = lane();
        lane.held = held(3, NOW);
        let (taken, cursor) = lane.take(100);
        assert_eq!((numbers(&taken), cursor), (vec![1, 2], 2));
        assert!(lane.take(100).0.is_empty(), "not even when it is due: it goes alone");
    }

    #[test]
    fn a_refused_result_is_tried_alone_when_it_is_due() {
        let mut lane = lane();
        lane.held = held(1, NOW);
        assert!(!lane.is_due(NOW - Duration::from_millis(1)));
        assert!(lane.is_due(NOW));
        let (taken, cursor) = lane.take_refused();
        assert_eq!((numbers(&taken), cursor), (vec![1], 1));
    }

    #[test]
    fn a_lane_with_a_refused_result_in_front_has_nothing_to_say_until_it_is_due() {
        let mut lane = lane();
        lane.held = held(1, NOW);
        assert!(!lane.has_news(NOW - Duration::from_millis(1)));
        assert!(lane.has_news(NOW));
        lane.owes_commit = true;
        assert!(lane.has_news(Duration::ZERO), "a cursor that was not committed is news");
    }

    #[test]
    fn bytes_are_counted_as_long_as_results_wait() {
        let mut lane = lane();
        let record = OutgoingRecord {
            topic: crate::contract::TopicRole::Linked,
            key: None,
            value: vec![0; 100],
            headers: Vec::new(),
        };
        lane.push(PublishSeq(5), vec![record]);
        assert_eq!(lane.bytes(), 100);
        let (taken, _) = lane.take(100);
        assert_eq!(lane.bytes(), 0);
        lane.give_back(taken);
        assert_eq!(lane.bytes(), 100);
    }

    #[test]
    fn an_event_counts_until_it_is_dropped() {
        let lane = lane();
        let load = lane.tally.add(70);
        assert_eq!((lane.records(), lane.bytes()), (1, 70));
        drop(load);
        assert_eq!((lane.records(), lane.bytes()), (0, 0));
    }
}
