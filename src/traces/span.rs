//! What a span says. Names are those of OpenTelemetry's semantic conventions where there is one.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{Context as Parents, InstrumentationScope, KeyValue};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use crate::contract::Context;
use crate::domain::{EventIdentity, Origin, ReasonCode};

/// Whose span it is.
pub struct Story<'a> {
    /// The event.
    pub identity: &'a EventIdentity,
    /// What its producer says of its trace.
    pub context: &'a Context,
    /// Which of its runs: 1, then one more with each replay.
    pub generation: i32,
}

/// An event's end.
pub struct Ended<'a> {
    /// The record that it came as.
    pub origin: &'a Origin,
    /// `None`: it is linked.
    pub reason: Option<ReasonCode>,
    /// Milliseconds since 1970.
    pub at: i64,
}

/// A call to a vendor that is over.
pub struct Called {
    /// `payiq`, `loanpro` or `aloha`.
    pub upstream: &'static str,
    /// `convert`, `link`, `lookup`, ...
    pub operation: &'static str,
    /// The answer's status; `None` without an answer.
    pub status: Option<u16>,
    /// Why there is no answer.
    pub error: Option<&'static str>,
    /// What it meant, in a word of the metrics.
    pub outcome: &'static str,
    /// When it was over, in milliseconds since 1970.
    pub at: i64,
    /// How long it took.
    pub took: Duration,
}

static SCOPE: LazyLock<InstrumentationScope> =
    LazyLock::new(|| InstrumentationScope::builder(env!("CARGO_PKG_NAME")).build());

impl Story<'_> {
    /// The event's own span; `None` if its producer does not want it told.
    pub(super) fn span(&self, ended: &Ended<'_>) -> Option<SpanData> {
        let parent = self.parent();
        let (result, reason) = match ended.reason {
            None => ("linked", None),
            Some(code) => ("rejected", Some(KeyValue::new("error.type", code.as_str()))),
        };
        let known = [
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", ended.origin.topic.clone()),
            KeyValue::new("messaging.destination.partition.id", ended.origin.partition.to_string()),
            KeyValue::new("messaging.kafka.offset", ended.origin.offset),
            KeyValue::new("cloudevents.event_source", self.identity.source.clone()),
            KeyValue::new("cloudevents.event_id", self.identity.id.clone()),
            KeyValue::new("profile_linker.generation", i64::from(self.generation)),
            KeyValue::new("profile_linker.result", result),
        ];
        // Another machine's clock may be ahead, and a record may have no time.
        let began = if ended.origin.timestamp < 0 { ended.at } else { ended.origin.timestamp.min(ended.at) };
        Some(SpanData {
            span_context: self.context_of(self.span_id(), &parent)?,
            parent_span_id: parent.span_id(),
            parent_span_is_remote: parent.is_valid(),
            span_kind: SpanKind::Consumer,
            name: "process payment profile".into(),
            status: status(reason.is_some()),
            attributes: known.into_iter().chain(reason).collect(),
            ..spanning(time(began), time(ended.at))
        })
    }

    /// A call on the event's behalf, below its span.
    pub(super) fn call(&self, call: &Called) -> Option<SpanData> {
        let known = [
            KeyValue::new("profile_linker.upstream", call.upstream),
            KeyValue::new("profile_linker.outcome", call.outcome),
        ];
        let answered = call.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status)));
        let failed = call.error.map(|error| KeyValue::new("error.type", error));
        let end = time(call.at);
        Some(SpanData {
            span_context: self.context_of(SpanId::from(rand::random::<u64>().max(1)), &self.parent())?,
            parent_span_id: self.span_id(),
            span_kind: SpanKind::Client,
            name: format!("{}.{}", call.upstream, call.operation).into(),
            status: status(call.error.is_some()),
            attributes: known.into_iter().chain(answered).chain(failed).collect(),
            ..spanning(end.checked_sub(call.took).unwrap_or(end), end)
        })
    }

    /// The span that the producer names.
    fn parent(&self) -> SpanContext {
        let named = |name: &str, value: &Option<String>| value.clone().map(|value| (name.to_owned(), value));
        let headers: HashMap<String, String> =
            [named("traceparent", &self.context.traceparent), named("tracestate", &self.context.tracestate)]
                .into_iter()
                .flatten()
                .collect();
        let parents = TraceContextPropagator::new().extract_with_context(&Parents::new(), &headers);
        parents.span().span_context().clone()
    }

    /// A span of the event's trace; `None` if that is not sampled.
    fn context_of(&self, span: SpanId, parent: &SpanContext) -> Option<SpanContext> {
        if !parent.is_valid() {
            let trace = TraceId::from_bytes(self.identity.key().0);
            return Some(SpanContext::new(trace, span, TraceFlags::SAMPLED, false, TraceState::default()));
        }
        let state = parent.trace_state().clone();
        parent.is_sampled().then(|| SpanContext::new(parent.trace_id(), span, parent.trace_flags(), false, state))
    }

    /// Whoever tells of this run of the event means the same span.
    fn span_id(&self) -> SpanId {
        let [.., a, b, c, d, e, f, g, h] = self.identity.result_id(self.generation).into_bytes();
        SpanId::from_bytes([a, b, c, d, e, f, g, h])
    }
}

fn spanning(start_time: SystemTime, end_time: SystemTime) -> SpanData {
    SpanData {
        span_context: SpanContext::NONE,
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: "".into(),
        start_time,
        end_time,
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: SCOPE.clone(),
    }
}

fn status(failed: bool) -> Status {
    if failed { Status::error("") } else { Status::Unset }
}

fn time(milliseconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds.max(0).unsigned_abs())
}
