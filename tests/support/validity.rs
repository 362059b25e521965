//! Whether what we published is what `schemas/` promises: every result and dead letter that any test reads is held against it.
//!
//! The files are read and compiled here once more, so that a mistake in how the program reads them shows. The simulation uses
//! this file, too.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Map, Value};

const ENVELOPE: &[u8] = b"application/cloudevents+json";
const DATA: &[u8] = b"application/json";

/// What we publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    Linked,
    Rejected,
    DeadLetter,
}

impl Published {
    fn validator(self) -> &'static Validator {
        static LINKED: LazyLock<Validator> =
            LazyLock::new(|| compiled(include_str!("../../schemas/payments.profile-linked.v1.schema.json")));
        static REJECTED: LazyLock<Validator> =
            LazyLock::new(|| compiled(include_str!("../../schemas/payments.profile-rejected.v1.schema.json")));
        static DEAD_LETTER: LazyLock<Validator> =
            LazyLock::new(|| compiled(include_str!("../../schemas/payments.dead-letter.v1.schema.json")));
        match self {
            Self::Linked => &LINKED,
            Self::Rejected => &REJECTED,
            Self::DeadLetter => &DEAD_LETTER,
        }
    }
}

fn compiled(schema: &str) -> Validator {
    let schema = serde_json::from_str(schema).expect("a schema is JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema compiles")
}

/// What is wrong with a record as an event of this kind, in the mode that its content type names.
///
/// # Errors
/// The first few violations, with their places.
pub fn holds<'a>(
    published: Published,
    value: &[u8],
    headers: impl Iterator<Item = (&'a str, &'a [u8])>,
) -> Result<(), String> {
    event_of(value, headers).and_then(|event| is_valid(published, &event))
}

/// The same of an event in structured mode, as `watch` prints it.
///
/// # Errors
/// As [`holds`].
pub fn is_valid(published: Published, event: &Value) -> Result<(), String> {
    let violations = published.validator().iter_errors(event).take(5);
    let mut wrong: Vec<String> = violations.map(|error| format!("{}: {error}", error.instance_path())).collect();
    wrong.extend(event.as_object().into_iter().flatten().filter_map(bad_attribute));
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("; ")) }
}

/// By CloudEvents an attribute's name is of small letters and digits, and its value is no structure.
fn bad_attribute((name, value): (&String, &Value)) -> Option<String> {
    let named = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let fits = name == "data" || (named && (value.is_string() || value.is_boolean() || value.is_i64()));
    (!fits).then(|| format!("/{name}: is no attribute of CloudEvents"))
}

/// Puts an event in binary mode together: its attributes are headers, its data is the value.
fn event_of<'a>(value: &[u8], headers: impl Iterator<Item = (&'a str, &'a [u8])>) -> Result<Value, String> {
    let headers: Vec<(&str, &[u8])> = headers.collect();
    let value: Value = serde_json::from_slice(value).map_err(|error| format!("the value is not JSON: {error}"))?;
    match headers.iter().find(|(name, _)| *name == "content-type").map(|(_, kind)| *kind) {
        Some(ENVELOPE) => Ok(value),
        Some(DATA) => {
            let attributes = headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("ce_")?, value)));
            let mut event = Map::new();
            for (name, value) in attributes {
                let text = std::str::from_utf8(value).map_err(|error| format!("ce_{name}: {error}"))?;
                event.insert(name.to_owned(), Value::from(text));
            }
            event.insert("data".to_owned(), value);
            Ok(Value::Object(event))
        }
        other => Err(format!("content type {:?}", other.map(String::from_utf8_lossy))),
    }
}
