//! What PayIQ's answer to a conversion means: the body first, then the status (upstreams, section 1).
//!
//! A body that contradicts itself fails closed: it may have been converted, so it is neither a success nor a refusal by
//! which the event could end for good.

use hyper::StatusCode;
use serde_json::{Map, Value};

use super::account::account;
use crate::contract::scrub;
use crate::domain::{ReasonCode, Secret};
use crate::upstream::http::{Answer, Exchange};
use crate::upstream::json::{Json, text};
use crate::upstream::retry_after::retry_after;
use crate::upstream::{CallOutcome, Converted, Refusal, answer_text, without_answer};

/// Longest permanent token (upstreams, section 7).
const MAX_TOKEN_BYTES: usize = 8192;

/// The documented errors, by number.
const NAMES: [&str; 9] = [
    "None",
    "SystemError",
    "Validation",
    "DataNotFound",
    "DuplicatePayment",
    "PreAuthError",
    "Declined",
    "ServiceUnavailable",
    "UserLocked",
];

/// What a body claims.
enum Claim {
    /// Converted, and everything agrees.
    Converted,
    /// This error, and everything agrees.
    Error(i64),
    /// Signs of success and of failure, or neither where there must be one.
    Contradiction(&'static str),
    /// Not an answer of this service.
    None,
}

/// The class of an exchange. `secrets` are kept out of its texts.
#[must_use]
pub fn classify(exchange: Exchange, secrets: &[&Secret]) -> CallOutcome<Converted> {
    let answer = match exchange {
        Ok(answer) => answer,
        Err(error) => return without_answer(error),
    };
    let Some(mut body) = Json::parse(&answer.body) else {
        return by_status(&answer, secrets);
    };
    match claim(answer.status, body.value()) {
        Claim::Converted => converted(&mut body),
        Claim::Contradiction(what) => refused(ReasonCode::ConversionUnknown, what.to_owned()),
        Claim::Error(number) if distrusts_body(answer.status, number) => by_status(&answer, secrets),
        Claim::Error(number) => by_number(number, &answer, body.value(), secrets),
        Claim::None => by_status(&answer, secrets),
    }
}

/// Whether the answer is a 401 that says nothing of a conversion: a renewed bearer may do.
#[must_use]
pub fn refuses_bearer(exchange: &Exchange) -> bool {
    let Ok(answer) = exchange else { return false };
    if answer.status != StatusCode::UNAUTHORIZED {
        return false;
    }
    let claim = Json::parse(&answer.body).map_or(Claim::None, |body| claim(answer.status, body.value()));
    match claim {
        Claim::None => true,
        Claim::Error(number) => distrusts_body(answer.status, number),
        Claim::Converted | Claim::Contradiction(_) => false,
    }
}

fn claim(status: StatusCode, body: &Value) -> Claim {
    let Some(fields) = body.as_object() else {
        return Claim::None;
    };
    let success = fields.get("Success").and_then(Value::as_bool);
    let number = fields.get("ErrorNum").and_then(Value::as_i64);
    let has_token = fields.get("Result").and_then(Value::as_object).and_then(|result| text(result, "Token")).is_some();
    let named = named(fields);
    let claims_success = success == Some(true) || has_token;
    match number {
        Some(0)
            if success == Some(true) && has_token && status.is_success() && matches!(named, None | Some(Some(0))) =>
        {
            Claim::Converted
        }
        _ if claims_success => Claim::Contradiction("the answer says success, but not all of it does"),
        Some(0) if success == Some(false) => Claim::Contradiction("the answer says failure and names no error"),
        Some(number) if number != 0 => match named {
            Some(Some(other)) if other != number => Claim::Contradiction("the error's name and number do not agree"),
            _ => Claim::Error(number),
        },
        _ => Claim::None,
    }
}

/// The number that belongs to `ErrorCode`: absent, unknown (`Some(None)`), or a documented one.
fn named(fields: &Map<String, Value>) -> Option<Option<i64>> {
    let code = fields.get("ErrorCode").filter(|code| !code.is_null() && code.as_str() != Some(""))?;
    let name = code.as_str().map(str::trim).unwrap_or_default();
    let position = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name));
    Some(position.and_then(|number| i64::try_from(number).ok()).or_else(|| code.as_i64()))
}

/// The one place where the status outweighs the body: a general "invalid" or "not found" beside a refused credential or a
/// throttle is about the call, not about the token, and must not end an event.
fn distrusts_body(status: StatusCode, number: i64) -> bool {
    let about_the_call =
        matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
    about_the_call && matches!(number, 2 | 3)
}

fn converted(body: &mut Json) -> CallOutcome<Converted> {
    let account = match body.value().get("Result").and_then(Value::as_object).map(account) {
        Some(Ok(account)) => account,
        Some(Err(why)) => return refused(ReasonCode::AccountUnsupported, why.to_owned()),
        None => return refused(ReasonCode::ConversionUnknown, "the answer names no account".to_owned()),
    };
    match body.take_secret("/Result/Token") {
        Some(token) if token.expose().len() <= MAX_TOKEN_BYTES => CallOutcome::Done(Converted { token, account }),
        _ => refused(ReasonCode::ConversionUnknown, format!("the token is longer than {MAX_TOKEN_BYTES} bytes")),
    }
}

fn by_number(number: i64, answer: &Answer, body: &Value, secrets: &[&Secret]) -> CallOutcome<Converted> {
    let detail = describe(number, body, secrets);
    let retry_after = retry_after(&answer.headers, answer.received_at);
    match number {
        2 | 3 => refused(ReasonCode::TokenRejected, detail),
        4 => refused(ReasonCode::ConversionUnknown, detail),
        5 | 6 => refused(ReasonCode::AccountDeclined, detail),
        7 => CallOutcome::NotApplied { retry_after, detail },
        8 => refused(ReasonCode::UserLocked, detail),
        _ => CallOutcome::Unknown { retry_after, detail },
    }
}

/// Where the body says nothing that counts.
fn by_status(answer: &Answer, secrets: &[&Secret]) -> CallOutcome<Converted> {
    let detail = answer_text::describe(answer, secrets);
    let retry_after = retry_after(&answer.headers, answer.received_at);
    match answer.status.as_u16() {
        // A moved address is a wrong base URL: we follow no redirects.
        401 | 403 | 404 | 301 | 302 | 307 | 308 => CallOutcome::Misconfigured { detail },
        429 => CallOutcome::NotApplied { retry_after, detail },
        _ => CallOutcome::Unknown { retry_after, detail },
    }
}

fn refused(code: ReasonCode, detail: String) -> CallOutcome<Converted> {
    CallOutcome::Refused(Refusal { code, detail })
}

/// Name, number, the id that the vendor's support asks for, and the first texts.
fn describe(number: i64, body: &Value, secrets: &[&Secret]) -> String {
    let word = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("-");
    let errors = body.get("Errors").and_then(Value::as_array);
    let texts: Vec<&str> = errors.into_iter().flatten().take(5).filter_map(Value::as_str).collect();
    let said = format!("{} ({number}), error id {}: {}", word("ErrorCode"), word("ErrorID"), texts.join("; "));
    scrub(&said, secrets)
}
