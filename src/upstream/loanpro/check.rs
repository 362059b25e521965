//! Whether a customer is really missing. A wrong tenant answers just as a missing customer does, so a witness, a customer
//! that exists, is asked for before and after; only what is asked between two times that it was found counts.
//!
//! The witness is the configured probe customer, else the customer that this process found last. Where there is none yet, or
//! it is found no more, nobody is called missing: the event waits, and the breaker takes many such answers in a row for the
//! wrong tenant that they probably are.

use std::sync::atomic::Ordering;

use hyper::Method;

use super::answer::says_missing;
use super::{CustomerId, LoanPro};
use crate::domain::{Customer, Secret};
use crate::upstream::answer_text;
use crate::upstream::http::Exchange;
use crate::upstream::json::{self, Json};
use crate::upstream::{CustomerCheck, OpenGate};

/// What a `GET` of one customer says.
pub enum CustomerAnswer {
    /// It is this customer.
    Exists,
    /// "No such customer", whatever that is worth.
    Missing,
    /// A 409 without words for "no such customer". A wrong tenant is refused so; nothing else about a `GET` is known to be.
    Refused(String),
    /// Our credential is refused.
    Misconfigured(String),
    /// Anything else.
    Unclear(String),
}

impl LoanPro {
    pub(super) async fn check(&self, customer: &Customer) -> CustomerCheck {
        let Some(id) = CustomerId::of(customer) else {
            return unclear("the customer id is not one of LoanPro's");
        };
        let Some(probe) = self.probe_customer else {
            return self.check_without_probe(id).await;
        };
        self.check_behind(probe, id).await
    }

    async fn check_behind(&self, witness: CustomerId, id: CustomerId) -> CustomerCheck {
        if let Some(doubt) = self.doubt_about(witness).await {
            return doubt;
        }
        match self.customer(id).await {
            CustomerAnswer::Exists => CustomerCheck::Exists,
            // The tenant may have become another one since the witness was found.
            CustomerAnswer::Missing => self.doubt_about(witness).await.unwrap_or(CustomerCheck::Missing),
            CustomerAnswer::Misconfigured(detail) => CustomerCheck::Misconfigured { detail },
            CustomerAnswer::Refused(detail) | CustomerAnswer::Unclear(detail) => CustomerCheck::Unclear { detail },
        }
    }

    /// What it means that the witness is not found, if it is not.
    async fn doubt_about(&self, witness: CustomerId) -> Option<CustomerCheck> {
        Some(match self.customer(witness).await {
            CustomerAnswer::Exists => return None,
            CustomerAnswer::Missing | CustomerAnswer::Refused(_) if self.probe_customer.is_none() => self.unwitnessed(),
            CustomerAnswer::Missing => misconfigured("the probe customer is not found: is it the right tenant?"),
            CustomerAnswer::Refused(detail) => {
                misconfigured(&format!("the probe customer is refused: is it the right tenant? {detail}"))
            }
            CustomerAnswer::Misconfigured(detail) => CustomerCheck::Misconfigured { detail },
            CustomerAnswer::Unclear(detail) => CustomerCheck::Unclear { detail },
        })
    }

    /// Behind the customer that was found last, which cannot be its own witness.
    async fn check_without_probe(&self, id: CustomerId) -> CustomerCheck {
        if let Some(witness) = CustomerId::new(self.found.load(Ordering::Relaxed)).filter(|witness| *witness != id) {
            return self.check_behind(witness, id).await;
        }
        match self.customer(id).await {
            CustomerAnswer::Exists => {
                self.found.store(id.0, Ordering::Relaxed);
                CustomerCheck::Exists
            }
            CustomerAnswer::Missing | CustomerAnswer::Refused(_) => self.unwitnessed(),
            CustomerAnswer::Misconfigured(detail) => CustomerCheck::Misconfigured { detail },
            CustomerAnswer::Unclear(detail) => CustomerCheck::Unclear { detail },
        }
    }

    /// Whoever was found before is no witness any more: it may have been deleted, or the tenant is another.
    fn unwitnessed(&self) -> CustomerCheck {
        self.found.store(0, Ordering::Relaxed);
        let detail = "the customer is not found, and neither is any other: is it the right tenant? Events of customers \
                      that are not found wait until one is found; with probe_customer_id they need not";
        CustomerCheck::Unwitnessed { detail: detail.to_owned() }
    }

    /// What LoanPro says of one customer. It changes nothing.
    pub async fn customer(&self, id: CustomerId) -> CustomerAnswer {
        let authorised = match self.authorised("customer", Method::GET, id.path()) {
            Ok(authorised) => authorised,
            Err(error) => return CustomerAnswer::Misconfigured(error.to_string()),
        };
        let exchange = self.transport.exchange(authorised.call, &OpenGate).await;
        classify_customer(exchange, id, &[&authorised.credential])
    }
}

/// Reads the answer to a `GET` of a customer. It exists only if the answer names this very id.
#[must_use]
pub fn classify_customer(exchange: Exchange, id: CustomerId, secrets: &[&Secret]) -> CustomerAnswer {
    let answer = match exchange {
        Ok(answer) => answer,
        Err(error) => return CustomerAnswer::Unclear(error.to_string()),
    };
    if answer.status.as_u16() == 200 && names(&answer.body, id) {
        return CustomerAnswer::Exists;
    }
    let detail = answer_text::describe(&answer, secrets);
    match answer.status.as_u16() {
        401 | 403 | 301 | 302 | 307 | 308 => CustomerAnswer::Misconfigured(detail),
        404 | 409 if says_missing(&answer) => CustomerAnswer::Missing,
        409 => CustomerAnswer::Refused(detail),
        _ => CustomerAnswer::Unclear(detail),
    }
}

fn names(body: &[u8], id: CustomerId) -> bool {
    let Some(body) = Json::parse(body) else { return false };
    let entity = body.value().get("d").unwrap_or(body.value());
    json::id(entity.get("id")).is_some_and(|found| found == id.to_string())
}

fn unclear(detail: &str) -> CustomerCheck {
    CustomerCheck::Unclear { detail: detail.to_owned() }
}

fn misconfigured(detail: &str) -> CustomerCheck {
    CustomerCheck::Misconfigured { detail: detail.to_owned() }
}
