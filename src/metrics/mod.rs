//! What dashboards rely on (contract, section 6): counted where it happens, told at `/metrics`.
//!
//! A label takes its values from a list in the code, or from the partitions that this worker owns: never from an event.

mod families;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::{Encoder, TextEncoder};

use self::families::Families;
use crate::domain::{Disposition, ReasonCode};
use crate::ledger::PauseKind;

/// The content type of [`Metrics::text`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything that is counted. Cheap to share.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    families: Families,
    /// The next offset to accept of each partition that this worker owns, for the lag.
    positions: Mutex<BTreeMap<i32, i64>>,
}

/// Why the metrics cannot be made: a name is used twice, say.
#[derive(Debug, thiserror::Error)]
#[error("failed to register the metrics")]
pub struct MetricsError(#[from] prometheus::Error);

/// What a call to an upstream meant: the label `outcome`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered, and did what it was for.
    Done,
    /// It certainly changed nothing, and may be sent again.
    NotApplied,
    /// It may have changed something; nobody saw.
    Unknown,
    /// Refused for the event's own reason.
    Refused,
    /// Refused for ours: credential, tenant, address.
    Misconfigured,
    /// Not answered, or with an error, where nothing could be changed.
    Failed,
}

/// An upstream's breaker: the value of `breaker_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go.
    Closed = 0,
    /// One call tries.
    HalfOpen = 1,
    /// No call goes.
    Open = 2,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 6] =
        [Self::Done, Self::NotApplied, Self::Unknown, Self::Refused, Self::Misconfigured, Self::Failed];

    /// The label's value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
            Self::Refused => "refused",
            Self::Misconfigured => "misconfigured",
            Self::Failed => "failed",
        }
    }
}

impl Metrics {
    /// All of them, at 0.
    ///
    /// # Errors
    /// See [`MetricsError`].
    pub fn new() -> Result<Self, MetricsError> {
        Ok(Self(Arc::new(Inner { families: Families::new()?, positions: Mutex::default() })))
    }

    /// An event has its durable result: linked, or rejected for this reason; so long after its record's time, if it has one.
    pub fn ended(&self, reason: Option<ReasonCode>, age: Option<Duration>) {
        let result = if reason.is_none() { "linked" } else { "rejected" };
        let families = &self.0.families;
        families.events.with_label_values(&[result, reason.map_or("", ReasonCode::as_str)]).inc();
        if let Some(age) = age {
            families.event_duration.with_label_values(&[result]).observe(age.as_secs_f64());
        }
        if let Some(code) = reason.filter(|code| code.disposition() == Disposition::DeadLettered) {
            families.dead_letters.with_label_values(&[code.as_str()]).inc();
        }
    }

    /// A call to an upstream is over.
    pub fn requested(&self, upstream: &'static str, operation: &'static str, outcome: Outcome, took: Duration) {
        let families = &self.0.families;
        families.requests.with_label_values(&[upstream, operation, outcome.as_str()]).inc();
        families.request_duration.with_label_values(&[upstream, operation]).observe(took.as_secs_f64());
    }

    /// An upstream's breaker changed.
    pub fn breaker(&self, upstream: &'static str, state: BreakerState) {
        self.0.families.breaker_state.with_label_values(&[upstream]).set(state as i64);
    }

    /// What is in memory now: events with a call out, and events that wait.
    pub fn load(&self, in_flight: usize, waiting: usize) {
        self.0.families.in_flight.set(count(in_flight));
        self.0.families.waiting.set(count(waiting));
    }

    /// The age of the oldest unfinished event's record; zero without one.
    pub fn oldest_unfinished(&self, age: Duration) {
        self.0.families.oldest_unfinished.set(age.as_secs_f64());
    }

    /// Which kinds of pause there are.
    pub fn paused(&self, kinds: &[PauseKind]) {
        for kind in PauseKind::ALL {
            let paused = i64::from(kinds.contains(&kind));
            self.0.families.intake_paused.with_label_values(&[kind.as_str()]).set(paused);
        }
    }

    /// The ledger took a batch.
    pub fn flushed(&self, took: Duration) {
        self.0.families.ledger_flush.observe(took.as_secs_f64());
    }

    /// A cycle was published.
    pub fn published(&self, took: Duration) {
        self.0.families.transaction.observe(took.as_secs_f64());
    }

    /// So many partitions wait at a result that the broker refuses.
    pub fn publishing_refused(&self, partitions: usize) {
        self.0.families.publishing_refused.set(count(partitions));
    }

    /// A conversion is sent whose token has so long to live, in milliseconds.
    pub fn converting(&self, left_ms: i64) {
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        self.0.families.token_expiry.observe(left.as_secs_f64());
    }

    /// The next offset to accept of each partition that this worker owns.
    pub fn positions(&self, positions: BTreeMap<i32, i64>) {
        *self.0.positions.lock().unwrap_or_else(PoisonError::into_inner) = positions;
    }

    /// The partitions that this worker owns.
    #[must_use]
    pub fn partitions(&self) -> Vec<i32> {
        self.0.positions.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// The ends of the logs of these partitions; those that went meanwhile are not told any more.
    pub fn log_ends(&self, topic: &str, ends: &[(i32, i64)]) {
        let positions = self.0.positions.lock().unwrap_or_else(PoisonError::into_inner);
        let lag = &self.0.families.lag;
        lag.reset();
        for (partition, end) in ends {
            if let Some(position) = positions.get(partition) {
                lag.with_label_values(&[topic, partition.to_string().as_str()]).set((end - position).max(0));
            }
        }
    }

    /// All of them in Prometheus's text format.
    ///
    /// # Errors
    /// A family is inconsistent in itself.
    pub fn text(&self) -> Result<String, MetricsError> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.families.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
