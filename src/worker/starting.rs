//! Where a lane just taken over starts: what Kafka's committed position and cursor say beside the ledger's row.
//!
//! A commit with our own metadata never runs ahead of the ledger: its position was accepted before, its cursor published from
//! the outbox. So a commit of ours that is ahead says that the ledger was restored from the past. A position without our
//! metadata was set by an operator, and is obeyed. A commit of another ledger's is taken only by a worker that adopts.

use super::WorkerError;
use crate::kafka::Committed;
use crate::kafka::cursor::{self, CursorText};
use crate::ledger::{LaneCorrection, LaneRow};

/// Where a lane starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Start {
    /// Where fetching starts; `None`: at the earliest record.
    pub offset: Option<i64>,
    /// The next offset that counts as accepted.
    pub position: Option<i64>,
    /// The position in Kafka's commit, if that commit may stay; `None`: the next cycle commits anew.
    pub committed: Option<i64>,
    /// The highest number that is published.
    pub cursor: i64,
    /// No number up to this one is given again.
    pub last_seq: i64,
    /// Records below were possibly sent before; 0: none.
    pub suspect_below: i64,
    /// The ledger was restored from the past.
    pub restored: bool,
    corrects: bool,
}

impl Start {
    /// What of it the ledger must know before anything else is read.
    pub fn correction(&self, row: &LaneRow) -> Option<LaneCorrection> {
        self.corrects.then_some(LaneCorrection {
            claim: row.claim,
            position: self.position,
            cursor: self.cursor,
            suspect_below: self.suspect_below,
            restored: self.restored,
        })
    }

    /// The row alone: nothing was committed, or what was committed is of a topic that is no more.
    fn of_row(row: &LaneRow, cursor: i64) -> Self {
        Self {
            offset: row.position,
            position: row.position,
            committed: None,
            cursor,
            last_seq: row.last_seq.max(cursor),
            suspect_below: 0,
            restored: false,
            corrects: false,
        }
    }
}

/// Where fetching starts and what is published: Kafka's own commit says so; where it is gone, the ledger's lower bounds.
pub(super) fn starting_point(
    ledger_id: [u8; 8],
    adopting: bool,
    row: &LaneRow,
    anew: bool,
    committed: Option<&Committed>,
) -> Result<Start, WorkerError> {
    let (partition, saved) = (row.claim.lane.0, row.saved_cursor);
    let Some((committed, offset)) = committed.and_then(|committed| Some((committed, committed.offset?))) else {
        if let Some(position) = row.position.filter(|_| !anew) {
            tracing::warn!(
                kafka.partition = partition,
                kafka.offset = position,
                "no position is committed: it expired, or somebody deleted it; the ledger's own takes its place, and results \
                 of the last second may appear again",
            );
        }
        return Ok(Start::of_row(row, saved));
    };
    match cursor::decode(&committed.metadata, ledger_id) {
        CursorText::Ours(cursor) if anew => Ok(from_the_start(row, cursor.max(saved))),
        _ if anew => Ok(from_the_start(row, saved)),
        CursorText::Ours(cursor) if adopting => Ok(obeyed(row, offset, cursor.max(saved), 0)),
        CursorText::Ours(cursor) if cursor > row.last_seq || Some(offset) > row.position.or(Some(0)) => {
            tracing::error!(
                kafka.partition = partition,
                kafka.offset = offset,
                position = row.position.unwrap_or(0),
                cursor,
                last_seq = row.last_seq,
                "the ledger is older than Kafka's commit: it was restored from the past. What it does not know is read again, \
                 and looked for before it is sent; results may repeat or contradict earlier ones",
            );
            Ok(restored(row, offset, cursor.max(saved)))
        }
        CursorText::Ours(cursor) => {
            Ok(Start { offset: Some(offset), committed: Some(offset), ..Start::of_row(row, cursor.max(saved)) })
        }
        CursorText::AnotherLedger(theirs) if adopting => {
            tracing::warn!(kafka.partition = partition, kafka.offset = offset, "another ledger's position is adopted");
            Ok(obeyed(row, offset, saved, theirs))
        }
        CursorText::AnotherLedger(_) => Err(WorkerError::Misconfigured(format!(
            "partition {partition}'s position was committed with another ledger; use that ledger, a consumer group of its \
             own for this one, or `run --adopt-ledger` if this one is to take over from Kafka's position"
        ))),
        CursorText::Newer | CursorText::Foreign => {
            tracing::warn!(
                kafka.partition = partition,
                kafka.offset = offset,
                "the committed position carries no cursor of ours: somebody set it, and it is obeyed; results of the last \
                 second may appear again",
            );
            Ok(obeyed(row, offset, saved, 0))
        }
    }
}

/// A commit that stands there all the same is of the old topic: our last cycle can have come after its end. Committing the
/// start takes its place at once, so that a successor does not meet it.
fn from_the_start(row: &LaneRow, cursor: i64) -> Start {
    Start { offset: None, position: Some(0), ..Start::of_row(row, cursor) }
}

/// Kafka's position counts as it is, and is committed anew with a cursor of ours. Numbers go on above `theirs`.
fn obeyed(row: &LaneRow, offset: i64, cursor: i64, theirs: i64) -> Start {
    Start {
        offset: Some(offset),
        position: Some(offset),
        last_seq: row.last_seq.max(cursor).max(theirs),
        corrects: true,
        ..Start::of_row(row, cursor)
    }
}

/// Read again from where the ledger stands; what lies between was possibly sent.
fn restored(row: &LaneRow, offset: i64, cursor: i64) -> Start {
    let position = Some(row.position.unwrap_or(0));
    Start { position, suspect_below: offset, restored: true, corrects: true, ..Start::of_row(row, cursor) }
}

#[cfg(test)]
mod tests;
