//! What is read: after a takeover, after an acceptance, and for people.

use std::collections::BTreeSet;

use data_encoding::HEXLOWER;
use tokio::time::timeout;

use super::session::{File, Work};
use crate::domain::EventKey;
use crate::ledger::batch::{OVERTAKEN_LIMIT, Standing, mark_overtaken};
use crate::ledger::decode::{self, Columns};
use crate::ledger::{Claim, EventSummary, LedgerError, StoredRow, Unpublished};

/// Columns of [`decode::stored_row`], from event `e` and what hangs on it.
macro_rules! stored {
    ($rest:literal) => {
        concat!(
            "SELECT e.key, e.lane, i.lane AS record_partition, e.epoch, i.record_offset, i.record_timestamp, i.payload_hash, e.state, e.generation,
                e.convert_attempts, e.link_attempts, e.lookup_attempts, e.spent_ms, e.starts, e.possibly_sent, e.publish_seq,
                MAX(0, COALESCE(e.due_at - CAST(unixepoch('subsec') * 1000 AS INTEGER), 0)) AS due_in_ms,
                e.first_failed_at, s.topic, s.bytes AS sealed_record, t.bytes AS sealed_token, t.account,
                (SELECT p.markers FROM replacement p WHERE p.key = e.key) AS replaced_markers
            FROM event e
            JOIN input i ON i.key = e.key
            LEFT JOIN sealed_record s ON s.key = e.key
            LEFT JOIN sealed_token t ON t.key = e.key ",
            $rest
        )
    };
}

const ROW: &str = stored!("WHERE e.key = ?");
const UNFINISHED: &str = stored!(
    "JOIN lane l ON l.lane = s.lane AND l.epoch = ?2
    WHERE s.lane = ?1 AND NOT s.kept AND e.epoch <= ?2
        AND (?3 OR NOT EXISTS (SELECT 1 FROM note n WHERE n.key = s.key AND n.kind = 2))"
);
const OVERTAKEN: &str = "
SELECT DISTINCT a.key FROM input a
JOIN input l ON l.customer_id = a.customer_id AND l.customer_system = a.customer_system
    AND (l.lane <> a.lane OR l.record_offset > a.record_offset) AND l.accepted_at >= a.accepted_at
JOIN event e ON e.key = l.key AND e.state = 3
WHERE a.key IN (SELECT unhex(value) FROM json_each(?))";
const UNPUBLISHED: &str = "
SELECT o.lane, o.publish_seq, o.topic_role, o.key, o.value, o.headers
FROM outbox o JOIN lane l ON l.lane = o.lane AND l.epoch = ?2
WHERE o.lane = ?1 AND o.publish_seq > ?3
ORDER BY o.publish_seq, o.n";
const FIND: &str = "
SELECT i.source, i.id, i.key, i.customer_system, i.customer_id, e.state, e.generation, e.convert_attempts,
    e.link_attempts, e.lookup_attempts, i.accepted_at, e.ended_at, e.reason_code, e.timeline
FROM input i JOIN event e ON e.key = i.key
WHERE i.id = ?
ORDER BY i.source";

pub(super) async fn unfinished(
    file: &File,
    claims: &[Claim],
    only: Option<&[EventKey]>,
) -> Result<Vec<StoredRow>, LedgerError> {
    let mut work = file.read().await?;
    let mut found = Vec::new();
    for claim in claims {
        let query = sqlx::query(UNFINISHED).bind(claim.lane.0).bind(claim.epoch.0).bind(only.is_some());
        found.extend(work.rows(query).await?);
    }
    let mut rows: Vec<StoredRow> = found.iter().map(decode::stored_row).collect::<Result<_, _>>()?;
    rows.retain(|row| only.is_none_or(|keys| keys.contains(&row.key)));
    rows.sort_by_key(|row| (row.lane, row.offset));
    let replays: Vec<_> = rows.iter().filter(|row| row.is_replay()).map(|row| row.key).collect();
    if replays.is_empty() {
        work.done();
    } else {
        let answer = timeout(OVERTAKEN_LIMIT, overtaken(work, &replays)).await;
        let no_answer = || LedgerError::Unavailable(format!("no answer in {} s", OVERTAKEN_LIMIT.as_secs()));
        mark_overtaken(&mut rows, answer.unwrap_or_else(|_| Err(no_answer())));
    }
    Ok(rows)
}

/// Takes the connection: given up half-way, it is closed.
async fn overtaken(mut work: Work<'_>, replays: &[EventKey]) -> Result<BTreeSet<EventKey>, LedgerError> {
    let keys: Vec<String> = replays.iter().map(|key| HEXLOWER.encode(&key.0)).collect();
    let rows = work.rows(sqlx::query(OVERTAKEN).bind(serde_json::json!(keys).to_string())).await?;
    work.done();
    rows.iter().map(|row| row.key("key")).collect()
}

pub(super) async fn unpublished(file: &File, claims: &[(Claim, i64)]) -> Result<Vec<Unpublished>, LedgerError> {
    let mut work = file.read().await?;
    let mut rows = Vec::new();
    for (claim, cursor) in claims {
        let query = sqlx::query(UNPUBLISHED).bind(claim.lane.0).bind(claim.epoch.0).bind(*cursor);
        rows.extend(work.rows(query).await?);
    }
    work.done();
    decode::unpublished(&rows)
}

/// What stands where a row of this key was to go.
pub(super) async fn standing(work: &mut Work<'_>, key: EventKey) -> Result<Option<Standing>, LedgerError> {
    let row = work.row(sqlx::query(ROW).bind(key.0.as_slice())).await?;
    row.map(|row| Ok(Standing { row: decode::stored_row(&row)?, payload_hash: row.bytes("payload_hash")? })).transpose()
}

pub(super) async fn find(file: &File, event_id: &str) -> Result<Vec<EventSummary>, LedgerError> {
    let mut work = file.read().await?;
    let rows = work.rows(sqlx::query(FIND).bind(event_id)).await?;
    work.done();
    rows.iter().map(decode::summary).collect()
}

pub(super) async fn row(file: &File, key: EventKey) -> Result<Option<StoredRow>, LedgerError> {
    let mut work = file.read().await?;
    let row = work.row(sqlx::query(ROW).bind(key.0.as_slice())).await?;
    work.done();
    row.as_ref().map(decode::stored_row).transpose()
}

pub(super) async fn rows(file: &File, keys: &[EventKey]) -> Result<Vec<StoredRow>, LedgerError> {
    let mut work = file.read().await?;
    let mut rows = Vec::with_capacity(keys.len());
    for key in keys {
        rows.extend(work.row(sqlx::query(ROW).bind(key.0.as_slice())).await?);
    }
    work.done();
    rows.iter().map(decode::stored_row).collect()
}
