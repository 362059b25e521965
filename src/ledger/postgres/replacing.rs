//! A dead letter's replacement by an edited event, in one statement.

use sqlx::postgres::PgConnectOptions;

use super::session::{self, Statement};
use crate::ledger::{Act, LedgerError, Replacement};

/// Locks as a reopening does: the lane, the line of `dead_letter`, the row. So of a replay, a discarding and an edit of one dead
/// letter one is done, and the others find another state. The new row has the epoch that the lock found. It is accepted when the
/// replaced one was, since that is its place among its customer's events.
const REPLACE: &str = "
WITH held AS MATERIALIZED (
    SELECT l.lane, l.epoch
    FROM lane l
    WHERE l.lane = (SELECT e.lane FROM event e WHERE e.key = $1)
    FOR NO KEY UPDATE OF l
), taken AS MATERIALIZED (
    SELECT d.key
    FROM dead_letter d
    JOIN event e ON e.key = d.key
    JOIN held h ON h.lane = e.lane
    WHERE d.key = $1 AND d.state = 1 AND d.generation = $2
    FOR UPDATE OF d
), old AS MATERIALIZED (
    SELECT e.key, e.lane, h.epoch
    FROM taken t
    JOIN event e ON e.key = t.key
    JOIN held h ON h.lane = e.lane
    WHERE e.state = 5 AND e.generation = $2
    FOR NO KEY UPDATE OF e
), made AS (
    INSERT INTO input (key, lane, record_offset, record_timestamp, accepted_at, payload_hash, source, id, customer_system,
        customer_id)
    SELECT $3, i.lane, i.record_offset, i.record_timestamp, i.accepted_at, $4, $5, $6, $7, $8
    FROM old o JOIN input i ON i.key = o.key
    ON CONFLICT (key) DO NOTHING
    RETURNING key, record_offset
), events AS (
    INSERT INTO event (key, lane, epoch, state, possibly_sent, generation)
    SELECT m.key, o.lane, o.epoch, CASE WHEN $10::bytea IS NULL THEN 1 ELSE 2 END, $11, 1
    FROM made m CROSS JOIN old o
), records AS (
    INSERT INTO sealed_record (key, lane, record_offset, kept, bytes, topic)
    SELECT m.key, o.lane, m.record_offset, false, $9, s.topic
    FROM made m CROSS JOIN old o LEFT JOIN sealed_record s ON s.key = o.key
), tokens AS (
    INSERT INTO sealed_token (key, bytes, account)
    SELECT m.key, $10, t.account
    FROM made m CROSS JOIN old o JOIN sealed_token t ON t.key = o.key
    WHERE $10::bytea IS NOT NULL
), replaced AS (
    INSERT INTO replacement (key, replaces, markers) SELECT m.key, o.key, $12 FROM made m CROSS JOIN old o
), discarded AS (
    UPDATE dead_letter d SET state = 3, replaced_by = m.key FROM made m CROSS JOIN old o WHERE d.key = o.key
), noted AS (
    INSERT INTO note (key, kind) SELECT key, 2 FROM made
), audited AS (
    INSERT INTO audit (actor, act, target, why) SELECT $13, 'edit', encode(o.key, 'hex'), $14 FROM made m CROSS JOIN old o
)
SELECT key FROM made";

/// On a connection of its own, as a replay is.
pub(super) async fn replace(
    options: &PgConnectOptions,
    replacement: &Replacement,
    act: &Act,
) -> Result<bool, LedgerError> {
    let statement = Statement::new(REPLACE)
        .bind(replacement.replaced.key.0.as_slice())?
        .bind(replacement.replaced.generation)?
        .bind(replacement.identity.key().0.as_slice())?
        .bind(replacement.payload_hash.as_slice())?
        .bind(replacement.identity.source.as_str())?
        .bind(replacement.identity.id.as_str())?
        .bind(replacement.customer.system.as_str())?
        .bind(replacement.customer.id.as_str())?
        .bind(replacement.sealed_record.as_slice())?
        .bind(replacement.sealed_token.as_deref())?
        .bind(replacement.possibly_sent)?
        .bind(replacement.markers_text()?)?
        .bind(act.actor.as_str())?
        .bind(act.why.as_deref())?;
    Ok(!session::once(options, &statement).await?.is_empty())
}
