//! The families as they are registered: names, labels and buckets. `docs/reference/metrics.md` is their description; a test
//! compares the two.

use prometheus::core::Collector;
use prometheus::{
    Gauge, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, Result,
};

use crate::domain::{Disposition, ReasonCode};
use crate::ledger::PauseKind;

/// Before every name.
const PREFIX: &str = "profile_linker";

/// Calls that are made, by upstream: what can be counted is there from the start, at 0.
const OPERATIONS: [(&str, &str); 9] = [
    ("payiq", "auth"),
    ("payiq", "convert"),
    ("loanpro", "link"),
    ("loanpro", "lookup"),
    ("loanpro", "customer"),
    ("loanpro", "promote"),
    ("aloha", "link"),
    ("aloha", "lookup"),
    ("aloha", "customer"),
];

/// From the publishing of an event to its durable result: a second where all is well, the retry budget where it is not.
const EVENT_SECONDS: &[f64] = &[0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86_400.0];
/// A call: up to its time-out.
const CALL_SECONDS: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// A flush or a transaction: milliseconds where all is well.
const WRITE_SECONDS: &[f64] = &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// What is left of a temporary token's life: comparable vendors give 15 minutes to a day.
const LEFT_SECONDS: &[f64] =
    &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 14_400.0, 86_400.0];

/// Everything that is counted.
pub(super) struct Families {
    pub registry: Registry,
    pub events: IntCounterVec,
    pub event_duration: HistogramVec,
    pub requests: IntCounterVec,
    pub request_duration: HistogramVec,
    pub breaker_state: IntGaugeVec,
    pub dead_letters: IntCounterVec,
    pub in_flight: IntGauge,
    pub waiting: IntGauge,
    pub lag: IntGaugeVec,
    pub oldest_unfinished: Gauge,
    pub intake_paused: IntGaugeVec,
    pub ledger_flush: Histogram,
    pub transaction: Histogram,
    pub token_expiry: Histogram,
    pub publishing_refused: IntGauge,
}

impl Families {
    pub fn new() -> Result<Self> {
        let registry = Registry::new_custom(Some(PREFIX.to_owned()), None)?;
        let made = Maker(&registry);
        let families = Self {
            events: made.counters("events_total", "Events that ended, by result.", &["result", "reason"])?,
            event_duration: made.histograms(
                "event_duration_seconds",
                "From the time of an event's record to its durable result.",
                &["result"],
                EVENT_SECONDS,
            )?,
            requests: made.counters(
                "upstream_requests_total",
                "Calls to upstreams, by what their answer meant.",
                &["upstream", "operation", "outcome"],
            )?,
            request_duration: made.histograms(
                "upstream_request_duration_seconds",
                "How long calls to upstreams took.",
                &["upstream", "operation"],
                CALL_SECONDS,
            )?,
            breaker_state: made.gauges("breaker_state", "0 closed, 1 half-open, 2 open.", &["upstream"])?,
            dead_letters: made.counters("dead_letters_total", "Events that ended as dead letters.", &["reason"])?,
            in_flight: made.register(IntGauge::new("in_flight", "Events with a call out.")?)?,
            waiting: made.register(IntGauge::new("waiting", "Events accepted that wait for a time or a turn.")?)?,
            lag: made.gauges(
                "consumer_lag_records",
                "Offsets of the log that are not accepted yet, of the partitions that this worker owns.",
                &["topic", "partition"],
            )?,
            oldest_unfinished: made.register(Gauge::new(
                "oldest_unfinished_seconds",
                "Age of the oldest record whose event has no result yet; 0 without one.",
            )?)?,
            intake_paused: made.gauges(
                "intake_paused",
                "1 while the intake is paused for this reason.",
                &["reason"],
            )?,
            ledger_flush: made.histogram(
                "ledger_flush_seconds",
                "How long the ledger's batches took.",
                WRITE_SECONDS,
            )?,
            transaction: made.histogram("transaction_seconds", "How long publishing a cycle took.", WRITE_SECONDS)?,
            token_expiry: made.histogram(
                "token_expiry_seconds",
                "Life left of temporary tokens when their conversion was sent.",
                LEFT_SECONDS,
            )?,
            publishing_refused: made.register(IntGauge::new(
                "publishing_refused",
                "Partitions whose publishing waits at a result that the broker refuses.",
            )?)?,
            registry: registry.clone(),
        };
        let build = made.gauges("build_info", "1, of this version.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        families.begin_at_zero();
        Ok(families)
    }

    /// What has not happened yet is 0, not absent: an alarm on its growth needs a first value.
    fn begin_at_zero(&self) {
        self.events.with_label_values(&["linked", ""]);
        for code in ReasonCode::ALL {
            self.events.with_label_values(&["rejected", code.as_str()]);
            if code.disposition() == Disposition::DeadLettered {
                self.dead_letters.with_label_values(&[code.as_str()]);
            }
        }
        for result in ["linked", "rejected"] {
            self.event_duration.with_label_values(&[result]);
        }
        for (upstream, operation) in OPERATIONS {
            self.request_duration.with_label_values(&[upstream, operation]);
            for outcome in super::Outcome::ALL {
                self.requests.with_label_values(&[upstream, operation, outcome.as_str()]);
            }
            self.breaker_state.with_label_values(&[upstream]);
        }
        for kind in PauseKind::ALL {
            self.intake_paused.with_label_values(&[kind.as_str()]);
        }
    }
}

/// Makes families and registers them.
struct Maker<'a>(&'a Registry);

impl Maker<'_> {
    fn register<C: Collector + Clone + 'static>(&self, family: C) -> Result<C> {
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
        self.register(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram> {
        self.register(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> Result<HistogramVec> {
        self.register(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }
}
