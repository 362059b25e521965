//! The events: what comes in, what goes out, and the schema check between.
//!
//! [`decode`] turns a Kafka record into a [`ProfileCreated`] that cannot be wrong, or into the reason why not; [`results`]
//! makes the result events. Both speak CloudEvents 1.0. The JSON Schemas in `schemas/` are embedded and *are* the check.

mod canonical;
pub mod card_numbers;
mod cloud_event;
mod dead_letter;
pub mod decode;
pub mod editing;
mod envelope;
mod framing;
mod json;
mod profile;
pub mod record_bytes;
mod record_limit;
pub mod results;
pub mod samples;
pub mod schemas;
pub mod scrub;
pub mod side_headers;
mod violations;

pub use canonical::payload;
pub use cloud_event::RESULT_SOURCE;
pub use json::told as json_fault;
pub use profile::customer;
pub use record_limit::{DeadLetterLimit, LARGEST_RESULT_BYTES};
pub use scrub::scrub;

use crate::domain::{Customer, Origin, Secret};

/// CloudEvents type of the input.
pub const PROFILE_CREATED: &str = "payments.profile-created.v1";
/// CloudEvents type of the good result.
pub const PROFILE_LINKED: &str = "payments.profile-linked.v1";
/// CloudEvents type of the bad result.
pub const PROFILE_REJECTED: &str = "payments.profile-rejected.v1";
/// CloudEvents type of a dead letter.
pub const DEAD_LETTER: &str = "payments.dead-letter.v1";

/// A record of the input topic, as fetched.
#[derive(Clone)]
pub struct InputRecord {
    /// Where it stood.
    pub origin: Origin,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value; `None` is a tombstone. Holds a token, so it is wiped after use by its owner.
    pub value: Option<Secret>,
    /// Headers in their order; a name may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// What an event carries for others and we pass on; each at most 512 bytes, else dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Context {
    /// W3C trace context.
    pub traceparent: Option<String>,
    /// W3C trace context.
    pub tracestate: Option<String>,
    /// CloudEvents extension `correlationid`.
    pub correlation_id: Option<String>,
}

/// Kind of a payment account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum AccountKind {
    Checking,
    Savings,
    Card,
}

/// Card network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum Brand {
    Visa,
    Mastercard,
    Amex,
    Discover,
    Jcb,
}

/// Aloha's payment provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum Provider {
    ConnectedPayments,
    CreditCall,
    FreedomPay,
}

/// What is known of a payment account without its token: from the event, or from the converter's answer.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Account {
    /// Checking, savings or card.
    pub kind: AccountKind,
    /// Last four digits, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_four: Option<String>,
    /// Card network, for cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brand: Option<Brand>,
    /// `MM/YY`, for cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// `123456******1234`, for cards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked_number: Option<String>,
    /// Name on the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder_name: Option<String>,
}

/// The token of the event.
#[derive(Clone)]
pub enum Token {
    /// Must be converted first; 1..1024 bytes.
    Temporary(Secret),
    /// Is linked as it is; 1..8192 bytes.
    Permanent(Secret),
}

/// The input event's `data`, valid by its schema.
#[derive(Clone)]
pub struct ProfileCreated {
    /// Whom to link to.
    pub customer: Customer,
    /// What to link.
    pub token: Token,
    /// PayIQ CustomerToken.
    pub customer_token: Option<Secret>,
    /// PayIQ ExternalUserID, 0..256 characters.
    pub external_user_id: Option<String>,
    /// The account as the form saw it.
    pub account: Option<Account>,
    /// Aloha's payment provider.
    pub provider: Option<Provider>,
    /// Title in the LMS, 1..80 characters.
    pub title: Option<String>,
    /// Make it the customer's primary profile.
    pub primary: bool,
    /// Make it a secondary profile.
    pub secondary: bool,
    /// After this (milliseconds since 1970) the temporary token is known to be dead. `None` for a permanent token.
    pub expires_at: Option<i64>,
}

/// Which of our topics a record goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRole {
    /// `payments.profile-linked.v1`.
    Linked,
    /// `payments.profile-rejected.v1`.
    Rejected,
    /// `payments.profile-created.v1.dlq`.
    DeadLetter,
}

/// A record that we publish; its bytes never change once they are made, but for a dead letter that its topic takes only without its
/// original ([`results::without_original`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingRecord {
    /// Where it goes.
    pub topic: TopicRole,
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub value: Vec<u8>,
    /// Headers in their order.
    pub headers: Vec<(String, Vec<u8>)>,
}
