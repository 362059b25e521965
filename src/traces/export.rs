//! Sending spans: OpenTelemetry's own batches and encoding over our HTTP client, so that its rules for TLS, time-outs and
//! redirects hold here, too.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::Method;
use hyper::body::Bytes;
use opentelemetry_http::{HttpError, Request, Response};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SpanProcessor};
use tokio::runtime::Handle;
use zeroize::Zeroizing;

use crate::upstream::OpenGate;
use crate::upstream::http::{Call, ClientError, HttpClient, Origin, OriginError, Transport};

/// Where collectors take traces, below the endpoint (OTLP/HTTP).
const PATH: &str = "v1/traces";
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
    // A collector stands next to the worker as a rule, and spans hold no secret: plain http is accepted everywhere.
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
        let mut response = Response::new(Bytes::from(answer.body.to_vec()));
        *response.status_mut() = answer.status;
        *response.headers_mut() = answer.headers;
        Ok(response)
    }
}
