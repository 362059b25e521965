//! Why an event was not linked: the vocabulary of `ProfileRejected` and of dead letters (contract, section 3).

use std::fmt;

use serde::{Deserialize, Serialize};

/// The reason codes of the contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names are the contract's; its table says when each applies")]
pub enum ReasonCode {
    MalformedEvent,
    UnsupportedVersion,
    InvalidEvent,
    CardNumberDetected,
    EventIdConflict,
    TokenExpired,
    TokenRejected,
    AccountDeclined,
    AccountUnsupported,
    UserLocked,
    CustomerNotFound,
    LinkRefused,
    ConversionUnknown,
    LinkUnknown,
    RetriesExhausted,
}

impl ReasonCode {
    /// Every code, in the contract's order.
    pub const ALL: [Self; 15] = [
        Self::MalformedEvent,
        Self::UnsupportedVersion,
        Self::InvalidEvent,
        Self::CardNumberDetected,
        Self::EventIdConflict,
        Self::TokenExpired,
        Self::TokenRejected,
        Self::AccountDeclined,
        Self::AccountUnsupported,
        Self::UserLocked,
        Self::CustomerNotFound,
        Self::LinkRefused,
        Self::ConversionUnknown,
        Self::LinkUnknown,
        Self::RetriesExhausted,
    ];

    /// The code as the contract spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MalformedEvent => "malformed_event",
            Self::UnsupportedVersion => "unsupported_version",
            Self::InvalidEvent => "invalid_event",
            Self::CardNumberDetected => "card_number_detected",
            Self::EventIdConflict => "event_id_conflict",
            Self::TokenExpired => "token_expired",
            Self::TokenRejected => "token_rejected",
            Self::AccountDeclined => "account_declined",
            Self::AccountUnsupported => "account_unsupported",
            Self::UserLocked => "user_locked",
            Self::CustomerNotFound => "customer_not_found",
            Self::LinkRefused => "link_refused",
            Self::ConversionUnknown => "conversion_unknown",
            Self::LinkUnknown => "link_unknown",
            Self::RetriesExhausted => "retries_exhausted",
        }
    }

    /// Whether an event that ends so is kept for replay.
    #[must_use]
    pub fn disposition(self) -> Disposition {
        match self {
            Self::MalformedEvent
            | Self::UnsupportedVersion
            | Self::InvalidEvent
            | Self::CardNumberDetected
            | Self::ConversionUnknown
            | Self::LinkUnknown
            | Self::RetriesExhausted => Disposition::DeadLettered,
            Self::EventIdConflict
            | Self::TokenExpired
            | Self::TokenRejected
            | Self::AccountDeclined
            | Self::AccountUnsupported
            | Self::UserLocked
            | Self::CustomerNotFound
            | Self::LinkRefused => Disposition::Final,
        }
    }
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What becomes of a rejected event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disposition {
    /// Rejected for good; its secrets are erased.
    Final,
    /// Kept, sealed, for an operator to replay.
    DeadLettered,
}

/// Where in its way an event was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the contract's")]
pub enum Stage {
    Decode,
    Validate,
    Convert,
    Link,
}

impl Stage {
    /// Every stage, in the order of an event's way.
    pub const ALL: [Self; 4] = [Self::Decode, Self::Validate, Self::Convert, Self::Link];

    /// The stage as the contract spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::Validate => "validate",
            Self::Convert => "convert",
            Self::Link => "link",
        }
    }
}

/// One violation of the event's schema.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// JSON pointer, relative to the envelope (`/data/customer/id`).
    pub pointer: String,
    /// What is wrong, for people; never echoes a value.
    pub message: String,
}

/// Why an event was rejected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Which reason.
    pub code: ReasonCode,
    /// Where on the way.
    pub stage: Stage,
    /// For people: scrubbed of tokens and digit runs, at most 500 characters.
    pub detail: String,
    /// At most 50, for `invalid_event`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

impl Reason {
    /// A reason without violations. The detail must already be scrubbed where it quotes an upstream.
    #[must_use]
    pub fn new(code: ReasonCode, stage: Stage, detail: impl Into<String>) -> Self {
        Self { code, stage, detail: detail.into(), violations: Vec::new() }
    }
}

/// How many calls were made for an event, over all its generations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// Conversions sent.
    pub convert: u32,
    /// Links sent.
    pub link: u32,
    /// Look-ups sent.
    pub lookup: u32,
}
