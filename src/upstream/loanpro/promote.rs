//! Making a profile primary: one PUT with two entries, the present primary first, since there is one a customer.

use hyper::Method;
use serde::Serialize;

use super::{CustomerId, LoanPro, link};
use crate::domain::ReasonCode;
use crate::upstream::credential::idempotency_header;
use crate::upstream::{CallOutcome, Gate, IDEMPOTENCY_KEY, LinkAnswer, Promotion, Refusal, json};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    payment_accounts: Results<'a>,
}

#[derive(Serialize)]
struct Results<'a> {
    results: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    id: Id<'a>,
    is_primary: u8,
    is_secondary: u8,
    #[serde(rename = "__id")]
    updated_id: Id<'a>,
    #[serde(rename = "__update")]
    update: bool,
}

/// A number where it is one, as the vendor writes it.
#[derive(Clone, Copy, Serialize)]
#[serde(untagged)]
enum Id<'a> {
    Number(i64),
    Text(&'a str),
}

impl<'a> Entry<'a> {
    fn new(id: &'a str, primary: bool) -> Self {
        let id = id.parse().map_or(Id::Text(id), Id::Number);
        Self { id, is_primary: u8::from(primary), is_secondary: u8::from(!primary), updated_id: id, update: true }
    }
}

impl LoanPro {
    pub(super) async fn put_promotion(&self, promotion: &Promotion, gate: &dyn Gate) -> CallOutcome<()> {
        let demoted = promotion.other_primary.iter().map(|id| Entry::new(id, false));
        let results = demoted.chain([Entry::new(&promotion.profile_id, true)]).collect();
        let body = json::write(&Request { payment_accounts: Results { results } }, 0);
        let (Some(customer), Ok(body)) = (CustomerId::of(&promotion.customer), body) else {
            let detail = "the customer id is not one of LoanPro's".to_owned();
            return CallOutcome::Refused(Refusal { code: ReasonCode::LinkRefused, detail });
        };
        let authorised = match self.authorised("promote", Method::PUT, customer.path()) {
            Ok(authorised) => authorised,
            Err(error) => return CallOutcome::Misconfigured { detail: error.to_string() },
        };
        let key = idempotency_header(promotion.idempotency_key);
        let call = authorised.call.header(IDEMPOTENCY_KEY, key).json(body);
        // The same call to the same resource, so its answers mean the same.
        let exchange = self.transport.exchange(call, gate).await;
        match link::classify(exchange, &[&authorised.credential]) {
            CallOutcome::Done(LinkAnswer::Named(_) | LinkAnswer::Unnamed) => CallOutcome::Done(()),
            other => other.split().0,
        }
    }
}
