//! A lane in its owner's memory.

use std::collections::VecDeque;
use std::time::Duration;

use super::scribe::EndedResult;
use super::starting::Start;
use crate::contract::OutgoingRecord;
use crate::domain::PublishSeq;
use crate::ledger::{Claim, LaneRow};

/// Why a lane waits to be published again, after the broker refused one of its records.
pub(super) struct Held {
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
    /// Set where the broker refused one of its records: it is tried alone.
    pub held: Option<Held>,
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
            held_up: false,
            leaving: false,
            stale: false,
            wire_until,
            suspect_below: row.suspect_below.max(start.suspect_below),
        }
    }

    /// Whether a cycle has something to say for it.
    pub fn has_news(&self) -> bool {
        !self.unpublished.is_empty() || (self.position.is_some() && self.position != self.committed)
    }

    /// Takes up to `quota` records for a cycle, whole results only; answers them with the cursor after them.
    pub fn take(&mut self, quota: usize) -> (Vec<EndedResult>, i64) {
        let mut taken = Vec::new();
        let mut records = 0;
        while let Some(result) = self.unpublished.front() {
            if records > 0 && records + result.records.len() > quota {
                break;
            }
            records += result.records.len();
            taken.extend(self.unpublished.pop_front());
        }
        let cursor = taken.last().map_or(self.cursor, |result: &EndedResult| result.seq.0);
        (taken, cursor)
    }

    /// Adds a durable result; results arrive in their order.
    pub fn push(&mut self, seq: PublishSeq, records: Vec<OutgoingRecord>) {
        self.unpublished.push_back(EndedResult { seq, records });
    }
}
