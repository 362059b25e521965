//! Keys and erasure, for the one process that has the file open.

use async_trait::async_trait;

use super::SqliteLedger;
use super::operator::audit;
use super::session::Values;
use crate::domain::{Customer, EventKey};
use crate::ledger::custody::{Custody, Erased, Resealing, SealedBlob, SealedCount, SealedKind};
use crate::ledger::decode::{self, Columns};
use crate::ledger::vault::prefix;
use crate::ledger::{Act, LedgerError};

/// The id stands behind the version and its length, which SQLite reads as hex digits only.
const COUNTS: &str = "
WITH sealed (bytes, records, tokens, hash_key) AS (
    SELECT bytes, 1, 0, 0 FROM sealed_record
    UNION ALL SELECT bytes, 0, 1, 0 FROM sealed_token
    UNION ALL SELECT sealed_hash_key, 0, 0, 1 FROM ledger
), measured AS (
    SELECT *, hex(substr(bytes, 2, 1)) AS size FROM sealed WHERE length(bytes) > 1
), named AS (
    SELECT *, CAST(substr(bytes, 3, (instr('0123456789ABCDEF', substr(size, 1, 1)) - 1) * 16
        + instr('0123456789ABCDEF', substr(size, 2, 1)) - 1) AS BLOB) AS key_id
    FROM measured
)
SELECT key_id, SUM(records) AS records, SUM(tokens) AS tokens, MAX(hash_key) AS hash_key
FROM named
GROUP BY key_id
ORDER BY key_id";

const RECORDS: &str = "
SELECT s.key, s.lane, s.record_offset, i.record_timestamp, s.bytes
FROM sealed_record s
JOIN input i ON i.key = s.key
WHERE s.key > ?1 AND substr(s.bytes, 1, length(?2)) <> ?2
ORDER BY s.key
LIMIT ?3";
const TOKENS: &str = "
SELECT key, 0 AS lane, 0 AS record_offset, 0 AS record_timestamp, bytes
FROM sealed_token
WHERE key > ?1 AND substr(bytes, 1, length(?2)) <> ?2
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
const ERASE: [&str; 5] = [
    "DELETE FROM sealed_token WHERE key = ?",
    "DELETE FROM sealed_record WHERE key = ?",
    "DELETE FROM dead_letter WHERE key = ?",
    "UPDATE event SET timeline = NULL WHERE key = ?",
    "UPDATE input SET source = NULL, id = NULL, customer_system = NULL, customer_id = NULL WHERE key = ?",
];
/// What is deleted stays on free pages, and in the log of writes, until the file is written anew.
const FORGET: [&str; 2] = ["VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)"];

#[async_trait]
impl Custody for SqliteLedger {
    async fn sealed_counts(&self) -> Result<Vec<SealedCount>, LedgerError> {
        let mut work = self.file.read().await?;
        let rows = work.rows(sqlx::query(COUNTS)).await?;
        work.done();
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
        let rows = work.rows(sqlx::query(sql).bind(after).bind(prefix(active)).bind(i64::from(limit))).await?;
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
        let mut result = Erased::default();
        for row in work.rows(query).await? {
            if !row.flag("may_go")? {
                result.left += 1;
                continue;
            }
            let key = row.bytes("key")?;
            for sql in ERASE {
                work.run(sqlx::query(sql).bind(key.as_slice())).await?;
            }
            result.erased += 1;
        }
        audit(&mut work, act, "erase-customer", mark).await?;
        work.commit().await?;
        let mut work = self.file.read().await?;
        for sql in FORGET {
            work.run(sqlx::query(sql)).await?;
        }
        work.done();
        Ok(result)
    }
}
