//! Validation before publishing: what the worker would refuse as unreadable or invalid is not sent at all, nor two different
//! events of one identity: which of them the worker sees first, and so which one counts, is nobody's choice.

use std::collections::HashMap;

use super::input::{Draft, Faults, count};
use crate::cli::exit::{Exit, Failure};
use crate::contract::card_numbers::{self, Place};
use crate::contract::decode::{Decoded, decode};
use crate::contract::{self, InputRecord, PROFILE_CREATED, schemas};
use crate::domain::{Origin, ReasonCode, Secret};

/// Checks all events.
///
/// # Errors
/// The faults with their lines and pointers: 65.
pub fn all(drafts: &[Draft]) -> Result<(), Failure> {
    let mut found = Faults::default();
    let mut bad = 0;
    let mut identities = Identities::default();
    for draft in drafts {
        let mut faults = faults(draft);
        if faults.is_empty() {
            faults.extend(identities.conflict(draft).map(|first| conflict(draft, first)));
        }
        bad += usize::from(!faults.is_empty());
        faults.into_iter().for_each(|fault| found.add(|| fault));
    }
    if bad == 0 {
        return Ok(());
    }
    let what = format!("{bad} of {} cannot be published; nothing was published", count(drafts.len()));
    let failure = found.tell(Failure::new(Exit::BadInput, what));
    Err(failure.fix(format!("`profile-linker schema show {PROFILE_CREATED}` prints what is allowed")))
}

fn faults(draft: &Draft) -> Vec<String> {
    let violations = schemas::violations(PROFILE_CREATED, &draft.event);
    if violations.is_empty() {
        return beyond_schema(draft).into_iter().collect();
    }
    violations.into_iter().map(|violation| at(draft, &violation.pointer, &violation.message)).collect()
}

/// The pointer of the whole event is empty.
fn at(draft: &Draft, pointer: &str, message: &str) -> String {
    match pointer {
        "" => format!("{}: {message}", draft.place),
        pointer => format!("{} {pointer}: {message}", draft.place),
    }
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
    let told = format!("{} ({})", reason.detail, reason.code);
    match reason.code {
        ReasonCode::AccountUnsupported => None,
        ReasonCode::CardNumberDetected => Some(at(draft, &pointer_of_card(draft), &told)),
        _ => Some(at(draft, "", &told)),
    }
}

/// Empty where the place has no name that may be told.
fn pointer_of_card(draft: &Draft) -> String {
    match card_numbers::find(&draft.event) {
        Some(Place::Member(pointer)) => pointer,
        _ => String::new(),
    }
}

/// The first good event of each identity.
#[derive(Default)]
struct Identities<'d>(HashMap<(&'d str, &'d str), &'d Draft>);

impl<'d> Identities<'d> {
    /// The event before this one with its identity and another payload. The same payload again is a harmless duplicate.
    fn conflict(&mut self, draft: &'d Draft) -> Option<&'d Draft> {
        let identity = (draft.text_at("/source")?, draft.text_at("/id")?);
        let first = *self.0.entry(identity).or_insert(draft);
        let differ = || contract::payload(&first.event) != contract::payload(&draft.event);
        (!std::ptr::eq(first, draft) && differ()).then_some(first)
    }
}

fn conflict(draft: &Draft, first: &Draft) -> String {
    let what = format!(
        "the same source and id as {}, but another type or data; give each event an id of its own",
        first.place
    );
    at(draft, "/id", &what)
}
