//! What "same payload" means: the canonical JSON (RFC 8785) of `type` and `data`. Content mode, framing, order of
//! members, spaces, `time` and extensions do not count.
//!
//! This form must never change: hashes of it are stored.

use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

#[derive(Serialize)]
struct Payload<'a> {
    r#type: &'a str,
    data: &'a Value,
}

/// The canonical payload of an event in structured form; `None` without a `type`. Missing data counts as null.
#[must_use]
pub fn payload(event: &Value) -> Option<Zeroizing<Vec<u8>>> {
    let payload = Payload { r#type: event.get("type")?.as_str()?, data: event.get("data").unwrap_or(&Value::Null) };
    serde_json_canonicalizer::to_vec(&payload).ok().map(Zeroizing::new)
}
