//! A vendor's JSON, read with suspicion and wiped after use: answers hold tokens, and so do error texts that echo them.

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::domain::Secret;
use crate::domain::secret::wipe_json;

/// A parsed body, wiped on drop.
pub struct Json(Value);

impl Json {
    /// Parses a body; `None` if it is not JSON. A byte order mark, which some servers send, does not count.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
        serde_json::from_slice(body).ok().map(Self)
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// Takes a string out as a secret: the one place in memory moves, nothing is copied.
    #[must_use]
    pub fn take_secret(&mut self, pointer: &str) -> Option<Secret> {
        match self.0.pointer_mut(pointer).map(Value::take) {
            Some(Value::String(text)) if !text.is_empty() => Some(Secret::from(text)),
            _ => None,
        }
    }
}

impl Drop for Json {
    fn drop(&mut self) {
        wipe_json(&mut self.0);
    }
}

/// Writes a request body that holds a token of `secret_len` bytes, without outgrown copies of it.
///
/// # Errors
/// Never for the maps we make; the caller treats it as a request that cannot be built.
pub fn write(body: &impl serde::Serialize, secret_len: usize) -> serde_json::Result<Zeroizing<Vec<u8>>> {
    // A byte of a token takes at most six as an escape; the rest of every body of ours is below 4 KB.
    let mut bytes = Zeroizing::new(Vec::with_capacity(secret_len * 6 + 4096));
    serde_json::to_writer(&mut *bytes, body)?;
    Ok(bytes)
}

/// A non-empty string field.
#[must_use]
pub fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// An id that may be a string or a number.
#[must_use]
pub fn id(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.trim().is_empty() => Some(text.trim().to_owned()),
        Value::Number(number) if number.is_u64() => Some(number.to_string()),
        _ => None,
    }
}

/// A flag that may be a boolean, 0/1, or text of either.
#[must_use]
pub fn flag(value: Option<&Value>) -> Option<bool> {
    match value? {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => Some(number.as_i64()? != 0),
        Value::String(text) => match text.as_str() {
            "1" | "true" => Some(true),
            "0" | "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}
