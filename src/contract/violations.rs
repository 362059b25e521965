//! What is wrong with an event, in words that say what is allowed and never what was there: a value may be a secret.

use jsonschema::JsonType;
use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use super::PROFILE_CREATED;
use super::profile::moment;
use super::schemas::Compiled;
use crate::domain::Violation;

/// The contract's limit: enough for a person to mend the event, and results stay small.
pub(super) const MAX_VIOLATIONS: usize = 50;
/// Limit of `source` and `id`, bytes.
pub(super) const MAX_IDENTITY_BYTES: usize = 512;
/// PayIQ's limit of a temporary token, bytes.
const MAX_TEMPORARY_TOKEN_BYTES: usize = 1024;
/// Limit of any token, bytes.
const MAX_TOKEN_BYTES: usize = 8192;

/// The schema's violations in its own order, then those of the rules that JSON Schema cannot tell, for members that have
/// none yet. One only for each pointer and message.
pub(super) fn collect(type_name: &str, compiled: &Compiled, event: &Value) -> Vec<Violation> {
    let mut found: Vec<Violation> = Vec::new();
    for error in compiled.validator.iter_errors(event) {
        let violation = describe(&compiled.schema, &error);
        if !found.contains(&violation) {
            found.push(violation);
        }
        if found.len() == MAX_VIOLATIONS {
            return found;
        }
    }
    if type_name == PROFILE_CREATED {
        let mut beyond = beyond_the_schema(event);
        beyond.retain(|violation| found.iter().all(|known| known.pointer != violation.pointer));
        found.append(&mut beyond);
        found.truncate(MAX_VIOLATIONS);
    }
    found
}

/// Points at the missing member itself, not at the object that lacks it.
fn describe(schema: &Value, error: &ValidationError<'_>) -> Violation {
    let pointer = error.instance_path().as_str();
    match error.kind() {
        ValidationErrorKind::Required { property } => Violation {
            pointer: format!("{pointer}/{}", property.as_str().unwrap_or_default()),
            message: "is required".to_owned(),
        },
        kind => Violation { pointer: pointer.to_owned(), message: allowed(schema, error, kind) },
    }
}

fn allowed(schema: &Value, error: &ValidationError<'_>, kind: &ValidationErrorKind) -> String {
    match kind {
        ValidationErrorKind::Type { kind } => format!("must be {}", type_names(kind)),
        ValidationErrorKind::Enum { options } => format!("must be one of {}", listed(options)),
        ValidationErrorKind::Constant { expected_value } => format!("must be {expected_value}"),
        ValidationErrorKind::MinLength { limit } => format!("must have at least {limit} characters"),
        ValidationErrorKind::MaxLength { limit } => format!("must have at most {limit} characters"),
        ValidationErrorKind::Format { format } if format == "date-time" => {
            "must be an RFC 3339 date and time, such as 2030-01-31T09:30:00Z".to_owned()
        }
        ValidationErrorKind::Pattern { .. } => match description_beside(schema, error.schema_path().as_str()) {
            Some(description) => format!("must be {description}"),
            None => "does not match the schema's pattern".to_owned(),
        },
        // Own wording: the library's quotes values and unexpected names.
        other => format!("breaks the schema's rule {:?}", other.keyword()),
    }
}

/// The `description` of the subschema in which the keyword stands; patterns have one that completes "must be".
fn description_beside<'a>(schema: &'a Value, keyword_path: &str) -> Option<&'a str> {
    let (subschema, _keyword) = keyword_path.rsplit_once('/')?;
    schema.pointer(subschema)?.get("description")?.as_str()
}

fn type_names(kind: &TypeKind) -> String {
    let names: Vec<&str> = match kind {
        TypeKind::Single(one) => vec![with_article(*one)],
        // Null stands for "left out" and would only confuse.
        TypeKind::Multiple(set) => set.iter().filter(|one| *one != JsonType::Null).map(with_article).collect(),
    };
    names.join(" or ")
}

fn with_article(one: JsonType) -> &'static str {
    match one {
        JsonType::Array => "an array",
        JsonType::Boolean => "a boolean",
        JsonType::Integer => "an integer",
        JsonType::Null => "null",
        JsonType::Number => "a number",
        JsonType::Object => "an object",
        JsonType::String => "a string",
    }
}

fn listed(options: &Value) -> String {
    let options = options.as_array().map(Vec::as_slice).unwrap_or_default();
    let texts: Vec<String> = options.iter().filter(|option| !option.is_null()).map(Value::to_string).collect();
    texts.join(", ")
}

/// Lengths in bytes (`maxLength` counts characters), the upper bound of a 64-bit id, and times beyond the calendar.
fn beyond_the_schema(event: &Value) -> Vec<Violation> {
    let temporary = text_at(event, "/data/token/kind") == Some("temporary");
    let token_limit = if temporary { MAX_TEMPORARY_TOKEN_BYTES } else { MAX_TOKEN_BYTES };
    let mut found: Vec<Violation> = [
        ("/source", MAX_IDENTITY_BYTES),
        ("/id", MAX_IDENTITY_BYTES),
        ("/data/token/value", token_limit),
        ("/data/customerToken", MAX_TOKEN_BYTES),
    ]
    .into_iter()
    .filter(|(pointer, limit)| text_at(event, pointer).is_some_and(|text| text.len() > *limit))
    .map(|(pointer, limit)| violation(pointer, format!("must have at most {limit} bytes")))
    .collect();
    let loanpro = text_at(event, "/data/customer/system") == Some("loanpro");
    if loanpro && text_at(event, "/data/customer/id").is_some_and(|id| id.parse::<i64>().is_err()) {
        found.push(violation("/data/customer/id", "must be at most 2^63-1".to_owned()));
    }
    if temporary && text_at(event, "/data/expiresAt").is_some_and(|at| moment(at).is_none()) {
        found.push(violation("/data/expiresAt", "must be a time of the calendar, as RFC 3339 writes it".to_owned()));
    }
    found
}

fn violation(pointer: &str, message: String) -> Violation {
    Violation { pointer: pointer.to_owned(), message }
}

pub(super) fn text_at<'a>(event: &'a Value, pointer: &str) -> Option<&'a str> {
    event.pointer(pointer)?.as_str()
}
