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
SELECT COUNT(*) AS numbers, MAX(publish_seq) AS last_seq FROM (
    SELECT DISTINCT o.publish_seq FROM outbox o JOIN lane l ON l.lane = o.lane WHERE o.lane = ? AND o.publish_seq > l.saved_cursor
)";
/// A change by what is unpublished, each with its number in the new lane.
macro_rules! numbered {
    ($change:literal) => {
        concat!(
            "
WITH numbered(old, number) AS MATERIALIZED (
    SELECT publish_seq, ?3 - 1 + row_number() OVER (ORDER BY publish_seq) FROM (
        SELECT DISTINCT o.publish_seq FROM outbox o JOIN lane l ON l.lane = o.lane
        WHERE o.lane = ?1 AND o.publish_seq > l.saved_cursor
    )
)",
            $change
        )
    };
}
/// Each by one pass: an event has no index but its key.
const EVENTS_NUMBERED: &str = numbered!(
    "
UPDATE event SET lane = ?2, epoch = ?4 - 1, publish_seq = n.number,
    possibly_sent = MAX(possibly_sent, ?5 AND EXISTS (SELECT 1 FROM sealed_record s WHERE s.key = event.key))
FROM numbered n WHERE event.lane = ?1 AND event.publish_seq = n.old"
);
const RESULTS: &str = numbered!(
    "
UPDATE outbox SET lane = ?2, publish_seq = n.number
FROM numbered n WHERE outbox.lane = ?1 AND outbox.publish_seq = n.old"
);
/// A row that keeps the number of an end that was published has no number of the new lane's: 0, which is none's, stands for it.
const EVENTS: &str = "
UPDATE event SET lane = ?2, epoch = ?3 - 1, publish_seq = CASE WHEN publish_seq IS NOT NULL THEN 0 END,
    possibly_sent = MAX(possibly_sent, ?4)
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
    let unpublished = work.row(sqlx::query(UNPUBLISHED).bind(lane.0)).await?;
    let told = unpublished.map(|row| Ok((row.int("numbers")?, row.optional_int("last_seq")?))).transpose()?;
    let first = gathering.first_seq.0 + gathered.numbers;
    if let Some((numbers, Some(last))) = told {
        let moved = |sql: &'static str| sqlx::query(sql).bind(lane.0).bind(into.lane.0).bind(first);
        let events = moved(EVENTS_NUMBERED).bind(into.epoch.0).bind(gathering.restored);
        gathered.rows += work.run(events).await?;
        work.run(moved(RESULTS)).await?;
        work.run(sqlx::query(DONE_WITH).bind(lane.0).bind(last)).await?;
        gathered.numbers += numbers;
    }
    let rest = sqlx::query(EVENTS).bind(lane.0).bind(into.lane.0).bind(into.epoch.0).bind(gathering.restored);
    gathered.rows += work.run(rest).await?;
    work.run(sqlx::query(RECORDS).bind(lane.0).bind(into.lane.0)).await?;
    gathered.lanes.push(lane);
    Ok(())
}
