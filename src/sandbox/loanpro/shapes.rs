//! How LoanPro writes and reads JSON: nested lists as `{"results":[...]}`, booleans as 0 and 1, children that are not
//! expanded as `{"__deferred":...}`.

use serde_json::{Value, json};

use super::refusals::Refused;

/// The entries of a nested list. `None` if it is absent *or in the wrong shape*: LoanPro takes the latter without a word
/// and writes nothing.
#[must_use]
pub fn entries<'a>(body: &'a Value, name: &str) -> Option<&'a [Value]> {
    let entries = body.get(name)?.get("results")?.as_array()?;
    entries.iter().all(Value::is_object).then_some(entries.as_slice())
}

/// A flag that travels as 0 or 1 (or as their texts); `None` if it is absent.
///
/// # Errors
/// Anything else is a bad payload.
pub fn flag(entry: &Value, name: &str) -> Result<Option<bool>, Refused> {
    match entry.get(name) {
        None => Ok(None),
        Some(value) => match (value.as_u64(), value.as_str()) {
            (Some(0), _) | (_, Some("0")) => Ok(Some(false)),
            (Some(1), _) | (_, Some("1")) => Ok(Some(true)),
            _ => Err(Refused::BadPayload("flags are 0 or 1")),
        },
    }
}

/// An id, which may travel as a number or as a text.
#[must_use]
pub fn id(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok()).filter(|id| *id > 0)
}

/// A child that was not asked for.
#[must_use]
pub fn deferred(uri: &str) -> Value {
    json!({ "__deferred": { "uri": uri } })
}

/// `__metadata` of an entity.
#[must_use]
pub fn metadata(uri: &str, kind: &str) -> Value {
    json!({ "uri": uri, "type": format!("Entity.{kind}") })
}
