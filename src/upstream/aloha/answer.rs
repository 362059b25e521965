//! What Aloha's answers mean. Its error bodies are not documented, only the names `BadRequest`, `NotFound` and
//! `InternalServerError`.

use serde_json::{Map, Value};
use uuid::Uuid;

use crate::domain::{ReasonCode, Secret};
use crate::upstream::answer_text::{self, is_markup, message};
use crate::upstream::http::{Answer, Exchange};
use crate::upstream::json::{self, Json};
use crate::upstream::retry_after::retry_after;
use crate::upstream::{
    CallOutcome, CustomerCheck, FoundProfile, LinkAnswer, LookOutcome, Refusal, journal, without_answer,
};

/// The class of a link's exchange. `secrets` are kept out of its texts.
#[must_use]
pub fn classify_link(exchange: Exchange, secrets: &[&Secret]) -> CallOutcome<LinkAnswer> {
    let answer = match exchange {
        Ok(answer) => answer,
        Err(error) => return without_answer(error),
    };
    if answer.status.as_u16() == 200
        && let Some(id) = account_id(&answer.body)
    {
        return CallOutcome::Done(LinkAnswer::Named(id));
    }
    let detail = answer_text::describe(&answer, secrets);
    let retry_after = retry_after(&answer.headers, answer.received_at);
    match Meaning::of(&answer) {
        Meaning::Ours => CallOutcome::Misconfigured { detail },
        Meaning::NoCustomer => refused(ReasonCode::CustomerNotFound, detail),
        Meaning::Throttled => CallOutcome::NotApplied { retry_after, detail },
        Meaning::BadRequest => refused(ReasonCode::LinkRefused, detail),
        Meaning::Open => CallOutcome::Unknown { retry_after, detail },
    }
}

/// What a look-up's exchange shows: the entries whose account number is the card token.
#[must_use]
pub fn classify_payments(exchange: Exchange, token: &Secret, secrets: &[&Secret]) -> LookOutcome {
    let answer = match exchange {
        Ok(answer) => answer,
        Err(error) => return failed(error.to_string()),
    };
    if answer.status.as_u16() == 200
        && let Some(body) = Json::parse(&answer.body)
        && let Some(entries) = body.value().as_array()
    {
        journal::listed();
        return find(entries, token);
    }
    let detail = answer_text::describe(&answer, secrets);
    match Meaning::of(&answer) {
        Meaning::Ours => LookOutcome::Misconfigured { detail },
        Meaning::NoCustomer => LookOutcome::CustomerMissing { detail },
        Meaning::Throttled | Meaning::BadRequest | Meaning::Open => {
            LookOutcome::Failed { retry_after: retry_after(&answer.headers, answer.received_at), detail }
        }
    }
}

/// Whether a customer's list of payments, whatever is in it, shows that there is such a customer.
#[must_use]
pub fn customer_check(exchange: Exchange, secrets: &[&Secret]) -> CustomerCheck {
    // An empty account number is none, so nothing equals the empty token: this only reads the list.
    match classify_payments(exchange, &Secret::new(Vec::new()), secrets) {
        LookOutcome::Found { .. } | LookOutcome::Absent => CustomerCheck::Exists,
        LookOutcome::CustomerMissing { .. } => CustomerCheck::Missing,
        LookOutcome::Failed { detail, .. } => CustomerCheck::Unclear { detail },
        LookOutcome::Misconfigured { detail } => CustomerCheck::Misconfigured { detail },
    }
}

/// What an answer that is not a success is about.
enum Meaning {
    /// Our credential, company code or address.
    Ours,
    /// There is no such customer.
    NoCustomer,
    /// Too many calls.
    Throttled,
    /// The vendor will not take this.
    BadRequest,
    /// Cannot be told.
    Open,
}

impl Meaning {
    fn of(answer: &Answer) -> Self {
        let text = message(answer).unwrap_or_default().to_lowercase();
        let says = |name: &str| text.replace([' ', '_'], "").contains(name);
        match answer.status.as_u16() {
            // A moved address is a wrong base URL: we follow no redirects.
            401 | 403 | 301 | 302 | 307 | 308 => Self::Ours,
            404 if is_no_route(answer, &text) => Self::Ours,
            404 => Self::NoCustomer,
            400 if says("internalservererror") => Self::Open,
            400 if says("notfound") => Self::NoCustomer,
            400 => Self::BadRequest,
            429 => Self::Throttled,
            _ => Self::Open,
        }
    }
}

/// What routers and gateways say of an address that they do not know.
const NO_ROUTE: [&str; 5] = ["no http resource", "request uri", "no route", "cannot get /", "cannot put /"];

/// A 404 of a web server, router or gateway, which knows nothing of customers: the base URL is wrong. Aloha's own is the name
/// of its error, in JSON or alone, or nothing at all; what could be either is taken for its own.
fn is_no_route(answer: &Answer, text: &str) -> bool {
    if NO_ROUTE.iter().any(|said| text.contains(said)) {
        return true;
    }
    match Json::parse(&answer.body) {
        Some(body) => is_frameworks(body.value()),
        // As a word: an id may hold these digits.
        None => text.split_whitespace().any(|word| word.trim_end_matches(':') == "404") || is_page(answer),
    }
}

fn is_page(answer: &Answer) -> bool {
    std::str::from_utf8(&answer.body).is_ok_and(is_markup)
}

/// Bodies that frameworks write by themselves: `{"detail":"Not Found"}`, and those that repeat the path.
fn is_frameworks(body: &Value) -> bool {
    let Some(fields) = body.as_object() else { return false };
    let detail = fields.get("detail").and_then(Value::as_str);
    fields.contains_key("path") || detail.is_some_and(|detail| detail.trim().eq_ignore_ascii_case("not found"))
}

/// The bare GUID of the account. The nil GUID is what a serialiser writes for "nothing".
fn account_id(body: &[u8]) -> Option<String> {
    let body = Json::parse(body)?;
    let id = Uuid::try_parse(body.value().as_str()?).ok()?;
    (!id.is_nil()).then(|| id.to_string())
}

fn find(entries: &[Value], token: &Secret) -> LookOutcome {
    let mut found = Vec::new();
    for entry in entries {
        let Some(fields) = entry.as_object() else {
            return failed("the payments hold an entry that cannot be read".to_owned());
        };
        if echoes(fields, token) {
            let Some(profile) = profile(fields) else {
                return failed("our payment has no account id".to_owned());
            };
            found.push(profile);
        }
    }
    LookOutcome::of(found)
}

fn echoes(fields: &Map<String, Value>, token: &Secret) -> bool {
    json::text(fields, "AccountNumber").is_some_and(|number| token.same_as(number.as_bytes()))
}

/// Aloha has neither titles nor primaries.
fn profile(fields: &Map<String, Value>) -> Option<FoundProfile> {
    json::id(fields.get("AccountId")).map(FoundProfile::named)
}

fn refused(code: ReasonCode, detail: String) -> CallOutcome<LinkAnswer> {
    CallOutcome::Refused(Refusal { code, detail })
}

fn failed(detail: String) -> LookOutcome {
    LookOutcome::Failed { retry_after: None, detail }
}
