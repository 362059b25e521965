//! Whether a customer is really missing. A wrong tenant answers just as a missing customer does, so the probe customer,
//! which exists, is asked for first; only what is asked *after* it was found counts.

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
    /// Our credential or tenant is refused.
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
        match self.customer(probe).await {
            CustomerAnswer::Exists => {}
            CustomerAnswer::Missing => {
                return misconfigured("the probe customer is not found: is it the right tenant?");
            }
            CustomerAnswer::Misconfigured(detail) => return CustomerCheck::Misconfigured { detail },
            CustomerAnswer::Unclear(detail) => return CustomerCheck::Unclear { detail },
        }
        match self.customer(id).await {
            CustomerAnswer::Exists => CustomerCheck::Exists,
            CustomerAnswer::Missing => CustomerCheck::Missing,
            CustomerAnswer::Misconfigured(detail) => CustomerCheck::Misconfigured { detail },
            CustomerAnswer::Unclear(detail) => CustomerCheck::Unclear { detail },
        }
    }

    /// Without a probe a customer can be found, but never be missing.
    async fn check_without_probe(&self, id: CustomerId) -> CustomerCheck {
        match self.customer(id).await {
            CustomerAnswer::Exists => CustomerCheck::Exists,
            CustomerAnswer::Missing => unclear("the customer is not found, and no probe_customer_id is configured"),
            CustomerAnswer::Misconfigured(detail) => CustomerCheck::Misconfigured { detail },
            CustomerAnswer::Unclear(detail) => CustomerCheck::Unclear { detail },
        }
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
