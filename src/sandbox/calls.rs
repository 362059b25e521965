//! Which calls came in: how many on each route, and the latest ones in detail.

use std::collections::{BTreeMap, VecDeque};

use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::Value;

use super::books::Moment;

/// How many of the latest calls are kept, about 200 bytes each: more than any test makes, less than 3 MB.
const MAX_RECENT: usize = 10_000;
/// Longest text of a caller that a log entry keeps, in characters.
const MAX_TEXT: usize = 256;

/// The name of a kind of call. Those of [`Route::FAULTABLE`] are the contract's; the others are the story's set-up and
/// are never disturbed by a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Route(pub &'static str);

#[expect(missing_docs, reason = "each name says it")]
impl Route {
    pub const PAYIQ_AUTH: Self = Self("payiq.auth");
    pub const PAYIQ_CONVERT: Self = Self("payiq.convert");
    pub const LOANPRO_LINK: Self = Self("loanpro.link");
    pub const LOANPRO_LOOKUP: Self = Self("loanpro.lookup");
    pub const LOANPRO_CUSTOMER: Self = Self("loanpro.customer");
    pub const LOANPRO_SETUP: Self = Self("loanpro.setup");
    pub const LOANPRO_PAYMENT: Self = Self("loanpro.payment");
    pub const ALOHA_LINK: Self = Self("aloha.link");
    pub const ALOHA_LOOKUP: Self = Self("aloha.lookup");
    pub const ALOHA_SETUP: Self = Self("aloha.setup");
    pub const SECURE_PAYMENTS_ACCOUNT: Self = Self("secure-payments.account");

    /// The routes that faults can be set on: all that the worker calls.
    pub const FAULTABLE: [Self; 7] = [
        Self::PAYIQ_AUTH,
        Self::PAYIQ_CONVERT,
        Self::LOANPRO_LINK,
        Self::LOANPRO_LOOKUP,
        Self::LOANPRO_CUSTOMER,
        Self::ALOHA_LINK,
        Self::ALOHA_LOOKUP,
    ];
}

/// What is known of a call before it is played.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which kind.
    pub route: Route,
    /// About whom: the LMS's customer, or PayIQ's ExternalUserID.
    pub customer: Option<String>,
    /// The caller's `Idempotency-Key`: noted, never honoured, as with the vendors.
    pub idempotency_key: Option<String>,
}

impl Call {
    /// A call about nobody yet.
    #[must_use]
    pub fn new(route: Route, headers: &HeaderMap) -> Self {
        let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
        Self { route, customer: None, idempotency_key: key.map(shorten) }
    }

    /// The same call about a customer.
    #[must_use]
    pub fn about(self, customer: impl ToString) -> Self {
        Self { customer: Some(shorten(&customer.to_string())), ..self }
    }

    /// The same call about whoever this member of the body names, if anyone.
    #[must_use]
    pub fn about_member(self, body: &Value, name: &str) -> Self {
        match body.get(name).and_then(Value::as_str) {
            Some(customer) => self.about(customer),
            None => self,
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

/// One call as it went.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    route: Route,
    /// `None`: no answer yet, or never (closed, hung, the caller left).
    status: Option<u16>,
    fault: Option<&'static str>,
    customer: Option<String>,
    at: Moment,
    idempotency_key: Option<String>,
}

/// The log of calls.
#[derive(Debug, Default, Serialize)]
pub struct CallLog {
    counts: BTreeMap<Route, u64>,
    recent: VecDeque<Entry>,
    #[serde(skip)]
    forgotten: u64,
}

impl CallLog {
    /// Notes that a call came in, and gives its number.
    pub fn begin(&mut self, call: &Call, fault: Option<&'static str>, at: Moment) -> u64 {
        *self.counts.entry(call.route).or_default() += 1;
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
            self.forgotten += 1;
        }
        let (customer, idempotency_key) = (call.customer.clone(), call.idempotency_key.clone());
        self.recent.push_back(Entry { route: call.route, status: None, fault, customer, at, idempotency_key });
        self.forgotten + self.recent.len() as u64 - 1
    }

    /// Notes how it was answered. A call that is forgotten already is let go.
    pub fn finish(&mut self, number: u64, status: Option<u16>) {
        let place = number.checked_sub(self.forgotten).and_then(|place| usize::try_from(place).ok());
        if let Some(entry) = place.and_then(|place| self.recent.get_mut(place)) {
            entry.status = status;
        }
    }
}
