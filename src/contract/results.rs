//! The result events and dead letters, as records ready to be published.

use super::{Account, Context, OutgoingRecord};
use crate::domain::{Attempts, Customer, EventIdentity, Origin, Reason};

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
    /// Keyed HMAC of the permanent token.
    pub token_fingerprint: &'a str,
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
    let _ = (subject, linked, mode);
    unimplemented!()
}

/// The `ProfileRejected` of an input.
#[must_use]
pub fn rejected(subject: &Subject<'_>, reason: &Reason, mode: OutputMode) -> OutgoingRecord {
    let _ = (subject, reason, mode);
    unimplemented!()
}

/// The `DeadLetter` of an input.
#[must_use]
pub fn dead_letter(
    subject: &Subject<'_>,
    reason: &Reason,
    parts: &DeadLetterParts<'_>,
    mode: OutputMode,
) -> OutgoingRecord {
    let _ = (subject, reason, parts, mode);
    unimplemented!()
}
