//! What the worker tells the metrics. Nothing is decided by them.

use std::time::Duration;

use super::dispatcher::{Dispatcher, Shared};
use super::event::Event;
use super::prepare::Draft;
use crate::domain::ReasonCode;
use crate::domain::machine::{Effect, End, Observation};
use crate::domain::outcome::{CallOutcome, CustomerCheck, LookOutcome};
use crate::ledger::Accepted;
use crate::metrics::{Metrics, Outcome};
use crate::upstream::journal::Note;

/// How often every event in memory is looked at for the oldest one: with the most that there may be, some milliseconds.
const LOOK_EVERY: Duration = Duration::from_secs(5);

impl Dispatcher {
    /// What is in memory now.
    pub fn measure_load(&self) {
        let runnable = self.bulkheads.runnable(self.shared.clock.tick());
        let waiting = self.events.len().saturating_sub(runnable + self.running);
        self.shared.metrics.load(self.running, waiting);
    }

    /// What is worth a look now and then: positions, and the oldest event.
    pub fn measure(&mut self) {
        let lanes = self.lanes.iter().filter(|(_, lane)| !lane.leaving);
        self.shared.metrics.positions(lanes.map(|(id, lane)| (*id, lane.position.unwrap_or(0))).collect());
        let now = self.shared.clock.tick();
        if now < self.measure_after {
            return;
        }
        self.measure_after = now + LOOK_EVERY;
        let records = self.events.values().map(|event| event.origin.timestamp).filter(|time| *time >= 0);
        let age = records.min().and_then(|oldest| self.age(oldest));
        self.shared.metrics.oldest_unfinished(age.unwrap_or_default());
    }

    /// An event's end is durable.
    pub fn count_end(&self, event: &Event) {
        if let Some(ended) = &event.ended {
            self.shared.metrics.ended(*ended, self.age(event.origin.timestamp));
        }
    }

    /// Records that ended as they were accepted, a conflict among them: its row is written with them.
    pub fn count_ended_at_once(&self, outcomes: &[(Draft, Accepted)]) {
        for (draft, outcome) in outcomes {
            let ended = draft.row.ended.as_ref().map(|ended| ended.reason.0);
            let code = match outcome {
                Accepted::New { publish_seq: Some(_) } => ended,
                Accepted::Conflict => Some(ReasonCode::EventIdConflict),
                _ => None,
            };
            if code.is_some() {
                self.shared.metrics.ended(code, self.age(draft.row.timestamp));
            }
        }
    }

    /// How long ago this time was; `None` for a record without one. Another machine's clock may be ahead.
    fn age(&self, timestamp: i64) -> Option<Duration> {
        let age = self.shared.clock.wall_ms().saturating_sub(timestamp).max(0);
        (timestamp >= 0).then(|| Duration::from_millis(age.unsigned_abs()))
    }
}

/// A conversion goes out: how long its token has to live.
pub(super) fn measure_token(shared: &Shared, event: &Event, effect: &Effect) {
    if let (Effect::Convert, Some(expires_at)) = (effect, event.profile.expires_at) {
        shared.metrics.converting(expires_at.saturating_sub(shared.clock.wall_ms()));
    }
}

/// What an event's end counts as.
pub(super) fn reason_of(end: &End) -> Option<ReasonCode> {
    match end {
        End::Linked { .. } => None,
        End::Rejected(reason) => Some(reason.code),
    }
}

/// The calls of one piece of work; the last one is the one that its outcome was judged by.
pub(super) fn count_calls(metrics: &Metrics, notes: &[Note], observation: &Observation) {
    for (index, note) in notes.iter().enumerate() {
        let outcome = if index + 1 == notes.len() { judged(observation) } else { answered(note) };
        metrics.requested(note.upstream, note.operation, outcome, note.took);
    }
}

/// A step on the way: a token that was fetched, a page that was read.
fn answered(note: &Note) -> Outcome {
    match note.status {
        Some(200..=299) => Outcome::Done,
        _ => Outcome::Failed,
    }
}

fn judged(observation: &Observation) -> Outcome {
    match observation {
        Observation::Conversion(outcome) => of_call(outcome),
        Observation::Link(outcome) => of_call(outcome),
        Observation::Promotion(outcome) => of_call(outcome),
        Observation::Looked(LookOutcome::Failed { .. }) => Outcome::Failed,
        Observation::Looked(LookOutcome::Misconfigured { .. })
        | Observation::Customer(CustomerCheck::Misconfigured { .. }) => Outcome::Misconfigured,
        Observation::Customer(CustomerCheck::Unclear { .. } | CustomerCheck::Unwitnessed { .. }) => Outcome::Failed,
        _ => Outcome::Done,
    }
}

fn of_call<T>(outcome: &CallOutcome<T>) -> Outcome {
    match outcome {
        CallOutcome::Done(_) => Outcome::Done,
        // What was sent before the gate closed changed nothing.
        CallOutcome::NotApplied { .. } | CallOutcome::Withdrawn => Outcome::NotApplied,
        CallOutcome::Unknown { .. } => Outcome::Unknown,
        CallOutcome::Refused(_) => Outcome::Refused,
        CallOutcome::Misconfigured { .. } => Outcome::Misconfigured,
    }
}
