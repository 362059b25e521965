//! The original of a dead letter, out of its event.

use serde_json::Value;

use super::{Index, Letter, letter};
use crate::contract::decode::{Decoded, decode};
use crate::contract::record_bytes::RecordParts;
use crate::contract::side_headers::Replayed;
use crate::contract::{InputRecord, record_bytes};
use crate::domain::{EventIdentity, Origin, Secret};
use crate::ledger::Vault;
use crate::ledger::custody::record_context;

/// A record to publish once more.
pub struct Original {
    /// What its producer sent.
    pub parts: RecordParts,
    /// What is put behind its headers.
    pub replayed: Replayed,
}

/// The original of `wanted` as the event that holds it has it; `None` if that is not its event, or it is not the record that the
/// event tells of. The generation is the one after the dead letter's.
#[must_use]
pub fn original(event: &Value, wanted: &Letter, index: &Index, vault: &Vault) -> Option<Original> {
    let origin = index.origin(&wanted.letter);
    let read = letter::read(event, &origin.topic, vault).ok().filter(|read| read.origin == origin)?;
    let bytes = vault.open(&record_context(&origin), &read.sealed?).ok()?;
    let parts = record_bytes::decode(&bytes)?;
    let is_its_own = is_of(wanted.letter.identity.as_ref(), &origin, &parts);
    let generation = wanted.letter.generation.checked_add(1)?;
    is_its_own.then_some(Original { parts, replayed: Replayed { generation, origin } })
}

/// Whether a record may be that of the event of which its dead letter tells.
pub(super) fn is_of(told: Option<&EventIdentity>, origin: &Origin, parts: &RecordParts) -> bool {
    let record = InputRecord {
        origin: origin.clone(),
        key: parts.key.clone(),
        value: parts.value.as_ref().map(|value| Secret::new(value.to_vec())),
        headers: parts.headers.clone(),
    };
    let read = match decode(&record) {
        Decoded::Created(created) => Some(created.identity),
        Decoded::Unusable(unusable) => unusable.identity,
    };
    // Another build may have read no identity where this one reads one, and the other way round.
    told.zip(read.as_ref()).is_none_or(|(told, read)| told == read)
}
