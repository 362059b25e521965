//! The file, its lock and its one connection.

use std::collections::BTreeSet;
use std::fs::{self, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteQueryResult, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Sqlite, query::Query};
use tokio::sync::{Mutex, MutexGuard};

use crate::domain::Lane;
use crate::ledger::decode::Columns;
use crate::ledger::{Claim, LedgerError};

/// How long to wait for somebody who looks into the file with another tool.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait for the lock: a child that our own process forks holds it until it has become another program.
const LOCK_PATIENCE: Duration = Duration::from_secs(1);
/// How often to try meanwhile.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A ledger file of this process.
pub(super) struct File {
    options: SqliteConnectOptions,
    connection: Mutex<Option<SqliteConnection>>,
    /// Locked until it is dropped.
    _lock: fs::File,
}

impl File {
    /// Takes the file for this process. The lock is a file beside it, so that the database can be opened again after a
    /// failure while the lock stays.
    pub async fn lock(path: &Path) -> Result<Self, LedgerError> {
        let lock = fs::File::create(lock_path(path)).map_err(|error| file_error(path, &error))?;
        let mut waited = Duration::ZERO;
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Self { options: options(path), connection: Mutex::new(None), _lock: lock }),
                Err(TryLockError::WouldBlock) if waited < LOCK_PATIENCE => {
                    tokio::time::sleep(LOCK_PAUSE).await;
                    waited += LOCK_PAUSE;
                }
                Err(TryLockError::WouldBlock) => {
                    let text = format!("ledger {} is in use by another process", path.display());
                    return Err(LedgerError::InUse(text));
                }
                Err(TryLockError::Error(error)) => return Err(file_error(path, &error)),
            }
        }
    }

    /// The connection, for reading.
    pub async fn read(&self) -> Result<Work<'_>, LedgerError> {
        let mut place = self.connection.lock().await;
        let connection = match place.take() {
            Some(connection) => connection,
            None => self.options.connect().await.map_err(|error| LedgerError::of(&error))?,
        };
        Ok(Work { place, connection })
    }

    /// The connection, in a transaction.
    pub async fn write(&self) -> Result<Work<'_>, LedgerError> {
        let mut work = self.read().await?;
        work.run(sqlx::query("BEGIN IMMEDIATE")).await?;
        Ok(work)
    }
}

fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// A file that is not there is made by a migration; the directory that it is to be in is not.
pub(super) fn require_directory(path: &Path) -> Result<(), LedgerError> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let there = fs::metadata(directory).map_err(|error| file_error(path, &error))?;
    if there.is_dir() { Ok(()) } else { Err(file_error(path, &std::io::ErrorKind::NotADirectory.into())) }
}

fn file_error(path: &Path, error: &std::io::Error) -> LedgerError {
    LedgerError::Unusable(format!("ledger {} cannot be used: {error}", path.display()))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// The connection in use. Dropped without [`Work::commit`] or [`Work::done`] it is closed, which rolls back.
pub(super) struct Work<'a> {
    place: MutexGuard<'a, Option<SqliteConnection>>,
    connection: SqliteConnection,
}

pub(super) type Values<'q> = Query<'q, Sqlite, SqliteArguments>;

impl Work<'_> {
    /// Runs a statement; answers how many rows it touched.
    pub async fn run(&mut self, query: Values<'_>) -> Result<u64, LedgerError> {
        let done = query.execute(&mut self.connection).await;
        done.map(|done: SqliteQueryResult| done.rows_affected()).map_err(|error| LedgerError::of(&error))
    }

    /// All rows of a query.
    pub async fn rows(&mut self, query: Values<'_>) -> Result<Vec<SqliteRow>, LedgerError> {
        query.fetch_all(&mut self.connection).await.map_err(|error| LedgerError::of(&error))
    }

    /// The only row of a query, if there is one.
    pub async fn row(&mut self, query: Values<'_>) -> Result<Option<SqliteRow>, LedgerError> {
        query.fetch_optional(&mut self.connection).await.map_err(|error| LedgerError::of(&error))
    }

    /// The lanes whose epoch is the claim's. Nobody can change that before the transaction ends.
    pub async fn held(&mut self, claims: impl Iterator<Item = Claim>) -> Result<BTreeSet<Lane>, LedgerError> {
        let mut held = BTreeSet::new();
        for claim in claims {
            let query = sqlx::query("SELECT 1 FROM lane WHERE lane = ? AND epoch = ?");
            if self.row(query.bind(claim.lane.0).bind(claim.epoch.0)).await?.is_some() {
                held.insert(claim.lane);
            }
        }
        Ok(held)
    }

    /// Milliseconds since 1970 by the ledger's clock.
    pub async fn now_ms(&mut self) -> Result<i64, LedgerError> {
        let row = self.row(sqlx::query("SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) AS now")).await?;
        row.map_or(Ok(0), |row| row.int("now"))
    }

    /// The bare connection.
    pub fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Makes the transaction durable and puts the connection back.
    pub async fn commit(mut self) -> Result<(), LedgerError> {
        self.run(sqlx::query("COMMIT")).await?;
        self.done();
        Ok(())
    }

    /// Puts the connection back.
    pub fn done(self) {
        let Self { mut place, connection } = self;
        *place = Some(connection);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use sqlx::{AssertSqlSafe, Connection, Row};

    use super::*;
    use crate::ledger::migration::{SQLITE, migrator};

    /// How a statement is carried out.
    pub async fn plan(sql: &str) -> String {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        migrator(SQLITE).run(&mut connection).await.unwrap();
        let explained = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")));
        let steps = explained.fetch_all(&mut connection).await.unwrap();
        steps.iter().map(|step| step.get::<String, _>("detail") + "\n").collect()
    }

    #[tokio::test]
    async fn what_is_answered_is_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::lock(&folder.path().join("ledger.db")).await.unwrap();
        let mut work = file.write().await.unwrap();
        let row = work.row(sqlx::query("SELECT synchronous FROM pragma_synchronous")).await.unwrap().unwrap();
        // FULL.
        assert_eq!(row.int("synchronous").unwrap(), 2);
    }
}
