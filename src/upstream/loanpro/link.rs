//! The link: one PUT that appends a payment profile.

use hyper::Method;
use serde::Serialize;
use serde_json::Value;

use super::answer::{says_missing, says_title_taken};
use super::{CustomerId, LoanPro};
use crate::contract::AccountKind;
use crate::domain::{ReasonCode, Secret};
use crate::upstream::credential::idempotency_header;
use crate::upstream::http::{Call, Exchange};
use crate::upstream::json::{self, Json};
use crate::upstream::retry_after::retry_after;
use crate::upstream::{CallOutcome, Gate, IDEMPOTENCY_KEY, Link, LinkAnswer, Refusal, answer_text, without_answer};

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    payment_accounts: Results<'a>,
}

#[derive(Serialize)]
struct Results<'a> {
    results: [Entry<'a>; 1],
}

/// Never linked as primary: what that does while another profile is primary is not documented.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Entry<'a> {
    active: u8,
    is_primary: u8,
    is_secondary: u8,
    title: &'a str,
    r#type: &'static str,
    #[serde(rename = "CheckingAccount", skip_serializing_if = "Option::is_none")]
    checking: Option<Child<'a>>,
    #[serde(rename = "CreditCard")]
    card: Child<'a>,
}

/// A bank account's entry carries an empty `CreditCard`, as the vendor's example does.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Child<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    account_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a str>,
}

impl LoanPro {
    pub(super) async fn put_link(&self, link: &Link, gate: &dyn Gate) -> CallOutcome<LinkAnswer> {
        let Some(customer) = CustomerId::of(&link.customer) else {
            return refused("the customer id is not one of LoanPro's".to_owned());
        };
        let Some(body) = link.token.expose_str().and_then(|token| body(link, token)) else {
            return refused("the token is not text".to_owned());
        };
        let authorised = match self.authorised("link", Method::PUT, customer.path()) {
            Ok(authorised) => authorised,
            Err(error) => {
                return CallOutcome::Misconfigured { detail: error.to_string() };
            }
        };
        let call: Call = authorised.call.header(IDEMPOTENCY_KEY, idempotency_header(link.idempotency_key)).json(body);
        let exchange = self.transport.exchange(call, gate).await;
        classify(exchange, &[&link.token, &authorised.credential])
    }
}

fn body(link: &Link, token: &str) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    let entry = entry(link, token);
    json::write(&Request { payment_accounts: Results { results: [entry] } }, token.len()).ok()
}

fn entry<'a>(link: &'a Link, token: &'a str) -> Entry<'a> {
    let (r#type, checking, card) = match link.account.kind {
        AccountKind::Checking => bank("bankacct.type.checking", token),
        AccountKind::Savings => bank("bankacct.type.savings", token),
        AccountKind::Card => ("paymentAccount.type.credit", None, Child { account_type: None, token: Some(token) }),
    };
    let is_secondary = u8::from(link.secondary);
    Entry { active: 1, is_primary: 0, is_secondary, title: &link.title, r#type, checking, card }
}

fn bank<'a>(account_type: &'static str, token: &'a str) -> (&'static str, Option<Child<'a>>, Child<'a>) {
    let child = Child { account_type: Some(account_type), token: Some(token) };
    ("paymentAccount.type.checking", Some(child), Child::default())
}

/// The class of an exchange. `secrets` are kept out of its texts.
#[must_use]
pub fn classify(exchange: Exchange, secrets: &[&Secret]) -> CallOutcome<LinkAnswer> {
    let answer = match exchange {
        Ok(answer) => answer,
        Err(error) => return without_answer(error),
    };
    if answer.status.is_success() && claims_done(&answer.body) {
        return CallOutcome::Done(LinkAnswer::Unnamed);
    }
    let detail = answer_text::describe(&answer, secrets);
    let retry_after = retry_after(&answer.headers, answer.received_at);
    match answer.status.as_u16() {
        // A moved address is a wrong base URL: we follow no redirects.
        401 | 403 | 404 | 301 | 302 | 307 | 308 => CallOutcome::Misconfigured { detail },
        409 if says_title_taken(&answer) => CallOutcome::Unknown { retry_after, detail },
        // Whether it is, the look-up and the check of the customer tell; a wrong tenant says the same.
        409 if says_missing(&answer) => refused_as(ReasonCode::CustomerNotFound, detail),
        409 => refused(detail),
        429 => CallOutcome::NotApplied { retry_after, detail },
        _ => CallOutcome::Unknown { retry_after, detail },
    }
}

/// A `d` that is an entity and not a wrapped error.
fn claims_done(body: &[u8]) -> bool {
    let Some(body) = Json::parse(body) else { return false };
    let is_error =
        |fields: &serde_json::Map<String, Value>| fields.contains_key("error") || fields.contains_key("error_v2");
    let Some(fields) = body.value().as_object() else {
        return false;
    };
    let entity = fields.get("d").and_then(Value::as_object);
    entity.is_some_and(|entity| !entity.is_empty() && !is_error(entity)) && !is_error(fields)
}

fn refused(detail: String) -> CallOutcome<LinkAnswer> {
    refused_as(ReasonCode::LinkRefused, detail)
}

fn refused_as(code: ReasonCode, detail: String) -> CallOutcome<LinkAnswer> {
    CallOutcome::Refused(Refusal { code, detail })
}
