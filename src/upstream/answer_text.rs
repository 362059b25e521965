//! What a vendor's answer says to people: the known shapes of error bodies, flattened and scrubbed.

use serde_json::{Map, Value};

use super::http::Answer;
use super::json::Json;
use crate::contract::scrub;
use crate::domain::Secret;

/// How much of a body that is not JSON is looked at: enough for a sentence, and a page of HTML is no sentence.
const MAX_PLAIN_BYTES: usize = 2000;

/// Status and message of an answer, fit to be shown.
#[must_use]
pub fn describe(answer: &Answer, secrets: &[&Secret]) -> String {
    let status = answer.status.as_u16();
    match message(answer) {
        Some(text) => scrub(&format!("http {status}: {text}"), secrets),
        None => format!("http {status} without a message"),
    }
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
