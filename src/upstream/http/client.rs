//! The client of one origin. See the module above for the order of a call.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use hyper::Request;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use tokio::time::{Instant, timeout, timeout_at};

use super::connect::{Connection, Dialer, RequestBody};
use super::pool::{IDLE_LIMIT, Pool};
use super::rate::RateLimit;
use super::response::{self, Sent};
use super::trust::TlsSetupError;
use super::{Answer, CONNECT_TIMEOUT, Call, Exchange, Gate, Origin, Transport, TransportError, TransportErrorKind};
use crate::upstream::journal::{self, Note};

/// How often a request that was handed back unsent looks for another connection. Each round has asked the gate anew; a
/// server that closes every fresh connection unread is as good as unreachable.
const MAX_ROUNDS: u32 = 3;

/// How long an idle connection may take to be ready again: it only has to notice that its last answer is read.
const READY_LIMIT: Duration = Duration::from_millis(20);

/// Calls one origin. Connections in use are bounded by the calls in flight, idle ones by the pool.
pub struct HttpClient {
    upstream: &'static str,
    dialer: Dialer,
    pool: Pool,
    rate: Option<RateLimit>,
    timeout: Duration,
    host: HeaderValue,
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsSetupError),
    /// The rate is not a number above zero.
    #[error("rate_limit must be a number of calls a second above 0")]
    Rate,
    /// The host cannot stand in a header.
    #[error("base_url names a host that cannot stand in a header")]
    Host,
}

impl HttpClient {
    /// A client for `upstream` (its name in logs). `timeout` limits connect and answer together; waiting for the rate
    /// limit and for the gate does not count, since nothing is on the wire then.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn new(
        upstream: &'static str,
        origin: Origin,
        ca_file: Option<&Path>,
        timeout: Duration,
        rate: Option<f64>,
    ) -> Result<Self, ClientError> {
        let host = HeaderValue::from_str(&origin.authority).map_err(|_| ClientError::Host)?;
        let rate = rate.map(|rate| RateLimit::per_second(rate).ok_or(ClientError::Rate)).transpose()?;
        let dialer = Dialer::new(upstream, origin, ca_file)?;
        Ok(Self { upstream, dialer, pool: Pool::default(), rate, timeout, host })
    }

    async fn perform(&self, call: Call, gate: &dyn Gate, waited: &mut Duration) -> Exchange {
        let mut request = self.request(call)?;
        let mut left = self.timeout;
        for _ in 0..MAX_ROUNDS {
            let started = Instant::now();
            let connection = self.ready_connection(left).await?;
            left = left.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Err(TransportError::unsent(TransportErrorKind::Timeout));
            }
            let asked = Instant::now();
            let passed = self.pass(connection, gate).await;
            *waited += asked.elapsed();
            let Some(connection) = passed? else { continue };
            let started = Instant::now();
            match self.send(connection, request, started + left).await {
                Sent::Ended(exchange) => return exchange,
                Sent::NotAtAll(unsent) => request = unsent,
            }
            left = left.saturating_sub(started.elapsed());
        }
        Err(TransportError::unsent(TransportErrorKind::Connect))
    }

    fn request(&self, call: Call) -> Result<Request<RequestBody>, TransportError> {
        let target = format!("{}{}", self.dialer.origin().base_path, call.target);
        let mut request = Request::builder().method(call.method).uri(target);
        if let Some(headers) = request.headers_mut() {
            *headers = call.headers;
            headers.insert(HOST, self.host.clone());
            headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
            headers.insert(USER_AGENT, HeaderValue::from_static(concat!("profile-linker/", env!("CARGO_PKG_VERSION"))));
            if call.body.is_some() && !headers.contains_key(CONTENT_TYPE) {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            }
        }
        // The body's owner wipes it when the last reference goes.
        let body = call.body.map_or_else(Bytes::new, Bytes::from_owner);
        request.body(RequestBody::new(body)).map_err(|_| TransportError::unsent(TransportErrorKind::Unsendable))
    }

    /// An idle connection that is still good, else a new one.
    async fn ready_connection(&self, left: Duration) -> Result<Connection, TransportError> {
        let deadline = Instant::now() + left.min(CONNECT_TIMEOUT);
        while let Some(mut connection) = self.pool.take() {
            // An error or a long wait is that of an old connection on which nothing of ours was written: drop it.
            let Connection { sender, driver } = &mut connection;
            if let Ok(Ok(())) = driver.run(timeout(READY_LIMIT, sender.ready())).await {
                return Ok(connection);
            }
        }
        let mut connection = self.dialer.dial(deadline.saturating_duration_since(Instant::now())).await?;
        let Connection { sender, driver } = &mut connection;
        match driver.run(timeout_at(deadline, sender.ready())).await {
            Ok(Ok(())) => Ok(connection),
            Ok(Err(_)) => Err(TransportError::unsent(TransportErrorKind::Connect)),
            Err(_) => Err(TransportError::unsent(TransportErrorKind::Timeout)),
        }
    }

    /// Asks the gate with the connection in hand. `None`: the connection did not outlive the wait, take another.
    async fn pass(&self, connection: Connection, gate: &dyn Gate) -> Result<Option<Connection>, TransportError> {
        let asked = Instant::now();
        if !gate.opens().await {
            self.pool.put(connection);
            return Err(TransportError::unsent(TransportErrorKind::Withdrawn));
        }
        let usable = connection.sender.is_ready() && asked.elapsed() < IDLE_LIMIT;
        Ok(usable.then_some(connection))
    }

    async fn send(&self, mut connection: Connection, request: Request<RequestBody>, deadline: Instant) -> Sent {
        let Connection { sender, driver } = &mut connection;
        let sent = driver.run(response::send(sender, request, deadline)).await;
        // Only a connection whose answer was read to the end is used again; dropping any other closes it.
        if let Sent::Ended(Ok(_)) = &sent {
            self.pool.put(connection);
        }
        sent
    }
}

#[async_trait]
impl Transport for HttpClient {
    async fn exchange(&self, call: Call, gate: &dyn Gate) -> Exchange {
        let asked = Instant::now();
        if let Some(rate) = &self.rate {
            rate.turn().await;
        }
        let operation = call.operation;
        let mut waited = asked.elapsed();
        let exchange = self.perform(call, gate, &mut waited).await;
        let took = asked.elapsed().saturating_sub(waited);
        let status = exchange.as_ref().ok().map(|answer| answer.status.as_u16());
        let error = exchange.as_ref().err().map(|error| error.kind);
        journal::note(Note { upstream: self.upstream, operation, status, error, listed: false, took, waited });
        log(self.upstream, operation, took, &exchange);
        exchange
    }
}

fn log(upstream: &'static str, operation: &'static str, took: Duration, exchange: &Exchange) {
    let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    match exchange {
        Ok(Answer { status, .. }) => {
            tracing::debug!(upstream, operation, status = status.as_u16(), duration_ms, "upstream answered");
        }
        Err(error) => tracing::debug!(upstream, operation, %error, duration_ms, "upstream call without an answer"),
    }
}
