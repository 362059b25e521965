//! What a vendor's answer says to people: the known shapes of error bodies, flattened and scrubbed.

use hyper::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::http::Answer;
use super::json::Json;
use crate::contract::scrub;
use crate::domain::Secret;

/// How much of a body that is not JSON is looked at: enough for a sentence, and a page of HTML is no sentence.
const MAX_PLAIN_BYTES: usize = 2000;

/// Content types that are named where a body cannot be quoted: a header is the sender's text, too.
const KNOWN_TYPES: [&str; 5] = ["application/json", "text/html", "text/plain", "application/xml", "text/xml"];

/// Status and message of an answer, fit to be shown.
///
/// What claims success may hold what nobody knows yet: a new token, an access token, somebody else's profile. No list of
/// secrets helps against these, so of a success only an error that it names is quoted, and nothing of what cannot be read.
#[must_use]
pub fn describe(answer: &Answer, secrets: &[&Secret]) -> String {
    let status = answer.status.as_u16();
    let message = match answer.status.is_success() {
        true => named_error(answer),
        false => message(answer),
    };
    match message {
        Some(text) => scrub(&format!("http {status}: {text}"), secrets),
        None if answer.status.is_success() => unquoted(answer),
        None => format!("http {status} without a message"),
    }
}

/// The error that a success wraps, as LoanPro's may: `error`, alone or in `d`.
fn named_error(answer: &Answer) -> Option<String> {
    let body = Json::parse(&answer.body)?;
    let fields = body.value().as_object()?;
    let wrapped = || field(fields, "d")?.as_object().and_then(|inner| field(inner, "error"));
    message_in(field(fields, "error").or_else(wrapped)?)
}

/// An answer that claims success and is not what was asked for, by its size and type.
fn unquoted(answer: &Answer) -> String {
    let status = answer.status.as_u16();
    if answer.body.is_empty() {
        return format!("http {status} without a body");
    }
    let header = answer.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = header.split(';').next().unwrap_or_default().trim();
    let known = KNOWN_TYPES.iter().find(|known| known.eq_ignore_ascii_case(essence));
    let kind = known.map(|known| format!(" of {known}")).unwrap_or_default();
    format!("http {status} with a body that cannot be read ({} bytes{kind})", answer.body.len())
}

/// The message of an answer, **not scrubbed**: for classifying only.
#[must_use]
pub fn message(answer: &Answer) -> Option<String> {
    match Json::parse(&answer.body) {
        Some(body) => message_in(body.value()),
        None => plain(&answer.body),
    }
}

/// Follows the known wrappings: `d`, `error`, `Error`; then `message` (text, or `{value}`), and single texts.
fn message_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Object(fields) => {
            ["d", "error", "message", "value"].iter().find_map(|name| message_in(field(fields, name)?)).or_else(|| {
                ["error_description", "code", "type"]
                    .iter()
                    .find_map(|name| Some(field(fields, name)?.as_str()?.to_owned()))
            })
        }
        Value::Array(entries) => {
            let texts: Vec<String> = entries.iter().take(5).filter_map(message_in).collect();
            (!texts.is_empty()).then(|| texts.join("; "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

/// A field whatever its first letter's case: .NET services write `Message`.
fn field<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

fn plain(body: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(MAX_PLAIN_BYTES)]);
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    Some(if is_markup(text) { "a page of markup, not an answer of the service".to_owned() } else { text.to_owned() })
}

/// Whether this is HTML or XML: a proxy's or web server's page.
#[must_use]
pub fn is_markup(text: &str) -> bool {
    text.trim_start().starts_with('<')
}
