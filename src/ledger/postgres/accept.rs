//! Acceptance: one statement that inserts what is new, a second one that reads what was not inserted.

use std::collections::HashMap;

use sqlx::postgres::PgRow;

use super::dead_letters::shown_anew;
use super::read;
use super::session::{Statement, WriteConnection};
use crate::domain::{Lane, PublishSeq};
use crate::ledger::batch::{Batch, Inserted};
use crate::ledger::codes::{headers_text, reason_names, topic_code};
use crate::ledger::decode::Columns;
use crate::ledger::{AcceptLane, Acceptance, LedgerError, NewRow, RowState};

/// `ins` decides which records are new; all else follows from it. The numbers must be known before `event` is written, as
/// one statement cannot change a row that it inserted: hence the decision in a table of its own. Rows wait for those of
/// other workers in `input` only, and go there sorted by key.
const INSERT: &str = concat!(
    "
WITH held AS MATERIALIZED (
    SELECT l.lane, l.epoch, c.position, c.first_seq, c.wanted
    FROM lane l
    JOIN unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])
        AS c(lane, epoch, position, first_seq, wanted) ON l.lane = c.lane AND l.epoch = c.epoch
    ORDER BY l.lane
    FOR NO KEY UPDATE OF l
), r AS MATERIALIZED (
    SELECT * FROM unnest($6::bigint[], $7::bytea[], $8::int[], $9::bigint[], $10::bigint[], $11::bytea[], $12::text[],
        $13::text[], $14::text[], $15::text[], $16::int[], $17::bool[], $18::smallint[], $19::text[], $20::text[],
        $21::bytea[])
        AS r(n, key, lane, record_offset, record_timestamp, payload_hash, source, id, customer_system, customer_id,
        generation, possibly_sent, state, reason_code, reason_stage, sealed)
), ins AS (
    INSERT INTO input (key, lane, record_offset, record_timestamp, payload_hash, source, id, customer_system, customer_id)
    SELECT r.key, r.lane, r.record_offset, r.record_timestamp, r.payload_hash, r.source, r.id, r.customer_system,
        r.customer_id
    FROM r JOIN held h ON h.lane = r.lane
    ORDER BY r.key
    ON CONFLICT (key) DO NOTHING
    RETURNING key
), news AS MATERIALIZED (
    SELECT r.*, h.epoch, CASE WHEN r.state > 2
        THEN h.first_seq - 1 + row_number() OVER (PARTITION BY r.lane, r.state > 2 ORDER BY r.n) END AS publish_seq
    FROM ins JOIN r ON r.key = ins.key JOIN held h ON h.lane = r.lane
), events AS (
    INSERT INTO event (key, lane, epoch, state, possibly_sent, generation, publish_seq, ended_at, reason_code, reason_stage)
    SELECT key, lane, epoch, state, possibly_sent, generation, publish_seq, CASE WHEN state > 2 THEN now() END,
        reason_code, reason_stage
    FROM news
), sealed AS (
    INSERT INTO sealed_record (key, lane, record_offset, kept, bytes)
    SELECT key, lane, record_offset, state = 5, sealed FROM news WHERE state IN (1, 5)
), outgoing AS (
    INSERT INTO outbox (lane, publish_seq, n, topic_role, key, value, headers)
    SELECT news.lane, news.publish_seq, o.place, o.topic_role, o.key, o.value, o.headers
    FROM unnest($22::bigint[], $23::smallint[], $24::smallint[], $25::bytea[], $26::bytea[], $27::text[])
        AS o(n, place, topic_role, key, value, headers)
    JOIN news ON news.n = o.n
), shown AS (
    INSERT INTO dead_letter (key, state, generation, accepted_at, lane, record_offset, record_timestamp, source, id,
        customer_system, customer_id, reason_code, reason_stage, convert_attempts, link_attempts, lookup_attempts,
        dead_lettered_at)
    SELECT key, 1, generation, now(), lane, record_offset, record_timestamp, source, id, customer_system, customer_id,
        reason_code, reason_stage, 0, 0, 0, now()
    FROM news WHERE state = 5 ",
    shown_anew!(),
    "
), moved AS (
    UPDATE lane l SET position = GREATEST(l.position, h.position)
    FROM held h
    WHERE l.lane = h.lane AND h.wanted = (SELECT count(*) FROM news WHERE news.lane = h.lane)
)
SELECT lane::bigint AS lane, NULL::bigint AS n, NULL::bigint AS publish_seq FROM held
UNION ALL
SELECT lane::bigint, n, publish_seq FROM news"
);

pub(super) async fn accept(
    writer: &WriteConnection,
    lanes: &[AcceptLane],
    rows: &[NewRow],
) -> Result<Acceptance, LedgerError> {
    let batch = Batch::new(lanes, rows)?;
    let inserted = inserted(&writer.rows(&insert(&batch)?).await?)?;
    let left = batch.left(&inserted);
    let standing = match left.is_empty() {
        true => HashMap::new(),
        false => read::standing(writer, left.iter().map(|place| &rows[*place])).await?,
    };
    batch.acceptance(&inserted, &standing)
}

fn insert(batch: &Batch<'_>) -> Result<Statement, LedgerError> {
    let wanted = |lane: Lane| i64::try_from(batch.wanted(lane)).unwrap_or(i64::MAX);
    let statement = Statement::new(INSERT)
        .bind(batch.lanes.iter().map(|one| one.claim.lane.0).collect::<Vec<_>>())?
        .bind(batch.lanes.iter().map(|one| one.claim.epoch.0).collect::<Vec<_>>())?
        .bind(batch.lanes.iter().map(|one| one.position).collect::<Vec<_>>())?
        .bind(batch.lanes.iter().map(|one| one.first_seq.0).collect::<Vec<_>>())?
        .bind(batch.lanes.iter().map(|one| wanted(one.claim.lane)).collect::<Vec<_>>())?;
    let places = batch.firsts();
    let statement = bind_rows(statement, batch.rows, &places)?;
    bind_outgoing(statement, batch.rows, &places)
}

fn bind_rows(statement: Statement, rows: &[NewRow], places: &[usize]) -> Result<Statement, LedgerError> {
    let rows = || places.iter().map(|place| &rows[*place]);
    let identities = || rows().map(|row| row.identity.as_ref());
    let customers = || rows().map(|row| row.customer.as_ref());
    let ends = || rows().map(|row| row.ended.as_ref());
    let reasons = || ends().map(|end| reason_names(end.map(|end| end.reason)));
    statement
        .bind(places.iter().map(|place| *place as i64).collect::<Vec<_>>())?
        .bind(rows().map(|row| row.key.0.as_slice()).collect::<Vec<_>>())?
        .bind(rows().map(|row| row.lane.0).collect::<Vec<_>>())?
        .bind(rows().map(|row| row.offset).collect::<Vec<_>>())?
        .bind(rows().map(|row| row.timestamp).collect::<Vec<_>>())?
        .bind(rows().map(|row| row.payload_hash.as_slice()).collect::<Vec<_>>())?
        .bind(identities().map(|one| one.map(|one| one.source.as_str())).collect::<Vec<_>>())?
        .bind(identities().map(|one| one.map(|one| one.id.as_str())).collect::<Vec<_>>())?
        .bind(customers().map(|one| one.map(|one| one.system.as_str())).collect::<Vec<_>>())?
        .bind(customers().map(|one| one.map(|one| one.id.as_str())).collect::<Vec<_>>())?
        .bind(rows().map(|row| row.generation).collect::<Vec<_>>())?
        .bind(rows().map(|row| row.possibly_sent).collect::<Vec<_>>())?
        .bind(ends().map(|end| end.map_or(RowState::Accepted, |end| end.state).code()).collect::<Vec<_>>())?
        .bind(reasons().map(|(code, _)| code).collect::<Vec<_>>())?
        .bind(reasons().map(|(_, stage)| stage).collect::<Vec<_>>())?
        .bind(rows().map(|row| row.sealed_record.as_slice()).collect::<Vec<_>>())
}

fn bind_outgoing(statement: Statement, rows: &[NewRow], places: &[usize]) -> Result<Statement, LedgerError> {
    let records = places.iter().flat_map(|place| rows[*place].ended.iter().map(move |end| (*place, &end.records[..])));
    OutgoingColumns::of(records).bind(statement)
}

/// Records for the outbox, column by column, each with the place of its row.
pub(super) struct OutgoingColumns<'a> {
    row: Vec<i64>,
    place: Vec<i16>,
    topic: Vec<i16>,
    key: Vec<Option<&'a [u8]>>,
    value: Vec<&'a [u8]>,
    headers: Vec<String>,
}

impl<'a> OutgoingColumns<'a> {
    pub fn of(rows: impl Iterator<Item = (usize, &'a [crate::contract::OutgoingRecord])>) -> Self {
        let mut columns =
            Self { row: vec![], place: vec![], topic: vec![], key: vec![], value: vec![], headers: vec![] };
        for (row, records) in rows {
            for (place, record) in (0..).zip(records) {
                columns.row.push(row as i64);
                columns.place.push(place);
                columns.topic.push(topic_code(record.topic));
                columns.key.push(record.key.as_deref());
                columns.value.push(&record.value);
                columns.headers.push(headers_text(&record.headers));
            }
        }
        columns
    }

    /// Adds the six columns.
    pub fn bind(self, statement: Statement) -> Result<Statement, LedgerError> {
        statement
            .bind(self.row)?
            .bind(self.place)?
            .bind(self.topic)?
            .bind(self.key)?
            .bind(self.value)?
            .bind(self.headers)
    }
}

fn inserted(answer: &[PgRow]) -> Result<Inserted, LedgerError> {
    let mut inserted = Inserted::default();
    for row in answer {
        match row.optional_int("n")? {
            None => drop(inserted.held.insert(row.lane()?)),
            Some(place) => {
                let number = row.optional_int("publish_seq")?.map(PublishSeq);
                inserted.numbers.insert(place_of(place)?, number);
            }
        }
    }
    Ok(inserted)
}

/// A place that we sent, as it came back.
pub(super) fn place_of(n: i64) -> Result<usize, LedgerError> {
    usize::try_from(n).map_err(|_| LedgerError::Damaged(format!("the database answered with row {n}")))
}
