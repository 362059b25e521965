//! Retention: old rows are removed in batches.
//!
//! Properties: one statement a batch; it waits for no lock, and holds none that the hot path wants, since nobody writes to rows that
//! ended long ago. A replay locks a line of `dead_letter` before that of `event`, and so does this. A row that an operator or an adoption is just writing to is passed over (`SKIP LOCKED`); one that was
//! changed since the snapshot is judged again as it is now. The lane is read without a lock: its saved cursor only grows, so
//! what was published stays published. Whoever accepts the same key meanwhile waits for this statement's end, then inserts.

use sqlx::postgres::PgPool;

use super::session::Statement;
use crate::ledger::decode::Columns;
use crate::ledger::{LedgerError, Purge, Purged};

/// Microseconds since 1970, as exact as the column. Keys as arrays: found by the primary keys, however large the tables.
const PURGE: &str = "
WITH clock AS MATERIALIZED (
    SELECT LEAST(now(), timestamptz 'epoch' + $8 * interval '1 millisecond') AS at
), looked AS MATERIALIZED (
    SELECT i.key, i.accepted_at, i.record_timestamp
    FROM input i
    WHERE i.accepted_at <= (SELECT at FROM clock) - $1 * interval '1 millisecond'
        AND (i.accepted_at, i.key) > (timestamptz 'epoch' + $5 * interval '1 microsecond', $6)
    ORDER BY i.accepted_at, i.key
    LIMIT $7
), shown AS MATERIALIZED (
    SELECT d.key
    FROM looked i
    JOIN event e ON e.key = i.key
    JOIN dead_letter d ON d.key = i.key
    WHERE e.state = 5 AND e.ended_at <= (SELECT at FROM clock) - $3 * interval '1 millisecond'
    ORDER BY d.key
    FOR UPDATE OF d SKIP LOCKED
), old AS MATERIALIZED (
    SELECT e.key
    FROM looked i
    JOIN event e ON e.key = i.key
    JOIN lane l ON l.lane = e.lane
    LEFT JOIN shown s ON s.key = i.key
    WHERE (s.key IS NOT NULL OR NOT EXISTS (SELECT 1 FROM dead_letter d WHERE d.key = i.key))
        AND e.state IN (3, 4, 5) AND e.publish_seq <= l.saved_cursor
        AND e.ended_at <= (SELECT at FROM clock) - CASE e.state WHEN 5 THEN $3 ELSE $2 END * interval '1 millisecond'
        AND i.record_timestamp <= extract(epoch FROM (SELECT at FROM clock)) * 1000 - $4
    FOR UPDATE OF e SKIP LOCKED
), removed AS (
    DELETE FROM event WHERE key = ANY (ARRAY(SELECT key FROM old)) RETURNING key
), inputs AS (
    DELETE FROM input WHERE key = ANY (ARRAY(SELECT key FROM removed))
), records AS (
    DELETE FROM sealed_record WHERE key = ANY (ARRAY(SELECT key FROM removed))
), tokens AS (
    DELETE FROM sealed_token WHERE key = ANY (ARRAY(SELECT key FROM removed))
), notes AS (
    DELETE FROM note WHERE key = ANY (ARRAY(SELECT key FROM removed))
), replacements AS (
    DELETE FROM replacement WHERE key = ANY (ARRAY(SELECT key FROM removed))
), letters AS (
    DELETE FROM dead_letter WHERE key = ANY (ARRAY(SELECT key FROM removed))
)
SELECT (SELECT count(*) FROM removed) AS removed, (SELECT count(*) FROM looked) AS looked,
    (extract(epoch FROM last.accepted_at) * 1000000)::bigint AS accepted_at, last.key
FROM (SELECT accepted_at, key FROM looked ORDER BY accepted_at DESC, key DESC LIMIT 1) AS last";

pub(super) async fn purge(readers: &PgPool, purge: &Purge) -> Result<Purged, LedgerError> {
    let [ended, dead_lettered, record] = purge.ages_ms();
    let (accepted_at, key) = purge.place();
    let statement = Statement::new(PURGE)
        .bind(purge.least_ms())?
        .bind(ended)?
        .bind(dead_lettered)?
        .bind(record)?
        .bind(accepted_at)?
        .bind(key)?
        .bind(purge.rows())?
        .bind(purge.latest_ms())?;
    let rows = statement.ask(readers).await?;
    let Some(last) = rows.first() else { return Ok(Purged { removed: 0, next: None }) };
    let looked = usize::try_from(last.int("looked")?).unwrap_or(0);
    Ok(Purged { removed: last.int("removed")?.unsigned_abs(), next: purge.next(looked, Some(last))? })
}
