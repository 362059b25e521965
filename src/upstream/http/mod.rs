//! One HTTP/1.1 client: idle connections of one origin, time-outs for connect and the whole call, body limits, no
//! redirects, no retries of its own.
//!
//! The order of a call is the point of this module: wait for the rate limit, take a *ready* connection, ask the
//! [`Gate`], send at once. Nothing is sent twice. Only a request that hyper hands back unsent (an idle connection that
//! turned out to be closed) goes out on another connection, and the gate is asked again for it.

mod body;
mod client;
mod connect;
mod origin;
mod pool;
mod rate;
mod resolve;
mod response;
mod trust;

use std::time::Duration;

use async_trait::async_trait;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use jiff::Timestamp;
use zeroize::Zeroizing;

pub use client::{ClientError, HttpClient};
pub use origin::{Origin, OriginError};
pub use rate::RateLimit;
pub use trust::TlsSetupError;

use super::Gate;

/// Limit of a response body. The largest honest answer, a customer's payment profiles with tokens echoed, is some hundred
/// entries of about 2 KB.
pub const MAX_BODY_BYTES: usize = 1024 * 1024;

/// Limit of resolving, connecting and the TLS handshake together, where the call's own limit is not shorter.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One request, relative to the origin's base URL.
pub struct Call {
    /// Name in logs: `convert`, `link`, `lookup`, ...
    pub operation: &'static str,
    /// The method.
    pub method: Method,
    /// Path and query below the base URL; made of constants and validated ids only.
    pub target: String,
    /// Headers beside `Host`, `Accept` and `Content-Type`.
    pub headers: HeaderMap,
    /// Body, JSON unless a header says otherwise; wiped after the call.
    pub body: Option<Zeroizing<Vec<u8>>>,
}

impl Call {
    /// A call without further headers and without a body.
    #[must_use]
    pub fn new(operation: &'static str, method: Method, target: impl Into<String>) -> Self {
        Self { operation, method, target: target.into(), headers: HeaderMap::new(), body: None }
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the JSON body.
    #[must_use]
    pub fn json(mut self, body: Zeroizing<Vec<u8>>) -> Self {
        self.body = Some(body);
        self
    }
}

/// A complete answer.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body, at most [`MAX_BODY_BYTES`]; may hold a token.
    pub body: Zeroizing<Vec<u8>>,
    /// When it was complete, by our clock.
    pub received_at: Timestamp,
}

/// What kind of trouble kept a call from a complete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransportErrorKind {
    /// The name did not resolve, or no address accepted the connection.
    Connect,
    /// The TLS handshake failed.
    Tls,
    /// The certificate is not one that we trust.
    Certificate(CertificateFault),
    /// A time-out, of the connect or of the call.
    Timeout,
    /// The connection ended before the answer was complete.
    Reset,
    /// What came back is not HTTP.
    Malformed,
    /// The answer's body is longer than [`MAX_BODY_BYTES`].
    BodyTooLarge,
    /// The gate did not open.
    Withdrawn,
    /// The request could not be built from what it was given.
    Unsendable,
}

impl TransportErrorKind {
    /// For people and logs; never holds anything that came over the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "could not connect",
            Self::Tls => "tls handshake failed",
            Self::Certificate(fault) => fault.as_str(),
            Self::Timeout => "timed out",
            Self::Reset => "the connection ended before the answer was complete",
            Self::Malformed => "the answer is not http",
            Self::BodyTooLarge => "the answer is too large",
            Self::Withdrawn => "withdrawn before it was sent",
            Self::Unsendable => "the request cannot be built",
        }
    }
}

/// Why a certificate is not trusted: for the one who is to mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// Nobody whom we trust vouches for it.
    Authority,
    /// It is somebody else's.
    Name,
    /// It is not valid now, which our own clock decides.
    Time,
    /// Something else.
    Other,
}

impl CertificateFault {
    fn as_str(self) -> &'static str {
        match self {
            Self::Authority => {
                "the certificate is not trusted: its authority is neither a public one nor one that ca_file names"
            }
            Self::Name => "the certificate is not trusted: it is for another host than base_url names",
            Self::Time => "the certificate is not trusted: by this machine's clock it has expired, or is not valid yet",
            Self::Other => "the certificate is not trusted",
        }
    }
}

/// Why there is no complete answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} ({})", .kind.as_str(), if *.sent { "request sent" } else { "nothing sent" })]
pub struct TransportError {
    /// What happened.
    pub kind: TransportErrorKind,
    /// `false` only if certainly no byte of the request left.
    pub sent: bool,
}

impl TransportError {
    /// Certainly nothing left.
    #[must_use]
    pub fn unsent(kind: TransportErrorKind) -> Self {
        Self { kind, sent: false }
    }

    /// Bytes may have left.
    #[must_use]
    pub fn sent(kind: TransportErrorKind) -> Self {
        Self { kind, sent: true }
    }
}

/// What a call came to.
pub type Exchange = Result<Answer, TransportError>;

/// The seam below the vendors' clients: a real origin, or a simulated one.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Makes one call. The gate is asked with a connection in hand, as the last step before the first byte.
    async fn exchange(&self, call: Call, gate: &dyn Gate) -> Exchange;
}
