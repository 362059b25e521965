//! Ownership of lanes: taken, confirmed by each write, given up.

use std::collections::BTreeSet;
use std::pin::pin;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgRow};
use sqlx::{Connection, Row};

use super::gathering::GATHERER;
use super::read;
use super::session::{self, Statement, WriteConnection};
use crate::domain::Lane;
use crate::ledger::batch::refused;
use crate::ledger::decode::Columns;
use crate::ledger::{Claim, LaneCorrection, LaneRow, LedgerError, Refused};

/// How long a raise waits for its lanes before it ends the sessions that hold them. A healthy write is over by then: the
/// server ends its statement after the same time.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a raise waits at all.
const RAISE_TIMEOUT: Duration = Duration::from_secs(20);

/// One that is there is left out: an insertion would wait for whoever just writes to it, and nobody ends that session for it.
const MAKE_LANES: &str = "
INSERT INTO lane (lane, epoch, clean)
SELECT n, 0, true FROM unnest($1::int[]) AS n WHERE NOT EXISTS (SELECT 1 FROM lane l WHERE l.lane = n) ORDER BY n
ON CONFLICT (lane) DO NOTHING";

const RAISE: &str = "
WITH found AS MATERIALIZED (
    SELECT lane, clean FROM lane WHERE lane = ANY($1::int[]) ORDER BY lane FOR NO KEY UPDATE
)
UPDATE lane l SET epoch = l.epoch + 1, owner = $2, clean = false
FROM found f WHERE l.lane = f.lane
RETURNING l.lane::bigint AS lane, l.epoch, f.clean, l.position, l.saved_cursor, l.suspect_below, l.topic_id";

/// A gathering is spared by those who raise lost lanes only: they would be told that these are lost, and try again meanwhile. The
/// owner of the first lane gathers itself.
const END_BLOCKERS: &str = "
SELECT pg_terminate_backend(b.pid) FROM unnest(pg_blocking_pids($1)) AS b(pid)
WHERE $2 OR NOT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE a.pid = b.pid AND a.application_name = $3)";

const NOTE_TOPIC: &str = "
WITH held AS MATERIALIZED (
    SELECT l.lane, l.position, l.topic_id <> $3 AS anew
    FROM lane l
    JOIN unnest($1::int[], $2::bigint[]) AS c(lane, epoch) ON l.lane = c.lane AND l.epoch = c.epoch
    ORDER BY l.lane
    FOR NO KEY UPDATE OF l
), noted AS (
    UPDATE lane l SET topic_id = $3,
        position = CASE WHEN h.anew THEN NULL ELSE l.position END,
        suspect_below = CASE WHEN h.anew THEN 0 ELSE l.suspect_below END
    FROM held h WHERE l.lane = h.lane
)
SELECT lane::bigint AS lane, CASE WHEN anew THEN NULL ELSE position END AS position FROM held";

/// What is unfinished or dead-lettered is exactly what has its record: no need to look at every event.
const CORRECT: &str = "
WITH held AS MATERIALIZED (
    SELECT l.lane, c.position, c.cursor, c.suspect_below, c.restored
    FROM lane l
    JOIN unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bool[])
        AS c(lane, epoch, position, cursor, suspect_below, restored) ON l.lane = c.lane AND l.epoch = c.epoch
    ORDER BY l.lane
    FOR NO KEY UPDATE OF l
), corrected AS (
    UPDATE lane l SET position = h.position, saved_cursor = GREATEST(l.saved_cursor, h.cursor),
        suspect_below = GREATEST(l.suspect_below, h.suspect_below)
    FROM held h WHERE l.lane = h.lane
), removed AS (
    DELETE FROM outbox o USING held h WHERE o.lane = h.lane AND o.publish_seq <= h.cursor
), suspected AS (
    UPDATE event e SET possibly_sent = true
    FROM held h JOIN sealed_record s ON s.lane = h.lane
    WHERE h.restored AND e.key = s.key AND e.state IN (1, 2, 5) AND NOT e.possibly_sent
)
SELECT lane::bigint AS lane FROM held";

const SAVE_CURSORS: &str = "
WITH held AS MATERIALIZED (
    SELECT l.lane, c.cursor
    FROM lane l
    JOIN unnest($1::int[], $2::bigint[], $3::bigint[]) AS c(lane, epoch, cursor) ON l.lane = c.lane AND l.epoch = c.epoch
    ORDER BY l.lane
    FOR NO KEY UPDATE OF l
), saved AS (
    UPDATE lane l SET saved_cursor = GREATEST(l.saved_cursor, h.cursor) FROM held h WHERE l.lane = h.lane
), removed AS (
    DELETE FROM outbox o USING held h WHERE o.lane = h.lane AND o.publish_seq <= h.cursor
)
SELECT lane::bigint AS lane FROM held";

const RELEASE: &str = "
WITH held AS MATERIALIZED (
    SELECT l.lane, c.clean
    FROM lane l
    JOIN unnest($1::int[], $2::bigint[], $3::bool[]) AS c(lane, epoch, clean) ON l.lane = c.lane AND l.epoch = c.epoch
    ORDER BY l.lane
    FOR NO KEY UPDATE OF l
), released AS (
    UPDATE lane l SET owner = NULL, clean = h.clean FROM held h WHERE l.lane = h.lane
)
SELECT lane::bigint AS lane FROM held";

/// Takes lanes over, on a connection of its own.
pub(super) async fn raise(
    options: &PgConnectOptions,
    readers: &PgPool,
    owner: &str,
    lanes: &[Lane],
) -> Result<Vec<LaneRow>, LedgerError> {
    let numbers: Vec<_> = lanes.iter().map(|lane| lane.0).collect();
    let mut connection = session::connect(&session::with_timeout(options, RAISE_TIMEOUT)).await?;
    Statement::new(MAKE_LANES).bind(&numbers)?.rows(&mut connection).await?;
    let statement = Statement::new(RAISE).bind(&numbers)?.bind(owner)?;
    let gathers = lanes.contains(&Lane(0));
    let raised = raise_past_blockers(&mut connection, readers, &statement, gathers).await?;
    // A statement of its own: that of the raise may have begun before the predecessor's last write was done.
    let last = read::last_numbers(&mut connection, &numbers).await?;
    let rows = raised.iter().map(|row| lane_row(row, |lane| last.get(&lane).copied().unwrap_or(0))).collect();
    // The raise is done; the server notices a lost connection by itself.
    drop(connection.close().await);
    rows
}

async fn raise_past_blockers(
    connection: &mut PgConnection,
    readers: &PgPool,
    statement: &Statement,
    gathers: bool,
) -> Result<Vec<PgRow>, LedgerError> {
    let pid = backend_pid(connection).await?;
    let mut raised = pin!(session::until_no_collision(connection, statement));
    loop {
        match tokio::time::timeout(PATIENCE, &mut raised).await {
            Ok(rows) => return rows,
            Err(_) => {
                let blockers = Statement::new(END_BLOCKERS).bind(pid)?.bind(gathers)?.bind(GATHERER)?;
                drop(blockers.ask_soon(readers).await?);
            }
        }
    }
}

async fn backend_pid(connection: &mut PgConnection) -> Result<i32, LedgerError> {
    let row = sqlx::query("SELECT pg_backend_pid()").fetch_one(connection).await;
    row.and_then(|row| row.try_get(0)).map_err(|error| LedgerError::of(&error))
}

fn lane_row(row: &PgRow, last_number: impl Fn(Lane) -> i64) -> Result<LaneRow, LedgerError> {
    let claim = row.claim()?;
    let saved_cursor = row.int("saved_cursor")?;
    Ok(LaneRow {
        claim,
        clean: row.flag("clean")?,
        position: row.optional_int("position")?,
        saved_cursor,
        last_seq: saved_cursor.max(last_number(claim.lane)),
        suspect_below: row.int("suspect_below")?,
        topic_id: row.optional_text("topic_id")?,
    })
}

pub(super) async fn note_topic(
    readers: &PgPool,
    claims: &[Claim],
    topic_id: &str,
) -> Result<Vec<(Lane, Option<i64>)>, LedgerError> {
    let lanes = of_claims(NOTE_TOPIC, claims)?.bind(topic_id)?.ask(readers).await?;
    lanes.iter().map(|row| Ok((row.lane()?, row.optional_int("position")?))).collect()
}

pub(super) async fn correct(readers: &PgPool, corrections: &[LaneCorrection]) -> Result<Refused, LedgerError> {
    let claims: Vec<_> = corrections.iter().map(|one| one.claim).collect();
    let statement = of_claims(CORRECT, &claims)?
        .bind(corrections.iter().map(|one| one.position).collect::<Vec<_>>())?
        .bind(corrections.iter().map(|one| one.cursor).collect::<Vec<_>>())?
        .bind(corrections.iter().map(|one| one.suspect_below).collect::<Vec<_>>())?
        .bind(corrections.iter().map(|one| one.restored).collect::<Vec<_>>())?;
    refused_in(&statement.ask(readers).await?, &claims)
}

pub(super) async fn save_cursors(
    writer: &WriteConnection,
    claims: &[Claim],
    cursors: &[(Claim, i64)],
) -> Result<Refused, LedgerError> {
    let statement =
        of_claims(SAVE_CURSORS, claims)?.bind(cursors.iter().map(|(_, cursor)| *cursor).collect::<Vec<_>>())?;
    refused_in(&writer.rows(&statement).await?, claims)
}

pub(super) async fn release(
    writer: &WriteConnection,
    claims: &[Claim],
    lanes: &[(Claim, bool)],
) -> Result<Refused, LedgerError> {
    let statement = of_claims(RELEASE, claims)?.bind(lanes.iter().map(|(_, clean)| *clean).collect::<Vec<_>>())?;
    refused_in(&writer.rows(&statement).await?, claims)
}

/// A statement whose first two values are the claims.
pub(super) fn of_claims(sql: &'static str, claims: &[Claim]) -> Result<Statement, LedgerError> {
    Statement::new(sql)
        .bind(claims.iter().map(|claim| claim.lane.0).collect::<Vec<_>>())?
        .bind(claims.iter().map(|claim| claim.epoch.0).collect::<Vec<_>>())
}

/// The claimed lanes that a write's answer does not name.
pub(super) fn refused_in(answer: &[PgRow], claims: &[Claim]) -> Result<Refused, LedgerError> {
    let held = answer.iter().map(Columns::lane).collect::<Result<BTreeSet<_>, _>>()?;
    Ok(refused(claims, &held))
}
