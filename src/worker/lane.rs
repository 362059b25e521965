//! A lane in its owner's memory.

use std::collections::VecDeque;
use std::time::Duration;

use super::scribe::EndedResult;
use super::starting::Start;
use crate::contract::OutgoingRecord;
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
    /// Records handed to the scribe and not accepted yet.
    pub accepting: usize,
    /// Calls on the wire.
    pub on_the_wire: usize,
    /// Set where the broker refused one of its records.
    pub held: Option<Held>,
    /// Results are published whose cursor is not committed.
    pub owes_commit: bool,
    /// So many results wait to be published that nothing is fetched.
    pub held_up: bool,
    /// Being given up: nothing new is begun.
    pub leaving: bool,
    /// Fetching was taken up anew; records before the consumer's word of it are stale.
    pub stale: bool,
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
            accepting: 0,
            on_the_wire: 0,
            held: None,
            owes_commit: false,
            held_up: false,
            leaving: false,
            stale: false,
            wire_until,
            suspect_below: row.suspect_below.max(start.suspect_below),
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
            taken.extend(self.unpublished.pop_front());
        }
        let cursor = self.cursor_after(&taken);
        (taken, cursor)
    }

    /// Takes the refused result alone: what follows must not go with it.
    pub fn take_refused(&mut self) -> (Vec<EndedResult>, i64) {
        let taken: Vec<EndedResult> = self.unpublished.pop_front().into_iter().collect();
        let cursor = self.cursor_after(&taken);
        (taken, cursor)
    }

    fn cursor_after(&self, taken: &[EndedResult]) -> i64 {
        taken.last().map_or(self.cursor, |result| result.seq.0)
    }

    /// Adds a durable result; results arrive in their order.
    pub fn push(&mut self, seq: PublishSeq, records: Vec<OutgoingRecord>) {
        self.unpublished.push_back(EndedResult { seq, records });
    }
}
