//! The steps of a take-over: raise, read Kafka's stable word, read the lane's rows in new statements under the new epoch.

use std::collections::BTreeMap;
use std::time::Duration;

use super::WorkerError;
use super::dispatcher::Shared;
use super::positions;
use crate::domain;
use crate::kafka::Committed;
use crate::kafka::cursor::{self, CursorText};
use crate::ledger::{Claim, LaneRow, LedgerError, StoredRow, Unpublished};

/// Pause before a step of a take-over is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// A lane that was taken over.
pub(super) struct Opened {
    pub row: LaneRow,
    /// Where fetching starts; `None`: at the earliest record.
    pub start: Option<i64>,
    pub committed: Option<i64>,
    pub cursor: i64,
    /// When the raise was answered, by the monotonic clock.
    pub raised_at: Duration,
    pub unfinished: Vec<StoredRow>,
    pub unpublished: Vec<Unpublished>,
}

/// The steps of a take-over, each repeated until it is answered.
pub(super) async fn take_over(shared: &Shared, partitions: &[i32]) -> Result<Vec<Opened>, WorkerError> {
    let lanes: Vec<domain::Lane> = partitions.iter().map(|partition| domain::Lane(*partition)).collect();
    let asked_at = shared.confirmations.asking();
    let mut rows = answered("raising the epochs", || shared.ledger.raise(&shared.owner, &lanes)).await?;
    let raised_at = shared.clock.tick();
    shared.confirmations.confirm(rows.iter().map(|row| row.claim), asked_at);
    forget_old_topic(shared, &mut rows).await?;
    let committed = positions::committed(shared, partitions).await;
    let mut starts = BTreeMap::new();
    for row in rows {
        let stands = committed.iter().find(|committed| committed.partition == row.claim.lane.0);
        let (start, cursor) = starting_point(shared.ledger_id, &row, stands)?;
        starts.insert(row.claim.lane, (row, start, cursor, stands.and_then(|stands| stands.offset)));
    }
    let claims: Vec<Claim> = starts.values().map(|(row, ..)| row.claim).collect();
    let cursors: Vec<(Claim, i64)> = starts.values().map(|(row, _, cursor, _)| (row.claim, *cursor)).collect();
    let mut unfinished =
        by_lane(answered("reading unfinished rows", || shared.ledger.unfinished(&claims, None)).await?);
    let outbox = answered("reading unpublished results", || shared.ledger.unpublished(&cursors)).await?;
    let mut opened = Vec::new();
    for (lane, (row, start, cursor, committed)) in starts {
        let unpublished = outbox.iter().filter(|result| result.lane == lane).cloned().collect();
        let unfinished = unfinished.remove(&lane).unwrap_or_default();
        opened.push(Opened { row, start, committed, cursor, raised_at, unfinished, unpublished });
    }
    Ok(opened)
}

/// A topic that was made anew begins at its start again, whatever the ledger accepted of the old one.
async fn forget_old_topic(shared: &Shared, rows: &mut [LaneRow]) -> Result<(), WorkerError> {
    let Some(topic_id) = &shared.topic_id else { return Ok(()) };
    let claims: Vec<Claim> = rows.iter().map(|row| row.claim).collect();
    let positions = answered("noting the topic", || shared.ledger.note_topic(&claims, topic_id)).await?;
    for row in rows.iter_mut() {
        // What stands there now, also where an earlier answer to the same question was lost.
        let stands = positions.iter().find(|(lane, _)| *lane == row.claim.lane).and_then(|(_, position)| *position);
        if row.position.is_some() && stands.is_none() {
            tracing::warn!(kafka.partition = row.claim.lane.0, "the topic was made anew: it is read from its start");
            row.suspect_below = 0;
        }
        row.position = stands;
    }
    Ok(())
}

fn by_lane(rows: Vec<StoredRow>) -> BTreeMap<domain::Lane, Vec<StoredRow>> {
    let mut lanes: BTreeMap<domain::Lane, Vec<StoredRow>> = BTreeMap::new();
    for row in rows {
        lanes.entry(row.lane).or_default().push(row);
    }
    lanes
}

/// Where fetching starts and what is published: Kafka's own commit says so; where it is gone, the ledger's lower bounds.
fn starting_point(
    ledger_id: [u8; 8],
    row: &LaneRow,
    committed: Option<&Committed>,
) -> Result<(Option<i64>, i64), WorkerError> {
    let partition = row.claim.lane.0;
    let offset = committed.and_then(|committed| committed.offset);
    let Some(offset) = offset else { return Ok((row.position, row.saved_cursor)) };
    match cursor::decode(committed.map_or("", |committed| &committed.metadata), ledger_id) {
        CursorText::Ours(cursor) => Ok((Some(offset), cursor.max(row.saved_cursor))),
        CursorText::AnotherLedger => Err(WorkerError::Misconfigured(format!(
            "partition {partition}'s position was committed with another ledger; use that ledger, or a consumer group \
             of its own for this one"
        ))),
        CursorText::Newer | CursorText::Foreign => {
            tracing::warn!(
                kafka.partition = partition,
                kafka.offset = offset,
                "the committed position carries no cursor of ours; results of the last second may appear again",
            );
            Ok((Some(offset), row.saved_cursor))
        }
    }
}

async fn answered<T, F: Future<Output = Result<T, LedgerError>>>(
    what: &str,
    step: impl Fn() -> F,
) -> Result<T, WorkerError> {
    let mut said = false;
    loop {
        match step().await {
            Ok(answer) => return Ok(answer),
            Err(LedgerError::Unavailable(why)) => {
                if !said {
                    tracing::warn!(error = %why, "the ledger is unavailable while {what}; trying again");
                    said = true;
                }
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(WorkerError::Ledger(error.to_string())),
        }
    }
}
