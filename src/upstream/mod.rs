//! The vendors. Two ports, *converter* and *link target*, over one HTTP client; the permanent token passes between them
//! as an opaque byte string. The class of an answer is decided here, where it is read.

pub mod aloha;
mod answer_text;
pub mod credential;
pub mod http;
pub mod journal;
mod json;
pub mod loanpro;
pub mod payiq;
pub mod probe;
pub mod retry_after;
mod setup;
mod stamp;

use async_trait::async_trait;
use hyper::header::HeaderName;
use uuid::Uuid;

pub use setup::{UpstreamError, Upstreams, build, link_target};

use crate::contract::{Account, Provider};
pub use crate::domain::outcome::{
    AccountForm, CallOutcome, CustomerCheck, FoundProfile, LinkAnswer, LookOutcome, Refusal,
};
use crate::domain::{Customer, Secret};

/// On every changing call (upstreams, section 5). No vendor documents honouring it, and nothing relies on it.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Asked in the last step before a changing call's bytes are written, with a connection in hand.
#[async_trait]
pub trait Gate: Send + Sync {
    /// Returns once the call may leave; `false` if it must not (the lane is another's).
    async fn opens(&self) -> bool;
}

/// A gate that is always open: for calls that change nothing.
pub struct OpenGate;

#[async_trait]
impl Gate for OpenGate {
    async fn opens(&self) -> bool {
        true
    }
}

/// A temporary token to convert.
#[derive(Clone)]
pub struct Conversion {
    /// The temporary token.
    pub temporary_token: Secret,
    /// PayIQ's CustomerToken.
    pub customer_token: Option<Secret>,
    /// PayIQ's ExternalUserID.
    pub external_user_id: Option<String>,
    /// The same for every retry.
    pub idempotency_key: Uuid,
}

/// A permanent token and what it stands for.
pub struct Converted {
    /// The permanent token, opaque.
    pub token: Secret,
    /// Kind, last four digits, brand, expiration.
    pub account: Account,
}

/// Turns temporary tokens into permanent ones.
#[async_trait]
pub trait Converter: Send + Sync {
    /// Converts. There is no way to look up whether it already happened. A token that is "invalid, unknown or used" is
    /// `Refused(TokenRejected)`; the caller knows whether an earlier attempt's outcome was never seen.
    async fn convert(&self, conversion: &Conversion, gate: &dyn Gate) -> CallOutcome<Converted>;
}

/// A profile to link.
#[derive(Clone)]
pub struct Link {
    /// To whom.
    pub customer: Customer,
    /// The permanent token.
    pub token: Secret,
    /// What it stands for.
    pub account: Account,
    /// Aloha's provider.
    pub provider: Option<Provider>,
    /// The full title, marker included.
    pub title: String,
    /// Link as secondary.
    pub secondary: bool,
    /// The same for every retry.
    pub idempotency_key: Uuid,
}

/// A linked profile that shall become its customer's primary one.
#[derive(Clone)]
pub struct Promotion {
    /// Whose.
    pub customer: Customer,
    /// The profile.
    pub profile_id: String,
    /// The present primary, which becomes secondary in the same call.
    pub other_primary: Option<String>,
    /// The same for every retry.
    pub idempotency_key: Uuid,
}

/// What to look for.
#[derive(Clone)]
pub struct LookUp {
    /// At whom.
    pub customer: Customer,
    /// The markers in a title that are ours: the event's own, and those of the events that it replaces.
    pub markers: Vec<String>,
    /// The permanent token, where the target echoes it; `None` before it is known.
    pub token: Option<Secret>,
}

/// Links profiles to customers. The link is *not* idempotent.
#[async_trait]
pub trait LinkTarget: Send + Sync {
    /// Links. Every refusal must still be looked up by the caller where an earlier attempt's outcome is unknown.
    async fn link(&self, link: &Link, gate: &dyn Gate) -> CallOutcome<LinkAnswer>;

    /// Makes a linked profile the primary one. It sets what it finds, so it may be sent again.
    async fn promote(&self, promotion: &Promotion, gate: &dyn Gate) -> CallOutcome<()>;

    /// Looks for our profile, over all pages.
    async fn look_up(&self, look_up: &LookUp) -> LookOutcome;

    /// Whether a customer is really missing: the probe first, then this customer.
    async fn check_customer(&self, customer: &Customer) -> CustomerCheck;
}

/// The class of a call that got no complete answer: the transport knows whether a byte left.
fn without_answer<T>(error: http::TransportError) -> CallOutcome<T> {
    use http::TransportErrorKind::{Unsendable, Withdrawn};
    let detail = error.to_string();
    match error.kind {
        Withdrawn => CallOutcome::Withdrawn,
        Unsendable => CallOutcome::Misconfigured { detail },
        _ if error.sent => CallOutcome::Unknown { retry_after: None, detail },
        _ => CallOutcome::NotApplied { retry_after: None, detail },
    }
}
