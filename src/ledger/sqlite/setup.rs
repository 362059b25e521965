//! The ledger's identity and schema.

use std::path::Path;

use sqlx::migrate::Migrator;

use super::session::{File, Work};
use crate::ledger::decode::Columns;
use crate::ledger::migration::{Migrated, NewIdentity};
use crate::ledger::setup::{check_served, check_version, migration_failed};
use crate::ledger::{LedgerError, LedgerIdentity, SCHEMA_VERSION, Serves};

const IS_MIGRATED: &str = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_sqlx_migrations'";
const VERSION: &str = "SELECT COALESCE(MAX(version), 0) AS version FROM _sqlx_migrations WHERE success";
const MAKE_IDENTITY: &str =
    "INSERT INTO ledger (only_row, ledger_id, sealed_hash_key) VALUES (1, ?, ?) ON CONFLICT DO NOTHING";
const IDENTITY: &str = "SELECT ledger_id, sealed_hash_key, adopted_at FROM ledger";
const BIND: &str = "
UPDATE ledger SET cluster_id = ?, consumer_group = ?, topic = ?
WHERE cluster_id IS NULL AND consumer_group IS NULL AND topic IS NULL";
const SERVED: &str = "SELECT cluster_id, consumer_group, topic FROM ledger";

pub(in crate::ledger) async fn migrate(
    path: &Path,
    migrator: &Migrator,
    identity: &NewIdentity,
) -> Result<Migrated, LedgerError> {
    let file = File::lock(path).await?;
    let mut work = file.read().await?;
    let version_before = version(&mut work).await?;
    if version_before > SCHEMA_VERSION {
        return Err(LedgerError::WrongVersion { found: version_before, needed: SCHEMA_VERSION });
    }
    migrator.run(work.connection()).await.map_err(|error| migration_failed(&error))?;
    let query = sqlx::query(MAKE_IDENTITY).bind(identity.ledger_id.as_slice());
    let made = work.run(query.bind(identity.sealed_hash_key.as_slice())).await?;
    work.done();
    Ok(Migrated { version_before, identity_made: made == 1 })
}

pub(super) async fn identity(file: &File) -> Result<LedgerIdentity, LedgerError> {
    let mut work = file.read().await?;
    check_version(version(&mut work).await?)?;
    let row = work.row(sqlx::query(IDENTITY)).await?;
    work.done();
    // A migration that was cut short before its last step: none yet, it must be run again.
    LedgerIdentity::of_row(&row.ok_or(LedgerError::WrongVersion { found: 0, needed: SCHEMA_VERSION })?)
}

/// 0 if there is no schema.
async fn version(work: &mut Work<'_>) -> Result<i64, LedgerError> {
    match work.row(sqlx::query(IS_MIGRATED)).await? {
        Some(_) => work.row(sqlx::query(VERSION)).await?.map_or(Ok(0), |row| row.int("version")),
        None => Ok(0),
    }
}

pub(super) async fn bind(file: &File, serves: &Serves) -> Result<(), LedgerError> {
    let mut work = file.write().await?;
    let query = sqlx::query(BIND).bind(serves.cluster_id.as_str()).bind(serves.group.as_str());
    work.run(query.bind(serves.topic.as_str())).await?;
    let row = work.row(sqlx::query(SERVED)).await?;
    work.commit().await?;
    check_served(row.as_ref(), serves)
}
