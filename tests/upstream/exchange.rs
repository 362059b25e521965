//! Answers made by hand, a transport that plays them, and short words for outcomes.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use hyper::StatusCode;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use profile_linker::domain::Secret;
use profile_linker::upstream::http::{
    Answer, Call, CertificateFault, Exchange, Transport, TransportError, TransportErrorKind,
};
use profile_linker::upstream::journal::{self, Note};
use profile_linker::upstream::{CallOutcome, CustomerCheck, Gate, LinkAnswer, LookOutcome};
use zeroize::Zeroizing;

/// 2026-01-15T12:00:00Z, the time of every answer made here.
pub const RECEIVED_AT: i64 = 1_768_478_400;

pub fn answer(status: u16, body: &str) -> Exchange {
    answer_with(status, &[], body)
}

pub fn answer_with(status: u16, headers: &[(&str, &str)], body: &str) -> Exchange {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
    }
    Ok(Answer {
        status: StatusCode::from_u16(status).unwrap(),
        headers: map,
        body: Zeroizing::new(body.as_bytes().to_vec()),
        received_at: Timestamp::from_second(RECEIVED_AT).unwrap(),
    })
}

pub fn unsent(kind: TransportErrorKind) -> Exchange {
    Err(TransportError::unsent(kind))
}

pub fn sent(kind: TransportErrorKind) -> Exchange {
    Err(TransportError::sent(kind))
}

/// Every way in which a call ends without an answer, and its class.
pub fn broken_exchanges() -> Vec<(Exchange, &'static str)> {
    use TransportErrorKind::{
        BodyTooLarge, Certificate, Connect, Malformed, Reset, Timeout, Tls, Unsendable, Withdrawn,
    };
    vec![
        (unsent(Connect), "not applied"),
        (unsent(Tls), "not applied"),
        (unsent(Certificate(CertificateFault::Name)), "not applied"),
        (unsent(Timeout), "not applied"),
        (unsent(Withdrawn), "withdrawn"),
        (unsent(Unsendable), "misconfigured"),
        (sent(Timeout), "unknown"),
        (sent(Reset), "unknown"),
        (sent(Malformed), "unknown"),
        (sent(BodyTooLarge), "unknown"),
    ]
}

pub fn secret(text: &str) -> Secret {
    Secret::from(text.to_owned())
}

/// The outcome in a word; with the wait in seconds, if the vendor asked for one.
pub fn word<T>(outcome: &CallOutcome<T>) -> String {
    let wait = |word: &str, wait: &Option<Duration>| match wait {
        Some(wait) => format!("{word}, wait {}", wait.as_secs()),
        None => word.to_owned(),
    };
    match outcome {
        CallOutcome::Done(_) => "done".to_owned(),
        CallOutcome::NotApplied { retry_after, .. } => wait("not applied", retry_after),
        CallOutcome::Unknown { retry_after, .. } => wait("unknown", retry_after),
        CallOutcome::Refused(refusal) => refusal.code.to_string(),
        CallOutcome::Misconfigured { .. } => "misconfigured".to_owned(),
        CallOutcome::Withdrawn => "withdrawn".to_owned(),
    }
}

/// The text for people.
pub fn detail<T>(outcome: &CallOutcome<T>) -> String {
    match outcome {
        CallOutcome::NotApplied { detail, .. }
        | CallOutcome::Unknown { detail, .. }
        | CallOutcome::Misconfigured { detail } => detail.clone(),
        CallOutcome::Refused(refusal) => refusal.detail.clone(),
        CallOutcome::Done(_) | CallOutcome::Withdrawn => String::new(),
    }
}

pub fn named(outcome: CallOutcome<LinkAnswer>) -> Option<String> {
    match outcome {
        CallOutcome::Done(LinkAnswer::Named(id)) => Some(id),
        _ => None,
    }
}

pub fn look_word(outcome: &LookOutcome) -> String {
    match outcome {
        LookOutcome::Found { profile, others: 0 } => format!("found {}", profile.id),
        LookOutcome::Found { profile, others } => format!("found {} and {others} more", profile.id),
        LookOutcome::Absent => "absent".to_owned(),
        LookOutcome::CustomerMissing { .. } => "customer missing".to_owned(),
        LookOutcome::Failed { retry_after: Some(wait), .. } => format!("failed, wait {}", wait.as_secs()),
        LookOutcome::Failed { .. } => "failed".to_owned(),
        LookOutcome::Misconfigured { .. } => "misconfigured".to_owned(),
    }
}

pub fn check_word(check: &CustomerCheck) -> &'static str {
    match check {
        CustomerCheck::Exists => "exists",
        CustomerCheck::Missing => "missing",
        CustomerCheck::Unwitnessed { .. } => "unwitnessed",
        CustomerCheck::Unclear { .. } => "unclear",
        CustomerCheck::Misconfigured { .. } => "misconfigured",
    }
}

/// A call as the vendor would have seen it.
#[derive(Clone)]
pub struct Seen {
    pub operation: &'static str,
    pub method: String,
    pub target: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Seen {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Plays prepared answers in order and remembers the calls. The gate is asked as the real one does.
#[derive(Default)]
pub struct Played {
    answers: Mutex<VecDeque<Exchange>>,
    seen: Mutex<Vec<Seen>>,
}

impl Played {
    pub fn new(answers: impl IntoIterator<Item = Exchange>) -> std::sync::Arc<Self> {
        let answers = Mutex::new(answers.into_iter().collect());
        std::sync::Arc::new(Self { answers, seen: Mutex::default() })
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn targets(&self) -> Vec<String> {
        self.seen().into_iter().map(|call| call.target).collect()
    }
}

#[async_trait]
impl Transport for Played {
    async fn exchange(&self, call: Call, gate: &dyn Gate) -> Exchange {
        // Others get a chance to run between the question and the answer, as with a real network.
        tokio::task::yield_now().await;
        if !gate.opens().await {
            return unsent(TransportErrorKind::Withdrawn);
        }
        let body = call.body.map(|body| String::from_utf8(body.to_vec()).unwrap()).unwrap_or_default();
        self.seen.lock().unwrap().push(Seen {
            operation: call.operation,
            method: call.method.to_string(),
            target: call.target,
            headers: call.headers,
            body,
        });
        let exchange = self.answers.lock().unwrap().pop_front().expect("a call that the test did not foresee");
        let status = exchange.as_ref().ok().map(|answer| answer.status.as_u16());
        let error = exchange.as_ref().err().map(|error| error.kind);
        let (upstream, operation, took) = ("played", call.operation, Duration::ZERO);
        journal::note(Note { upstream, operation, status, error, listed: false, took, waited: took });
        exchange
    }
}
