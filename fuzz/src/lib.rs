//! What the fuzzers share: records and answers made of any bytes, and what must hold for whatever comes of them.

use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use jiff::Timestamp;
use profile_linker::contract::InputRecord;
use profile_linker::contract::decode::{Decoded, decode};
use profile_linker::domain::{Origin, Secret};
use profile_linker::upstream::CallOutcome;
use profile_linker::upstream::http::{Answer, Exchange};
use serde_json::Value;
use zeroize::Zeroizing;

/// The contract's limit of what is told of a reason, characters.
const MAX_DETAIL: usize = 500;
/// What a token must begin with to be told from words: a fuzzer may take any text of ours for a token.
const MARK: &str = "tok_";
/// A token below this length may stand in a text by chance.
const TELLING: usize = 12;

/// A token that vendors quote in what the fuzzers make of it.
pub const TOKEN: &str = "tok_AbCdEfGhIjKlMnOp";

/// A record of the input topic.
#[must_use]
pub fn record(key: Option<Vec<u8>>, value: Option<Vec<u8>>, headers: Vec<(String, Option<Vec<u8>>)>) -> InputRecord {
    let origin = Origin { topic: "created".to_owned(), partition: 0, offset: 7, timestamp: 1_700_000_000_000 };
    InputRecord { origin, key, value: value.map(Secret::new), headers }
}

/// Reads a record, and looks at what is told of it.
///
/// # Panics
/// If a promise does not hold.
pub fn check(record: &InputRecord) {
    match decode(record) {
        Decoded::Created(created) => {
            assert!(!created.identity.source.is_empty() && created.identity.source.len() <= 512);
            assert!(!created.identity.id.is_empty() && created.identity.id.len() <= 512);
            assert!(!created.payload.is_empty());
        }
        Decoded::Unusable(unusable) => {
            let told = format!("{:?}", unusable.reason);
            assert!(unusable.reason.detail.chars().count() <= MAX_DETAIL, "too much is told");
            if let Some(token) = token_of(record) {
                assert!(!told.contains(&token), "a token is told");
            }
        }
    }
}

/// The token where its producer put it, if the value is an event and its token is nothing that the event says elsewhere, too.
fn token_of(record: &InputRecord) -> Option<String> {
    let bytes = record.value.as_ref()?.expose();
    let event: Value = serde_json::from_slice(bytes).ok()?;
    let token = event.pointer("/data/token/value").or_else(|| event.pointer("/token/value"))?.as_str()?.to_owned();
    let once = String::from_utf8_lossy(bytes).matches(token.as_str()).count() == 1;
    (token.len() >= TELLING && token.starts_with(MARK) && once).then_some(token)
}

/// A vendor's answer. The first two bytes choose the status, the third one how long to wait.
#[must_use]
pub fn answer(bytes: &[u8]) -> Option<Exchange> {
    let ([high, low, wait], body) = bytes.split_first_chunk::<3>()?;
    let status = 200 + (u16::from_be_bytes([*high, *low]) % 400);
    let mut headers = HeaderMap::new();
    if *wait > 127 {
        headers.insert(RETRY_AFTER, HeaderValue::from_bytes(&body[..body.len().min(20)]).ok()?);
    }
    Some(Ok(Answer {
        status: StatusCode::from_u16(status).ok()?,
        headers,
        body: Zeroizing::new(body.to_vec()),
        received_at: Timestamp::from_second(1_768_478_400).ok()?,
    }))
}

/// What is told of an outcome is short, shows no token and steers no terminal.
///
/// # Panics
/// If it does not hold.
pub fn check_told<T>(outcome: &CallOutcome<T>) {
    match outcome {
        CallOutcome::NotApplied { detail, .. }
        | CallOutcome::Unknown { detail, .. }
        | CallOutcome::Misconfigured { detail } => check_detail(detail),
        CallOutcome::Refused(refusal) => check_detail(&refusal.detail),
        CallOutcome::Done(_) | CallOutcome::Withdrawn => {}
    }
}

/// The same of a text.
///
/// # Panics
/// If it does not hold.
pub fn check_detail(detail: &str) {
    assert!(detail.chars().count() <= MAX_DETAIL, "too much is told");
    assert!(!detail.contains(TOKEN), "a token is told");
    assert!(!detail.chars().any(char::is_control), "a control character is told");
}
