//! What the worker tells the metrics. Nothing is decided by them.

use std::time::Duration;

use super::dispatcher::{Dispatcher, Shared};
use super::event::Event;
use super::lane::Held;
use super::prepare::Draft;
use crate::domain::machine::{Effect, End, Observation};
use crate::domain::outcome::{CallOutcome, CustomerCheck, LookOutcome};
use crate::domain::{EventKey, ReasonCode};
use crate::ledger::Accepted;
use crate::metrics::Outcome;
use crate::traces::{Called, Ended};
use crate::upstream::http::TransportErrorKind;
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
        let refused = self.lanes.values().filter(|lane| lane.held.as_ref().is_some_and(Held::is_told));
        self.shared.metrics.publishing_refused(refused.count());
        let now = self.shared.clock.tick();
        if now < self.measure_after {
            return;
        }
        self.measure_after = now + LOOK_EVERY;
        let records = self.events.values().map(|event| event.origin.timestamp).filter(|time| *time >= 0);
        let age = records.min().and_then(|oldest| self.age(oldest));
        self.shared.metrics.oldest_unfinished(age.unwrap_or_default());
    }

    /// The calls of one piece of work are over.
    pub fn count_calls(&self, key: EventKey, notes: &[Note], observation: &Observation) {
        for (note, outcome) in judged_each(notes, observation) {
            self.shared.metrics.requested(note.upstream, note.operation, outcome, note.took);
        }
        if let Some(event) = self.events.get(&key) {
            let now = self.shared.clock.wall_ms();
            self.shared.traces.called(&event.story(), calls_until(now, notes, observation));
        }
    }

    /// An event's end is durable.
    pub fn count_end(&self, event: &Event) {
        if let Some(reason) = event.ended {
            self.shared.metrics.ended(reason, self.age(event.origin.timestamp));
            let at = self.shared.clock.wall_ms();
            self.shared.traces.ended(&event.story(), &Ended { origin: &event.origin, reason, at });
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
fn judged_each<'a>(
    notes: &'a [Note],
    observation: &Observation,
) -> impl DoubleEndedIterator<Item = (&'a Note, Outcome)> {
    let (last, before) = notes.split_last().unzip();
    let before = before.into_iter().flatten().map(|note| (note, answered(note)));
    before.chain(last.map(|note| (note, judged(observation))))
}

/// The same for traces: the last was over now, each before it when the next one began.
fn calls_until(mut at: i64, notes: &[Note], observation: &Observation) -> impl Iterator<Item = Called> {
    judged_each(notes, observation).rev().map(move |(note, outcome)| {
        let called = Called {
            upstream: note.upstream,
            operation: note.operation,
            status: note.status,
            error: note.error.map(TransportErrorKind::as_str),
            outcome: outcome.as_str(),
            at,
            took: note.took,
        };
        at = at.saturating_sub(milliseconds(note.took + note.waited));
        called
    })
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
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
