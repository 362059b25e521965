//! The ledger's identity and schema.

use sqlx::Connection;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool};

use super::session::{self, Statement};
use crate::ledger::decode::Columns;
use crate::ledger::migration::{Migrated, NewIdentity};
use crate::ledger::setup::{check_served, check_version, migration_failed};
use crate::ledger::{LedgerError, LedgerIdentity, SCHEMA_VERSION, Serves};

/// A migration may have to wait for another one, and later ones for the tables that they change.
const MIGRATION_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(600);

const VERSION: &str = "SELECT COALESCE(max(version), 0) AS version FROM _sqlx_migrations WHERE success";
const IS_MIGRATED: &str = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL AS yes";
const MAKE_IDENTITY: &str = "
INSERT INTO ledger (ledger_id, sealed_hash_key) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING ledger_id";
const IDENTITY: &str = "
SELECT ledger_id, sealed_hash_key, (extract(epoch FROM adopted_at) * 1000)::bigint AS adopted_at FROM ledger";
const BIND: &str = "
UPDATE ledger SET cluster_id = $1, consumer_group = $2, topic = $3
WHERE cluster_id IS NULL AND consumer_group IS NULL AND topic IS NULL";
const SERVED: &str = "SELECT cluster_id, consumer_group, topic FROM ledger";

pub(in crate::ledger) async fn migrate(
    options: &PgConnectOptions,
    migrator: &Migrator,
    identity: &NewIdentity,
) -> Result<Migrated, LedgerError> {
    let options = session::with_timeout(&session::options(options), MIGRATION_TIMEOUT);
    let mut connection = session::connect(&options).await?;
    let version_before = version(&mut connection).await?;
    if version_before > SCHEMA_VERSION {
        return Err(LedgerError::WrongVersion { found: version_before, needed: SCHEMA_VERSION });
    }
    migrator.run(&mut connection).await.map_err(|error| migration_failed(&error))?;
    let made = Statement::new(MAKE_IDENTITY)
        .bind(identity.ledger_id.as_slice())?
        .bind(identity.sealed_hash_key.as_slice())?
        .rows(&mut connection)
        .await?;
    // All is written; the server notices a lost connection by itself.
    drop(connection.close().await);
    Ok(Migrated { version_before, identity_made: !made.is_empty() })
}

pub(super) async fn identity(options: &PgConnectOptions, readers: &PgPool) -> Result<LedgerIdentity, LedgerError> {
    let mut connection = match readers.acquire().await {
        Ok(connection) => connection,
        Err(error) => return Err(why_not(options, &error).await),
    };
    check_version(version(&mut connection).await?)?;
    let rows = Statement::new(IDENTITY).rows(&mut *connection).await?;
    // A migration that was cut short before its last step: none yet, it must be run again.
    let row = rows.first().ok_or(LedgerError::WrongVersion { found: 0, needed: SCHEMA_VERSION })?;
    LedgerIdentity::of_row(row)
}

/// The pool tries until its time is over and does not say what went wrong: a connection of one's own does.
async fn why_not(options: &PgConnectOptions, error: &sqlx::Error) -> LedgerError {
    match (error, session::connect(options).await) {
        (sqlx::Error::PoolTimedOut, Err(why)) => why,
        _ => LedgerError::of(error),
    }
}

/// 0 if there is no schema.
async fn version(connection: &mut PgConnection) -> Result<i64, LedgerError> {
    let rows = Statement::new(IS_MIGRATED).rows(&mut *connection).await?;
    match rows.first().map_or(Ok(false), |row| row.flag("yes"))? {
        true => Statement::new(VERSION).rows(connection).await?.first().map_or(Ok(0), |row| row.int("version")),
        false => Ok(0),
    }
}

pub(super) async fn bind(readers: &PgPool, serves: &Serves) -> Result<(), LedgerError> {
    Statement::new(BIND)
        .bind(serves.cluster_id.as_str())?
        .bind(serves.group.as_str())?
        .bind(serves.topic.as_str())?
        .ask(readers)
        .await?;
    check_served(Statement::new(SERVED).ask(readers).await?.first(), serves)
}
