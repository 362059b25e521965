//! From database rows to ours; the same for both ledgers, whose statements give the columns the same names and widths
//! (every integer as 64 bits).

use std::collections::BTreeMap;

use sqlx::{ColumnIndex, Decode, Row, Type};

use super::codes::{attempts_of_counts, headers_of_text, system_of_name, topic_of_code};
use super::custody::{SealedBlob, SealedCount};
use super::replacing;
use super::{Claim, EventSummary, LedgerError, Note, NoteKind, RowState, StoredRow, Unpublished};
use crate::contract::OutgoingRecord;
use crate::domain::{Customer, Epoch, EventIdentity, EventKey, Lane, PublishSeq};

/// A database row whose columns can be read by name as the few types that we use.
pub(super) trait Columns {
    fn int(&self, name: &'static str) -> Result<i64, LedgerError>;
    fn optional_int(&self, name: &'static str) -> Result<Option<i64>, LedgerError>;
    fn flag(&self, name: &'static str) -> Result<bool, LedgerError>;
    fn optional_number(&self, name: &'static str) -> Result<Option<f64>, LedgerError>;
    fn optional_bytes(&self, name: &'static str) -> Result<Option<Vec<u8>>, LedgerError>;
    fn optional_text(&self, name: &'static str) -> Result<Option<String>, LedgerError>;

    fn bytes(&self, name: &'static str) -> Result<Vec<u8>, LedgerError> {
        self.optional_bytes(name)?.ok_or_else(|| missing(name))
    }

    fn text(&self, name: &'static str) -> Result<String, LedgerError> {
        self.optional_text(name)?.ok_or_else(|| missing(name))
    }

    fn key(&self, name: &'static str) -> Result<EventKey, LedgerError> {
        let bytes = self.bytes(name)?;
        bytes.try_into().map(EventKey).map_err(|_| LedgerError::Damaged(format!("{name} is not of 16 bytes")))
    }

    fn small(&self, name: &'static str) -> Result<i32, LedgerError> {
        i32::try_from(self.int(name)?).map_err(|_| LedgerError::Damaged(format!("{name} is out of range")))
    }

    fn lane(&self) -> Result<Lane, LedgerError> {
        self.small("lane").map(Lane)
    }

    fn claim(&self) -> Result<Claim, LedgerError> {
        Ok(Claim { lane: self.lane()?, epoch: Epoch(self.int("epoch")?) })
    }
}

impl<R> Columns for R
where
    R: Row,
    &'static str: ColumnIndex<R>,
    i64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    f64: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    bool: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: for<'r> Decode<'r, R::Database> + Type<R::Database>,
    String: for<'r> Decode<'r, R::Database> + Type<R::Database>,
{
    fn int(&self, name: &'static str) -> Result<i64, LedgerError> {
        self.try_get(name).map_err(|error| unreadable(&error))
    }

    fn optional_int(&self, name: &'static str) -> Result<Option<i64>, LedgerError> {
        self.try_get(name).map_err(|error| unreadable(&error))
    }

    fn flag(&self, name: &'static str) -> Result<bool, LedgerError> {
        self.try_get(name).map_err(|error| unreadable(&error))
    }

    fn optional_number(&self, name: &'static str) -> Result<Option<f64>, LedgerError> {
        self.try_get(name).map_err(|error| unreadable(&error))
    }

    fn optional_bytes(&self, name: &'static str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.try_get(name).map_err(|error| unreadable(&error))
    }

    fn optional_text(&self, name: &'static str) -> Result<Option<String>, LedgerError> {
        self.try_get(name).map_err(|error| unreadable(&error))
    }
}

fn unreadable(error: &sqlx::Error) -> LedgerError {
    LedgerError::Damaged(error.to_string())
}

fn missing(name: &str) -> LedgerError {
    LedgerError::Damaged(format!("{name} is missing"))
}

/// A row of `input`, `event` and, where they still are, its sealed bytes.
pub(super) fn stored_row(row: &impl Columns) -> Result<StoredRow, LedgerError> {
    let state = RowState::of_code(row.int("state")?)?;
    // A reopened row keeps the number of its last end; that is nobody's business until it ends again.
    let publish_seq = row.optional_int("publish_seq")?.filter(|_| !state.is_unfinished()).map(PublishSeq);
    Ok(StoredRow {
        key: row.key("key")?,
        lane: row.lane()?,
        partition: row.small("record_partition")?,
        epoch: Epoch(row.int("epoch")?),
        offset: row.int("record_offset")?,
        timestamp: row.int("record_timestamp")?,
        state,
        generation: row.small("generation")?,
        attempts: attempts(row)?,
        due_in_ms: row.int("due_in_ms")?,
        spent_ms: row.int("spent_ms")?,
        starts: row.small("starts")?,
        first_failed_at: row.optional_int("first_failed_at")?,
        possibly_sent: row.flag("possibly_sent")?,
        publish_seq,
        topic: row.optional_text("topic")?,
        sealed_record: row.optional_bytes("sealed_record")?.unwrap_or_default(),
        sealed_token: row.optional_bytes("sealed_token")?,
        account: row.optional_text("account")?,
        replaced_markers: replacing::markers_of_text(row.optional_text("replaced_markers")?),
        overtaken: false,
    })
}

/// How much one key has sealed.
pub(super) fn sealed_count(row: &impl Columns) -> Result<SealedCount, LedgerError> {
    let count = |name| row.int(name).map(i64::unsigned_abs);
    Ok(SealedCount {
        key_id: String::from_utf8_lossy(&row.bytes("key_id")?).into_owned(),
        records: count("records")?,
        tokens: count("tokens")?,
        dead_letters: count("dead_letters")?,
        hash_key: row.flag("hash_key")?,
    })
}

/// Sealed bytes with their origin.
pub(super) fn sealed_blob(row: &impl Columns) -> Result<SealedBlob, LedgerError> {
    Ok(SealedBlob {
        key: row.key("key")?,
        lane: row.lane()?,
        offset: row.int("record_offset")?,
        timestamp: row.int("record_timestamp")?,
        topic: row.optional_text("topic")?,
        bytes: row.bytes("bytes")?,
    })
}

/// A row of `note`, with its event's lane.
pub(super) fn note(row: &impl Columns) -> Result<Note, LedgerError> {
    let kind = NoteKind::of_code(row.int("kind")?)?;
    Ok(Note { number: row.int("number")?, lane: row.lane()?, key: row.key("key")?, kind })
}

/// A row of `input` and `event`, for people.
pub(super) fn summary(row: &impl Columns) -> Result<EventSummary, LedgerError> {
    Ok(EventSummary {
        identity: EventIdentity { source: row.text("source")?, id: row.text("id")? },
        key: row.key("key")?,
        state: RowState::of_code(row.int("state")?)?,
        generation: row.small("generation")?,
        attempts: attempts(row)?,
        customer: customer(row)?,
        accepted_at: row.int("accepted_at")?,
        ended_at: row.optional_int("ended_at")?,
        reason: row.optional_text("reason_code")?,
        timeline: row.optional_text("timeline")?.unwrap_or_default(),
    })
}

/// The customer's two columns.
pub(super) fn customer(row: &impl Columns) -> Result<Option<Customer>, LedgerError> {
    match (row.optional_text("customer_system")?, row.optional_text("customer_id")?) {
        (Some(system), Some(id)) => Ok(Some(Customer { system: system_of_name(&system)?, id })),
        _ => Ok(None),
    }
}

/// The identity's two columns, where a record has one.
pub(super) fn optional_identity(row: &impl Columns) -> Result<Option<EventIdentity>, LedgerError> {
    let columns = row.optional_text("source")?.zip(row.optional_text("id")?);
    Ok(columns.map(|(source, id)| EventIdentity { source, id }))
}

/// The calls' three columns.
pub(super) fn attempts(row: &impl Columns) -> Result<crate::domain::Attempts, LedgerError> {
    attempts_of_counts(row.int("convert_attempts")?, row.int("link_attempts")?, row.int("lookup_attempts")?)
}

/// Outbox rows, sorted by lane, number and place, as one item per number.
pub(super) fn unpublished(rows: &[impl Columns]) -> Result<Vec<Unpublished>, LedgerError> {
    let mut items = BTreeMap::<(Lane, PublishSeq), Vec<OutgoingRecord>>::new();
    for row in rows {
        let number = (row.lane()?, PublishSeq(row.int("publish_seq")?));
        items.entry(number).or_default().push(outgoing(row)?);
    }
    Ok(items.into_iter().map(|((lane, publish_seq), records)| Unpublished { lane, publish_seq, records }).collect())
}

fn outgoing(row: &impl Columns) -> Result<OutgoingRecord, LedgerError> {
    Ok(OutgoingRecord {
        topic: topic_of_code(row.int("topic_role")?)?,
        key: row.optional_bytes("key")?,
        value: row.bytes("value")?,
        headers: headers_of_text(&row.text("headers")?)?,
    })
}
