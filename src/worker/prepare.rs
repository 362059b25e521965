//! From records to ledger rows, and from ledger rows back to events. Pure but for the vault's random nonces and the clock.

use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use super::event::{Count, Event};
use super::load::Load;
use super::outcome::{self, Ending};
use super::scribe::End;
use super::timeline;
use crate::clock::Clock;
use crate::config::Topics;
use crate::contract::decode::{Created, Decoded, Unusable, decode};
use crate::contract::results::OutputMode;
use crate::contract::{DeadLetterLimit, InputRecord, Token, record_bytes, side_headers};
use crate::domain::machine::{Flow, Past};
use crate::domain::{Attempts, Disposition, EventIdentity, Lane, Origin, Reason, ReasonCode, Secret, Stage};
use crate::ledger::custody::{record_context, token_context};
use crate::ledger::vault::VaultError;
use crate::ledger::{Claim, EndedAtOnce, HashKey, NewRow, RowState, StoredRow, Vault};

/// Everything that turns bytes into rows and back.
pub(super) struct Preparer {
    pub vault: Arc<Vault>,
    pub hash_key: HashKey,
    pub mode: OutputMode,
    pub topics: Topics,
    pub dead_letter_limit: DeadLetterLimit,
    pub clock: Arc<dyn Clock>,
    /// When the ledger was made to serve this, milliseconds since 1970: what is older was possibly sent before.
    pub adopted_at: Option<i64>,
    /// Half of the retention of ended rows: an older record may have had a row that is gone.
    pub old_after: Duration,
}

/// A record ready to be accepted.
pub(super) struct Draft {
    pub row: NewRow,
    /// As its producer sent it; a replay that came by the topic has the origin of the first time.
    pub record: InputRecord,
    /// The offset after the one at which it was fetched.
    pub next_offset: i64,
    /// A valid event; its claim is its lane's.
    pub event: Option<Box<Created>>,
}

/// What an unfinished row is.
pub(super) enum Revived {
    /// An event to go on with.
    Event(Box<Event>),
    /// A reopened record that still cannot be worked on: it ends again.
    Ends(Box<End>),
}

/// Why a stored row cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReviveError {
    #[error("{topic}/{partition}/{offset} is sealed under key {key:?}, which is not configured under [keys]")]
    MissingKey { topic: String, partition: i32, offset: i64, key: String },
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

impl ReviveError {
    fn sealed(origin: &Origin, source: VaultError) -> Self {
        let Origin { topic, partition, offset, .. } = origin.clone();
        match source {
            VaultError::UnknownKey(key) => Self::MissingKey { topic, partition, offset, key },
            source => Self::Sealed { topic, partition, offset, source },
        }
    }

    fn damaged(origin: &Origin) -> Self {
        let Origin { topic, partition, offset, .. } = origin.clone();
        Self::Damaged { topic, partition, offset }
    }
}

impl Preparer {
    /// Reads a record and makes its row.
    ///
    /// `suspect_below`: offsets below it were possibly sent before the ledger knew of them. `now_ms`: what the ledger's clock says.
    pub fn draft(&self, record: InputRecord, suspect_below: i64, now_ms: i64) -> Draft {
        let (next_offset, fetched_at) = (record.origin.offset + 1, record.origin.offset);
        let (record, replay) = side_headers::taken_off(record);
        let old = self.possibly_sent(&record.origin, fetched_at < suspect_below, now_ms);
        let generation = replay.unwrap_or(1);
        match decode(&record) {
            Decoded::Created(created) => {
                let row = self.row(&record, generation, Some(created.identity.clone()), &created.payload, |row| {
                    row.customer = Some(created.profile.customer.clone());
                    row.possibly_sent = old || replay.is_some();
                });
                Draft { row, record, next_offset, event: Some(created) }
            }
            Decoded::Unusable(unusable) => {
                let row = self.ended_row(&record, generation, &unusable);
                Draft { row, record, next_offset, event: None }
            }
        }
    }

    /// Whether this record may have been accepted, and sent, before: by a ledger that is not this one as it is now. A record
    /// without a timestamp (-1) counts as old. By the ledger's clock, which removes rows, or by ours, whichever is later: it only
    /// means a look more, and a clock that is years behind (a machine that just booted) would have everything look young.
    fn possibly_sent(&self, origin: &Origin, is_suspect: bool, now_ms: i64) -> bool {
        let age_ms = self.clock.wall_ms().max(now_ms).saturating_sub(origin.timestamp);
        let old = u128::try_from(age_ms).is_ok_and(|age| age > self.old_after.as_millis());
        old || is_suspect || self.adopted_at.is_some_and(|at| origin.timestamp < at)
    }

    fn ended_row(&self, record: &InputRecord, generation: i32, unusable: &Unusable) -> NewRow {
        let bytes = record_bytes_of(record);
        let payload = unusable.payload.as_ref().unwrap_or(&bytes);
        let mut row = self.row(record, generation, unusable.identity.clone(), payload, |row| {
            row.customer.clone_from(&unusable.customer);
        });
        row.ended = Some(self.ended(record, &row, unusable));
        row
    }

    /// The row of a record whose identity is already taken by another payload: of its own identity, ended at once.
    pub fn conflict(&self, draft: &Draft) -> NewRow {
        let bytes = record_bytes_of(&draft.record);
        let of_its_own = |row: &mut NewRow| row.customer.clone_from(&draft.row.customer);
        let mut row = self.row(&draft.record, draft.row.generation, None, &bytes, of_its_own);
        let detail = "an event with this source and id but another payload was accepted before";
        let unusable = Unusable {
            identity: None,
            withheld_key: None,
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
        let sealed = outcome::Sealed { bytes: &row.sealed_record, key: record.key.as_deref() };
        let facts = outcome::AtOnce { generation: row.generation, attempts: Attempts::default(), sealed };
        let records = outcome::rejected_at_once(self, record, &facts, unusable, created);
        let reason = (unusable.reason.code, unusable.reason.stage);
        EndedAtOnce { state: state_of(&unusable.reason), reason, records }
    }

    fn row(
        &self,
        record: &InputRecord,
        generation: i32,
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
            generation,
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
        let flow = Flow::accepted(Attempts::default(), Duration::ZERO);
        let row = draft.row;
        let mut event = new_event(claim, row.generation, draft.record, created, row.sealed_record, flow);
        event.past.possibly_sent = row.possibly_sent;
        Some(event)
    }

    /// The event of an unfinished row.
    pub fn revive(&self, claim: Claim, row: StoredRow) -> Result<Revived, ReviveError> {
        let origin = row.origin(&self.topics.created);
        let bytes = self
            .vault
            .open(&record_context(&origin), &row.sealed_record)
            .map_err(|error| ReviveError::sealed(&origin, error))?;
        let parts = record_bytes::decode(&bytes).ok_or_else(|| ReviveError::damaged(&origin))?;
        let record = InputRecord {
            origin: origin.clone(),
            key: parts.key,
            value: parts.value.map(|value| Secret::new(value.to_vec())),
            headers: parts.headers,
        };
        // The blob's own identity must be the row's: sealed bytes moved to another row do not pass.
        let is_rows_own = |identity: Option<&EventIdentity>| match identity {
            Some(identity) => identity.key() == row.key,
            None => self.hash_key.unreadable_key(&origin, &bytes) == row.key,
        };
        match decode(&record) {
            Decoded::Created(created) if is_rows_own(Some(&created.identity)) => {
                let token = self.open_token(&row).map_err(|error| ReviveError::sealed(&origin, error))?;
                let account = row.account.as_deref().and_then(|text| serde_json::from_str(text).ok());
                Ok(Revived::Event(Box::new(revived(claim, row, record, *created, token, account))))
            }
            Decoded::Unusable(unusable)
                if is_rows_own(unusable.identity.as_ref()) || unusable.withheld_key == Some(row.key) =>
            {
                Ok(Revived::Ends(Box::new(self.ends_again(&record, row, &unusable))))
            }
            _ => Err(ReviveError::damaged(&origin)),
        }
    }

    fn open_token(&self, row: &StoredRow) -> Result<Option<Zeroizing<Vec<u8>>>, VaultError> {
        row.sealed_token.as_ref().map(|blob| self.vault.open(&token_context(row.key), blob)).transpose()
    }

    /// A dead-lettered record that was reopened and is still what it was: the end of its next generation.
    fn ends_again(&self, record: &InputRecord, row: StoredRow, unusable: &Unusable) -> End {
        let sealed = outcome::Sealed { bytes: &row.sealed_record, key: record.key.as_deref() };
        let facts = outcome::AtOnce { generation: row.generation, attempts: row.attempts, sealed };
        let records = outcome::rejected_at_once(self, record, &facts, unusable, unusable.identity.as_ref());
        let reason = Some((unusable.reason.code, unusable.reason.stage));
        let ending = Ending { state: state_of(&unusable.reason), reason, failed_ms_ago: None, records };
        // Its timeline may hold the end of the generation before, so this one's cannot be told from the row alone.
        let timeline = timeline::end_at_once(self.clock.wall_ms(), &unusable.reason);
        End { key: row.key, lane: row.lane, ending, attempts: row.attempts, timeline }
    }
}

fn state_of(reason: &Reason) -> RowState {
    match reason.code.disposition() {
        Disposition::Final => RowState::Rejected,
        Disposition::DeadLettered => RowState::DeadLettered,
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
    let spent = Duration::from_millis(u64::try_from(row.spent_ms).unwrap_or(0));
    let flow = match token {
        Some(_) => Flow::converted(row.attempts, spent),
        None => Flow::accepted(row.attempts, spent),
    };
    // Accepted from the input under this very epoch, and not in memory: it was never begun.
    let resumed = row.epoch != claim.epoch || row.is_replay();
    let past = Past { resumed, possibly_sent: row.possibly_sent, starts: u32::try_from(row.starts).unwrap_or(0) };
    let is_replay = row.is_replay();
    let mut event = new_event(claim, row.generation, record, created, row.sealed_record, flow);
    event.is_replay = is_replay;
    event.replaced_markers = row.replaced_markers;
    event.past = past;
    // What was linked after it in a ledger that is not this one as it is now, this one cannot tell: at worst it stays secondary.
    event.overtaken = row.overtaken || (row.generation > 1 && row.possibly_sent);
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
        is_replay: generation > 1,
        replaced_markers: Vec::new(),
        overtaken: false,
        sealed_record: sealed_record.into(),
        flow,
        token,
        past: Past::default(),
        count: Count::No,
        first_failed_at: None,
        pending: None,
        asked_at: Duration::ZERO,
        lone_waits: 0,
        counted_in: None,
        met_misconfiguration: None,
        awaits_turn: false,
        in_window: false,
        held: false,
        timeline: String::new(),
        begun: false,
        ended: None,
        load: Load::default(),
    }
}

fn record_bytes_of(record: &InputRecord) -> Zeroizing<Vec<u8>> {
    record_bytes::encode(record.key.as_deref(), record.value.as_ref().map(Secret::expose), &record.headers)
}
