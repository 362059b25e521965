//! One `DeadLetter` event, read back.

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::Value;

use super::{Fault, original};
use crate::contract::side_headers::MAX_GENERATION;
use crate::contract::{DEAD_LETTER, record_bytes, schemas};
use crate::domain::{Attempts, Customer, EventIdentity, EventKey, Lane, Origin};
use crate::ledger::custody::record_context;
use crate::ledger::vault::VaultError;
use crate::ledger::{DeadLetter, LetterState, Vault};

/// What a replay needs of the event's data; that the rest is as documented the schema has checked.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    origin: Origin,
    created: Option<EventIdentity>,
    customer: Option<Customer>,
    reason: ReasonName,
    attempts: Attempts,
    dead_lettered_at: String,
    generation: i64,
    sealed: Option<String>,
}

#[derive(Deserialize)]
struct ReasonName {
    code: String,
    stage: String,
}

/// A dead letter and what may be wrong with its original.
pub(super) struct Read {
    pub letter: DeadLetter,
    pub origin: Origin,
    pub fault: Option<Fault>,
    /// The sealed original, if it opens.
    pub sealed: Option<Vec<u8>>,
}

/// Reads an event. `topic` is the input topic, which is part of what was sealed.
pub(super) fn read(event: &Value, topic: &str, vault: &Vault) -> Result<Read, Fault> {
    if event.get("type").and_then(Value::as_str) != Some(DEAD_LETTER) {
        return Err(Fault::NotADeadLetter);
    }
    let data = data(event).ok_or(Fault::Invalid)?;
    if data.origin.topic != topic {
        return Err(Fault::AnotherTopic);
    }
    // It takes no earlier one's place: that one may be replayed.
    let is_last = |generation: &i32| *generation >= MAX_GENERATION;
    let generation = i32::try_from(data.generation).ok().filter(|generation| !is_last(generation));
    let generation = generation.ok_or(Fault::LastGeneration)?;
    let (fault, sealed) = match opened(&data, vault) {
        Ok(sealed) => (None, Some(sealed)),
        Err(fault) => (Some(fault), None),
    };
    let letter = letter(&data, generation).ok_or(Fault::Invalid)?;
    Ok(Read { letter, origin: data.origin, fault, sealed })
}

fn data(event: &Value) -> Option<Data> {
    if !schemas::violations(DEAD_LETTER, event).is_empty() {
        return None;
    }
    // Numbers that no record can have are the schema's only gap.
    Data::deserialize(event.get("data")?).ok()
}

fn opened(data: &Data, vault: &Vault) -> Result<Vec<u8>, Fault> {
    let sealed = data.sealed.as_ref().ok_or(Fault::TooLarge)?;
    let sealed = BASE64.decode(sealed.as_bytes()).map_err(|_| Fault::DoesNotOpen)?;
    let bytes = vault.open(&record_context(&data.origin), &sealed).map_err(|error| match error {
        VaultError::UnknownKey(_) => Fault::UnknownKey,
        VaultError::DoesNotOpen | VaultError::Malformed => Fault::DoesNotOpen,
    })?;
    let parts = record_bytes::decode(&bytes).ok_or(Fault::DoesNotOpen)?;
    let is_its_own = original::is_of(data.created.as_ref(), &data.origin, &parts);
    is_its_own.then_some(sealed).ok_or(Fault::AnotherEvent)
}

fn letter(data: &Data, generation: i32) -> Option<DeadLetter> {
    let dead_lettered_at: jiff::Timestamp = data.dead_lettered_at.parse().ok()?;
    Some(DeadLetter {
        key: key(data.created.as_ref(), &data.origin),
        state: LetterState::DeadLettered,
        generation,
        identity: data.created.clone(),
        lane: Lane(data.origin.partition),
        offset: data.origin.offset,
        timestamp: data.origin.timestamp,
        topic: Some(data.origin.topic.clone()),
        customer: data.customer.clone(),
        reason: data.reason.code.clone(),
        stage: data.reason.stage.clone(),
        attempts: data.attempts,
        dead_lettered_at: dead_lettered_at.as_millisecond(),
        accepted_at: data.origin.timestamp,
    })
}

/// What tells two dead letters of one input from those of two. Of this index only: a ledger's key of a record without an identity
/// is made with that ledger's own secret.
fn key(created: Option<&EventIdentity>, origin: &Origin) -> EventKey {
    created.map_or_else(|| EventKey(origin.result_id(1).into_bytes()), EventIdentity::key)
}
