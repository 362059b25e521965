//! Lanes that the topic no longer has: what is left in them moves into one that it has, in one transaction.

use super::session::{File, Work};
use crate::domain::Lane;
use crate::ledger::decode::Columns;
use crate::ledger::{Gathered, Gathering, LedgerError};

const LOST: &str = "SELECT lane, clean FROM lane WHERE lane >= ?1 AND lane <> ?2 AND topic_id IS NOT ?3 ORDER BY lane";
/// They are of the present topic from here on: they are gathered once.
const RAISE: &str = "
UPDATE lane SET epoch = epoch + 1, owner = NULL, clean = 1, position = NULL, suspect_below = 0, topic_id = ?2 WHERE lane = ?1";
const UNPUBLISHED: &str = "
SELECT DISTINCT o.lane, o.publish_seq FROM outbox o JOIN lane l ON l.lane = o.lane
WHERE o.lane = ? AND o.publish_seq > l.saved_cursor ORDER BY o.publish_seq";
const EVENTS_NUMBERED: &str =
    "UPDATE event SET lane = ?3, epoch = ?5 - 1, publish_seq = ?4 WHERE lane = ?1 AND publish_seq = ?2";
const RESULTS: &str = "UPDATE outbox SET lane = ?3, publish_seq = ?4 WHERE lane = ?1 AND publish_seq = ?2";
/// A row that keeps the number of an end that was published has no number of the new lane's: 0, which is none's, stands for it.
const EVENTS: &str = "
UPDATE event SET lane = ?2, epoch = ?3 - 1, publish_seq = CASE WHEN publish_seq IS NOT NULL THEN 0 END
WHERE lane = ?1 AND key IN (SELECT key FROM sealed_record)";
const RECORDS: &str = "UPDATE sealed_record SET lane = ?2 WHERE lane = ?1";
const DONE_WITH: &str = "UPDATE lane SET saved_cursor = MAX(saved_cursor, ?2) WHERE lane = ?1";

const LAST_NUMBER: &str = "SELECT COALESCE(MAX(publish_seq), 0) AS last_seq FROM outbox WHERE lane = ?";

pub(super) async fn gather(file: &File, gathering: &Gathering) -> Result<Gathered, LedgerError> {
    let mut work = file.write().await?;
    let into = gathering.into;
    let mut gathered = Gathered { clean: true, ..Gathered::default() };
    if work.held([into].into_iter()).await?.is_empty() {
        work.commit().await?;
        return Ok(gathered);
    }
    let lost = sqlx::query(LOST).bind(gathering.partitions).bind(into.lane.0).bind(gathering.topic_id.clone());
    for row in work.rows(lost).await? {
        gathered.clean &= row.flag("clean")?;
        gather_one(&mut work, row.lane()?, gathering, &mut gathered).await?;
    }
    let last = work.row(sqlx::query(LAST_NUMBER).bind(into.lane.0)).await?;
    gathered.last_seq = last.map_or(Ok(0), |row| row.int("last_seq"))?;
    work.commit().await?;
    Ok(gathered)
}

async fn gather_one(
    work: &mut Work<'_>,
    lane: Lane,
    gathering: &Gathering,
    gathered: &mut Gathered,
) -> Result<(), LedgerError> {
    let into = gathering.into;
    work.run(sqlx::query(RAISE).bind(lane.0).bind(gathering.topic_id.clone())).await?;
    for row in work.rows(sqlx::query(UNPUBLISHED).bind(lane.0)).await? {
        let (old, new) = (row.int("publish_seq")?, gathering.first_seq.0 + gathered.numbers);
        let numbered = |sql: &'static str| sqlx::query(sql).bind(lane.0).bind(old).bind(into.lane.0).bind(new);
        gathered.rows += work.run(numbered(EVENTS_NUMBERED).bind(into.epoch.0)).await?;
        work.run(numbered(RESULTS)).await?;
        work.run(sqlx::query(DONE_WITH).bind(lane.0).bind(old)).await?;
        gathered.numbers += 1;
    }
    gathered.rows += work.run(sqlx::query(EVENTS).bind(lane.0).bind(into.lane.0).bind(into.epoch.0)).await?;
    work.run(sqlx::query(RECORDS).bind(lane.0).bind(into.lane.0)).await?;
    gathered.lanes.push(lane);
    Ok(())
}
