//! The dead letter: the record for people and tools of what could not be finished. Replay happens in the ledger.
//!
//! Everything readable in it is bounded and free of secrets; the original record is in it only sealed.

use data_encoding::BASE64;
use serde_json::{Value, json};
use uuid::Uuid;

use super::cloud_event::time;
use super::decode::shown_key;
use super::results::{DeadLetterParts, OutputMode, Subject, bounded, insert_some};
use super::{DEAD_LETTER, OutgoingRecord, TopicRole};
use crate::domain::{Attempts, Origin, Reason};

/// Why a dead letter has no original, as its `sealedOmitted` says it.
const TOO_LARGE: &str = "too_large";

/// The `DeadLetter` of an input.
#[must_use]
pub fn dead_letter(
    subject: &Subject<'_>,
    reason: &Reason,
    parts: &DeadLetterParts<'_>,
    mode: OutputMode,
) -> OutgoingRecord {
    // The result's key is the customer's id, wherever there is one.
    let customer_id = subject.key.and_then(|key| std::str::from_utf8(key).ok());
    let key = shown_key(parts.record_key, customer_id);
    let mut data = subject.members("deadLetteredAt");
    data.insert("origin".to_owned(), origin(subject.origin, key));
    data.insert("reason".to_owned(), bounded(reason));
    data.insert("firstFailedAt".to_owned(), json!(time(parts.first_failed_at)));
    insert_some(&mut data, "sealed", parts.sealed.as_ref().map(|sealed| sealed.base64));
    insert_some(&mut data, "keyId", parts.sealed.as_ref().map(|sealed| sealed.key_id));
    insert_some(&mut data, "sealedOmitted", parts.sealed.is_none().then_some(TOO_LARGE));
    let mut event = subject.event(DEAD_LETTER, data);
    event.id = dead_letter_id(event.id);
    let mut record = event.into_record(TopicRole::DeadLetter, key, mode);
    record.headers.extend(tool_headers(subject, reason));
    record
}

/// The same dead letter without its original, for a topic that does not take it whole: as [`dead_letter`] makes it where the limit
/// is known. `None` for any other record, and for one that has no original any more.
#[must_use]
pub fn without_original(record: &OutgoingRecord) -> Option<OutgoingRecord> {
    if record.topic != TopicRole::DeadLetter {
        return None;
    }
    let mut value: Value = serde_json::from_slice(&record.value).ok()?;
    // In structured mode the value is the event, in binary mode it is the event's data.
    let is_event = value.get("specversion").is_some();
    let data = if is_event { value.get_mut("data")? } else { &mut value }.as_object_mut()?;
    data.remove("sealed")?;
    data.remove("keyId");
    data.insert("sealedOmitted".to_owned(), json!(TOO_LARGE));
    let value = serde_json::to_vec(&value).ok()?;
    Some(OutgoingRecord { value, ..record.clone() })
}

/// Must never change. Differs from the id of the rejection beside it, and is as deterministic: UUIDv5 in the namespace
/// that is the rejection's id.
fn dead_letter_id(rejection: Uuid) -> Uuid {
    Uuid::new_v5(&rejection, b"dead-letter")
}

fn origin(origin: &Origin, key: Option<&[u8]>) -> Value {
    let mut shown = json!(origin);
    let (name, text) = match key.map(|key| (key, std::str::from_utf8(key))) {
        None => return shown,
        Some((_, Ok(text))) => ("key", text.to_owned()),
        Some((bytes, Err(_))) => ("keyBase64", BASE64.encode(bytes)),
    };
    shown[name] = json!(text);
    shown
}

/// What generic tools look for: decimal text under `dlq-`, and the names and binary forms of Spring's
/// `DeadLetterPublishingRecoverer` (partition: 4 bytes, offset and timestamp: 8 bytes, big-endian).
fn tool_headers(subject: &Subject<'_>, reason: &Reason) -> Vec<(String, Vec<u8>)> {
    let Origin { topic, partition, offset, timestamp } = subject.origin;
    let Attempts { convert, link, lookup } = subject.attempts;
    let attempts = u64::from(convert) + u64::from(link) + u64::from(lookup);
    let headers: [(&str, Vec<u8>); 12] = [
        ("dlq-original-topic", topic.clone().into_bytes()),
        ("dlq-original-partition", partition.to_string().into_bytes()),
        ("dlq-original-offset", offset.to_string().into_bytes()),
        ("dlq-original-timestamp", timestamp.to_string().into_bytes()),
        ("dlq-reason-code", reason.code.as_str().into()),
        ("dlq-reason-stage", reason.stage.as_str().into()),
        ("dlq-attempts", attempts.to_string().into_bytes()),
        ("dlq-generation", subject.generation.to_string().into_bytes()),
        ("kafka_dlt-original-topic", topic.clone().into_bytes()),
        ("kafka_dlt-original-partition", partition.to_be_bytes().to_vec()),
        ("kafka_dlt-original-offset", offset.to_be_bytes().to_vec()),
        ("kafka_dlt-original-timestamp", timestamp.to_be_bytes().to_vec()),
    ];
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
