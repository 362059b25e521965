//! What an event's timeline says of calls and steps. It grows in memory and travels in the writes that are made anyway.

use std::time::Duration;

use super::event::Event;
use crate::domain::Reason;
use crate::domain::machine::{End, Observation};
use crate::domain::outcome::{CallOutcome, CustomerCheck, LookOutcome};
use crate::domain::timeline::Entry;
use crate::upstream::journal::Note;

impl Event {
    /// The calls of one piece of work; the last one is the one that its outcome was judged by.
    pub fn note_calls(&mut self, at: i64, notes: &[Note], observation: &Observation) {
        for (index, note) in notes.iter().enumerate() {
            let is_last = index + 1 == notes.len();
            let outcome = if is_last { word(observation) } else { "answered".to_owned() };
            let entry = Entry {
                at,
                step: format!("{}.{}", note.upstream, note.operation),
                outcome,
                status: note.status,
                duration_ms: milliseconds(note.took),
            };
            self.timeline.push_str(&entry.line());
        }
    }

    /// A back-off.
    pub fn note_wait(&mut self, at: i64, wait: Duration) {
        self.note_step(at, "wait", "backed_off".to_owned(), milliseconds(wait));
    }

    /// Its end.
    pub fn note_end(&mut self, at: i64, end: &End) {
        let outcome = match end {
            End::Linked { .. } => "linked".to_owned(),
            End::Rejected(reason) => format!("rejected:{}", reason.code),
        };
        self.note_step(at, "end", outcome, 0);
    }

    fn note_step(&mut self, at: i64, step: &str, outcome: String, duration_ms: u64) {
        let entry = Entry { at, step: step.to_owned(), outcome, status: None, duration_ms };
        self.timeline.push_str(&entry.line());
    }
}

/// The end of a record that cannot be worked on, as a line.
pub(super) fn end_at_once(at: i64, reason: &Reason) -> String {
    let outcome = format!("rejected:{}", reason.code);
    Entry { at, step: "end".to_owned(), outcome, status: None, duration_ms: 0 }.line()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What an observation meant, in one word.
fn word(observation: &Observation) -> String {
    match observation {
        Observation::Conversion(outcome) => call_word(outcome),
        Observation::Link(outcome) => call_word(outcome),
        Observation::Promotion(outcome) => call_word(outcome),
        Observation::Looked(outcome) => match outcome {
            LookOutcome::Found { others, .. } => format!("found:{}", others + 1),
            LookOutcome::Absent => "absent".to_owned(),
            LookOutcome::CustomerMissing { .. } => "customer_missing".to_owned(),
            LookOutcome::Failed { .. } => "failed".to_owned(),
            LookOutcome::Misconfigured { .. } => "misconfigured".to_owned(),
        },
        Observation::Customer(check) => match check {
            CustomerCheck::Exists => "exists",
            CustomerCheck::Missing => "missing",
            CustomerCheck::Unwitnessed { .. } => "unwitnessed",
            CustomerCheck::Unclear { .. } => "unclear",
            CustomerCheck::Misconfigured { .. } => "misconfigured",
        }
        .to_owned(),
        Observation::Begun(_) | Observation::Stored | Observation::Turn | Observation::Due | Observation::Expired => {
            "-".to_owned()
        }
    }
}

fn call_word<T>(outcome: &CallOutcome<T>) -> String {
    match outcome {
        CallOutcome::Done(_) => "done".to_owned(),
        CallOutcome::NotApplied { .. } => "not_applied".to_owned(),
        CallOutcome::Unknown { .. } => "unknown".to_owned(),
        CallOutcome::Refused(refusal) => format!("refused:{}", refusal.code),
        CallOutcome::Misconfigured { .. } => "misconfigured".to_owned(),
        CallOutcome::Withdrawn => "withdrawn".to_owned(),
    }
}
