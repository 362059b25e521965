//! Retention: old rows are removed in batches, each a transaction.

use super::session::{File, Work};
use crate::domain::EventKey;
use crate::ledger::decode::Columns;
use crate::ledger::{LedgerError, Purge, Purged};

/// Old rows and whether they may go; `?8` is now, at most what the caller takes for it. The cross join keeps the order of the index: no look at what is not old.
const LOOK: &str = "
SELECT i.key, i.accepted_at,
    e.state IN (3, 4, 5) AND e.publish_seq <= l.saved_cursor
        AND e.ended_at <= ?8 - CASE e.state WHEN 5 THEN ?3 ELSE ?2 END
        AND i.record_timestamp <= ?8 - ?4 AS may_go
FROM input i CROSS JOIN event e CROSS JOIN lane l
WHERE e.key = i.key AND l.lane = e.lane AND i.accepted_at <= ?8 - ?1 AND (i.accepted_at, i.key) > (?5, ?6)
ORDER BY i.accepted_at, i.key
LIMIT ?7";
/// In the order that their references want.
const REMOVE: [&str; 7] = [
    "DELETE FROM dead_letter WHERE key = ?",
    "DELETE FROM note WHERE key = ?",
    "DELETE FROM replacement WHERE key = ?",
    "DELETE FROM sealed_token WHERE key = ?",
    "DELETE FROM sealed_record WHERE key = ?",
    "DELETE FROM event WHERE key = ?",
    "DELETE FROM input WHERE key = ?",
];

pub(super) async fn purge(file: &File, purge: &Purge) -> Result<Purged, LedgerError> {
    let [ended, dead_lettered, record] = purge.ages_ms();
    let (accepted_at, key) = purge.place();
    let mut work = file.write().await?;
    let now = work.now_ms().await?.min(purge.latest_ms());
    let query = sqlx::query(LOOK).bind(purge.least_ms()).bind(ended).bind(dead_lettered).bind(record);
    let looked = work.rows(query.bind(accepted_at).bind(key.to_vec()).bind(purge.rows()).bind(now)).await?;
    let mut removed = 0;
    for row in &looked {
        if row.flag("may_go")? {
            remove(&mut work, row.key("key")?).await?;
            removed += 1;
        }
    }
    work.commit().await?;
    Ok(Purged { removed, next: purge.next(looked.len(), looked.last())? })
}

async fn remove(work: &mut Work<'_>, key: EventKey) -> Result<(), LedgerError> {
    for sql in REMOVE {
        work.run(sqlx::query(sql).bind(key.0.to_vec())).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::session::tests::plan;
    use super::*;

    #[tokio::test]
    async fn old_rows_are_sought_in_an_index_and_never_sorted() {
        let plan = plan(LOOK).await;
        assert!(plan.starts_with("SEARCH i USING INDEX") && !plan.contains("ORDER BY"), "{plan}");
    }
}
