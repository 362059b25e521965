//! What people do to a ledger: reopen dead-lettered rows, make it serve something else.

use data_encoding::HEXLOWER;

use super::session::{File, Work};
use crate::domain::EventKey;
use crate::ledger::setup::{ADOPTED_EPOCHS, named};
use crate::ledger::{Act, LedgerError, NoteKind, Reopening, SCHEMA_VERSION, Serves};

/// The end has cleared when it was due.
const REOPEN: &str = "
UPDATE event SET state = CASE WHEN EXISTS (SELECT 1 FROM sealed_token t WHERE t.key = event.key) THEN 2 ELSE 1 END,
    generation = generation + 1, epoch = (SELECT epoch FROM lane l WHERE l.lane = event.lane), spent_ms = 0,
    starts = 0, ended_at = NULL, reason_code = NULL, reason_stage = NULL
WHERE key = ?1 AND state = 5 AND generation = ?2 AND EXISTS (SELECT 1 FROM sealed_record s WHERE s.key = event.key)
    AND EXISTS (SELECT 1 FROM dead_letter d WHERE d.key = event.key AND d.state = 1)";
const UNKEEP: &str = "UPDATE sealed_record SET kept = 0 WHERE key = ?";
const SHOW: &str = "UPDATE dead_letter SET state = 2, generation = generation + 1 WHERE key = ?";
const NOTE: &str = "INSERT INTO note (key, kind) VALUES (?, ?)";
const AUDIT: &str = "INSERT INTO audit (actor, act, target, why) VALUES (?, ?, ?, ?)";

const LANES: &str = "
UPDATE lane SET epoch = epoch + ?3, owner = NULL, clean = 0,
    position = CASE WHEN g.another THEN NULL ELSE position END,
    topic_id = CASE WHEN g.another THEN NULL ELSE topic_id END,
    suspect_below = CASE WHEN g.another THEN 0 ELSE suspect_below END
FROM (SELECT cluster_id IS NOT ?1 OR topic IS NOT ?2 AS another FROM ledger) AS g";
const SUSPECT_ALL: &str =
    "UPDATE event SET possibly_sent = 1 WHERE state IN (1, 2, 5) AND key IN (SELECT key FROM sealed_record)";
const TELL_TOPICS: &str = "
UPDATE sealed_record SET topic = CASE WHEN topic IS NULL THEN (SELECT l.topic FROM ledger l) END
WHERE (topic IS NULL OR topic = ?1) AND EXISTS (SELECT 1 FROM ledger l WHERE l.topic <> ?1)";
const SERVE: &str = "
UPDATE ledger SET cluster_id = ?, consumer_group = ?, topic = ?, adopted_at = CAST(unixepoch('subsec') * 1000 AS INTEGER)";

pub(super) async fn reopen(file: &File, rows: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError> {
    let mut work = file.write().await?;
    let mut reopened = Vec::new();
    for row in rows {
        let key = row.key.0.as_slice();
        if work.run(sqlx::query(REOPEN).bind(key).bind(row.generation)).await? == 1 {
            work.run(sqlx::query(UNKEEP).bind(key)).await?;
            work.run(sqlx::query(SHOW).bind(key)).await?;
            work.run(sqlx::query(NOTE).bind(key).bind(NoteKind::Reopened.code())).await?;
            audit(&mut work, act, "replay", &HEXLOWER.encode(key)).await?;
            reopened.push(row.key);
        }
    }
    work.commit().await?;
    Ok(reopened)
}

pub(super) async fn adopt(file: &File, serves: &Serves, act: &Act) -> Result<(), LedgerError> {
    let mut work = file.write().await?;
    let (cluster, topic) = (serves.cluster_id.as_str(), serves.topic.as_str());
    work.run(sqlx::query(LANES).bind(cluster).bind(topic).bind(ADOPTED_EPOCHS)).await?;
    work.run(sqlx::query(SUSPECT_ALL)).await?;
    work.run(sqlx::query(TELL_TOPICS).bind(topic)).await?;
    if work.run(sqlx::query(SERVE).bind(cluster).bind(serves.group.as_str()).bind(topic)).await? == 0 {
        return Err(LedgerError::WrongVersion { found: 0, needed: SCHEMA_VERSION });
    }
    audit(&mut work, act, "adopt-ledger", &named(serves)).await?;
    work.commit().await
}

pub(super) async fn write_act(file: &File, name: &str, target: &str, act: &Act) -> Result<(), LedgerError> {
    let mut work = file.write().await?;
    audit(&mut work, act, name, target).await?;
    work.commit().await
}

pub(super) async fn audit(work: &mut Work<'_>, act: &Act, name: &str, target: &str) -> Result<(), LedgerError> {
    let query = sqlx::query(AUDIT).bind(act.actor.as_str()).bind(name).bind(target).bind(act.why.as_deref());
    work.run(query).await.map(drop)
}
