//! An OpenTelemetry collector: takes traces over HTTP and keeps them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use tokio::net::TcpListener;

type Taken = Arc<Mutex<Vec<Bytes>>>;

/// A running collector; ends with the test's runtime.
pub struct Collector {
    address: SocketAddr,
    taken: Taken,
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Self {
        Self::listening(TcpListener::bind("127.0.0.1:0").await.expect("a port"))
    }

    /// Starts one where somebody listened before.
    pub fn listening(listener: TcpListener) -> Self {
        let taken = Taken::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&taken));
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, taken }
    }

    /// What a worker needs in its environment.
    pub fn environment(&self) -> (String, String) {
        endpoint(&format!("http://{}", self.address))
    }

    /// Sends it a span, as a worker would.
    pub async fn tell(&self, span: Span) {
        let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
        let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
        let body = ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec();
        let request = reqwest::Client::new().post(format!("http://{}/v1/traces", self.address));
        let answer = request.header("content-type", "application/x-protobuf").body(body).send().await.expect("sent");
        assert_eq!(answer.status(), 200);
    }

    /// Every body, as it came.
    pub fn bodies(&self) -> Vec<Bytes> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every span so far.
    pub fn spans(&self) -> Vec<Told> {
        let requests = self.bodies().into_iter().map(|body| ExportTraceServiceRequest::decode(body).expect("OTLP"));
        let resources = requests.flat_map(|request| request.resource_spans);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).map(Told).collect()
    }
}

/// The setting that sends spans there.
pub fn endpoint(url: &str) -> (String, String) {
    ("PROFILE_LINKER_TELEMETRY__OTLP_ENDPOINT".to_owned(), url.to_owned())
}

async fn take(State(taken): State<Taken>, headers: HeaderMap, body: Bytes) -> StatusCode {
    if headers.get("content-type").is_none_or(|kind| kind != "application/x-protobuf") {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE;
    }
    taken.lock().unwrap_or_else(PoisonError::into_inner).push(body);
    StatusCode::OK
}

/// A span, as it came.
#[derive(Debug)]
pub struct Told(pub Span);

impl Told {
    /// An attribute as text; a number in decimal digits.
    pub fn attribute(&self, name: &str) -> Option<String> {
        let found = self.0.attributes.iter().find(|attribute| attribute.key == name)?;
        match found.value.clone()?.value? {
            Value::StringValue(text) => Some(text),
            Value::IntValue(number) => Some(number.to_string()),
            other => panic!("{name} is {other:?}"),
        }
    }
}
