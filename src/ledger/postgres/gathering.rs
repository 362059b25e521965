//! Lanes that the topic no longer has: what is left in them moves into one that it has.
//!
//! A transaction of two statements, since what a lost lane's last owner was just writing is seen only by a statement that begins
//! once the lane is locked. It looks at every row, for as long as that takes: a topic is made anew with fewer partitions by a
//! person, and rarely.

use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use tokio::time::timeout;

use super::session::{self, Statement};
use crate::domain::Lane;
use crate::ledger::decode::Columns;
use crate::ledger::{Gathered, Gathering, LedgerError};

/// How long a statement may run.
const GATHERING_TIMEOUT: Duration = Duration::from_secs(600);
/// A gatherer that is frozen between two statements holds its lanes no longer than this.
const IDLE_TIMEOUT_MS: u32 = 10_000;
/// Name of the session.
pub(super) const GATHERER: &str = "profile-linker gathering";

/// The lost lanes are of the present topic from here on: they are gathered once. Should the topic grow again, its records there
/// are other ones.
const RAISE_LOST: &str = "
WITH held AS MATERIALIZED (
    SELECT l.lane, l.epoch, l.clean
    FROM lane l
    WHERE l.lane = $1 OR (l.lane >= $3 AND l.topic_id IS DISTINCT FROM $4)
    ORDER BY l.lane
    FOR NO KEY UPDATE OF l
), raised AS (
    UPDATE lane l SET epoch = l.epoch + 1, owner = NULL, clean = true, position = NULL, suspect_below = 0, topic_id = $4
    FROM held h
    WHERE l.lane = h.lane AND h.lane <> $1 AND EXISTS (SELECT 1 FROM held WHERE lane = $1 AND epoch = $2)
    RETURNING l.lane, h.clean
)
SELECT lane::bigint AS lane, clean FROM raised ORDER BY lane";

/// A row that keeps the number of an end that was published has no number of the new lane's: 0, which is none's, stands for it.
const MOVE: &str = "
WITH numbered AS MATERIALIZED (
    SELECT o.lane, o.publish_seq, $3 - 1 + dense_rank() OVER (ORDER BY o.lane, o.publish_seq) AS number
    FROM (SELECT DISTINCT o.lane, o.publish_seq FROM outbox o WHERE o.lane = ANY($1::int[])) AS o
    JOIN lane l ON l.lane = o.lane
    WHERE o.publish_seq > l.saved_cursor
), theirs AS MATERIALIZED (
    SELECT e.key, s.key IS NOT NULL AS sealed, n.number
    FROM event e
    LEFT JOIN sealed_record s ON s.key = e.key
    LEFT JOIN numbered n ON n.lane = e.lane AND n.publish_seq = e.publish_seq
    WHERE e.lane = ANY($1::int[]) AND (s.key IS NOT NULL OR n.number IS NOT NULL)
), moved AS (
    UPDATE event e SET lane = $2, epoch = $4 - 1,
        publish_seq = COALESCE(t.number, CASE WHEN e.publish_seq IS NOT NULL THEN 0 END),
        possibly_sent = e.possibly_sent OR ($5 AND t.sealed)
    FROM theirs t WHERE e.key = t.key
    RETURNING e.key
), records AS (
    UPDATE sealed_record s SET lane = $2 FROM theirs t WHERE s.key = t.key
), results AS (
    UPDATE outbox o SET lane = $2, publish_seq = n.number
    FROM numbered n WHERE o.lane = n.lane AND o.publish_seq = n.publish_seq
), done_with AS (
    UPDATE lane l SET saved_cursor = GREATEST(l.saved_cursor, (SELECT max(n.publish_seq) FROM numbered n WHERE n.lane = l.lane))
    WHERE l.lane = ANY($1::int[])
)
SELECT (SELECT count(*) FROM moved) AS rows, (SELECT count(*) FROM numbered) AS numbers";

const LAST_NUMBER: &str = "SELECT COALESCE(max(publish_seq), 0) AS last_seq FROM outbox WHERE lane = $1";

/// On a connection of its own, as a raise, and told apart by its name: whoever raises lanes that are being gathered waits for it.
pub(super) async fn gather(options: &PgConnectOptions, gathering: &Gathering) -> Result<Gathered, LedgerError> {
    let named =
        options.clone().application_name(GATHERER).options([("idle_in_transaction_session_timeout", IDLE_TIMEOUT_MS)]);
    // The server ends each statement in time. This limit is for a server that went without a word.
    let gathered = timeout(GATHERING_TIMEOUT * 2, gather_on(&named, gathering)).await;
    gathered.unwrap_or_else(|_| Err(LedgerError::Unavailable("gathering lost partitions took too long".to_owned())))
}

async fn gather_on(options: &PgConnectOptions, gathering: &Gathering) -> Result<Gathered, LedgerError> {
    let mut connection = session::connect(&session::with_timeout(options, GATHERING_TIMEOUT)).await?;
    // Dropped with its connection before the commit, it changed nothing.
    Statement::new("BEGIN").rows(&mut connection).await?;
    let gathered = gather_in(&mut connection, gathering).await?;
    Statement::new("COMMIT").rows(&mut connection).await?;
    drop(connection.close().await);
    Ok(gathered)
}

fn one(rows: Vec<PgRow>) -> Result<PgRow, LedgerError> {
    rows.into_iter().next().ok_or_else(|| LedgerError::Damaged("the database answered with no row".to_owned()))
}

async fn gather_in(connection: &mut PgConnection, gathering: &Gathering) -> Result<Gathered, LedgerError> {
    let into = gathering.into;
    let raise = Statement::new(RAISE_LOST).bind(into.lane.0)?.bind(into.epoch.0)?;
    let raise = raise.bind(gathering.partitions)?.bind(gathering.topic_id.as_str())?;
    let lost = raise.rows(&mut *connection).await?;
    let lanes = lost.iter().map(Columns::lane).collect::<Result<Vec<Lane>, _>>()?;
    let clean = lost.iter().map(|row| row.flag("clean")).collect::<Result<Vec<_>, _>>()?.into_iter().all(|clean| clean);
    let mut gathered = Gathered { clean, ..Gathered::default() };
    if !lanes.is_empty() {
        let numbers: Vec<i32> = lanes.iter().map(|lane| lane.0).collect();
        let statement = Statement::new(MOVE).bind(numbers)?.bind(into.lane.0)?.bind(gathering.first_seq.0)?;
        let statement = statement.bind(into.epoch.0)?.bind(gathering.restored)?;
        let moved = one(statement.rows(&mut *connection).await?)?;
        (gathered.rows, gathered.numbers) = (moved.int("rows")?.unsigned_abs(), moved.int("numbers")?);
    }
    let last = one(Statement::new(LAST_NUMBER).bind(into.lane.0)?.rows(connection).await?)?;
    Ok(Gathered { lanes, last_seq: last.int("last_seq")?, ..gathered })
}
