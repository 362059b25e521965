//! Validation before publishing: what the worker would refuse as unreadable or invalid is not sent at all.

use super::input::{Draft, count};
use crate::cli::exit::{Exit, Failure};
use crate::contract::decode::{Decoded, decode};
use crate::contract::{InputRecord, PROFILE_CREATED, schemas};
use crate::domain::{Origin, ReasonCode, Secret};

/// So many faults are shown; more would scroll the first ones away.
pub const SHOWN: usize = 50;

/// Checks all events.
///
/// # Errors
/// Every fault with its line and pointer: 65.
pub fn all(drafts: &[Draft]) -> Result<(), Failure> {
    let faults: Vec<Vec<String>> = drafts.iter().map(faults).collect();
    let bad = faults.iter().filter(|faults| !faults.is_empty()).count();
    if bad == 0 {
        return Ok(());
    }
    let what = format!("{bad} of {} cannot be published; nothing was published", count(drafts.len()));
    let places: Vec<String> = faults.into_iter().flatten().collect();
    let hidden = places.len().saturating_sub(SHOWN);
    let failure = places.into_iter().take(SHOWN).fold(Failure::new(Exit::BadInput, what), Failure::at);
    let failure = if hidden > 0 { failure.at(format!("and {hidden} more")) } else { failure };
    Err(failure.fix(format!("`profile-linker schema show {PROFILE_CREATED}` prints what is allowed")))
}

fn faults(draft: &Draft) -> Vec<String> {
    let violations = schemas::violations(PROFILE_CREATED, &draft.event);
    if violations.is_empty() {
        return beyond_schema(draft).into_iter().collect();
    }
    violations
        .into_iter()
        .map(|violation| {
            let pointer = if violation.pointer.is_empty() { "/" } else { &violation.pointer };
            format!("{} {pointer}: {}", draft.place, violation.message)
        })
        .collect()
}

/// What no schema can say: doubled keys, limits in bytes, card numbers. An event that is readable and valid but bound to
/// be rejected (`account_unsupported`) is the publisher's to send.
fn beyond_schema(draft: &Draft) -> Option<String> {
    let record = InputRecord {
        origin: Origin { topic: String::new(), partition: 0, offset: 0, timestamp: -1 },
        key: None,
        value: Some(Secret::from(draft.text.clone())),
        headers: Vec::new(),
    };
    let Decoded::Unusable(unusable) = decode(&record) else {
        return None;
    };
    let reason = unusable.reason;
    let refused = reason.code != ReasonCode::AccountUnsupported;
    refused.then(|| format!("{} /: {} ({})", draft.place, reason.detail, reason.code))
}
