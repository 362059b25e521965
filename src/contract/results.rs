//! The result events and dead letters, as records ready to be published.

use serde_json::{Map, Value, json};

use super::cloud_event::{CloudEvent, time};
use super::decode::MAX_KEY_BYTES;
use super::scrub::MAX_DETAIL_CHARS;
use super::violations::MAX_VIOLATIONS;
use super::{Account, Context, OutgoingRecord, PROFILE_LINKED, PROFILE_REJECTED, TopicRole};
use crate::domain::{Attempts, Customer, EventIdentity, Origin, Reason, Violation};

pub use super::dead_letter::{dead_letter, without_original};

/// Room for violations, bytes of JSON: all else in a result is limited one by one to well under 32 KB, and a result
/// must stay below 64 KB.
const MAX_VIOLATIONS_BYTES: usize = 32 * 1024;

/// CloudEvents content mode of what we publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputMode {
    /// The whole event is the value.
    Structured,
    /// Attributes in `ce_*` headers, the value is `data`.
    Binary,
}

/// How the link's outcome became known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResolvedBy {
    /// The answer said so.
    Response,
    /// Found by reading back.
    Lookup,
}

/// What every result says about its input.
pub struct Subject<'a> {
    /// `None` for a conflict or an unreadable input: the result's id is then made of the origin.
    pub identity: Option<&'a EventIdentity>,
    /// Identity to show as `created` even where it is not the result's own (a conflict).
    pub created: Option<&'a EventIdentity>,
    /// Where the record stood.
    pub origin: &'a Origin,
    /// The customer, if valid.
    pub customer: Option<&'a Customer>,
    /// Key of the result record.
    pub key: Option<&'a [u8]>,
    /// What is passed on.
    pub context: &'a Context,
    /// 1, then +1 per replay.
    pub generation: i32,
    /// Calls made.
    pub attempts: Attempts,
    /// Time of the result, milliseconds since 1970.
    pub at: i64,
}

/// What was linked.
pub struct Linked<'a> {
    /// The link target's id of the profile.
    pub payment_account_id: &'a str,
    /// The account linked.
    pub account: &'a Account,
    /// Title in the LMS.
    pub title: Option<&'a str>,
    /// As achieved.
    pub primary: bool,
    /// As achieved.
    pub secondary: bool,
    /// How it became known.
    pub resolved_by: ResolvedBy,
    /// Keyed HMAC of the permanent token; `None` where the profile was found without ever knowing it.
    pub token_fingerprint: Option<&'a str>,
}

/// The sealed original of a dead letter.
pub struct SealedOriginal<'a> {
    /// Base64 of the sealed record.
    pub base64: &'a str,
    /// Which key sealed it.
    pub key_id: &'a str,
}

/// What a dead letter adds to its rejection.
pub struct DeadLetterParts<'a> {
    /// Key of the original record.
    pub record_key: Option<&'a [u8]>,
    /// Milliseconds since 1970.
    pub first_failed_at: i64,
    /// `None` is told as `sealedOmitted: "too_large"`.
    pub sealed: Option<SealedOriginal<'a>>,
}

/// The `ProfileLinked` of an event.
#[must_use]
pub fn linked(subject: &Subject<'_>, linked: &Linked<'_>, mode: OutputMode) -> OutgoingRecord {
    let mut data = subject.members("linkedAt");
    data.insert("paymentAccountId".to_owned(), json!(linked.payment_account_id));
    data.insert("account".to_owned(), shown(linked.account));
    insert_some(&mut data, "title", linked.title);
    data.insert("primary".to_owned(), json!(linked.primary));
    data.insert("secondary".to_owned(), json!(linked.secondary));
    data.insert("resolvedBy".to_owned(), json!(linked.resolved_by));
    insert_some(&mut data, "tokenFingerprint", linked.token_fingerprint);
    subject.event(PROFILE_LINKED, data).into_record(TopicRole::Linked, subject.record_key(), mode)
}

/// The `ProfileRejected` of an input.
#[must_use]
pub fn rejected(subject: &Subject<'_>, reason: &Reason, mode: OutputMode) -> OutgoingRecord {
    let Origin { topic, partition, offset, .. } = subject.origin;
    let mut data = subject.members("rejectedAt");
    data.insert("origin".to_owned(), json!({ "topic": topic, "partition": partition, "offset": offset }));
    data.insert("reason".to_owned(), bounded(reason));
    data.insert("disposition".to_owned(), json!(reason.code.disposition()));
    subject.event(PROFILE_REJECTED, data).into_record(TopicRole::Rejected, subject.record_key(), mode)
}

impl Subject<'_> {
    /// What all results have in common; the time of the result under its own name.
    pub(super) fn members(&self, time_name: &str) -> Map<String, Value> {
        let mut data = Map::new();
        insert_some(&mut data, "created", self.shown_identity());
        insert_some(&mut data, "customer", self.customer);
        data.insert("generation".to_owned(), json!(self.generation));
        data.insert("attempts".to_owned(), json!(self.attempts));
        data.insert(time_name.to_owned(), json!(time(self.at)));
        data
    }

    pub(super) fn event<'e>(&'e self, type_name: &'static str, data: Map<String, Value>) -> CloudEvent<'e> {
        CloudEvent {
            type_name,
            id: self.result_id(),
            time: time(self.at),
            causation_id: self.shown_identity().map(|identity| identity.id.as_str()),
            context: self.context,
            data: Value::Object(data),
        }
    }

    /// Where the input has no identity of its own, its place makes the id.
    fn result_id(&self) -> uuid::Uuid {
        match self.identity {
            Some(identity) => identity.result_id(self.generation),
            None => self.origin.result_id(self.generation),
        }
    }

    fn shown_identity(&self) -> Option<&EventIdentity> {
        self.created.or(self.identity)
    }

    fn record_key(&self) -> Option<&[u8]> {
        self.key.filter(|key| key.len() <= MAX_KEY_BYTES)
    }
}

/// The account as others may see it: neither the masked number nor the holder's name.
fn shown(account: &Account) -> Value {
    let mut shown = Map::new();
    shown.insert("kind".to_owned(), json!(account.kind));
    insert_some(&mut shown, "lastFour", account.last_four.as_deref());
    insert_some(&mut shown, "brand", account.brand);
    insert_some(&mut shown, "expiration", account.expiration.as_deref());
    Value::Object(shown)
}

/// The reason within the contract's limits. What it quotes was scrubbed by whoever made it.
pub(super) fn bounded(reason: &Reason) -> Value {
    let mut room = MAX_VIOLATIONS_BYTES;
    let fits = |violation: &&Violation| {
        let size = json!(violation).to_string().len();
        room = room.saturating_sub(size);
        room > 0
    };
    let violations = reason.violations.iter().take(MAX_VIOLATIONS).take_while(fits).cloned().collect();
    let detail = reason.detail.chars().take(MAX_DETAIL_CHARS).collect();
    json!(Reason { code: reason.code, stage: reason.stage, detail, violations })
}

pub(super) fn insert_some(members: &mut Map<String, Value>, name: &str, value: Option<impl serde::Serialize>) {
    if let Some(value) = value {
        members.insert(name.to_owned(), json!(value));
    }
}
