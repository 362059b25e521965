//! A dead letter of the ledger as the `DeadLetter` event that others know.
//!
//! The event that was published is gone from the ledger, so this one is made anew, of the same parts: id, origin, sealed original
//! and times are those of the published one, but that the original is always there. The detail of a reason is kept nowhere else;
//! it is found anew where the record says it, and else told from the timeline.

use data_encoding::BASE64;
use serde_json::Value;

use super::opening;
use crate::contract::decode::{Decoded, decode};
use crate::contract::results::{DeadLetterParts, OutputMode, SealedOriginal, Subject, dead_letter};
use crate::contract::{Context, InputRecord};
use crate::domain::{Reason, ReasonCode, Stage, timeline};
use crate::ledger::{DeadLetter, StoredRow, Story, Vault};

/// The event. `topic` is the input topic that the ledger serves; a record that does not open under the vault's keys is exported all the same, sealed as
/// it is.
#[must_use]
pub fn event(letter: &DeadLetter, story: &Story, row: &StoredRow, topic: &str, vault: &Vault) -> Value {
    let origin = row.origin(topic);
    let record = opening::record(&origin, row, vault);
    let Told { context, result_key, reason } = told(letter, story, record.as_ref());
    let result_key = letter.customer.as_ref().map(|customer| customer.id.clone()).or(result_key);
    let subject = Subject {
        identity: letter.identity.as_ref(),
        created: letter.identity.as_ref(),
        origin: &origin,
        customer: letter.customer.as_ref(),
        key: result_key.as_deref().map(str::as_bytes),
        context: &context,
        generation: letter.dead_lettered_generation(),
        attempts: letter.attempts,
        at: letter.dead_lettered_at,
    };
    let base64 = BASE64.encode(&row.sealed_record);
    let key_id = Vault::key_id_of(&row.sealed_record).unwrap_or_default();
    let parts = DeadLetterParts {
        record_key: record.as_ref().and_then(|record| record.key.as_deref()),
        first_failed_at: story.first_failed_at.unwrap_or(letter.dead_lettered_at),
        // Whole, also where the published one had to leave it out: no topic limits this one.
        sealed: Some(SealedOriginal { base64: &base64, key_id }),
    };
    let made = dead_letter(&subject, &reason, &parts, OutputMode::Structured);
    // What we wrote a moment ago is JSON.
    serde_json::from_slice(&made.value).unwrap_or(Value::Null)
}

/// What the record itself tells.
struct Told {
    context: Context,
    result_key: Option<String>,
    reason: Reason,
}

fn told(letter: &DeadLetter, story: &Story, record: Option<&InputRecord>) -> Told {
    let from_timeline = || {
        let code = ReasonCode::ALL.into_iter().find(|code| code.as_str() == letter.reason);
        let stage = Stage::ALL.into_iter().find(|stage| stage.as_str() == letter.stage);
        // Only we write these columns.
        let (code, stage) = (code.unwrap_or(ReasonCode::RetriesExhausted), stage.unwrap_or(Stage::Link));
        Reason::new(code, stage, detail(story))
    };
    match record.map(decode) {
        Some(Decoded::Created(created)) => Told { context: created.context, result_key: None, reason: from_timeline() },
        Some(Decoded::Unusable(unusable)) => {
            let is_its_own = unusable.reason.code.as_str() == letter.reason;
            let reason = if is_its_own { unusable.reason } else { from_timeline() };
            Told { context: unusable.context, result_key: unusable.result_key, reason }
        }
        None => Told { context: Context::default(), result_key: None, reason: from_timeline() },
    }
}

/// The last call says best what went wrong; all of it are words of ours.
fn detail(story: &Story) -> String {
    let entries = timeline::read(&story.timeline);
    let call = entries.iter().rev().find(|entry| entry.step != "end" && entry.step != "wait");
    call.map_or_else(
        || "it ended without a call".to_owned(),
        |entry| match entry.status {
            Some(status) => format!("the last call, {}: {} (status {status})", entry.step, entry.outcome),
            None => format!("the last call, {}: {}", entry.step, entry.outcome),
        },
    )
}
