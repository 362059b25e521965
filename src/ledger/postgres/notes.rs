//! Notes: what is left for whoever owns an event's lane. A lane is the event's, so a note is found and fenced by it.

use sqlx::postgres::PgPool;

use super::lanes::{of_claims, refused_in};
use super::session::Statement;
use crate::domain::EventKey;
use crate::ledger::{Claim, LedgerError, Note, NoteKind, Refused, decode};

/// Without a condition on the epoch: they are left by those that lost a lane.
const LEAVE: &str = "
INSERT INTO note (key, kind)
SELECT r.key, r.kind FROM unnest($1::bytea[], $2::smallint[]) AS r(key, kind) JOIN event e ON e.key = r.key";

/// [`crate::ledger::NOTES_AT_ONCE`] of them. Workers' notes come first: those of a long replay may wait.
const NOTES: &str = "
SELECT n.number, e.lane::bigint AS lane, n.key, n.kind::bigint AS kind
FROM note n
JOIN event e ON e.key = n.key
JOIN unnest($1::int[], $2::bigint[]) AS c(lane, epoch) ON c.lane = e.lane
JOIN lane l ON l.lane = c.lane AND l.epoch = c.epoch
ORDER BY n.kind, n.number
LIMIT 1000";

const REMOVE: &str = "
WITH held AS MATERIALIZED (
    SELECT l.lane
    FROM lane l JOIN unnest($1::int[], $2::bigint[]) AS c(lane, epoch) ON l.lane = c.lane AND l.epoch = c.epoch
    ORDER BY l.lane
    FOR NO KEY UPDATE OF l
), removed AS (
    DELETE FROM note n USING event e, held h WHERE n.number = ANY($3::bigint[]) AND e.key = n.key AND e.lane = h.lane
)
SELECT lane::bigint AS lane FROM held";

pub(super) async fn leave(readers: &PgPool, notes: &[(EventKey, NoteKind)]) -> Result<(), LedgerError> {
    let statement = Statement::new(LEAVE)
        .bind(notes.iter().map(|(key, _)| key.0.as_slice()).collect::<Vec<_>>())?
        .bind(notes.iter().map(|(_, kind)| kind.code()).collect::<Vec<_>>())?;
    statement.ask_soon(readers).await.map(drop)
}

pub(super) async fn notes(readers: &PgPool, claims: &[Claim]) -> Result<Vec<Note>, LedgerError> {
    of_claims(NOTES, claims)?.ask_soon(readers).await?.iter().map(decode::note).collect()
}

pub(super) async fn remove(readers: &PgPool, claims: &[Claim], numbers: &[i64]) -> Result<Refused, LedgerError> {
    let statement = of_claims(REMOVE, claims)?.bind(numbers)?;
    refused_in(&statement.ask(readers).await?, claims)
}
