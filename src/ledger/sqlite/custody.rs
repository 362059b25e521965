//! Keys and erasure, for the one process that has the file open.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;

use super::SqliteLedger;
use super::operator::audit;
use super::session::Values;
use crate::domain::{Customer, EventKey};
use crate::ledger::custody::{BATCH_BYTES, Custody, Erased, Resealing, SealedBlob, SealedCount, SealedKind};
use crate::ledger::decode::{self, Columns};
use crate::ledger::vault::prefix;
use crate::ledger::{Act, LedgerError};

/// The id stands behind the version and its length, which SQLite reads as hex digits only.
const COUNTS: &str = "
WITH sealed (bytes, records, tokens, dead_letters, hash_key) AS (
    SELECT bytes, 1, 0, kept, 0 FROM sealed_record
    UNION ALL SELECT t.bytes, 0, 1, COALESCE(r.kept, 0), 0 FROM sealed_token t LEFT JOIN sealed_record r ON r.key = t.key
    UNION ALL SELECT sealed_hash_key, 0, 0, 0, 1 FROM ledger
), measured AS (
    SELECT *, hex(substr(bytes, 2, 1)) AS size FROM sealed WHERE length(bytes) > 1
), named AS (
    SELECT *, CAST(substr(bytes, 3, (instr('0123456789ABCDEF', substr(size, 1, 1)) - 1) * 16
        + instr('0123456789ABCDEF', substr(size, 2, 1)) - 1) AS BLOB) AS key_id
    FROM measured
)
SELECT key_id, SUM(records) AS records, SUM(tokens) AS tokens, SUM(dead_letters) AS dead_letters,
    MAX(hash_key) AS hash_key
FROM named
GROUP BY key_id
ORDER BY key_id";

const RECORDS: &str = "
SELECT * FROM (
    SELECT s.key, i.lane, s.record_offset, i.record_timestamp, s.topic, s.bytes,
        SUM(length(s.bytes)) OVER (ORDER BY s.key) AS so_far
    FROM sealed_record s
    JOIN input i ON i.key = s.key
    WHERE s.key > ?1 AND substr(s.bytes, 1, length(?2)) <> ?2
    ORDER BY s.key
    LIMIT ?3
) WHERE so_far - length(bytes) < ?4
ORDER BY key";
const TOKENS: &str = "
SELECT key, 0 AS lane, 0 AS record_offset, 0 AS record_timestamp, NULL AS topic, bytes
FROM sealed_token
WHERE key > ?1 AND substr(bytes, 1, length(?2)) <> ?2 AND ?4 > 0
ORDER BY key
LIMIT ?3";
const RESEAL_RECORD: &str = "UPDATE sealed_record SET bytes = ?3 WHERE key = ?1 AND bytes = ?2";
const RESEAL_TOKEN: &str = "UPDATE sealed_token SET bytes = ?3 WHERE key = ?1 AND bytes = ?2";
const RESEAL_HASH_KEY: &str = "UPDATE ledger SET sealed_hash_key = ?2 WHERE sealed_hash_key = ?1";

/// A GUID has two spellings.
const THEIRS: &str = "
SELECT i.key, e.state IN (3, 4, 5) AND e.publish_seq <= l.saved_cursor AS may_go
FROM input i JOIN event e ON e.key = i.key JOIN lane l ON l.lane = e.lane
WHERE i.customer_system = ? AND lower(i.customer_id) = lower(?)";
const ERASE: [&str; 6] = [
    "DELETE FROM sealed_token WHERE key = ?",
    "DELETE FROM sealed_record WHERE key = ?",
    "DELETE FROM replacement WHERE key = ?",
    "DELETE FROM dead_letter WHERE key = ?",
    "UPDATE event SET timeline = NULL WHERE key = ?",
    "UPDATE input SET source = NULL, id = NULL, customer_system = NULL, customer_id = NULL WHERE key = ?",
];
/// What is deleted stays on free pages, and in the log of writes, until the file is written anew.
const REWRITE: &str = "VACUUM";
/// Answers whether somebody who reads the file kept it from that.
const TRUNCATE: &str = "PRAGMA wal_checkpoint(TRUNCATE)";

#[async_trait]
impl Custody for SqliteLedger {
    async fn sealed_counts(&self, within: Duration) -> Result<Vec<SealedCount>, LedgerError> {
        let counted = async {
            let mut work = self.file.read().await?;
            let rows = work.rows(sqlx::query(COUNTS)).await?;
            work.done();
            Ok::<_, LedgerError>(rows)
        };
        let late = |_| LedgerError::Unavailable(format!("not counted within {} s", within.as_secs()));
        let rows = timeout(within, counted).await.map_err(late)??;
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
        let after = after.map(|key| key.0.to_vec()).unwrap_or_default();
        let mut work = self.file.read().await?;
        let query = sqlx::query(sql).bind(after).bind(prefix(active));
        let rows = work.rows(query.bind(i64::from(limit)).bind(BATCH_BYTES)).await?;
        work.done();
        rows.iter().map(decode::sealed_blob).collect()
    }

    async fn reseal(&self, kind: SealedKind, rows: &[Resealing]) -> Result<u64, LedgerError> {
        let sql = match kind {
            SealedKind::Record => RESEAL_RECORD,
            SealedKind::Token => RESEAL_TOKEN,
        };
        let mut work = self.file.write().await?;
        let mut resealed = 0;
        for row in rows {
            let query: Values<'_> = sqlx::query(sql).bind(row.key.0.to_vec()).bind(row.old.as_slice());
            resealed += work.run(query.bind(row.new.as_slice())).await?;
        }
        work.commit().await?;
        Ok(resealed)
    }

    async fn reseal_hash_key(&self, old: &[u8], new: &[u8], target: &str, act: &Act) -> Result<bool, LedgerError> {
        let mut work = self.file.write().await?;
        let changed = work.run(sqlx::query(RESEAL_HASH_KEY).bind(old).bind(new)).await? == 1;
        if changed {
            audit(&mut work, act, "keys-rotate", target).await?;
        }
        work.commit().await?;
        Ok(changed)
    }

    async fn erase_customer(&self, customer: &Customer, mark: &str, act: &Act) -> Result<Erased, LedgerError> {
        let mut work = self.file.write().await?;
        let query = sqlx::query(THEIRS).bind(customer.system.as_str()).bind(customer.id.as_str());
        let rows = work.rows(query).await?;
        let mut may_go = true;
        for row in &rows {
            may_go &= row.flag("may_go")?;
        }
        for row in rows.iter().filter(|_| may_go) {
            let key = row.bytes("key")?;
            for sql in ERASE {
                work.run(sqlx::query(sql).bind(key.as_slice())).await?;
            }
        }
        audit(&mut work, act, "erase-customer", mark).await?;
        work.commit().await?;
        // Erased it is by now, and told to be, whatever becomes of the file.
        let lingers = match self.rewritten().await {
            Ok(rewritten) => !rewritten,
            Err(error) => {
                tracing::warn!(error = %error, "the ledger's file was not written anew");
                true
            }
        };
        let found = rows.len() as u64;
        let (erased, left) = if may_go { (found, 0) } else { (0, found) };
        Ok(Erased { erased, left, lingers })
    }
}

impl SqliteLedger {
    /// Writes the file anew, and empties its log of writes; answers whether nothing is left of either.
    async fn rewritten(&self) -> Result<bool, LedgerError> {
        let mut work = self.file.read().await?;
        work.run(sqlx::query(REWRITE)).await?;
        let answer = work.row(sqlx::query(TRUNCATE)).await?;
        work.done();
        answer.map_or(Ok(false), |row| row.int("busy").map(|busy| busy == 0))
    }
}
