//! What is read: after a takeover, after an acceptance, to confirm ownership, and for people.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use sqlx::postgres::{PgConnection, PgPool};

use super::lanes::of_claims;
use super::session::{Statement, WriteConnection};
use crate::domain::{EventKey, Lane};
use crate::ledger::batch::{OVERTAKEN_LIMIT, Standing, mark_overtaken};
use crate::ledger::decode::{self, Columns};
use crate::ledger::{Claim, EventSummary, LedgerError, NewRow, StoredRow, Unpublished};

/// Columns of [`decode::stored_row`], from input `i`, event `e`, sealed record `s` and sealed token `t`.
macro_rules! stored {
    ($rest:literal) => {
        concat!(
            "SELECT e.key, e.lane::bigint AS lane, i.lane::bigint AS record_partition, e.epoch, i.record_offset, i.record_timestamp, i.payload_hash,
                e.state::bigint AS state, e.generation::bigint AS generation,
                e.convert_attempts::bigint AS convert_attempts, e.link_attempts::bigint AS link_attempts,
                e.lookup_attempts::bigint AS lookup_attempts, e.spent_ms, e.starts::bigint AS starts, e.possibly_sent, e.publish_seq,
                GREATEST(0, ceil(extract(epoch FROM e.due_at - now()) * 1000))::bigint AS due_in_ms,
                (extract(epoch FROM e.first_failed_at) * 1000)::bigint AS first_failed_at,
                s.topic, s.bytes AS sealed_record, t.bytes AS sealed_token, t.account,
                (SELECT p.markers FROM replacement p WHERE p.key = e.key) AS replaced_markers ",
            $rest
        )
    };
}

/// `sealed_record` says what is unfinished; the lane's row, in the same snapshot, whose it is. Unless rows are asked for by key,
/// those that were reopened and not taken up are left to their notes: there may be as many as there were dead letters.
const UNFINISHED: &str = stored!(
    "FROM unnest($1::int[], $2::bigint[]) AS c(lane, epoch)
    JOIN lane l ON l.lane = c.lane AND l.epoch = c.epoch
    JOIN sealed_record s ON s.lane = l.lane AND NOT s.kept AND ($3::bytea[] IS NULL OR s.key = ANY($3))
    JOIN event e ON e.key = s.key AND e.epoch <= l.epoch
    JOIN input i ON i.key = e.key
    LEFT JOIN sealed_token t ON t.key = e.key
    WHERE $3::bytea[] IS NOT NULL OR NOT EXISTS (SELECT 1 FROM note n WHERE n.key = s.key AND n.kind = 2)
    ORDER BY s.lane, s.record_offset"
);

/// Sealed bytes only where the row is the very record that was to be inserted.
const STANDING: &str = stored!(
    "FROM unnest($1::bytea[], $2::int[], $3::bigint[], $4::bigint[]) AS r(key, lane, record_offset, record_timestamp)
    JOIN input i ON i.key = r.key
    JOIN event e ON e.key = r.key
    LEFT JOIN sealed_record s ON s.key = r.key AND i.lane = r.lane AND i.record_offset = r.record_offset
        AND i.record_timestamp = r.record_timestamp
    LEFT JOIN sealed_token t ON t.key = s.key"
);

const ROW: &str = stored!(
    "FROM event e
    JOIN input i ON i.key = e.key
    LEFT JOIN sealed_record s ON s.key = e.key
    LEFT JOIN sealed_token t ON t.key = e.key
    WHERE e.key = $1"
);

const ROWS: &str = stored!(
    "FROM event e
    JOIN input i ON i.key = e.key
    LEFT JOIN sealed_record s ON s.key = e.key
    LEFT JOIN sealed_token t ON t.key = e.key
    WHERE e.key = ANY($1::bytea[])"
);

/// Which of these rows have a later one of their customer, in the order of the input, that was linked. Later ones were accepted
/// later, so none is looked at that is older than all of these. Between two partitions only the time of acceptance tells: an edited
/// event may name a customer of another one.
const OVERTAKEN: &str = "
WITH asked AS MATERIALIZED (
    SELECT key, lane, record_offset, accepted_at, customer_system, customer_id FROM input WHERE key = ANY($1::bytea[])
)
SELECT DISTINCT a.key
FROM asked a
JOIN input l ON l.customer_id = a.customer_id AND l.customer_system = a.customer_system
    AND l.accepted_at >= (SELECT min(accepted_at) FROM asked)
    AND CASE WHEN l.lane = a.lane THEN l.record_offset > a.record_offset ELSE l.accepted_at >= a.accepted_at END
JOIN event e ON e.key = l.key AND e.state = 3";

const UNPUBLISHED: &str = "
SELECT o.lane::bigint AS lane, o.publish_seq, o.topic_role::bigint AS topic_role, o.key, o.value, o.headers
FROM unnest($1::int[], $2::bigint[], $3::bigint[]) AS c(lane, epoch, cursor)
JOIN lane l ON l.lane = c.lane AND l.epoch = c.epoch
JOIN outbox o ON o.lane = l.lane AND o.publish_seq > c.cursor
ORDER BY o.lane, o.publish_seq, o.n";

const LAST_NUMBERS: &str = "
SELECT asked.lane::bigint AS lane, (SELECT max(publish_seq) FROM outbox o WHERE o.lane = asked.lane) AS publish_seq
FROM unnest($1::int[]) AS asked(lane)";

const FIND: &str = "
SELECT i.source, i.id, i.key, i.customer_system, i.customer_id, e.state::bigint AS state,
    e.generation::bigint AS generation, e.convert_attempts::bigint AS convert_attempts,
    e.link_attempts::bigint AS link_attempts, e.lookup_attempts::bigint AS lookup_attempts,
    (extract(epoch FROM i.accepted_at) * 1000)::bigint AS accepted_at,
    (extract(epoch FROM e.ended_at) * 1000)::bigint AS ended_at, e.reason_code, e.timeline
FROM input i JOIN event e ON e.key = i.key
WHERE i.id = $1
ORDER BY i.source";

pub(super) async fn unfinished(
    readers: &PgPool,
    claims: &[Claim],
    only: Option<&[EventKey]>,
) -> Result<Vec<StoredRow>, LedgerError> {
    let only = only.map(|keys| keys.iter().map(|key| key.0.as_slice()).collect::<Vec<_>>());
    let rows = of_claims(UNFINISHED, claims)?.bind(only)?.ask(readers).await?;
    let mut rows: Vec<StoredRow> = rows.iter().map(decode::stored_row).collect::<Result<_, _>>()?;
    let replays: Vec<_> = rows.iter().filter(|row| row.is_replay()).map(|row| row.key).collect();
    if !replays.is_empty() {
        let answer = overtaken(readers, &replays).await;
        mark_overtaken(&mut rows, answer);
    }
    Ok(rows)
}

async fn overtaken(readers: &PgPool, replays: &[EventKey]) -> Result<BTreeSet<EventKey>, LedgerError> {
    let keys: Vec<_> = replays.iter().map(|key| key.0.as_slice()).collect();
    let rows = Statement::new(OVERTAKEN).bind(keys)?.ask_briefly(OVERTAKEN_LIMIT, readers).await?;
    rows.iter().map(|row| row.key("key")).collect()
}

pub(super) async fn unpublished(readers: &PgPool, claims: &[(Claim, i64)]) -> Result<Vec<Unpublished>, LedgerError> {
    let (claims, cursors): (Vec<_>, Vec<_>) = claims.iter().copied().unzip();
    decode::unpublished(&of_claims(UNPUBLISHED, &claims)?.bind(cursors)?.ask(readers).await?)
}

/// The highest number in each lane's outbox.
pub(super) async fn last_numbers(
    connection: &mut PgConnection,
    lanes: &[i32],
) -> Result<BTreeMap<Lane, i64>, LedgerError> {
    let rows = Statement::new(LAST_NUMBERS).bind(lanes)?.rows(connection).await?;
    rows.iter().map(|row| Ok((row.lane()?, row.optional_int("publish_seq")?.unwrap_or(0)))).collect()
}

/// What stands where these rows were to go.
pub(super) async fn standing(
    writer: &WriteConnection,
    rows: impl Iterator<Item = &NewRow> + Clone,
) -> Result<HashMap<EventKey, Standing>, LedgerError> {
    let statement = Statement::new(STANDING)
        .bind(rows.clone().map(|row| row.key.0.as_slice()).collect::<Vec<_>>())?
        .bind(rows.clone().map(|row| row.lane.0).collect::<Vec<_>>())?
        .bind(rows.clone().map(|row| row.offset).collect::<Vec<_>>())?
        .bind(rows.map(|row| row.timestamp).collect::<Vec<_>>())?;
    let mut standing = HashMap::<EventKey, Standing>::new();
    for row in writer.rows(&statement).await? {
        let there = Standing { row: decode::stored_row(&row)?, payload_hash: row.bytes("payload_hash")? };
        // Asked for by two records of the batch, it comes twice; the one with the sealed bytes is the one to keep.
        if !there.row.sealed_record.is_empty() || !standing.contains_key(&there.row.key) {
            standing.insert(there.row.key, there);
        }
    }
    Ok(standing)
}

pub(super) async fn epochs(readers: &PgPool, lanes: &[Lane]) -> Result<Vec<Claim>, LedgerError> {
    let statement =
        Statement::new("SELECT lane::bigint AS lane, epoch FROM lane WHERE lane = ANY($1::int[]) ORDER BY lane")
            .bind(lanes.iter().map(|lane| lane.0).collect::<Vec<_>>())?;
    statement.ask_soon(readers).await?.iter().map(Columns::claim).collect()
}

pub(super) async fn find(readers: &PgPool, event_id: &str) -> Result<Vec<EventSummary>, LedgerError> {
    // No stored id holds NUL, and PostgreSQL's text cannot.
    if event_id.contains('\0') {
        return Ok(Vec::new());
    }
    let rows = Statement::new(FIND).bind(event_id)?.ask(readers).await?;
    rows.iter().map(decode::summary).collect()
}

pub(super) async fn row(readers: &PgPool, key: EventKey) -> Result<Option<StoredRow>, LedgerError> {
    let rows = Statement::new(ROW).bind(key.0.as_slice())?.ask(readers).await?;
    rows.first().map(decode::stored_row).transpose()
}

pub(super) async fn rows(readers: &PgPool, keys: &[EventKey]) -> Result<Vec<StoredRow>, LedgerError> {
    let keys: Vec<&[u8]> = keys.iter().map(|key| key.0.as_slice()).collect();
    Statement::new(ROWS).bind(keys)?.ask_for_people(readers).await?.iter().map(decode::stored_row).collect()
}
