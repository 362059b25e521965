//! Spans by OTLP: what a collector gets, and that nobody waits for it.

use axum::Router;
use axum::http::{HeaderMap, StatusCode};
use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use crate::support::collector::{Collector, Told, endpoint};
use crate::support::events::{self, SOURCE};
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    an_event_is_a_span_of_its_producers_trace_with_its_calls_below_it needs [Kafka, Postgres];
    a_collector_that_never_answers_holds_nothing_up needs [Kafka, Postgres];
    a_collector_that_comes_back_is_told_what_happens_then needs [Kafka, Postgres];
    a_collector_that_quotes_its_credential_is_not_quoted needs [Kafka, Postgres];
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

async fn an_event_is_a_span_of_its_producers_trace_with_its_calls_below_it(parts: &RealParts) {
    let (stand, collector) = (Stand::prepare(parts, Delivery::Transactional).await, Collector::start().await);
    let mut worker = stand.start_worker_with(&[collector.environment()]);
    worker.ready().await;
    let known = stand.sandbox.create_customer().await;
    stand.sandbox.fault(json!({"route": "payiq.convert", "action": "status", "status": 503, "next": 1})).await;
    let mut results = stand.reader(&[&stand.topics.linked, &stand.topics.rejected]);
    for (number, (id, customer, traceparent)) in [
        ("traced", known.as_str(), Some(format!("00-{TRACE}-{PARENT}-01"))),
        ("unsampled", &known, Some(format!("00-{TRACE}-{PARENT}-00"))),
        ("untraced", "987654321", None),
    ]
    .into_iter()
    .enumerate()
    {
        let mut event = events::temporary(id, customer, &stand.sandbox.tokenise(json!({})).await);
        if let Some(traceparent) = traceparent {
            event["traceparent"] = json!(traceparent);
        }
        stand.publish(&event).await;
        // One after the other: the fault is for the first.
        results.read_until("it has its result", PATIENCE, |seen| seen.len() > number).await;
    }
    // What is left is sent before it ends.
    assert_eq!(worker.terminate(), 0);

    let spans = collector.spans();
    let traced = of_event(&spans, "traced");
    assert_eq!(HEXLOWER.encode(&traced.0.trace_id), TRACE);
    assert_eq!(HEXLOWER.encode(&traced.0.parent_span_id), PARENT);
    assert_eq!(traced.attribute("profile_linker.result").as_deref(), Some("linked"));
    assert_eq!(traced.attribute("messaging.destination.name"), Some(stand.topics.created.clone()));
    let calls = below(&spans, traced);
    let convert = "payiq.convert";
    let words: Vec<_> = calls.iter().filter(|call| call.0.name == convert).map(|call| outcome(call)).collect();
    assert_eq!(words, ["503 unknown", "200 done"], "{calls:?}");
    let link = calls.iter().find(|call| call.0.name == "loanpro.link").expect("its link");
    let converted = calls.iter().filter(|call| call.0.name == convert).map(|call| call.0.end_time_unix_nano);
    assert!(converted.max() <= Some(link.0.end_time_unix_nano), "in their order: {calls:?}");
    assert!(traced.0.start_time_unix_nano <= link.0.start_time_unix_nano, "the event began before its calls");

    let untraced = of_event(&spans, "untraced");
    let identity = Sha256::digest(format!("{SOURCE}\nuntraced"));
    assert_eq!(untraced.0.trace_id, identity[..16]);
    assert!(untraced.0.parent_span_id.is_empty());
    assert_eq!(untraced.attribute("error.type").as_deref(), Some("customer_not_found"));
    assert!(below(&spans, untraced).iter().any(|call| call.0.name == "loanpro.link"));

    let told = spans.iter().filter_map(|span| span.attribute("cloudevents.event_id"));
    assert_eq!(told.filter(|id| id == "unsampled").count(), 0, "its producer does not want it told");
    assert_eq!(spans.len(), 2 + below(&spans, traced).len() + below(&spans, untraced).len(), "{spans:?}");
}

fn of_event<'s>(spans: &'s [Told], id: &str) -> &'s Told {
    let named = spans.iter().filter(|span| is_of(span, id));
    let [span] = named.collect::<Vec<_>>()[..] else { panic!("not one span of {id}: {spans:?}") };
    span
}

/// In their order.
fn below<'s>(spans: &'s [Told], parent: &Told) -> Vec<&'s Told> {
    let mut below: Vec<_> = spans
        .iter()
        .filter(|span| span.0.parent_span_id == parent.0.span_id && span.0.trace_id == parent.0.trace_id)
        .collect();
    below.sort_by_key(|span| span.0.end_time_unix_nano);
    below
}

fn outcome(call: &Told) -> String {
    let of = |name| call.attribute(name).unwrap_or_default();
    format!("{} {}", of("http.response.status_code"), of("profile_linker.outcome"))
}

async fn a_collector_that_never_answers_holds_nothing_up(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    // The kernel takes connections; nobody ever reads from them.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let mut worker = stand.start_worker_with(&[endpoint(&url)]);
    worker.ready().await;
    for number in 0..50 {
        let (id, customer) = (format!("event-{number}"), stand.sandbox.create_customer().await);
        stand.publish(&events::temporary(&id, &customer, &stand.sandbox.tokenise(json!({})).await)).await;
    }
    let mut results = stand.reader(&[&stand.topics.linked]);
    results.read_until("all are linked", PATIENCE, |seen| seen.len() == 50).await;
    assert_eq!(worker.terminate(), 0);
    drop(silent);
}

async fn a_collector_that_comes_back_is_told_what_happens_then(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", silent.local_addr().expect("an address"));
    let mut worker = stand.start_worker_with(&[endpoint(&url)]);
    worker.ready().await;
    let customer = stand.sandbox.create_customer().await;
    stand.publish(&events::temporary("meanwhile", &customer, &stand.sandbox.tokenise(json!({})).await)).await;
    eventually("a batch is given up", PATIENCE, async || worker.log().contains("ExportError").then_some(())).await;
    let collector = Collector::listening(silent);
    stand.publish(&events::temporary("then", &customer, &stand.sandbox.tokenise(json!({})).await)).await;
    let told = async || collector.spans().iter().any(|span| is_of(span, "then")).then_some(());
    eventually("its span comes", PATIENCE, told).await;
    assert_eq!(worker.terminate(), 0);
}

/// A proxy that refuses, and quotes what it was given.
async fn a_collector_that_quotes_its_credential_is_not_quoted(parts: &RealParts) {
    const CREDENTIAL: &str = "collectors-own-credential";
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let refuse = async |headers: HeaderMap| (StatusCode::UNAUTHORIZED, format!("not with {headers:?}"));
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(refuse)).await });
    let header = ("OTEL_EXPORTER_OTLP_HEADERS".to_owned(), format!("authorization=Bearer {CREDENTIAL}"));
    let mut worker = stand.start_worker_with(&[endpoint(&url), header, ("RUST_LOG".to_owned(), "trace".to_owned())]);
    worker.ready().await;
    let customer = stand.sandbox.create_customer().await;
    stand.publish(&events::temporary("refused", &customer, &stand.sandbox.tokenise(json!({})).await)).await;
    eventually("a batch is refused", PATIENCE, async || worker.log().contains("ExportError").then_some(())).await;
    assert!(!worker.log().contains(CREDENTIAL), "the credential is in the log");
    assert_eq!(worker.terminate(), 0);
}

fn is_of(span: &Told, id: &str) -> bool {
    span.attribute("cloudevents.event_id").as_deref() == Some(id)
}
