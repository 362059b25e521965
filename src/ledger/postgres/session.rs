//! Connections and the one way in which statements are sent.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgPool, PgRow};
use sqlx::{Arguments, ConnectOptions, Connection, Encode, Executor, Postgres, Type};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::ledger::LedgerError;
use crate::ledger::failure::is_collision;

/// How long a connection may take to be made.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a statement of ours may run, and a transaction of ours may idle, before the server ends it (guarantees,
/// section 3). While it runs it holds its lanes' locks.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long we wait for an answer at all: the server's limit, and as much again for a network that says nothing.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The server's limit for a read. It holds no lane's lock, and a take-over may read 100,000 rows.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// How long we wait for such a read.
const READ_ANSWER_TIMEOUT: Duration = Duration::from_secs(70);
/// How long a command waits for what it shows: it says within 35 s that a service is away.
const SHOWN_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a statement that lost a collision is sent again. Rows and lanes are locked in order, so a second collision
/// in a row is odd already.
const TRIES: usize = 5;

/// Our settings on top of the configured address.
pub(super) fn options(options: &PgConnectOptions) -> PgConnectOptions {
    let options = options
        .clone()
        .application_name("profile-linker")
        .options([
            ("idle_in_transaction_session_timeout", STATEMENT_TIMEOUT.as_millis().to_string()),
            // Batches differ in size, tables grow from empty: a plan kept from yesterday may scan a table.
            ("plan_cache_mode", "force_custom_plan".to_owned()),
            // Never worth it for statements of a few hundred rows.
            ("jit", "off".to_owned()),
        ])
        // sqlx would log each statement; failures are logged once, by whoever meets them.
        .disable_statement_logging();
    with_timeout(&options, STATEMENT_TIMEOUT)
}

/// The same with another statement time-out.
pub(super) fn with_timeout(options: &PgConnectOptions, timeout: Duration) -> PgConnectOptions {
    options.clone().options([("statement_timeout", timeout.as_millis())])
}

/// A connection of one's own.
pub(super) async fn connect(options: &PgConnectOptions) -> Result<PgConnection, LedgerError> {
    let connected = match timeout(CONNECT_TIMEOUT, PgConnection::connect_with(options)).await {
        Ok(connected) => connected.map_err(|error| LedgerError::of(&error)),
        Err(_) => Err(LedgerError::Unavailable(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))),
    };
    connected.map_err(|error| match error {
        LedgerError::Unavailable(why) => LedgerError::Unavailable(format!("{}: {why}", place(options))),
        other => other,
    })
}

/// Host and port, as they came to be: an address may leave out either.
fn place(options: &PgConnectOptions) -> String {
    match options.get_socket() {
        Some(socket) => format!("{}:{}", socket.display(), options.get_port()),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    }
}

/// A statement with its values, which may be sent more than once.
pub(super) struct Statement {
    sql: &'static str,
    values: PgArguments,
}

impl Statement {
    pub fn new(sql: &'static str) -> Self {
        Self { sql, values: PgArguments::default() }
    }

    /// Adds the next value. Fails only for arrays beyond PostgreSQL's limits.
    pub fn bind<'v, T: Encode<'v, Postgres> + Type<Postgres>>(mut self, value: T) -> Result<Self, LedgerError> {
        self.values.add(value).map_err(|error| LedgerError::Damaged(error.to_string()))?;
        Ok(self)
    }

    /// Sends it.
    pub async fn rows(&self, executor: impl Executor<'_, Database = Postgres>) -> Result<Vec<PgRow>, LedgerError> {
        self.send(executor).await.map_err(|error| LedgerError::of(&error))
    }

    /// Asks it over a connection of the pool: a read, or a write of several lanes at once and off the hot path.
    pub async fn ask(&self, pool: &PgPool) -> Result<Vec<PgRow>, LedgerError> {
        self.ask_within(READ_ANSWER_TIMEOUT, pool).await
    }

    /// The same for what people are shown.
    pub async fn ask_for_people(&self, pool: &PgPool) -> Result<Vec<PgRow>, LedgerError> {
        self.ask_within(SHOWN_ANSWER_TIMEOUT, pool).await
    }

    /// The same for a page of what an index holds in order, where pages follow: along that index. The planner, which knows little
    /// of a table that has just filled, would else read all of it, and sort it, for each page.
    pub async fn ask_in_order(&self, pool: &PgPool) -> Result<Vec<PgRow>, LedgerError> {
        answered(SHOWN_ANSWER_TIMEOUT, pool, async |connection| {
            self.send_in_order(connection).await.map_err(|error| LedgerError::of(&error))
        })
        .await
    }

    async fn send_in_order(&self, connection: &mut PgConnection) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut transaction = connection.begin_with("BEGIN READ ONLY; SET LOCAL enable_sort = off").await?;
        let rows = self.send(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// The same for a small question that is asked each second.
    pub async fn ask_soon(&self, pool: &PgPool) -> Result<Vec<PgRow>, LedgerError> {
        self.ask_within(ANSWER_TIMEOUT, pool).await
    }

    /// Asks a question that is not worth waiting for: the server gives it up after `limit`, we soon after.
    pub async fn ask_briefly(&self, limit: Duration, pool: &PgPool) -> Result<Vec<PgRow>, LedgerError> {
        let patience = limit + limit / 2;
        let acquired = timeout(limit, pool.acquire()).await.map_err(|_| no_answer(limit))?;
        let mut connection = acquired.map_err(|error| LedgerError::of(&error))?;
        match timeout(patience, self.send_limited(limit, &mut connection)).await {
            Ok(rows) => rows.map_err(|error| LedgerError::of(&error)),
            Err(_) => {
                drop(connection.detach());
                Err(no_answer(patience))
            }
        }
    }

    /// In a transaction of its own, after which the connection's own limit is in force again.
    async fn send_limited(&self, limit: Duration, connection: &mut PgConnection) -> Result<Vec<PgRow>, sqlx::Error> {
        let mut transaction = connection.begin().await?;
        let limited = sqlx::query("SELECT set_config('statement_timeout', $1, true)");
        limited.bind(limit.as_millis().to_string()).execute(&mut *transaction).await?;
        let rows = self.send(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    async fn ask_within(&self, limit: Duration, pool: &PgPool) -> Result<Vec<PgRow>, LedgerError> {
        answered(limit, pool, async |connection| until_no_collision(connection, self).await).await
    }

    async fn send(&self, executor: impl Executor<'_, Database = Postgres>) -> Result<Vec<PgRow>, sqlx::Error> {
        sqlx::query_with(self.sql, self.values.clone()).fetch_all(executor).await
    }
}

/// A connection for writes: one statement at a time, made anew after a failure.
pub(super) struct WriteConnection {
    options: PgConnectOptions,
    connection: Mutex<Option<PgConnection>>,
}

impl WriteConnection {
    pub fn new(options: PgConnectOptions) -> Self {
        Self { options, connection: Mutex::new(None) }
    }

    /// Sends a statement. After an error its outcome is unknown and the connection gone; the same holds if this future is
    /// dropped half-way, since the connection is taken out meanwhile.
    pub async fn rows(&self, statement: &Statement) -> Result<Vec<PgRow>, LedgerError> {
        let mut place = self.connection.lock().await;
        let mut connection = match place.take() {
            Some(connection) => connection,
            None => connect(&self.options).await?,
        };
        let rows = timeout(ANSWER_TIMEOUT, until_no_collision(&mut connection, statement)).await;
        let rows = rows.map_err(|_| no_answer(ANSWER_TIMEOUT))??;
        *place = Some(connection);
        Ok(rows)
    }
}

/// Sends a statement on a connection of its own: an operator's, which may wait for a lane, and no worker's write with it.
pub(super) async fn once(options: &PgConnectOptions, statement: &Statement) -> Result<Vec<PgRow>, LedgerError> {
    let mut connection = connect(options).await?;
    let rows = timeout(ANSWER_TIMEOUT, until_no_collision(&mut connection, statement)).await;
    let rows = rows.map_err(|_| no_answer(ANSWER_TIMEOUT))??;
    // All is written; the server notices a lost connection by itself.
    drop(timeout(ANSWER_TIMEOUT, connection.close()).await);
    Ok(rows)
}

/// Asks over a connection of the pool. One that gives no answer in time is dropped, not given back: the pool would ask it for a
/// sign of life, without a limit, and be empty soon.
async fn answered(
    limit: Duration,
    pool: &PgPool,
    ask: impl AsyncFnOnce(&mut PgConnection) -> Result<Vec<PgRow>, LedgerError>,
) -> Result<Vec<PgRow>, LedgerError> {
    let mut connection = pool.acquire().await.map_err(|error| LedgerError::of(&error))?;
    match timeout(limit, ask(&mut connection)).await {
        Ok(rows) => rows,
        Err(_) => {
            drop(connection.detach());
            Err(no_answer(limit))
        }
    }
}

fn no_answer(limit: Duration) -> LedgerError {
    LedgerError::Unavailable(format!("no answer in {} s", limit.as_secs()))
}

/// Sends a statement again while it is rolled back for the sake of another one.
pub(super) async fn until_no_collision(
    connection: &mut PgConnection,
    statement: &Statement,
) -> Result<Vec<PgRow>, LedgerError> {
    for _ in 1..TRIES {
        match statement.send(&mut *connection).await {
            Err(error) if is_collision(&error) => {}
            answer => return answer.map_err(|error| LedgerError::of(&error)),
        }
    }
    statement.rows(connection).await
}
