//! What people do to a ledger: reopen dead-lettered rows, make it serve something else. Each act leaves its audit line in the
//! same transaction.

use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use super::session::{self, Statement};
use crate::domain::EventKey;
use crate::ledger::decode::Columns;
use crate::ledger::setup::{ADOPTED_EPOCHS, named};
use crate::ledger::{Act, LedgerError, Reopening, SCHEMA_VERSION, Serves};

/// How long a statement of an adoption may run: it looks at every unfinished or dead-lettered row.
const ADOPTION_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(600);

/// No claim is asked for, but the lanes are locked like by any write: the epoch is that of the lane's row as the lock found
/// it, and a raise waits for the reopening, so that its owner's next read has the row. Two operators meet at the lane's lock,
/// and the later one's condition is checked again on the row as the first one left it. `taken` locks the line in `dead_letter`,
/// so that a discarding that came first is seen, too. Notes are numbered in the order of the input: a lane's owner takes them up
/// in that order. The end has cleared when it was due.
const REOPEN: &str = "
WITH asked AS MATERIALIZED (
    SELECT DISTINCT * FROM unnest($1::bytea[], $2::int[]) AS r(key, generation)
), held AS MATERIALIZED (
    SELECT l.lane, l.epoch
    FROM lane l
    WHERE l.lane IN (SELECT e.lane FROM asked a JOIN event e ON e.key = a.key)
    ORDER BY l.lane
    FOR NO KEY UPDATE OF l
), taken AS MATERIALIZED (
    SELECT d.key
    FROM asked a
    JOIN dead_letter d ON d.key = a.key
    JOIN event e ON e.key = a.key
    JOIN held h ON h.lane = e.lane
    WHERE d.state = 1
    FOR UPDATE OF d
), reopened AS (
    UPDATE event e SET state = CASE WHEN t.key IS NULL THEN 1 ELSE 2 END, generation = a.generation + 1,
        epoch = h.epoch, spent_ms = 0, starts = 0, ended_at = NULL, reason_code = NULL, reason_stage = NULL
    FROM asked a
    JOIN taken ON taken.key = a.key
    JOIN sealed_record s ON s.key = a.key
    LEFT JOIN sealed_token t ON t.key = a.key
    CROSS JOIN held h
    WHERE e.key = a.key AND e.lane = h.lane AND e.state = 5 AND e.generation = a.generation
    RETURNING e.key, s.lane, s.record_offset
), unkept AS (
    UPDATE sealed_record s SET kept = false FROM reopened r WHERE s.key = r.key
), noted AS (
    INSERT INTO note (key, kind) SELECT key, 2 FROM reopened ORDER BY lane, record_offset
), shown AS (
    UPDATE dead_letter d SET state = 2, generation = e.generation + 1
    FROM reopened r JOIN asked e ON e.key = r.key WHERE d.key = r.key
), audited AS (
    INSERT INTO audit (actor, act, target, why) SELECT $3, 'replay', encode(key, 'hex'), $4 FROM reopened
)
SELECT key FROM reopened";

/// Everybody who changes what the ledger serves meets here.
const LOCK_LEDGER: &str = "SELECT 1 FROM ledger FOR UPDATE";
const LOCK_LANES: &str = "SELECT 1 FROM lane ORDER BY lane FOR NO KEY UPDATE";
/// Epochs rise, so that a write that waited for these locks is refused: its rows would not be marked below.
const LANES: &str = "
UPDATE lane l SET epoch = l.epoch + $3, owner = NULL, clean = false,
    position = CASE WHEN g.another THEN NULL ELSE l.position END,
    topic_id = CASE WHEN g.another THEN NULL ELSE l.topic_id END,
    suspect_below = CASE WHEN g.another THEN 0 ELSE l.suspect_below END
FROM (SELECT cluster_id IS DISTINCT FROM $1 OR topic IS DISTINCT FROM $2 AS another FROM ledger) AS g";
/// What is unfinished or dead-lettered is exactly what has its record.
const SUSPECT_ALL: &str = "
UPDATE event e SET possibly_sent = true
FROM sealed_record s WHERE e.key = s.key AND e.state IN (1, 2, 5) AND NOT e.possibly_sent";
/// Sealed bytes are bound to the topic that they came from, which is told where it is not the one that is served.
const TELL_TOPICS: &str = "
UPDATE sealed_record s SET topic = CASE WHEN s.topic IS NULL THEN l.topic END
FROM ledger l WHERE l.topic <> $1 AND (s.topic IS NULL OR s.topic = $1)";
const SERVE: &str = "UPDATE ledger SET cluster_id = $1, consumer_group = $2, topic = $3, adopted_at = now()";
const AUDIT: &str = "INSERT INTO audit (actor, act, target, why) VALUES ($1, $2, $3, $4)";

/// On a connection of its own: it may wait for a lane, and no worker's write shall wait with it.
pub(super) async fn reopen(
    options: &PgConnectOptions,
    rows: &[Reopening],
    act: &Act,
) -> Result<Vec<EventKey>, LedgerError> {
    let statement = Statement::new(REOPEN)
        .bind(rows.iter().map(|row| row.key.0.as_slice()).collect::<Vec<_>>())?
        .bind(rows.iter().map(|row| row.generation).collect::<Vec<_>>())?
        .bind(act.actor.as_str())?
        .bind(act.why.as_deref())?;
    session::once(options, &statement).await?.iter().map(|row| row.key("key")).collect()
}

pub(super) async fn adopt(options: &PgConnectOptions, serves: &Serves, act: &Act) -> Result<(), LedgerError> {
    let mut connection = session::connect(&session::with_timeout(options, ADOPTION_TIMEOUT)).await?;
    // Dropped with its connection before the commit, it changed nothing.
    Statement::new("BEGIN").rows(&mut connection).await?;
    make_serve(&mut connection, serves, act).await?;
    Statement::new("COMMIT").rows(&mut connection).await?;
    drop(connection.close().await);
    Ok(())
}

async fn make_serve(connection: &mut PgConnection, serves: &Serves, act: &Act) -> Result<(), LedgerError> {
    let ledger = Statement::new(LOCK_LEDGER).rows(&mut *connection).await?;
    ledger.first().ok_or(LedgerError::WrongVersion { found: 0, needed: SCHEMA_VERSION })?;
    Statement::new(LOCK_LANES).rows(&mut *connection).await?;
    let (cluster, topic) = (serves.cluster_id.as_str(), serves.topic.as_str());
    Statement::new(LANES).bind(cluster)?.bind(topic)?.bind(ADOPTED_EPOCHS)?.rows(&mut *connection).await?;
    Statement::new(SUSPECT_ALL).rows(&mut *connection).await?;
    Statement::new(TELL_TOPICS).bind(topic)?.rows(&mut *connection).await?;
    let serve = Statement::new(SERVE).bind(cluster)?.bind(serves.group.as_str())?.bind(topic)?;
    serve.rows(&mut *connection).await?;
    audit("adopt-ledger", named(serves), act)?.rows(connection).await.map(drop)
}

fn audit(name: &str, target: String, act: &Act) -> Result<Statement, LedgerError> {
    let (actor, why) = (act.actor.as_str(), act.why.as_deref());
    Statement::new(AUDIT).bind(actor)?.bind(name)?.bind(target)?.bind(why)
}

pub(super) async fn write_act(
    options: &PgConnectOptions,
    name: &str,
    target: &str,
    act: &Act,
) -> Result<(), LedgerError> {
    session::once(options, &audit(name, target.to_owned(), act)?).await.map(drop)
}
