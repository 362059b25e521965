//! What is published at an event's end.

use data_encoding::BASE64;

use super::event::Event;
use super::prepare::Preparer;
use crate::contract::decode::{Unusable, shown_key};
use crate::contract::results::{
    DeadLetterParts, Linked, ResolvedBy, SealedOriginal, Subject, dead_letter, linked, rejected,
};
use crate::contract::{Account, AccountKind, InputRecord, OutgoingRecord};
use crate::domain::machine::End;
use crate::domain::outcome::AccountForm;
use crate::domain::{Attempts, Disposition, EventIdentity, Reason, ReasonCode, Stage};
use crate::ledger::{RowState, Vault};

/// An end ready to be written down; its number is given by the scribe.
pub(super) struct Ending {
    pub state: RowState,
    pub reason: Option<(ReasonCode, Stage)>,
    pub failed_ms_ago: Option<i64>,
    pub records: Vec<OutgoingRecord>,
}

/// How long ago an event failed first. What is published tells the moment, the ledger counts back from its own now.
pub(super) fn failed_ms_ago(event: &Event, now: i64) -> Option<i64> {
    event.first_failed_at.map(|at| (now - at).max(0))
}

/// What the end of an event publishes.
pub(super) fn ending(preparer: &Preparer, event: &Event, end: &End) -> Ending {
    let now = preparer.clock.wall_ms();
    let failed_ms_ago = failed_ms_ago(event, now);
    let key = event.profile.customer.id.clone();
    let subject = Subject {
        identity: Some(&event.identity),
        created: Some(&event.identity),
        origin: &event.origin,
        customer: Some(&event.profile.customer),
        key: Some(key.as_bytes()),
        context: &event.context,
        generation: event.generation,
        attempts: event.flow.attempts,
        at: now,
    };
    match end {
        End::Linked { profile, by_look_up } => {
            let account = event.account.clone().unwrap_or_else(|| account_of(profile.form));
            let title = profile.title.clone().unwrap_or_else(|| event.title());
            let fingerprint = event.token.as_ref().map(|token| preparer.hash_key.fingerprint(token.expose()));
            let parts = Linked {
                payment_account_id: &profile.id,
                account: &account,
                title: Some(&title),
                primary: profile.primary,
                secondary: profile.secondary,
                resolved_by: if *by_look_up { ResolvedBy::Lookup } else { ResolvedBy::Response },
                token_fingerprint: fingerprint.as_deref(),
            };
            let records = vec![linked(&subject, &parts, preparer.mode)];
            Ending { state: RowState::Linked, reason: None, failed_ms_ago, records }
        }
        End::Rejected(reason) => {
            let sealed = Sealed { bytes: &event.sealed_record, key: event.record_key.as_deref() };
            let first_failed_at = event.first_failed_at.unwrap_or(now);
            let (state, records) = rejection(preparer, &subject, reason, &sealed, first_failed_at);
            Ending { state, reason: Some((reason.code, reason.stage)), failed_ms_ago, records }
        }
    }
}

/// What a record publishes that is rejected before anything is called.
pub(super) fn rejected_at_once(
    preparer: &Preparer,
    record: &InputRecord,
    facts: &AtOnce<'_>,
    unusable: &Unusable,
    created: Option<&EventIdentity>,
) -> Vec<OutgoingRecord> {
    let now = preparer.clock.wall_ms();
    let subject = Subject {
        identity: unusable.identity.as_ref(),
        created,
        origin: &record.origin,
        customer: unusable.customer.as_ref(),
        key: unusable.result_key.as_deref().map(str::as_bytes).or(shown_key(record.key.as_deref(), None)),
        context: &unusable.context,
        generation: facts.generation,
        attempts: facts.attempts,
        at: now,
    };
    rejection(preparer, &subject, &unusable.reason, &facts.sealed, now).1
}

/// The original record as the ledger has it.
pub(super) struct Sealed<'a> {
    pub bytes: &'a [u8],
    pub key: Option<&'a [u8]>,
}

/// What is known of a record that ends without a call of this generation.
pub(super) struct AtOnce<'a> {
    pub generation: i32,
    pub attempts: Attempts,
    pub sealed: Sealed<'a>,
}

fn rejection(
    preparer: &Preparer,
    subject: &Subject<'_>,
    reason: &Reason,
    sealed: &Sealed<'_>,
    first_failed_at: i64,
) -> (RowState, Vec<OutgoingRecord>) {
    let mut records = vec![rejected(subject, reason, preparer.mode)];
    if reason.code.disposition() == Disposition::Final {
        return (RowState::Rejected, records);
    }
    let base64 = BASE64.encode(sealed.bytes);
    let key_id = Vault::key_id_of(sealed.bytes).unwrap_or_default();
    let fits = preparer.dead_letter_limit.has_room_for(&base64);
    let original = fits.then_some(SealedOriginal { base64: &base64, key_id });
    let parts = DeadLetterParts { record_key: sealed.key, first_failed_at, sealed: original };
    records.push(dead_letter(subject, reason, &parts, preparer.mode));
    (RowState::DeadLettered, records)
}

/// What the target says of a profile that was found before its token was converted.
pub(super) fn account_of(form: Option<AccountForm>) -> Account {
    let kind = match form {
        Some(AccountForm::Card) => AccountKind::Card,
        Some(AccountForm::Savings) => AccountKind::Savings,
        Some(AccountForm::Checking) | None => AccountKind::Checking,
    };
    Account { kind, last_four: None, brand: None, expiration: None, masked_number: None, holder_name: None }
}
