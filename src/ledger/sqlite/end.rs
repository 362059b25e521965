//! The writes of an event's way: started again, converted, waiting, ended.

use super::accept::{SHOW, insert_outgoing};
use super::session::{File, Values, Work};
use crate::domain::{Attempts, EventKey, Lane};
use crate::ledger::batch::{each_is_claimed, refused};
use crate::ledger::codes::{attempt_counts, reason_names};
use crate::ledger::{BackOffRow, Claim, ConvertedRow, EndedRow, LedgerError, Refused, RowState, StartedRow};

const STARTED: &str = "UPDATE event SET starts = MAX(starts, ?3) WHERE key = ?1 AND lane = ?2 AND state IN (1, 2)";

const CONVERTED: &str = "
UPDATE event SET state = 2, due_at = NULL, convert_attempts = ?3, link_attempts = ?4, lookup_attempts = ?5,
    timeline = substr(COALESCE(timeline, '') || ?6, 1, 16384)
WHERE key = ?1 AND lane = ?2 AND state = 1";
const SEAL_TOKEN: &str = "INSERT INTO sealed_token (key, bytes, account) VALUES (?, ?, ?)";
const IS_CONVERTED: &str = "
SELECT 1 FROM event e JOIN sealed_token t ON t.key = e.key WHERE e.key = ? AND e.lane = ? AND e.state = 2";

/// A number at or below the saved cursor would never be published.
const END: &str = "
UPDATE event SET state = ?7, publish_seq = ?8, reason_code = ?9, reason_stage = ?10, due_at = NULL,
    ended_at = CAST(unixepoch('subsec') * 1000 AS INTEGER),
    first_failed_at = COALESCE(first_failed_at, CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?11),
    convert_attempts = ?3, link_attempts = ?4, lookup_attempts = ?5,
    timeline = substr(COALESCE(timeline, '') || ?6, 1, 16384)
WHERE key = ?1 AND lane = ?2 AND state IN (1, 2) AND publish_seq IS NOT ?8
    AND ?8 > (SELECT saved_cursor FROM lane WHERE lane = ?2)";
const IS_ENDED: &str = "SELECT 1 FROM event WHERE key = ? AND lane = ? AND publish_seq = ?";
const KEEP: &str = "UPDATE sealed_record SET kept = 1 WHERE key = ?";
const ERASE_RECORD: &str = "DELETE FROM sealed_record WHERE key = ?";
const ERASE_TOKEN: &str = "DELETE FROM sealed_token WHERE key = ?";
const DONE_WITH: &str = "DELETE FROM dead_letter WHERE key = ?";

const BACK_OFF: &str = "
UPDATE event SET due_at = CAST(unixepoch('subsec') * 1000 AS INTEGER) + ?7, spent_ms = ?8,
    first_failed_at = COALESCE(first_failed_at, CAST(unixepoch('subsec') * 1000 AS INTEGER) - ?9),
    convert_attempts = ?3, link_attempts = ?4, lookup_attempts = ?5,
    timeline = substr(COALESCE(timeline, '') || ?6, 1, 16384)
WHERE key = ?1 AND lane = ?2 AND state IN (1, 2)";

pub(super) async fn started(file: &File, claims: &[Claim], rows: &[StartedRow]) -> Result<Refused, LedgerError> {
    each_is_claimed(claims.iter().copied(), rows.iter().map(|row| (row.key, row.lane)))?;
    let mut work = file.write().await?;
    let held = work.held(claims.iter().copied()).await?;
    for row in rows.iter().filter(|row| held.contains(&row.lane)) {
        let query = sqlx::query(STARTED).bind(row.key.0.as_slice()).bind(row.lane.0).bind(row.starts);
        if work.run(query).await? == 0 {
            return Err(damaged(row.key, row.lane));
        }
    }
    work.commit().await?;
    Ok(refused(claims, &held))
}

pub(super) async fn converted(file: &File, claims: &[Claim], rows: &[ConvertedRow]) -> Result<Refused, LedgerError> {
    each_is_claimed(claims.iter().copied(), rows.iter().map(|row| (row.key, row.lane)))?;
    let mut work = file.write().await?;
    let held = work.held(claims.iter().copied()).await?;
    for row in rows.iter().filter(|row| held.contains(&row.lane)) {
        if work.run(update(CONVERTED, row.key, row.lane, row.attempts, &row.timeline)).await? == 1 {
            let query = sqlx::query(SEAL_TOKEN).bind(row.key.0.as_slice()).bind(row.sealed_token.as_slice());
            work.run(query.bind(row.account.as_str())).await?;
        } else {
            let query = sqlx::query(IS_CONVERTED).bind(row.key.0.as_slice()).bind(row.lane.0);
            stands(&mut work, query, row.key, row.lane).await?;
        }
    }
    work.commit().await?;
    Ok(refused(claims, &held))
}

pub(super) async fn end(file: &File, claims: &[Claim], rows: &[EndedRow]) -> Result<Refused, LedgerError> {
    each_is_claimed(claims.iter().copied(), rows.iter().map(|row| (row.key, row.lane)))?;
    let mut work = file.write().await?;
    let held = work.held(claims.iter().copied()).await?;
    for row in rows.iter().filter(|row| held.contains(&row.lane)) {
        end_one(&mut work, row).await?;
    }
    work.commit().await?;
    Ok(refused(claims, &held))
}

async fn end_one(work: &mut Work<'_>, row: &EndedRow) -> Result<(), LedgerError> {
    let (code, stage) = reason_names(row.reason);
    let query =
        update(END, row.key, row.lane, row.attempts, &row.timeline).bind(row.state.code()).bind(row.publish_seq.0);
    if work.run(query.bind(code).bind(stage).bind(row.failed_ms_ago)).await? == 0 {
        let query = sqlx::query(IS_ENDED).bind(row.key.0.as_slice()).bind(row.lane.0).bind(row.publish_seq.0);
        return stands(work, query, row.key, row.lane).await;
    }
    let follow: &[_] = match row.state {
        RowState::DeadLettered => &[KEEP, SHOW],
        _ => &[ERASE_RECORD, ERASE_TOKEN, DONE_WITH],
    };
    for &sql in follow {
        work.run(sqlx::query(sql).bind(row.key.0.as_slice())).await?;
    }
    insert_outgoing(work, row.lane, row.publish_seq, &row.records).await
}

pub(super) async fn back_off(file: &File, claims: &[Claim], rows: &[BackOffRow]) -> Result<Refused, LedgerError> {
    each_is_claimed(claims.iter().copied(), rows.iter().map(|row| (row.key, row.lane)))?;
    let mut work = file.write().await?;
    let held = work.held(claims.iter().copied()).await?;
    for row in rows.iter().filter(|row| held.contains(&row.lane)) {
        let query =
            update(BACK_OFF, row.key, row.lane, row.attempts, &row.timeline).bind(row.due_in_ms).bind(row.spent_ms);
        if work.run(query.bind(row.failed_ms_ago)).await? == 0 {
            return Err(damaged(row.key, row.lane));
        }
    }
    work.commit().await?;
    Ok(refused(claims, &held))
}

/// A statement whose first six values are key, lane, attempts and what the timeline grows by.
fn update<'q>(sql: &'static str, key: EventKey, lane: Lane, attempts: Attempts, timeline: &str) -> Values<'q> {
    let query = sqlx::query(sql).bind(key.0.to_vec()).bind(lane.0);
    attempt_counts(attempts).into_iter().fold(query, Values::bind).bind(timeline.to_owned())
}

/// A row that was not changed must stand as this very write would have left it.
async fn stands(work: &mut Work<'_>, query: Values<'_>, key: EventKey, lane: Lane) -> Result<(), LedgerError> {
    work.row(query).await?.map(drop).ok_or_else(|| damaged(key, lane))
}

fn damaged(key: EventKey, lane: Lane) -> LedgerError {
    LedgerError::Damaged(format!("row {key:?} of lane {} is not in a state that this write expects", lane.0))
}
