//! The original record of a dead letter, and whether it can be had at all.

use crate::contract::decode::{Decoded, decode};
use crate::contract::{InputRecord, record_bytes};
use crate::domain::{Origin, Secret};
use crate::ledger::custody::{record_context, token_context};
use crate::ledger::{StoredRow, Vault};

/// What opens sealed rows: the keys, and the input topic, which is part of what was sealed.
pub struct Opener {
    /// The input topic that the ledger serves.
    pub topic: String,
    /// The keys.
    pub vault: Vault,
}

impl Opener {
    /// Whether a worker with these keys can take the row up. One that it cannot would stay begun for ever.
    pub(super) fn opens(&self, row: &StoredRow) -> bool {
        let Some(record) = record(&row.origin(&self.topic), row, &self.vault) else { return false };
        let is_rows_own = match decode(&record) {
            Decoded::Created(created) => created.identity.key() == row.key,
            // It ends again at once.
            Decoded::Unusable(_) => true,
        };
        let token_opens = |blob: &Vec<u8>| self.vault.open(&token_context(row.key), blob).is_ok();
        is_rows_own && row.sealed_token.as_ref().is_none_or(token_opens)
    }
}

/// The record, if it opens under the vault's keys.
pub(super) fn record(origin: &Origin, row: &StoredRow, vault: &Vault) -> Option<InputRecord> {
    let bytes = vault.open(&record_context(origin), &row.sealed_record).ok()?;
    let parts = record_bytes::decode(&bytes)?;
    let value = parts.value.map(|value| Secret::new(value.to_vec()));
    Some(InputRecord { origin: origin.clone(), key: parts.key, value, headers: parts.headers })
}
