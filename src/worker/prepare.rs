//! From records to ledger rows, and from ledger rows back to events. Pure but for the vault's random nonces and the clock.

use std::sync::Arc;

use zeroize::Zeroizing;

use super::event::Event;
use super::outcome;
use crate::clock::Clock;
use crate::config::Topics;
use crate::contract::decode::{Created, Decoded, Unusable, decode};
use crate::contract::results::OutputMode;
use crate::contract::{InputRecord, Token, record_bytes};
use crate::domain::machine::Flow;
use crate::domain::{Disposition, EventIdentity, Lane, Origin, Reason, ReasonCode, Secret, Stage};
use crate::ledger::vault::VaultError;
use crate::ledger::{Claim, EndedAtOnce, HashKey, NewRow, RowState, StoredRow, Vault};

/// Everything that turns bytes into rows and back.
pub(super) struct Preparer {
    pub vault: Arc<Vault>,
    pub hash_key: HashKey,
    pub mode: OutputMode,
    pub topics: Topics,
    pub clock: Arc<dyn Clock>,
}

/// A record ready to be accepted.
pub(super) struct Draft {
    pub row: NewRow,
    pub record: InputRecord,
    /// A valid event; its claim is its lane's.
    pub event: Option<Box<Created>>,
}

/// Why a stored row cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReviveError {
    #[error("{topic}/{partition}/{offset} cannot be unsealed: {source}")]
    Sealed {
        topic: String,
        partition: i32,
        offset: i64,
        #[source]
        source: VaultError,
    },
    #[error("{topic}/{partition}/{offset} does not hold the event it was accepted as")]
    Damaged { topic: String, partition: i32, offset: i64 },
}

impl Preparer {
    /// Reads a record and makes its row.
    pub fn draft(&self, record: InputRecord) -> Draft {
        match decode(&record) {
            Decoded::Created(created) => {
                let row = self.row(&record, Some(created.identity.clone()), &created.payload, |row| {
                    row.customer = Some(created.profile.customer.clone());
                });
                Draft { row, record, event: Some(created) }
            }
            Decoded::Unusable(unusable) => self.ended_draft(record, &unusable),
        }
    }

    fn ended_draft(&self, record: InputRecord, unusable: &Unusable) -> Draft {
        let bytes = record_bytes_of(&record);
        let payload = unusable.payload.as_ref().unwrap_or(&bytes);
        let mut row = self.row(&record, unusable.identity.clone(), payload, |row| {
            row.customer.clone_from(&unusable.customer);
        });
        row.ended = Some(self.ended(&record, &row, unusable));
        Draft { row, record, event: None }
    }

    /// The row of a record whose identity is already taken by another payload: of its own identity, ended at once.
    pub fn conflict(&self, draft: &Draft) -> NewRow {
        let bytes = record_bytes_of(&draft.record);
        let mut row = self.row(&draft.record, None, &bytes, |row| row.customer.clone_from(&draft.row.customer));
        let detail = "an event with this source and id but another payload was accepted before";
        let unusable = Unusable {
            identity: None,
            context: draft.event.as_ref().map(|event| event.context.clone()).unwrap_or_default(),
            payload: None,
            customer: draft.row.customer.clone(),
            result_key: draft.row.customer.as_ref().map(|customer| customer.id.clone()),
            reason: Reason::new(ReasonCode::EventIdConflict, Stage::Validate, detail),
        };
        row.ended = Some(self.ended_as(&draft.record, &row, &unusable, draft.row.identity.as_ref()));
        row
    }

    fn ended(&self, record: &InputRecord, row: &NewRow, unusable: &Unusable) -> EndedAtOnce {
        self.ended_as(record, row, unusable, unusable.identity.as_ref())
    }

    fn ended_as(
        &self,
        record: &InputRecord,
        row: &NewRow,
        unusable: &Unusable,
        created: Option<&EventIdentity>,
    ) -> EndedAtOnce {
        let records = outcome::rejected_at_once(self, record, row, unusable, created);
        let state = match unusable.reason.code.disposition() {
            Disposition::Final => RowState::Rejected,
            Disposition::DeadLettered => RowState::DeadLettered,
        };
        EndedAtOnce { state, reason: (unusable.reason.code, unusable.reason.stage), records }
    }

    fn row(
        &self,
        record: &InputRecord,
        identity: Option<EventIdentity>,
        payload: &[u8],
        more: impl FnOnce(&mut NewRow),
    ) -> NewRow {
        let origin = &record.origin;
        let bytes = record_bytes_of(record);
        let key = match &identity {
            Some(identity) => identity.key(),
            None => self.hash_key.unreadable_key(origin, &bytes),
        };
        let mut row = NewRow {
            key,
            lane: Lane(origin.partition),
            offset: origin.offset,
            timestamp: origin.timestamp,
            identity,
            customer: None,
            payload_hash: self.hash_key.payload_hash(payload),
            generation: 1,
            sealed_record: self.vault.seal(&record_context(origin), &bytes),
            possibly_sent: false,
            ended: None,
        };
        more(&mut row);
        row
    }

    /// The event of a draft that the ledger accepted.
    pub fn event(&self, claim: Claim, draft: Draft) -> Option<Event> {
        let created = *draft.event?;
        let flow = Flow::accepted(crate::domain::Attempts::default(), std::time::Duration::ZERO);
        Some(new_event(claim, draft.row.generation, draft.record, created, draft.row.sealed_record, flow))
    }

    /// The event of an unfinished row.
    pub fn revive(&self, claim: Claim, row: StoredRow) -> Result<Event, ReviveError> {
        let origin = Origin {
            topic: self.topics.created.clone(),
            partition: row.lane.0,
            offset: row.offset,
            timestamp: row.timestamp,
        };
        let sealed = |source| ReviveError::Sealed {
            topic: origin.topic.clone(),
            partition: origin.partition,
            offset: origin.offset,
            source,
        };
        let damaged =
            || ReviveError::Damaged { topic: origin.topic.clone(), partition: origin.partition, offset: origin.offset };
        let bytes = self.vault.open(&record_context(&origin), &row.sealed_record).map_err(sealed)?;
        let parts = record_bytes::decode(&bytes).ok_or_else(damaged)?;
        let record = InputRecord {
            origin: origin.clone(),
            key: parts.key,
            value: parts.value.map(|value| Secret::new(value.to_vec())),
            headers: parts.headers,
        };
        let Decoded::Created(created) = decode(&record) else { return Err(damaged()) };
        // The blob's own identity must be the row's: sealed bytes moved to another row do not pass.
        if created.identity.key() != row.key {
            return Err(damaged());
        }
        let token = match &row.sealed_token {
            Some(blob) => Some(self.vault.open(&token_context(row.key), blob).map_err(sealed)?),
            None => None,
        };
        let account = row.account.as_deref().and_then(|text| serde_json::from_str(text).ok());
        Ok(revived(claim, row, record, *created, token, account))
    }
}

fn revived(
    claim: Claim,
    row: StoredRow,
    record: InputRecord,
    created: Created,
    token: Option<Zeroizing<Vec<u8>>>,
    account: Option<crate::contract::Account>,
) -> Event {
    let spent = std::time::Duration::from_millis(u64::try_from(row.spent_ms).unwrap_or(0));
    let flow = match token {
        Some(_) => Flow::converted(row.attempts, spent),
        None => Flow::accepted(row.attempts, spent),
    };
    let mut event = new_event(claim, row.generation, record, created, row.sealed_record, flow);
    event.resumed = true;
    event.first_failed_at = row.first_failed_at;
    if let Some(token) = token {
        event.token = Some(Secret::new(token.to_vec()));
        event.account = account.or(event.account);
    }
    event
}

fn new_event(
    claim: Claim,
    generation: i32,
    record: InputRecord,
    created: Created,
    sealed_record: Vec<u8>,
    flow: Flow,
) -> Event {
    let identity = created.identity;
    let token = match &created.profile.token {
        Token::Permanent(token) => Some(token.clone()),
        Token::Temporary(_) => None,
    };
    Event {
        key: identity.key(),
        claim,
        origin: record.origin,
        generation,
        identity,
        context: created.context,
        account: created.profile.account.clone(),
        profile: Arc::new(created.profile),
        record_key: record.key,
        sealed_record: sealed_record.into(),
        flow,
        token,
        resumed: false,
        first_failed_at: None,
        pending: None,
        awaits_turn: false,
        in_window: false,
        held: false,
        timeline: String::new(),
        begun: false,
    }
}

fn record_bytes_of(record: &InputRecord) -> Zeroizing<Vec<u8>> {
    record_bytes::encode(record.key.as_deref(), record.value.as_ref().map(Secret::expose), &record.headers)
}

/// What a sealed record is bound to: its origin, which a dead letter shows too. Must never change.
pub(super) fn record_context(origin: &Origin) -> Vec<u8> {
    format!("record\n{}\n{}\n{}\n{}", origin.topic, origin.partition, origin.offset, origin.timestamp).into_bytes()
}

/// What a sealed permanent token is bound to: its event. Must never change.
pub(super) fn token_context(key: crate::domain::EventKey) -> Vec<u8> {
    let mut context = b"token\n".to_vec();
    context.extend_from_slice(&key.0);
    context
}
