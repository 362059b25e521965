//! Ownership of lanes.

use super::session::{File, Work};
use crate::domain::Lane;
use crate::ledger::batch::refused;
use crate::ledger::decode::Columns;
use crate::ledger::{Claim, LaneCorrection, LaneRow, LedgerError, Refused};

const MAKE: &str = "INSERT INTO lane (lane, epoch, clean) VALUES (?, 0, 1) ON CONFLICT DO NOTHING";
const FOUND: &str = "
SELECT lane, epoch + 1 AS epoch, clean, position, saved_cursor, suspect_below, topic_id,
    MAX(saved_cursor, COALESCE((SELECT MAX(publish_seq) FROM outbox o WHERE o.lane = l.lane), 0)) AS last_seq
FROM lane l WHERE lane = ?";
const RAISE: &str = "UPDATE lane SET epoch = epoch + 1, owner = ?2, clean = 0 WHERE lane = ?1";
const EPOCH: &str = "SELECT lane, epoch FROM lane WHERE lane = ?";
const POSITION: &str = "SELECT position FROM lane WHERE lane = ?";
const FORGET: &str = "UPDATE lane SET position = NULL, suspect_below = 0 WHERE lane = ?1 AND topic_id <> ?2";
const NOTE: &str = "UPDATE lane SET topic_id = ?2 WHERE lane = ?1";
const CORRECT: &str = "UPDATE lane SET position = ?2, suspect_below = MAX(suspect_below, ?3) WHERE lane = ?1";
const SUSPECT: &str = "
UPDATE event SET possibly_sent = 1
WHERE state IN (1, 2, 5) AND key IN (SELECT key FROM sealed_record WHERE lane = ?)";
const SAVE_CURSOR: &str = "UPDATE lane SET saved_cursor = MAX(saved_cursor, ?2) WHERE lane = ?1";
const REMOVE: &str = "DELETE FROM outbox WHERE lane = ? AND publish_seq <= ?";
const RELEASE: &str = "UPDATE lane SET owner = NULL, clean = ?2 WHERE lane = ?1";

pub(super) async fn raise(file: &File, owner: &str, lanes: &[Lane]) -> Result<Vec<LaneRow>, LedgerError> {
    let mut work = file.write().await?;
    let mut raised = Vec::with_capacity(lanes.len());
    for lane in lanes {
        raised.extend(raise_one(&mut work, owner, *lane).await?);
    }
    work.commit().await?;
    Ok(raised)
}

async fn raise_one(work: &mut Work<'_>, owner: &str, lane: Lane) -> Result<Option<LaneRow>, LedgerError> {
    work.run(sqlx::query(MAKE).bind(lane.0)).await?;
    let found = work.row(sqlx::query(FOUND).bind(lane.0)).await?;
    work.run(sqlx::query(RAISE).bind(lane.0).bind(owner)).await?;
    found.as_ref().map(lane_row).transpose()
}

fn lane_row(row: &impl Columns) -> Result<LaneRow, LedgerError> {
    Ok(LaneRow {
        claim: row.claim()?,
        clean: row.flag("clean")?,
        position: row.optional_int("position")?,
        saved_cursor: row.int("saved_cursor")?,
        last_seq: row.int("last_seq")?,
        suspect_below: row.int("suspect_below")?,
        topic_id: row.optional_text("topic_id")?,
    })
}

pub(super) async fn epochs(file: &File, lanes: &[Lane]) -> Result<Vec<Claim>, LedgerError> {
    let mut work = file.read().await?;
    let mut claims = Vec::with_capacity(lanes.len());
    for lane in lanes {
        claims.extend(work.row(sqlx::query(EPOCH).bind(lane.0)).await?.map(|row| row.claim()).transpose()?);
    }
    work.done();
    Ok(claims)
}

pub(super) async fn note_topic(
    file: &File,
    claims: &[Claim],
    topic_id: &str,
) -> Result<Vec<(Lane, Option<i64>)>, LedgerError> {
    let mut work = file.write().await?;
    let held = work.held(claims.iter().copied()).await?;
    let mut positions = Vec::new();
    for lane in held {
        for sql in [FORGET, NOTE] {
            work.run(sqlx::query(sql).bind(lane.0).bind(topic_id)).await?;
        }
        let row = work.row(sqlx::query(POSITION).bind(lane.0)).await?;
        positions.push((lane, row.map(|row| row.optional_int("position")).transpose()?.flatten()));
    }
    work.commit().await?;
    Ok(positions)
}

pub(super) async fn correct(file: &File, corrections: &[LaneCorrection]) -> Result<Refused, LedgerError> {
    let claims: Vec<_> = corrections.iter().map(|one| one.claim).collect();
    let mut work = file.write().await?;
    let held = work.held(claims.iter().copied()).await?;
    for one in corrections.iter().filter(|one| held.contains(&one.claim.lane)) {
        let lane = one.claim.lane.0;
        work.run(sqlx::query(CORRECT).bind(lane).bind(one.position).bind(one.suspect_below)).await?;
        for sql in [SAVE_CURSOR, REMOVE] {
            work.run(sqlx::query(sql).bind(lane).bind(one.cursor)).await?;
        }
        if one.restored {
            work.run(sqlx::query(SUSPECT).bind(lane)).await?;
        }
    }
    work.commit().await?;
    Ok(refused(&claims, &held))
}

pub(super) async fn save_cursors(file: &File, cursors: &[(Claim, i64)]) -> Result<Refused, LedgerError> {
    let claims: Vec<_> = cursors.iter().map(|(claim, _)| *claim).collect();
    let mut work = file.write().await?;
    let held = work.held(claims.iter().copied()).await?;
    for (claim, cursor) in cursors.iter().filter(|(claim, _)| held.contains(&claim.lane)) {
        for sql in [SAVE_CURSOR, REMOVE] {
            work.run(sqlx::query(sql).bind(claim.lane.0).bind(*cursor)).await?;
        }
    }
    work.commit().await?;
    Ok(refused(&claims, &held))
}

pub(super) async fn release(file: &File, lanes: &[(Claim, bool)]) -> Result<Refused, LedgerError> {
    let claims: Vec<_> = lanes.iter().map(|(claim, _)| *claim).collect();
    let mut work = file.write().await?;
    let held = work.held(claims.iter().copied()).await?;
    for (claim, clean) in lanes.iter().filter(|(claim, _)| held.contains(&claim.lane)) {
        work.run(sqlx::query(RELEASE).bind(claim.lane.0).bind(*clean)).await?;
    }
    work.commit().await?;
    Ok(refused(&claims, &held))
}
