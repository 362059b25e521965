//! The two ledgers that a case is played on.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Completion, Failed, Trial};
use profile_linker::domain::Secret;
use profile_linker::ledger::{self, DeadLetters, Ledger, Vault};
use sqlx::{Connection, PgConnection};
use tempfile::TempDir;

use super::support::postgres::Postgres;
use super::support::{Absent, required_part};

/// Which ledgers a case is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum On {
    /// Whatever a ledger must do.
    Both,
    /// Several processes at one ledger: only PostgreSQL has them.
    Postgres,
}

/// A test by name.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub on: On,
    pub body: for<'a> fn(&'a Stage) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

/// Makes `CASES` of a module's tests.
#[macro_export]
macro_rules! ledger_cases {
    ($on:ident: $($name:ident),* $(,)?) => {
        /// The tests of this module.
        pub const CASES: &[$crate::stage::Case] = &[$(
            $crate::stage::Case {
                name: stringify!($name),
                on: $crate::stage::On::$on,
                body: |stage| Box::pin($name(stage)),
            }
        ),*];
    };
}

/// The server that all tests share, started by the first one.
#[derive(Default)]
pub struct Server(OnceLock<Result<Postgres, Absent>>);

impl Server {
    fn get(&self) -> Result<&Postgres, Absent> {
        self.0.get_or_init(Postgres::start).as_ref().map_err(Clone::clone)
    }
}

/// The trials of a case: one for each ledger.
pub fn trials(case: Case, server: &Arc<Server>) -> Vec<Trial> {
    let server = Arc::clone(server);
    let on_postgres = Trial::ignorable_test(format!("on_postgres::{}", case.name), move || {
        let part = required_part(case.name, "postgres", server.get());
        match part {
            Ok(server) => play(case, async || Stage::postgres(server).await),
            Err(why) => Ok(Completion::ignored_with(why)),
        }
    });
    let on_sqlite =
        Trial::ignorable_test(format!("on_sqlite::{}", case.name), move || play(case, async || Stage::sqlite()));
    match case.on {
        On::Both => vec![on_sqlite, on_postgres],
        On::Postgres => vec![on_postgres],
    }
}

fn play(case: Case, stage: impl AsyncFnOnce() -> Stage) -> Result<Completion, Failed> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let stage = stage().await;
        (case.body)(&stage).await;
    });
    Ok(Completion::Completed)
}

/// An empty place for a ledger.
pub struct Stage {
    url: String,
    folder: Option<TempDir>,
}

impl Stage {
    async fn postgres(server: &Postgres) -> Self {
        Self { url: server.create_database().await, folder: None }
    }

    fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.db");
        Self { url: format!("sqlite://{}", path.display()), folder: Some(folder) }
    }

    /// Its address.
    pub fn url(&self) -> Secret {
        Secret::from(self.url.clone())
    }

    /// Whether it is a file.
    pub fn is_sqlite(&self) -> bool {
        self.folder.is_some()
    }

    /// A new ledger on it.
    pub async fn ledger(&self) -> Arc<dyn Ledger> {
        ledger::migrate(&self.url(), &vault()).await.expect("a migration");
        self.open().await
    }

    /// The ledger that is there: another worker's view of it.
    pub async fn open(&self) -> Arc<dyn Ledger> {
        ledger::open(&self.url()).await.expect("a ledger")
    }

    /// The same, by both of its ports.
    pub async fn open_with_dead_letters(&self) -> (Arc<dyn Ledger>, Arc<dyn DeadLetters>) {
        ledger::open_with_dead_letters(&self.url()).await.expect("a ledger")
    }

    /// A connection around the ledger. PostgreSQL only.
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("a connection")
    }

    /// The lines that a query of one text column finds around the ledger.
    pub async fn lines(&self, sql: &'static str) -> Vec<String> {
        if self.is_sqlite() {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.expect("a connection");
            let lines = sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("a good query");
            connection.close().await.expect("a clean close");
            lines
        } else {
            let mut connection = self.connection().await;
            sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("a good query")
        }
    }

    /// What was written into the audit table: actor, act, target, reason.
    pub async fn audit(&self) -> Vec<String> {
        self.lines(
            "SELECT actor || ' | ' || act || ' | ' || target || ' | ' || COALESCE(why, '-') FROM audit ORDER BY n",
        )
        .await
    }

    /// Runs SQL around the ledger, which no other process may do while it is open on SQLite.
    pub async fn sql(&self, sql: &'static str) {
        if self.is_sqlite() {
            let mut connection = sqlx::SqliteConnection::connect(&self.url).await.expect("a connection");
            sqlx::raw_sql(sql).execute(&mut connection).await.expect("a good statement");
            connection.close().await.expect("a clean close");
        } else {
            let mut connection = self.connection().await;
            sqlx::raw_sql(sql).execute(&mut connection).await.expect("a good statement");
        }
    }
}

/// The vault of all tests.
pub fn vault() -> Vault {
    Vault::new("k1", vec![("k1".to_owned(), Secret::new(vec![1; 32]))]).expect("a vault")
}
