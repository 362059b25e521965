//! Traces for those who follow an event through several systems: a span for each event from its record's time to its durable
//! end, and below it one for each call to a vendor. Nothing is decided by them, and nothing waits for them.
//!
//! An event's span hangs below the span that its `traceparent` names; without one, its trace is made of its identity, so that
//! every worker that has a part in it, before and after a restart or a replay, tells of the same trace. An event whose producer
//! said that it is not sampled is not told. What a span says is a closed list (`span.rs`): no text of a vendor, no token.

mod export;
mod span;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::trace::{BatchSpanProcessor, SpanData, SpanProcessor};

pub use export::TracesError;
pub use span::{Called, Ended, Story};

/// How long the last spans may take to be sent when the worker stops.
const CLOSE_LIMIT: Duration = Duration::from_secs(3);

/// Where spans go: nowhere, unless an endpoint is configured.
#[derive(Clone, Default)]
pub struct Traces(Option<Arc<BatchSpanProcessor>>);

impl Traces {
    /// Sends spans to `<endpoint>/v1/traces` as OTLP over HTTP, protobuf. Must be called within a runtime. Spans gather in a
    /// queue of limited length; while nobody takes them, the newest are left out.
    ///
    /// # Errors
    /// The endpoint is not a web address, or TLS cannot be set up.
    pub fn to(endpoint: &str) -> Result<Self, TracesError> {
        Ok(Self(Some(Arc::new(export::start(endpoint)?))))
    }

    /// An event has its durable end.
    pub fn ended(&self, story: &Story<'_>, ended: &Ended<'_>) {
        self.tell(|| story.span(ended));
    }

    /// The calls of one piece of work are over, the last of them now.
    pub fn called(&self, story: &Story<'_>, calls: impl Iterator<Item = Called>) {
        if self.0.is_some() {
            calls.for_each(|call| self.tell(|| story.call(&call)));
        }
    }

    /// Sends what is left. Spans told later are left out.
    pub async fn close(&self) {
        let Some(processor) = self.0.clone() else { return };
        // It waits for its own thread, which needs this runtime.
        let closed = tokio::task::spawn_blocking(move || processor.shutdown_with_timeout(CLOSE_LIMIT)).await;
        if let Ok(Err(error)) = closed {
            tracing::warn!(%error, "the last spans could not be sent");
        }
    }

    fn tell(&self, span: impl FnOnce() -> Option<SpanData>) {
        if let Some(processor) = &self.0
            && let Some(span) = span()
        {
            processor.on_end(span);
        }
    }
}
