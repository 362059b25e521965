//! The writes of an event's way: started again, converted, waiting, ended. Each changes rows only from the states it expects; what was
//! not changed is looked at by a second statement, which tells a repeat of what was applied from damage.

use std::collections::BTreeSet;

use super::accept::{OutgoingColumns, place_of};
use super::dead_letters::shown_anew;
use super::lanes::of_claims;
use super::session::{Statement, WriteConnection};
use crate::domain::{Attempts, EventKey, Lane};
use crate::ledger::batch::{each_is_claimed, refused};
use crate::ledger::codes::{attempt_counts, reason_names};
use crate::ledger::decode::Columns;
use crate::ledger::{BackOffRow, Claim, ConvertedRow, EndedRow, LedgerError, Refused, StartedRow};

/// The claimed lanes that are still ours, locked, and the rows' common columns. What follows takes values from $10 on.
macro_rules! held_and_rows {
    ($($rest:expr),+ $(,)?) => {
        concat!(
            "WITH held AS MATERIALIZED (
                SELECT l.lane, l.saved_cursor
                FROM lane l JOIN unnest($1::int[], $2::bigint[]) AS c(lane, epoch) ON l.lane = c.lane AND l.epoch = c.epoch
                ORDER BY l.lane
                FOR NO KEY UPDATE OF l
            ), common AS MATERIALIZED (
                SELECT * FROM unnest($3::bigint[], $4::bytea[], $5::int[], $6::int[], $7::int[], $8::int[], $9::text[])
                    AS r(n, key, lane, convert_attempts, link_attempts, lookup_attempts, timeline)
            ), ",
            $($rest,)+
            "
            SELECT lane::bigint AS lane, NULL::bigint AS n FROM held
            UNION ALL
            SELECT NULL, n FROM changed"
        )
    };
}

const CONVERTED: &str = held_and_rows!(
    "r AS MATERIALIZED (
        SELECT c.*, r.bytes, r.account
        FROM common c JOIN unnest($3::bigint[], $10::bytea[], $11::text[]) AS r(n, bytes, account) ON r.n = c.n
    ), changed AS (
        UPDATE event e SET state = 2, due_at = NULL, timeline = left(concat(e.timeline, r.timeline), 16384), convert_attempts = r.convert_attempts,
            link_attempts = r.link_attempts, lookup_attempts = r.lookup_attempts
        FROM r JOIN held h ON h.lane = r.lane
        WHERE e.key = r.key AND e.lane = r.lane AND e.state = 1
        RETURNING r.n, e.key, r.bytes, r.account
    ), sealed AS (
        INSERT INTO sealed_token (key, bytes, account) SELECT key, bytes, account FROM changed
    )"
);

/// A number at or below the saved cursor would never be published. `dead_letter` is touched by dead letters and by the ends of
/// replays only; for all others its parts find an empty list.
const END: &str = held_and_rows!(
    "r AS MATERIALIZED (
        SELECT c.*, r.state, r.publish_seq, r.reason_code, r.reason_stage, r.failed_ms_ago
        FROM common c JOIN unnest($3::bigint[], $10::smallint[], $11::bigint[], $12::text[], $13::text[], $14::bigint[])
            AS r(n, state, publish_seq, reason_code, reason_stage, failed_ms_ago) ON r.n = c.n
    ), changed AS (
        UPDATE event e SET state = r.state, publish_seq = r.publish_seq, ended_at = now(), due_at = NULL,
            timeline = left(concat(e.timeline, r.timeline), 16384),
            first_failed_at = COALESCE(e.first_failed_at, now() - r.failed_ms_ago * interval '1 millisecond'),
            reason_code = r.reason_code, reason_stage = r.reason_stage, convert_attempts = r.convert_attempts,
            link_attempts = r.link_attempts, lookup_attempts = r.lookup_attempts
        FROM r JOIN held h ON h.lane = r.lane
        WHERE e.key = r.key AND e.lane = r.lane AND e.state IN (1, 2) AND r.publish_seq > h.saved_cursor
            AND e.publish_seq IS DISTINCT FROM r.publish_seq
        RETURNING r.n, e.key, e.lane, e.state, e.publish_seq, e.generation, e.reason_code, e.reason_stage,
            e.convert_attempts, e.link_attempts, e.lookup_attempts, e.ended_at
    ), outgoing AS (
        INSERT INTO outbox (lane, publish_seq, n, topic_role, key, value, headers)
        SELECT c.lane, c.publish_seq, o.place, o.topic_role, o.key, o.value, o.headers
        FROM unnest($15::bigint[], $16::smallint[], $17::smallint[], $18::bytea[], $19::bytea[], $20::text[])
            AS o(n, place, topic_role, key, value, headers)
        JOIN changed c ON c.n = o.n
    ), kept AS (
        UPDATE sealed_record s SET kept = true FROM changed c WHERE s.key = c.key AND c.state = 5
    ), erased_record AS (
        DELETE FROM sealed_record s USING changed c WHERE s.key = c.key AND c.state <> 5
    ), erased_token AS (
        DELETE FROM sealed_token t USING changed c WHERE t.key = c.key AND c.state <> 5
    ), shown AS (
        INSERT INTO dead_letter (key, state, generation, accepted_at, lane, record_offset, record_timestamp, source, id,
            customer_system, customer_id, reason_code, reason_stage, convert_attempts, link_attempts, lookup_attempts,
            dead_lettered_at)
        SELECT c.key, 1, c.generation, i.accepted_at, i.lane, i.record_offset, i.record_timestamp, i.source, i.id,
            i.customer_system, i.customer_id, c.reason_code, c.reason_stage, c.convert_attempts, c.link_attempts,
            c.lookup_attempts, c.ended_at
        FROM changed c JOIN input i ON i.key = c.key
        WHERE c.state = 5 ",
    shown_anew!(),
    "
    ), done_with AS (
        DELETE FROM dead_letter
        WHERE key = ANY (ARRAY(SELECT c.key FROM changed c WHERE c.generation > 1 AND c.state <> 5))
    )"
);

const BACK_OFF: &str = held_and_rows!(
    "r AS MATERIALIZED (
        SELECT c.*, r.due_in_ms, r.spent_ms, r.failed_ms_ago
        FROM common c JOIN unnest($3::bigint[], $10::bigint[], $11::bigint[], $12::bigint[])
            AS r(n, due_in_ms, spent_ms, failed_ms_ago) ON r.n = c.n
    ), changed AS (
        UPDATE event e SET due_at = now() + r.due_in_ms * interval '1 millisecond', spent_ms = r.spent_ms,
            timeline = left(concat(e.timeline, r.timeline), 16384),
            first_failed_at = COALESCE(e.first_failed_at, now() - r.failed_ms_ago * interval '1 millisecond'),
            convert_attempts = r.convert_attempts, link_attempts = r.link_attempts, lookup_attempts = r.lookup_attempts
        FROM r JOIN held h ON h.lane = r.lane
        WHERE e.key = r.key AND e.lane = r.lane AND e.state IN (1, 2)
        RETURNING r.n
    )"
);

const STARTED: &str = "
WITH held AS MATERIALIZED (
    SELECT l.lane
    FROM lane l JOIN unnest($1::int[], $2::bigint[]) AS c(lane, epoch) ON l.lane = c.lane AND l.epoch = c.epoch
    ORDER BY l.lane
    FOR NO KEY UPDATE OF l
), changed AS (
    UPDATE event e SET starts = GREATEST(e.starts, r.starts)
    FROM unnest($3::bigint[], $4::bytea[], $5::int[], $6::int[]) AS r(n, key, lane, starts)
    JOIN held h ON h.lane = r.lane
    WHERE e.key = r.key AND e.lane = r.lane AND e.state IN (1, 2)
    RETURNING r.n
)
SELECT lane::bigint AS lane, NULL::bigint AS n FROM held
UNION ALL
SELECT NULL, n FROM changed";

const ARE_CONVERTED: &str = "
SELECT r.n FROM unnest($1::bigint[], $2::bytea[], $3::int[]) AS r(n, key, lane)
JOIN event e ON e.key = r.key AND e.lane = r.lane AND e.state = 2
JOIN sealed_token t ON t.key = r.key";

const ARE_ENDED: &str = "
SELECT r.n FROM unnest($1::bigint[], $2::bytea[], $3::int[], $4::bigint[]) AS r(n, key, lane, publish_seq)
JOIN event e ON e.key = r.key AND e.lane = r.lane AND e.publish_seq = r.publish_seq";

pub(super) async fn started(
    writer: &WriteConnection,
    claims: &[Claim],
    rows: &[StartedRow],
) -> Result<Refused, LedgerError> {
    let step = Step::new(claims, rows.iter().map(|row| (row.key, row.lane, Attempts::default(), "")))?;
    let statement = of_claims(STARTED, claims)?
        .bind((0..rows.len()).map(|place| place as i64).collect::<Vec<_>>())?
        .bind(rows.iter().map(|row| row.key.0.as_slice()).collect::<Vec<_>>())?
        .bind(rows.iter().map(|row| row.lane.0).collect::<Vec<_>>())?
        .bind(rows.iter().map(|row| row.starts).collect::<Vec<_>>())?;
    let (refused, missed) = step.write(writer, &statement).await?;
    missed.first().map_or(Ok(refused), |place| Err(step.damaged(*place)))
}

pub(super) async fn converted(
    writer: &WriteConnection,
    claims: &[Claim],
    rows: &[ConvertedRow],
) -> Result<Refused, LedgerError> {
    let step = Step::new(claims, rows.iter().map(|row| (row.key, row.lane, row.attempts, &row.timeline[..])))?;
    let statement = step
        .statement(CONVERTED)?
        .bind(rows.iter().map(|row| row.sealed_token.as_slice()).collect::<Vec<_>>())?
        .bind(rows.iter().map(|row| row.account.as_str()).collect::<Vec<_>>())?;
    let (refused, missed) = step.write(writer, &statement).await?;
    if !missed.is_empty() {
        step.all_stand(writer, &missed, step.query(ARE_CONVERTED, &missed)?).await?;
    }
    Ok(refused)
}

pub(super) async fn end(writer: &WriteConnection, claims: &[Claim], rows: &[EndedRow]) -> Result<Refused, LedgerError> {
    let step = Step::new(claims, rows.iter().map(|row| (row.key, row.lane, row.attempts, &row.timeline[..])))?;
    let reasons = || rows.iter().map(|row| reason_names(row.reason));
    let statement = step
        .statement(END)?
        .bind(rows.iter().map(|row| row.state.code()).collect::<Vec<_>>())?
        .bind(rows.iter().map(|row| row.publish_seq.0).collect::<Vec<_>>())?
        .bind(reasons().map(|(code, _)| code).collect::<Vec<_>>())?
        .bind(reasons().map(|(_, stage)| stage).collect::<Vec<_>>())?
        .bind(rows.iter().map(|row| row.failed_ms_ago).collect::<Vec<_>>())?;
    let outgoing = OutgoingColumns::of(rows.iter().enumerate().map(|(place, row)| (place, &row.records[..])));
    let (refused, missed) = step.write(writer, &outgoing.bind(statement)?).await?;
    if !missed.is_empty() {
        let numbers: Vec<_> = missed.iter().map(|place| rows[*place].publish_seq.0).collect();
        step.all_stand(writer, &missed, step.query(ARE_ENDED, &missed)?.bind(numbers)?).await?;
    }
    Ok(refused)
}

pub(super) async fn back_off(
    writer: &WriteConnection,
    claims: &[Claim],
    rows: &[BackOffRow],
) -> Result<Refused, LedgerError> {
    let step = Step::new(claims, rows.iter().map(|row| (row.key, row.lane, row.attempts, &row.timeline[..])))?;
    let statement = step
        .statement(BACK_OFF)?
        .bind(rows.iter().map(|row| row.due_in_ms).collect::<Vec<_>>())?
        .bind(rows.iter().map(|row| row.spent_ms).collect::<Vec<_>>())?
        .bind(rows.iter().map(|row| row.failed_ms_ago).collect::<Vec<_>>())?;
    let (refused, missed) = step.write(writer, &statement).await?;
    missed.first().map_or(Ok(refused), |place| Err(step.damaged(*place)))
}

/// A write to rows that are there.
struct Step<'a> {
    claims: &'a [Claim],
    rows: Vec<(EventKey, Lane, Attempts, &'a str)>,
}

impl<'a> Step<'a> {
    fn new(
        claims: &'a [Claim],
        rows: impl Iterator<Item = (EventKey, Lane, Attempts, &'a str)>,
    ) -> Result<Self, LedgerError> {
        let rows: Vec<_> = rows.collect();
        each_is_claimed(claims.iter().copied(), rows.iter().map(|(key, lane, ..)| (*key, *lane)))?;
        Ok(Self { claims, rows })
    }

    fn statement(&self, sql: &'static str) -> Result<Statement, LedgerError> {
        let count = |n: usize| self.rows.iter().map(|(_, _, made, _)| attempt_counts(*made)[n]).collect::<Vec<_>>();
        Statement::new(sql)
            .bind(self.claims.iter().map(|claim| claim.lane.0).collect::<Vec<_>>())?
            .bind(self.claims.iter().map(|claim| claim.epoch.0).collect::<Vec<_>>())?
            .bind((0..self.rows.len()).map(|place| place as i64).collect::<Vec<_>>())?
            .bind(self.rows.iter().map(|(key, ..)| key.0.as_slice()).collect::<Vec<_>>())?
            .bind(self.rows.iter().map(|(_, lane, ..)| lane.0).collect::<Vec<_>>())?
            .bind(count(0))?
            .bind(count(1))?
            .bind(count(2))?
            .bind(self.rows.iter().map(|(.., timeline)| *timeline).collect::<Vec<_>>())
    }

    /// Writes; answers the lanes refused and the places of rows of other lanes that were not changed.
    async fn write(
        &self,
        writer: &WriteConnection,
        statement: &Statement,
    ) -> Result<(Refused, Vec<usize>), LedgerError> {
        let (mut held, mut changed) = (BTreeSet::new(), BTreeSet::new());
        for row in writer.rows(statement).await? {
            match row.optional_int("n")? {
                None => drop(held.insert(row.lane()?)),
                Some(place) => drop(changed.insert(place_of(place)?)),
            }
        }
        let missed = |place: &usize| !changed.contains(place) && held.contains(&self.rows[*place].1);
        Ok((refused(self.claims, &held), (0..self.rows.len()).filter(missed).collect()))
    }

    /// A query about these rows.
    fn query(&self, sql: &'static str, places: &[usize]) -> Result<Statement, LedgerError> {
        Statement::new(sql)
            .bind(places.iter().map(|place| *place as i64).collect::<Vec<_>>())?
            .bind(places.iter().map(|place| self.rows[*place].0.0.as_slice()).collect::<Vec<_>>())?
            .bind(places.iter().map(|place| self.rows[*place].1.0).collect::<Vec<_>>())
    }

    /// Whether each of these rows stands as this very write would have left it.
    async fn all_stand(&self, writer: &WriteConnection, places: &[usize], query: Statement) -> Result<(), LedgerError> {
        let mut stand = BTreeSet::new();
        for row in writer.rows(&query).await? {
            stand.insert(place_of(row.int("n")?)?);
        }
        places.iter().find(|place| !stand.contains(place)).map_or(Ok(()), |place| Err(self.damaged(*place)))
    }

    fn damaged(&self, place: usize) -> LedgerError {
        let (key, lane, ..) = self.rows[place];
        LedgerError::Damaged(format!("row {key:?} of lane {} is not in a state that this write expects", lane.0))
    }
}
