//! Keys and erasure. Nothing here locks a lane. Lines of `dead_letter` are locked before those of `event`, as by a replay, both
//! in the order of their keys, and what is locked is passed over. So nobody's write meets this for longer than one statement
//! takes, and none in a circle.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::Connection;
use tokio::time::timeout;

use super::PostgresLedger;
use super::session::{self, Statement};
use crate::domain::{Customer, EventKey};
use crate::ledger::custody::{BATCH_BYTES, Custody, Erased, Resealing, SealedBlob, SealedCount, SealedKind};
use crate::ledger::decode::{self, Columns};
use crate::ledger::vault::prefix;
use crate::ledger::{Act, LedgerError};

/// How long a statement may run that looks for a customer: no index knows customers, since acceptance would pay for it.
const SEARCH_TIMEOUT: Duration = Duration::from_secs(600);
/// How much longer than the server's limit we wait for its answer.
const ANSWER_MARGIN: Duration = Duration::from_secs(1);

/// The id stands behind the version and its length. Slices, since a blob that is stored apart is then not fetched whole.
const COUNTS: &str = "
SELECT key_id, sum(records)::bigint AS records, sum(tokens)::bigint AS tokens,
    sum(dead_letters)::bigint AS dead_letters, bool_or(hash_key) AS hash_key
FROM (
    SELECT substring(bytes FROM 3 FOR get_byte(substring(bytes FROM 2 FOR 1), 0)) AS key_id, records, tokens, dead_letters,
        hash_key
    FROM (
        SELECT bytes, 1 AS records, 0 AS tokens, kept::int AS dead_letters, false AS hash_key FROM sealed_record
        UNION ALL SELECT t.bytes, 0, 1, COALESCE(r.kept, false)::int, false
            FROM sealed_token t LEFT JOIN sealed_record r ON r.key = t.key
        UNION ALL SELECT sealed_hash_key, 0, 0, 0, true FROM ledger
    ) AS sealed
    WHERE octet_length(bytes) > 1
) AS named
GROUP BY key_id
ORDER BY key_id";

const RECORDS: &str = "
SELECT * FROM (
    SELECT s.key, i.lane::bigint AS lane, s.record_offset, i.record_timestamp, s.topic, s.bytes,
        sum(octet_length(s.bytes)) OVER (ORDER BY s.key) AS so_far
    FROM sealed_record s
    JOIN input i ON i.key = s.key
    WHERE s.key > $1 AND substring(s.bytes FROM 1 FOR octet_length($2)) <> $2
    ORDER BY s.key
    LIMIT $3
) AS found
WHERE so_far - octet_length(bytes) < $4
ORDER BY key";
const TOKENS: &str = "
SELECT key, 0::bigint AS lane, 0::bigint AS record_offset, 0::bigint AS record_timestamp, NULL::text AS topic, bytes
FROM sealed_token
WHERE key > $1 AND substring(bytes FROM 1 FOR octet_length($2)) <> $2 AND $4 > 0::bigint
ORDER BY key
LIMIT $3";

macro_rules! reseal {
    ($table:literal) => {
        concat!(
            "WITH held AS MATERIALIZED (
                SELECT s.key, a.new
                FROM unnest($1::bytea[], $2::bytea[], $3::bytea[]) AS a(key, old, new)
                JOIN ",
            $table,
            " s ON s.key = a.key AND s.bytes = a.old
                ORDER BY s.key
                FOR NO KEY UPDATE OF s SKIP LOCKED
            )
            UPDATE ",
            $table,
            " s SET bytes = h.new FROM held h WHERE s.key = h.key RETURNING s.key"
        )
    };
}
const RESEAL_RECORDS: &str = reseal!("sealed_record");
const RESEAL_TOKENS: &str = reseal!("sealed_token");

const RESEAL_HASH_KEY: &str = "
WITH changed AS (
    UPDATE ledger SET sealed_hash_key = $2 WHERE sealed_hash_key = $1 RETURNING only_row
), audited AS (
    INSERT INTO audit (actor, act, target, why) SELECT $3, 'keys-rotate', $4, $5 FROM changed
)
SELECT only_row FROM changed";

/// A GUID has two spellings.
const THEIRS: &str = "SELECT key FROM input WHERE customer_system = $1 AND lower(customer_id) = lower($2)";
/// What has ended and is published is nobody's any more but an operator's, who may just be reopening it: then it is locked,
/// or judged again as it is now.
///
/// All or nothing: while one of them is unfinished, or may be reopened this moment, the others tell what it may do.
const ERASE: &str = "
WITH shown AS MATERIALIZED (
    SELECT d.key
    FROM unnest($1::bytea[]) AS asked(key)
    JOIN dead_letter d ON d.key = asked.key
    ORDER BY d.key
    FOR UPDATE OF d SKIP LOCKED
), free AS MATERIALIZED (
    SELECT e.key
    FROM unnest($1::bytea[]) AS asked(key)
    JOIN event e ON e.key = asked.key
    JOIN lane l ON l.lane = e.lane
    WHERE e.state IN (3, 4, 5) AND e.publish_seq <= l.saved_cursor
        AND (e.key IN (SELECT key FROM shown) OR NOT EXISTS (SELECT 1 FROM dead_letter d WHERE d.key = e.key))
    ORDER BY e.key
    FOR NO KEY UPDATE OF e SKIP LOCKED
), held AS MATERIALIZED (
    SELECT key FROM free WHERE (SELECT count(*) FROM free) = cardinality($1::bytea[])
), events AS (
    UPDATE event SET timeline = NULL WHERE key IN (SELECT key FROM held)
), records AS (
    DELETE FROM sealed_record WHERE key IN (SELECT key FROM held)
), tokens AS (
    DELETE FROM sealed_token WHERE key IN (SELECT key FROM held)
), replacements AS (
    DELETE FROM replacement WHERE key IN (SELECT key FROM held)
), letters AS (
    DELETE FROM dead_letter WHERE key IN (SELECT key FROM held)
), inputs AS (
    UPDATE input SET source = NULL, id = NULL, customer_system = NULL, customer_id = NULL
    WHERE key IN (SELECT key FROM held)
), audited AS (
    INSERT INTO audit (actor, act, target, why) VALUES ($2, 'erase-customer', $3, $4)
)
SELECT key FROM held";

#[async_trait]
impl Custody for PostgresLedger {
    async fn sealed_counts(&self, within: Duration) -> Result<Vec<SealedCount>, LedgerError> {
        // The server ends it in time; it is not asked over the pool, whose limit is for reads that are waited for.
        let mut connection = session::connect(&session::with_timeout(&self.options, within)).await?;
        let late = |_| LedgerError::Unavailable(format!("not counted within {} s", within.as_secs()));
        let counts = Statement::new(COUNTS);
        let rows = timeout(within + ANSWER_MARGIN, counts.rows(&mut connection)).await.map_err(late)??;
        drop(connection.close().await);
        rows.iter().map(decode::sealed_count).collect()
    }

    async fn sealed_otherwise(
        &self,
        kind: SealedKind,
        active: &str,
        after: Option<EventKey>,
        limit: u32,
    ) -> Result<Vec<SealedBlob>, LedgerError> {
        let sql = match kind {
            SealedKind::Record => RECORDS,
            SealedKind::Token => TOKENS,
        };
        // No bytes come before any key.
        let after = after.map(|key| key.0.to_vec()).unwrap_or_default();
        let statement = Statement::new(sql).bind(after)?.bind(prefix(active))?;
        let statement = statement.bind(i64::from(limit))?.bind(BATCH_BYTES)?;
        statement.ask(&self.readers).await?.iter().map(decode::sealed_blob).collect()
    }

    async fn reseal(&self, kind: SealedKind, rows: &[Resealing]) -> Result<u64, LedgerError> {
        let sql = match kind {
            SealedKind::Record => RESEAL_RECORDS,
            SealedKind::Token => RESEAL_TOKENS,
        };
        let statement = Statement::new(sql)
            .bind(rows.iter().map(|row| row.key.0.as_slice()).collect::<Vec<_>>())?
            .bind(rows.iter().map(|row| row.old.as_slice()).collect::<Vec<_>>())?
            .bind(rows.iter().map(|row| row.new.as_slice()).collect::<Vec<_>>())?;
        Ok(statement.ask(&self.readers).await?.len() as u64)
    }

    async fn reseal_hash_key(&self, old: &[u8], new: &[u8], target: &str, act: &Act) -> Result<bool, LedgerError> {
        let statement = Statement::new(RESEAL_HASH_KEY).bind(old)?.bind(new)?;
        let statement = statement.bind(act.actor.as_str())?.bind(target)?.bind(act.why.as_deref())?;
        Ok(!statement.ask(&self.readers).await?.is_empty())
    }

    async fn erase_customer(&self, customer: &Customer, mark: &str, act: &Act) -> Result<Erased, LedgerError> {
        let mut connection = session::connect(&session::with_timeout(&self.options, SEARCH_TIMEOUT)).await?;
        let theirs = Statement::new(THEIRS).bind(customer.system.as_str())?.bind(customer.id.as_str())?;
        let theirs = theirs.rows(&mut connection).await?;
        let keys = theirs.iter().map(|row| row.bytes("key")).collect::<Result<Vec<_>, _>>()?;
        let erase = Statement::new(ERASE).bind(keys)?.bind(act.actor.as_str())?.bind(mark)?.bind(act.why.as_deref())?;
        let erased = session::until_no_collision(&mut connection, &erase).await?.len();
        // All is written; the server notices a lost connection by itself.
        drop(connection.close().await);
        Ok(Erased { erased: erased as u64, left: (theirs.len() - erased) as u64, lingers: false })
    }
}
