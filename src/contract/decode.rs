//! From a Kafka record to a valid event, or to the reason why not.

use zeroize::Zeroizing;

use super::{Context, InputRecord, ProfileCreated};
use crate::domain::{Customer, EventIdentity, Reason};

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
    /// Its identity, if `source` and `id` are readable and valid.
    pub identity: Option<EventIdentity>,
    /// What is passed on.
    pub context: Context,
    /// The canonical payload, if there is one. May hold a token.
    pub payload: Option<Zeroizing<Vec<u8>>>,
    /// The customer, only if valid.
    pub customer: Option<Customer>,
    /// `data.customer.id` if it is a string of at most 1 KB: the key of the result, valid or not.
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
    let _ = record;
    unimplemented!()
}
