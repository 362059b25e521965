//! Dead letters for people: reads of `dead_letter` alone where many are asked for, and the acts on them.
//!
//! An act locks its events' lanes like any write that is not a worker's, so that it does not come between a replay and its end;
//! what it changes it judges on the line as it is then (the condition on its state and generation is checked again after a
//! wait), so of two acts on one dead letter the second finds another state.

use sqlx::postgres::{PgConnectOptions, PgPool};

use super::session::{self, Statement};
use crate::domain::EventKey;
use crate::ledger::decode::Columns;
use crate::ledger::{
    Act, AuditFilter, AuditFrom, AuditLine, DeadLetter, DeadLetterFilter, DeadLetterGroup, DeadLetterPlace, Fate,
    LedgerError, LetterState, Reopening, Story,
};

/// A line that is there already becomes that of the newest dead letter. It may be older than its event: workers of the version
/// before this table remove rows without it.
macro_rules! shown_anew {
    () => {
        "ON CONFLICT (key) DO UPDATE SET state = 1, generation = excluded.generation, accepted_at = excluded.accepted_at,
            lane = excluded.lane, record_offset = excluded.record_offset, record_timestamp = excluded.record_timestamp,
            source = excluded.source, id = excluded.id, customer_system = excluded.customer_system,
            customer_id = excluded.customer_id, reason_code = excluded.reason_code, reason_stage = excluded.reason_stage,
            convert_attempts = excluded.convert_attempts, link_attempts = excluded.link_attempts,
            lookup_attempts = excluded.lookup_attempts, dead_lettered_at = excluded.dead_lettered_at"
    };
}
pub(super) use shown_anew;

/// `$1` to `$11` are the filter; a plan is made for each statement, so what is null costs nothing.
macro_rules! filtered {
    ($head:literal, $rest:literal) => {
        concat!(
            $head,
            "
FROM dead_letter d
WHERE d.state = ANY($1::smallint[])
    AND ($2::text IS NULL OR d.reason_code = $2)
    AND ($3::text IS NULL OR d.reason_stage = $3)
    AND ($4::text IS NULL OR d.customer_system = $4)
    AND ($5::text IS NULL OR lower(d.customer_id) = lower($5))
    AND ($6::text IS NULL OR d.id = $6)
    AND ($7::bigint IS NULL OR d.dead_lettered_at >= timestamptz 'epoch' + $7 * interval '1 millisecond')
    AND ($8::bigint IS NULL OR d.dead_lettered_at < timestamptz 'epoch' + ($8 + 1) * interval '1 millisecond')
    AND ($9::int IS NULL OR (d.lane = $9 AND d.record_offset = $10
        AND (SELECT s.topic FROM sealed_record s WHERE s.key = d.key) IS NOT DISTINCT FROM $11::text))",
            $rest
        )
    };
}

/// Microseconds since 1970, as exact as the column.
const PAGE: &str = filtered!(
    "
SELECT d.key, d.state::bigint AS state, d.generation::bigint AS generation, d.source, d.id, d.lane::bigint AS lane,
    d.record_offset, d.record_timestamp, (SELECT s.topic FROM sealed_record s WHERE s.key = d.key) AS topic, d.customer_system, d.customer_id, d.reason_code, d.reason_stage,
    d.convert_attempts::bigint AS convert_attempts, d.link_attempts::bigint AS link_attempts,
    d.lookup_attempts::bigint AS lookup_attempts,
    floor(extract(epoch FROM d.dead_lettered_at) * 1000)::bigint AS dead_lettered_at,
    (extract(epoch FROM d.accepted_at) * 1000000)::bigint AS accepted_at",
    "
    AND ($12::bigint IS NULL OR (d.accepted_at, d.lane, d.record_offset, d.key) >
        (timestamptz 'epoch' + $12 * interval '1 microsecond', $13::int, $14::bigint, $15::bytea))
ORDER BY d.accepted_at, d.lane, d.record_offset, d.key
LIMIT $16"
);

const STATS: &str = filtered!(
    "
SELECT d.reason_code, d.reason_stage, count(*) AS count,
    GREATEST(0, floor(extract(epoch FROM now() - min(d.dead_lettered_at))))::bigint AS oldest_age_s,
    GREATEST(0, floor(extract(epoch FROM now() - max(d.dead_lettered_at))))::bigint AS newest_age_s,
    count(DISTINCT d.customer_system || '/' || d.customer_id) AS customers, min(d.id) AS example",
    "
GROUP BY d.reason_code, d.reason_stage
ORDER BY count(*) DESC, d.reason_code, d.reason_stage"
);

/// From one state into another; with its audit line, or not at all. One whose place another event has taken stays discarded.
const CHANGE: &str = "
WITH asked AS MATERIALIZED (
    SELECT DISTINCT * FROM unnest($1::bytea[], $2::int[]) AS r(key, generation)
), held AS MATERIALIZED (
    SELECT l.lane
    FROM lane l
    WHERE l.lane IN (SELECT e.lane FROM asked a JOIN event e ON e.key = a.key)
    ORDER BY l.lane
    FOR NO KEY UPDATE OF l
), changed AS (
    UPDATE dead_letter d SET state = $6
    FROM asked a JOIN event e ON e.key = a.key JOIN held h ON h.lane = e.lane
    WHERE d.key = a.key AND d.state = $5 AND d.generation = a.generation AND d.replaced_by IS NULL
    RETURNING d.key
), audited AS (
    INSERT INTO audit (actor, act, target, why) SELECT $3, $7, encode(key, 'hex'), $4 FROM changed
)
SELECT key FROM changed";

const FATES: &str = "
SELECT key, state::bigint AS state, generation::bigint AS generation FROM event WHERE key = ANY($1::bytea[])";

const STORY: &str = "
SELECT (extract(epoch FROM i.accepted_at) * 1000)::bigint AS accepted_at,
    (extract(epoch FROM e.first_failed_at) * 1000)::bigint AS first_failed_at, e.possibly_sent,
    EXISTS (SELECT 1 FROM sealed_token t WHERE t.key = e.key) AS converted, e.timeline,
    (SELECT r.id FROM replacement p JOIN input r ON r.key = p.replaces WHERE p.key = e.key) AS replaces,
    EXISTS (SELECT 1 FROM dead_letter d WHERE d.key = e.key AND d.replaced_by IS NOT NULL) AS is_replaced,
    (SELECT r.id FROM dead_letter d JOIN input r ON r.key = d.replaced_by WHERE d.key = e.key) AS replaced_by
FROM event e JOIN input i ON i.key = e.key
WHERE e.key = $1";

/// Only what looks like a key is decoded.
macro_rules! audit_lines {
    ($from:literal) => {
        concat!(
            "
SELECT a.n, floor(extract(epoch FROM a.at) * 1000)::bigint AS at, a.actor, a.act, a.target, i.id AS event_id, a.why
FROM audit a
LEFT JOIN input i ON i.key = CASE WHEN a.target ~ '^[0-9a-f]{32}$' THEN decode(a.target, 'hex') END
WHERE ($1::text IS NULL OR a.actor = $1) AND ($2::text IS NULL OR a.act = $2) AND ($3::text IS NULL OR a.target = $3)
    AND ($4::bigint IS NULL OR a.at >= timestamptz 'epoch' + $4 * interval '1 millisecond')
    AND ($5::bigint IS NULL OR a.at < timestamptz 'epoch' + ($5 + 1) * interval '1 millisecond')
    AND ",
            $from,
            "
LIMIT $7"
        )
    };
}
const AUDIT_LATEST: &str = audit_lines!("a.n < $6 ORDER BY a.n DESC");
const AUDIT_EARLIEST: &str = audit_lines!("a.n > $6 ORDER BY a.n");

/// What workers of the version before this table did while they were replaced: rows that ended without it, or were removed.
const FORGET: &str = "
DELETE FROM dead_letter d
WHERE NOT EXISTS (SELECT 1 FROM event e WHERE e.key = d.key AND e.state NOT IN (3, 4))";
const CATCH_UP: &str = concat!(
    "
INSERT INTO dead_letter (key, state, generation, accepted_at, lane, record_offset, record_timestamp, source, id,
    customer_system, customer_id, reason_code, reason_stage, convert_attempts, link_attempts, lookup_attempts,
    dead_lettered_at)
SELECT e.key, 1, e.generation, i.accepted_at, i.lane, i.record_offset, i.record_timestamp, i.source, i.id,
    i.customer_system, i.customer_id, e.reason_code, e.reason_stage, e.convert_attempts, e.link_attempts,
    e.lookup_attempts, e.ended_at
FROM sealed_record s
JOIN event e ON e.key = s.key
JOIN input i ON i.key = s.key
LEFT JOIN dead_letter d ON d.key = s.key
WHERE s.kept AND e.state = 5 AND (d.key IS NULL OR d.state = 2) ",
    shown_anew!(),
    "
WHERE dead_letter.state = 2"
);

pub(super) async fn now_ms(readers: &PgPool) -> Result<i64, LedgerError> {
    let rows =
        Statement::new("SELECT floor(extract(epoch FROM now()) * 1000)::bigint AS now").ask_for_people(readers).await?;
    rows.first().map_or(Ok(0), |row| row.int("now"))
}

pub(super) async fn latest_ms(readers: &PgPool) -> Result<i64, LedgerError> {
    let sql = "SELECT floor(extract(epoch FROM GREATEST(now(), max(dead_lettered_at))) * 1000)::bigint AS latest FROM dead_letter";
    let rows = Statement::new(sql).ask_for_people(readers).await?;
    rows.first().map_or(Ok(0), |row| row.int("latest"))
}

pub(super) async fn page(
    readers: &PgPool,
    filter: &DeadLetterFilter,
    after: Option<DeadLetterPlace>,
    limit: usize,
) -> Result<Vec<DeadLetter>, LedgerError> {
    if filter.is_impossible() {
        return Ok(Vec::new());
    }
    let statement = of_filter(PAGE, filter)?
        .bind(after.map(|place| place.accepted_at))?
        .bind(after.map(|place| place.lane.0))?
        .bind(after.map(|place| place.offset))?
        .bind(after.map(|place| place.key.0.to_vec()))?
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))?;
    statement.ask_in_order(readers).await?.iter().map(DeadLetter::of_row).collect()
}

pub(super) async fn stats(readers: &PgPool, filter: &DeadLetterFilter) -> Result<Vec<DeadLetterGroup>, LedgerError> {
    if filter.is_impossible() {
        return Ok(Vec::new());
    }
    of_filter(STATS, filter)?.ask_for_people(readers).await?.iter().map(DeadLetterGroup::of_row).collect()
}

fn of_filter(sql: &'static str, filter: &DeadLetterFilter) -> Result<Statement, LedgerError> {
    Statement::new(sql)
        .bind(filter.state_codes())?
        .bind(filter.reason.as_deref())?
        .bind(filter.stage.as_deref())?
        .bind(filter.customer_system.as_deref())?
        .bind(filter.customer_id.as_deref())?
        .bind(filter.event_id.as_deref())?
        .bind(filter.since)?
        .bind(filter.until)?
        .bind(filter.place.map(|(partition, _)| partition))?
        .bind(filter.place.map(|(_, offset)| offset))?
        .bind(filter.place_topic.as_deref())
}

/// Sets dead letters aside, or takes them back. On a connection of its own, as a replay is.
pub(super) async fn change(
    options: &PgConnectOptions,
    rows: &[Reopening],
    act: &Act,
    name: &'static str,
    [from, to]: [LetterState; 2],
) -> Result<Vec<EventKey>, LedgerError> {
    let statement = Statement::new(CHANGE)
        .bind(rows.iter().map(|row| row.key.0.as_slice()).collect::<Vec<_>>())?
        .bind(rows.iter().map(|row| row.generation).collect::<Vec<_>>())?
        .bind(act.actor.as_str())?
        .bind(act.why.as_deref())?
        .bind(from.code())?
        .bind(to.code())?
        .bind(name)?;
    session::once(options, &statement).await?.iter().map(|row| row.key("key")).collect()
}

pub(super) async fn fates(readers: &PgPool, keys: &[EventKey]) -> Result<Vec<Fate>, LedgerError> {
    let keys: Vec<_> = keys.iter().map(|key| key.0.as_slice()).collect();
    Statement::new(FATES).bind(keys)?.ask_for_people(readers).await?.iter().map(Fate::of_row).collect()
}

pub(super) async fn story(readers: &PgPool, key: EventKey) -> Result<Option<Story>, LedgerError> {
    let rows = Statement::new(STORY).bind(key.0.as_slice())?.ask_for_people(readers).await?;
    rows.first().map(Story::of_row).transpose()
}

pub(super) async fn audit(
    readers: &PgPool,
    filter: &AuditFilter,
    from: AuditFrom,
    limit: usize,
) -> Result<Vec<AuditLine>, LedgerError> {
    let sql = if matches!(from, AuditFrom::After(_)) { AUDIT_EARLIEST } else { AUDIT_LATEST };
    let statement = Statement::new(sql)
        .bind(filter.actor.as_deref())?
        .bind(filter.act.as_deref())?
        .bind(filter.target.as_deref())?
        .bind(filter.since)?
        .bind(filter.until)?
        .bind(from.number())?
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))?;
    statement.ask_in_order(readers).await?.iter().map(AuditLine::of_row).collect()
}

/// Done at each start: cheap, as it looks at dead letters only, and finds nothing but after an upgrade. It is for people only, so
/// a failure keeps no worker from its work.
pub(super) async fn catch_up(readers: &PgPool) {
    for statement in [FORGET, CATCH_UP] {
        if let Err(error) = Statement::new(statement).ask(readers).await {
            tracing::warn!(error = %error, "the list of dead letters may be behind the events until the next start");
            return;
        }
    }
}
