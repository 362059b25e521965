//! Reads fault rules; a mistake is named with what is allowed.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::{Act, Reply, RoutePattern, Rule, Wait};
use crate::sandbox::calls::Route;
use crate::sandbox::control::fields::{FieldError, Fields, check};

/// The vendors whose routes can be meant together.
const VENDORS: [(&str, &str); 3] = [("payiq.*", "payiq."), ("loanpro.*", "loanpro."), ("aloha.*", "aloha.")];
/// The actions of the contract.
const ACTIONS: &str = "status, drop, apply_drop, delay, apply_delay, hang, garbage or nothing";
/// Longest wait in seconds: longer than any client's patience.
const MAX_WAIT: f64 = 3600.0;
/// What a delay may be.
const WAITS: &str = "seconds, or {\"uniform\":[least,most]}, from 0 to 3600";
/// Customers a rule may name.
const MAX_CUSTOMERS: usize = 10_000;

/// One rule or a list of them.
///
/// # Errors
/// The first mistake; then none is set.
pub fn rules(value: Value) -> Result<Vec<Rule>, FieldError> {
    match value {
        Value::Array(rules) => rules.into_iter().map(rule).collect(),
        one => Ok(vec![rule(one)?]),
    }
}

fn rule(text: Value) -> Result<Rule, FieldError> {
    let mut fields = Fields::of(text.clone())?;
    let routes = routes(fields.take("route", &allowed_routes())?)?;
    let action: Option<String> = fields.take("action", ACTIONS)?;
    let reply = reply(&mut fields)?;
    let wait = wait(fields.take("delay", WAITS)?)?;
    let probability: f64 = fields.take("p", "a number above 0 and up to 1")?.unwrap_or(1.0);
    let left: Option<u64> = fields.take("next", "a whole number from 1")?;
    let customers: Vec<CustomerId> = fields.take("customers", "a list of ids")?.unwrap_or_default();
    fields.end()?;
    check(probability > 0.0 && probability <= 1.0, "p", "a number above 0 and up to 1")?;
    check(left != Some(0), "next", "a whole number from 1")?;
    check(customers.len() <= MAX_CUSTOMERS, "customers", "a list of at most 10000 ids")?;
    let act = act(action.as_deref(), reply, wait.is_some())?;
    let customers = customers.into_iter().map(CustomerId::into_text).collect();
    let wait = wait.unwrap_or(Wait::Fixed(Duration::ZERO));
    Ok(Rule { routes, act, wait, probability, left, customers, text })
}

/// An id as people write it.
#[derive(Deserialize)]
#[serde(untagged)]
enum CustomerId {
    Number(i64),
    Text(String),
}

impl CustomerId {
    fn into_text(self) -> String {
        match self {
            Self::Number(id) => id.to_string(),
            Self::Text(id) => id,
        }
    }
}

fn allowed_routes() -> String {
    let routes = Route::FAULTABLE.map(|route| route.0).join(", ");
    format!("{routes}, payiq.*, loanpro.*, aloha.* or *")
}

fn routes(route: Option<String>) -> Result<RoutePattern, FieldError> {
    let wrong = || FieldError::Value { field: "route", allowed: allowed_routes() };
    let route = route.ok_or_else(wrong)?;
    if route == "*" {
        return Ok(RoutePattern::All);
    }
    if let Some((_, prefix)) = VENDORS.iter().find(|(name, _)| *name == route) {
        return Ok(RoutePattern::Vendor(prefix));
    }
    Route::FAULTABLE.into_iter().find(|one| one.0 == route).map(RoutePattern::One).ok_or_else(wrong)
}

fn act(action: Option<&str>, reply: Option<Reply>, waits: bool) -> Result<Act, FieldError> {
    let act = match (action, reply) {
        (Some("status"), Some(reply)) => return Ok(Act::Status(reply)),
        (Some("status"), None) => return Err(missing("status", "given with this action, 200 to 599")),
        (_, Some(_)) => return Err(missing("action", "status where a status is given")),
        (Some("drop"), _) => Act::Drop,
        (Some("apply_drop"), _) => Act::ApplyDrop,
        (Some("delay"), _) => Act::Delay,
        (Some("apply_delay"), _) => Act::ApplyDelay,
        (Some("hang"), _) => Act::Hang,
        (Some("garbage"), _) => Act::Garbage,
        (Some("nothing"), _) => Act::Nothing,
        _ => return Err(missing("action", ACTIONS)),
    };
    let needs = matches!(act, Act::Delay | Act::ApplyDelay);
    check(waits || !needs, "delay", WAITS)?;
    Ok(act)
}

fn missing(field: &'static str, allowed: &str) -> FieldError {
    FieldError::Value { field, allowed: allowed.to_owned() }
}

/// The answer of a `status` rule; `None` if the rule names no status.
fn reply(fields: &mut Fields) -> Result<Option<Reply>, FieldError> {
    let status: Option<u16> = fields.take("status", "200 to 599")?;
    let body: Option<Value> = fields.take("body", "a text or JSON")?;
    let given: Option<BTreeMap<String, String>> = fields.take("headers", "an object of texts")?;
    let Some(status) = status else {
        check(body.is_none() && given.is_none(), "status", "given with body and headers")?;
        return Ok(None);
    };
    check((200..=599).contains(&status), "status", "200 to 599")?;
    let status = StatusCode::from_u16(status).map_err(|_| missing("status", "200 to 599"))?;
    let (kind, body) = match body {
        None => ("text/plain", String::new()),
        Some(Value::String(text)) => ("text/plain", text),
        Some(json) => ("application/json", json.to_string()),
    };
    let mut headers = headers(given.unwrap_or_default())?;
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static(kind));
    Ok(Some(Reply { status, headers, body }))
}

fn headers(given: BTreeMap<String, String>) -> Result<HeaderMap, FieldError> {
    let wrong = || missing("headers", "an object of header names and their texts");
    let header = |(name, value): (String, String)| {
        let name: HeaderName = name.parse().map_err(|_| wrong())?;
        Ok((name, HeaderValue::from_str(&value).map_err(|_| wrong())?))
    };
    given.into_iter().map(header).collect()
}

fn wait(delay: Option<Value>) -> Result<Option<Wait>, FieldError> {
    let Some(delay) = delay else { return Ok(None) };
    let seconds = |value: &Value| {
        value.as_f64().filter(|seconds| (0.0..=MAX_WAIT).contains(seconds)).map(Duration::from_secs_f64)
    };
    let wait = match &delay {
        Value::Object(uniform) if uniform.len() == 1 => match uniform.get("uniform").and_then(Value::as_array) {
            Some(ends) if ends.len() == 2 => seconds(&ends[0])
                .zip(seconds(&ends[1]))
                .filter(|(least, most)| least <= most)
                .map(|(least, most)| Wait::Uniform(least, most)),
            _ => None,
        },
        fixed => seconds(fixed).map(Wait::Fixed),
    };
    wait.map(Some).ok_or_else(|| missing("delay", WAITS))
}
