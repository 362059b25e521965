//! Sending spans: OpenTelemetry's own batches and encoding over our HTTP client, so that its rules for TLS, time-outs and
//! redirects hold here, too.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::Method;
use hyper::body::Bytes;
use hyper::header::RETRY_AFTER;
use opentelemetry_http::{HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanProcessor};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::config::is_plain_beyond_loopback;
use crate::upstream::OpenGate;
use crate::upstream::http::{Call, ClientError, HttpClient, Origin, OriginError, Transport};

/// Where collectors take traces, below the endpoint (OTLP/HTTP).
const PATH: &str = "v1/traces";
/// Where OpenTelemetry finds headers to add.
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];
/// How long a batch may take, connect included.
const LIMIT: Duration = Duration::from_secs(5);
/// Spans that wait at most, some 500 bytes each: seconds of the fullest load.
const QUEUE: usize = 16_384;
/// Spans of a batch.
const BATCH: usize = 2_048;
/// How long a span waits for company.
const DELAY: Duration = Duration::from_secs(1);

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The endpoint.
    #[error(transparent)]
    Endpoint(#[from] OriginError),
    /// The endpoint is the address below the base.
    #[error("{PATH} is put behind it already: leave that out")]
    Path,
    /// A collector's credential would go over the network in clear.
    #[error("{0} may hold a credential, and this is plain http beyond this machine: use https")]
    PlainHeaders(&'static str),
    /// The client.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The exporter.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

/// Starts the thread that sends.
pub(super) fn start(endpoint: &str) -> Result<BatchSpanProcessor, TracesError> {
    let base = format!("{}/", endpoint.trim_end_matches('/'));
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    judge(&base, is_set)?;
    let origin = Origin::parse(&base, true)?;
    let client = HttpClient::new("otlp", origin, None, LIMIT, None)?;
    let exporter = SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(format!("{base}{PATH}"))
        .with_timeout(LIMIT)
        .with_http_client(Sender { client: Arc::new(client), runtime: Handle::current() })
        .build()?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE)
        .with_max_export_batch_size(BATCH)
        .with_scheduled_delay(DELAY)
        .build();
    let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches).build();
    processor.set_resource(&resource());
    Ok(processor)
}

/// A collector stands next to the worker as a rule, and spans hold no secret: plain http will do. Not for a credential.
fn judge(base: &str, is_set: impl Fn(&str) -> bool) -> Result<(), TracesError> {
    if base.ends_with(&format!("/{PATH}/")) {
        return Err(TracesError::Path);
    }
    match HEADERS.into_iter().find(|name| is_set(name)) {
        Some(name) if is_plain_beyond_loopback(base) => Err(TracesError::PlainHeaders(name)),
        _ => Ok(()),
    }
}

/// Who tells; `OTEL_RESOURCE_ATTRIBUTES` adds to it.
fn resource() -> Resource {
    Resource::builder()
        .with_service_name(env!("CARGO_PKG_NAME"))
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Our HTTP client as OpenTelemetry asks for one. It is asked on a thread of its own, which has no reactor: the call is made
/// on the runtime.
#[derive(Clone)]
struct Sender {
    client: Arc<HttpClient>,
    runtime: Handle,
}

impl std::fmt::Debug for Sender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sender")
    }
}

#[async_trait]
impl opentelemetry_http::HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (head, body) = request.into_parts();
        let mut call = Call::new("traces", Method::POST, PATH);
        call.headers = head.headers;
        call.body = Some(Zeroizing::new(body.to_vec()));
        let client = Arc::clone(&self.client);
        let exchange = self.runtime.spawn(async move { client.exchange(call, &OpenGate).await }).await?;
        let answer = exchange?;
        // The body stays here: whoever is given one tells it to the log, and a proxy's may quote our own headers.
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = answer.status;
        if let Some(after) = answer.headers.get(RETRY_AFTER) {
            response.headers_mut().insert(RETRY_AFTER, after.clone());
        }
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_that_would_miss_the_collector_or_tell_its_credential_is_refused() {
        let told = |base: &str, headers: bool| judge(base, |_| headers).map_err(|error| error.to_string());
        for (base, headers) in [
            ("http://collector:4318/", false),
            ("https://collector:4318/", true),
            ("http://127.0.0.1:4318/", true),
            ("http://collector/otlp/", false),
        ] {
            assert_eq!(told(base, headers), Ok(()), "{base}");
        }
        assert!(told("http://collector:4318/v1/traces/", false).unwrap_err().contains("behind it already"));
        assert!(told("http://collector:4318/", true).unwrap_err().contains("use https"));
    }
}
