//! From a Kafka record to a valid event, or to the reason why not.
//!
//! The order of checks, each stopping at the first failure; before them, that no side header of a replay is left, which says
//! nothing that can be believed (`malformed_event`, without an identity):
//! 1. readable: size, frame, content mode, UTF-8, JSON without repeated names or absurd depth (`malformed_event`);
//! 2. a CloudEvent: `specversion`, `source`, `id` (`malformed_event`);
//! 3. ours: `type` (`malformed_event`, or `unsupported_version`);
//! 4. no card number (`card_number_detected`), before the schema, since of two faults this is the one people must hear of;
//! 5. the schema, missing data included (`invalid_event`);
//! 6. an account that the target can take (`account_unsupported`).
//!
//! Whatever fails, the identity is given if `source` and `id` are readable and valid, so that a second copy of a bad event
//! is a duplicate like any other; but not if a card number stands in them, since every result repeats an identity. No reason
//! quotes a value of the event; the one exception is a `type` that looks like one.

use zeroize::Zeroizing;

use super::card_numbers::Place;
use super::envelope::Envelope;
use super::violations::text_at;
use super::{
    Context, InputRecord, PROFILE_CREATED, ProfileCreated, canonical, card_numbers, profile, schemas, scrub,
    side_headers,
};
use crate::domain::{Customer, EventIdentity, EventKey, Reason, ReasonCode, Stage, Violation};

/// The contract's limit of a key that is used or echoed, bytes.
pub(super) const MAX_KEY_BYTES: usize = 1024;
/// The part of the type that all versions share.
const TYPE_WITHOUT_VERSION: &str = "payments.profile-created.v";
/// Longest `type` that is quoted; ours have 27 characters.
const MAX_QUOTED_TYPE: usize = 80;

/// A valid event.
pub struct Created {
    /// Its identity.
    pub identity: EventIdentity,
    /// What is passed on.
    pub context: Context,
    /// The canonical JSON (RFC 8785) of `type` and `data`: what "same payload" means. Holds the token.
    pub payload: Zeroizing<Vec<u8>>,
    /// Its data.
    pub profile: ProfileCreated,
}

/// A record that is rejected before anything is called.
pub struct Unusable {
    /// Its identity, if `source` and `id` are readable and valid, and free of card numbers.
    pub identity: Option<EventIdentity>,
    /// The key of the row of an event whose identity is withheld for a card number in it: a build that did not look there
    /// may have accepted it under its identity.
    pub withheld_key: Option<EventKey>,
    /// What is passed on.
    pub context: Context,
    /// The canonical payload, if there is one. May hold a token.
    pub payload: Option<Zeroizing<Vec<u8>>>,
    /// The customer, only if valid.
    pub customer: Option<Customer>,
    /// The key of the result: the customer's id, else `data.customer.id` as it stands, if it is a string of at most 1 KB.
    pub result_key: Option<String>,
    /// Why.
    pub reason: Reason,
}

/// What a record turned out to be.
pub enum Decoded {
    /// A valid event.
    Created(Box<Created>),
    /// Rejected at once.
    Unusable(Box<Unusable>),
}

/// Reads a record: framing, CloudEvents mode, JSON, limits, schema, card numbers.
#[must_use]
pub fn decode(record: &InputRecord) -> Decoded {
    let envelope = Envelope::read(record);
    if side_headers::is_left(record) {
        // Neither its identity nor its payload: it could stand in the place of the event that it was a replay of.
        let detail = "the headers pl-generation and pl-origin are those of a replay, and these cannot be one's";
        return unusable(&envelope, record, (None, None, malformed(detail)));
    }
    match (judge(&envelope, record), envelope.identity(), payload(&envelope)) {
        (Ok(profile), Some(identity), Some(payload)) => {
            let context = envelope.context(record);
            Decoded::Created(Box::new(Created { identity, context, payload, profile }))
        }
        // Cannot be: a judged event has both.
        (Ok(_), identity, payload) => unusable(&envelope, record, (identity, payload, malformed("not a CloudEvent"))),
        (Err(reason), identity, payload) => unusable(&envelope, record, (identity, payload, reason)),
    }
}

type Findings = (Option<EventIdentity>, Option<Zeroizing<Vec<u8>>>, Reason);

fn unusable(envelope: &Envelope, record: &InputRecord, (identity, payload, reason): Findings) -> Decoded {
    let event = &envelope.event.0;
    let customer = profile::customer(event);
    let given = text_at(event, "/data/customer/id").filter(|id| id.len() <= MAX_KEY_BYTES);
    // As in all its other results, so that they share a partition.
    let result_key = customer.as_ref().map(|customer| customer.id.as_str()).or(given).map(str::to_owned);
    let context = envelope.context(record);
    let withheld_key = envelope.named().filter(|_| identity.is_none()).map(|named| named.key());
    Decoded::Unusable(Box::new(Unusable { identity, withheld_key, context, payload, customer, result_key, reason }))
}

/// What cannot be read for sure has no payload: then its bytes are what counts.
fn payload(envelope: &Envelope) -> Option<Zeroizing<Vec<u8>>> {
    match envelope.fault {
        Some(_) => None,
        None => canonical::payload(&envelope.event.0),
    }
}

fn judge(envelope: &Envelope, record: &InputRecord) -> Result<ProfileCreated, Reason> {
    let event = &envelope.event.0;
    if let Some(fault) = &envelope.fault {
        return Err(malformed(fault));
    }
    check_cloud_event(envelope)?;
    check_type(envelope.text("type"))?;
    if let Some(place) = card_numbers::find(event).or_else(|| in_key(record, event)) {
        return Err(card_number(&place));
    }
    let violations = schemas::violations(PROFILE_CREATED, event);
    let profile = profile::read(event).filter(|_| violations.is_empty());
    let profile = profile.ok_or_else(|| invalid(violations))?;
    match profile::unsupported(&profile) {
        Some(detail) => Err(Reason::new(ReasonCode::AccountUnsupported, Stage::Validate, detail)),
        None => Ok(profile),
    }
}

/// A key is the customer's id, which may look like a card number, or what the producer made of it.
fn in_key(record: &InputRecord, event: &serde_json::Value) -> Option<Place> {
    let key = record.key.as_deref()?;
    let customer_id = text_at(event, "/data/customer/id");
    card_numbers::key_holds_one(key, customer_id).then_some(Place::Key)
}

fn check_cloud_event(envelope: &Envelope) -> Result<(), Reason> {
    match envelope.text("specversion") {
        Some("1.0") => {}
        Some(_) => {
            return Err(malformed("not a CloudEvent that this build knows: specversion must be \"1.0\""));
        }
        None => {
            return Err(malformed("not a CloudEvent: no specversion, neither in the value nor in ce_ headers"));
        }
    }
    if envelope.named().is_none() {
        return Err(malformed("source and id must be text of 1 to 512 bytes without control characters"));
    }
    Ok(())
}

fn check_type(name: Option<&str>) -> Result<(), Reason> {
    let Some(name) = name else {
        return Err(malformed("wrong type: none is given"));
    };
    if name == PROFILE_CREATED {
        return Ok(());
    }
    let version = name.strip_prefix(TYPE_WITHOUT_VERSION).unwrap_or_default();
    let versionlike = version.chars().all(|c| c.is_ascii_alphanumeric() || ".-_".contains(c));
    if versionlike && version.starts_with(|first: char| first.is_ascii_digit()) {
        let detail = format!("this build knows {PROFILE_CREATED}, not {}", quoted_type(name));
        return Err(Reason::new(ReasonCode::UnsupportedVersion, Stage::Decode, detail));
    }
    Err(malformed(&format!("wrong type: {} is not {PROFILE_CREATED}", quoted_type(name))))
}

/// Only what looks like a type: dotted words. Anything else could be a value that went astray.
fn quoted_type(name: &str) -> String {
    let wordlike = name.chars().all(|c| c.is_ascii_alphanumeric() || ".-_/".contains(c));
    match wordlike && name.len() <= MAX_QUOTED_TYPE {
        true => scrub(name, &[]),
        false => "another".to_owned(),
    }
}

fn malformed(detail: &str) -> Reason {
    Reason::new(ReasonCode::MalformedEvent, Stage::Decode, detail)
}

fn card_number(place: &Place) -> Reason {
    let detail = format!("a card number in {place}; it must not be sent here, not even for a test");
    Reason::new(ReasonCode::CardNumberDetected, Stage::Validate, detail)
}

fn invalid(violations: Vec<Violation>) -> Reason {
    let detail = match violations.first() {
        Some(Violation { pointer, message }) => {
            let place = if pointer.is_empty() { "the event" } else { pointer };
            format!("{} against the schema; first: {place} {message}", counted(violations.len()))
        }
        None => "the data is not as documented".to_owned(),
    };
    Reason { violations, ..Reason::new(ReasonCode::InvalidEvent, Stage::Validate, detail) }
}

fn counted(violations: usize) -> String {
    match violations {
        1 => "1 violation".to_owned(),
        more => format!("{more} violations"),
    }
}

/// The record's key as results may show it: short enough, and without a card number that is not the customer's id.
#[must_use]
pub fn shown_key<'k>(key: Option<&'k [u8]>, customer_id: Option<&str>) -> Option<&'k [u8]> {
    key.filter(|key| key.len() <= MAX_KEY_BYTES && !card_numbers::key_holds_one(key, customer_id))
}
