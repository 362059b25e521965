//! Acceptance: row by row, in the order given, in one transaction.

use std::collections::{BTreeMap, HashMap};

use super::read;
use super::session::{File, Work};
use crate::contract::OutgoingRecord;
use crate::domain::{EventKey, Lane, PublishSeq};
use crate::ledger::batch::{Batch, Inserted, Standing};
use crate::ledger::codes::{headers_text, reason_names, topic_code};
use crate::ledger::{AcceptLane, Acceptance, EndedAtOnce, LedgerError, NewRow, RowState};

const INPUT: &str = "
INSERT INTO input (key, lane, record_offset, record_timestamp, payload_hash, source, id, customer_system, customer_id)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING";
const EVENT: &str = "
INSERT INTO event (key, lane, epoch, state, possibly_sent, generation, publish_seq, reason_code, reason_stage, ended_at)
VALUES (?1, ?2, (SELECT epoch FROM lane WHERE lane = ?2), ?3, ?4, ?5, ?6, ?7, ?8,
    CASE WHEN ?6 IS NOT NULL THEN CAST(unixepoch('subsec') * 1000 AS INTEGER) END)";
const SEALED: &str = "INSERT INTO sealed_record (key, lane, record_offset, kept, bytes) VALUES (?, ?, ?, ?, ?)";
const OUTGOING: &str = "
INSERT INTO outbox (lane, publish_seq, n, topic_role, key, value, headers) VALUES (?, ?, ?, ?, ?, ?, ?)";
/// An ended row becomes a line of the dead letters.
pub(super) const SHOW: &str = "
INSERT OR REPLACE INTO dead_letter (key, state, generation, accepted_at, lane, record_offset, record_timestamp, source, id,
    customer_system, customer_id, reason_code, reason_stage, convert_attempts, link_attempts, lookup_attempts,
    dead_lettered_at)
SELECT e.key, 1, e.generation, i.accepted_at, i.lane, i.record_offset, i.record_timestamp, i.source, i.id,
    i.customer_system, i.customer_id, e.reason_code, e.reason_stage, e.convert_attempts, e.link_attempts,
    e.lookup_attempts, e.ended_at
FROM event e JOIN input i ON i.key = e.key WHERE e.key = ?";
const POSITION: &str = "UPDATE lane SET position = MAX(COALESCE(position, ?2), ?2) WHERE lane = ?1";

pub(super) async fn accept(file: &File, lanes: &[AcceptLane], rows: &[NewRow]) -> Result<Acceptance, LedgerError> {
    let batch = Batch::new(lanes, rows)?;
    let mut work = file.write().await?;
    let inserted = insert(&mut work, &batch).await?;
    for lane in lanes.iter().filter(|lane| inserted.held.contains(&lane.claim.lane)) {
        if inserted_of(&batch, &inserted, lane.claim.lane) == batch.wanted(lane.claim.lane) {
            work.run(sqlx::query(POSITION).bind(lane.claim.lane.0).bind(lane.position)).await?;
        }
    }
    let standing = standing(&mut work, &batch, &inserted).await?;
    work.commit().await?;
    batch.acceptance(&inserted, &standing)
}

fn inserted_of(batch: &Batch<'_>, inserted: &Inserted, lane: Lane) -> usize {
    inserted.numbers.keys().filter(|place| batch.rows[**place].lane == lane).count()
}

async fn insert(work: &mut Work<'_>, batch: &Batch<'_>) -> Result<Inserted, LedgerError> {
    let held = work.held(batch.lanes.iter().map(|lane| lane.claim)).await?;
    let mut next: BTreeMap<_, _> = batch.lanes.iter().map(|lane| (lane.claim.lane, lane.first_seq)).collect();
    let mut numbers = BTreeMap::new();
    for (place, row) in batch.rows.iter().enumerate().filter(|(_, row)| held.contains(&row.lane)) {
        if !insert_input(work, row).await? {
            continue;
        }
        let number = match (&row.ended, next.get_mut(&row.lane)) {
            (Some(_), Some(next)) => Some(std::mem::replace(next, PublishSeq(next.0 + 1))),
            _ => None,
        };
        insert_event(work, row, number).await?;
        numbers.insert(place, number);
    }
    Ok(Inserted { held, numbers })
}

/// Whether the row is new.
async fn insert_input(work: &mut Work<'_>, row: &NewRow) -> Result<bool, LedgerError> {
    let (identity, customer) = (row.identity.as_ref(), row.customer.as_ref());
    let query = sqlx::query(INPUT)
        .bind(row.key.0.as_slice())
        .bind(row.lane.0)
        .bind(row.offset)
        .bind(row.timestamp)
        .bind(row.payload_hash.as_slice())
        .bind(identity.map(|one| one.source.as_str()))
        .bind(identity.map(|one| one.id.as_str()))
        .bind(customer.map(|one| one.system.as_str()))
        .bind(customer.map(|one| one.id.as_str()));
    Ok(work.run(query).await? == 1)
}

async fn insert_event(work: &mut Work<'_>, row: &NewRow, number: Option<PublishSeq>) -> Result<(), LedgerError> {
    let ended = row.ended.as_ref();
    let state = ended.map_or(RowState::Accepted, |end| end.state);
    let (code, stage) = reason_names(ended.map(|end| end.reason));
    let query = sqlx::query(EVENT)
        .bind(row.key.0.as_slice())
        .bind(row.lane.0)
        .bind(state.code())
        .bind(row.possibly_sent)
        .bind(row.generation)
        .bind(number.map(|number| number.0))
        .bind(code)
        .bind(stage);
    work.run(query).await?;
    if state.is_unfinished() || state == RowState::DeadLettered {
        insert_sealed(work, row, state == RowState::DeadLettered).await?;
    }
    if state == RowState::DeadLettered {
        work.run(sqlx::query(SHOW).bind(row.key.0.as_slice())).await?;
    }
    match (ended, number) {
        (Some(EndedAtOnce { records, .. }), Some(number)) => insert_outgoing(work, row.lane, number, records).await,
        _ => Ok(()),
    }
}

async fn insert_sealed(work: &mut Work<'_>, row: &NewRow, kept: bool) -> Result<(), LedgerError> {
    let query = sqlx::query(SEALED).bind(row.key.0.as_slice()).bind(row.lane.0).bind(row.offset).bind(kept);
    work.run(query.bind(row.sealed_record.as_slice())).await.map(drop)
}

/// Puts an ended row's records into the outbox.
pub(super) async fn insert_outgoing(
    work: &mut Work<'_>,
    lane: Lane,
    number: PublishSeq,
    records: &[OutgoingRecord],
) -> Result<(), LedgerError> {
    for (place, record) in (0_i64..).zip(records) {
        let query = sqlx::query(OUTGOING)
            .bind(lane.0)
            .bind(number.0)
            .bind(place)
            .bind(topic_code(record.topic))
            .bind(record.key.as_deref())
            .bind(record.value.as_slice())
            .bind(headers_text(&record.headers));
        work.run(query).await?;
    }
    Ok(())
}

async fn standing(
    work: &mut Work<'_>,
    batch: &Batch<'_>,
    inserted: &Inserted,
) -> Result<HashMap<EventKey, Standing>, LedgerError> {
    let mut standing = HashMap::new();
    for place in batch.left(inserted) {
        let key = batch.rows[place].key;
        if let Some(there) = read::standing(work, key).await? {
            standing.insert(key, there);
        }
    }
    Ok(standing)
}
