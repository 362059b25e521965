//! Opening a connection: TCP, TLS where the origin wants it, the HTTP/1.1 handshake.

use std::future::poll_fn;
use std::path::Path;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio::time::timeout;

use super::resolve::Resolver;
use super::trust::{TlsSetupError, Trust};
use super::{CertificateFault, Origin, TransportError, TransportErrorKind};

/// The body type of our requests.
pub type RequestBody = http_body_util::Full<Bytes>;

/// An open connection. It moves only while [`Driver::run`] does, in the task of the call: no other task stands between the
/// gate and the kernel, where a busy machine could let a request wait, and nothing more is written once a call has timed
/// out.
pub struct Connection {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) driver: Driver,
}

/// What moves a connection's bytes; `None` once the connection has ended.
pub(super) struct Driver(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl Driver {
    fn new(connection: impl Future<Output = hyper::Result<()>> + Send + 'static) -> Self {
        // The error reaches the caller through the pending request; without one, an idle connection just ended. And no
        // budget of the task's may put off a write that the gate has let pass.
        Self(Some(Box::pin(unconstrained(async move { drop(connection.await) }))))
    }

    /// Runs `work`, which uses this connection's sender, and the connection beside it.
    pub async fn run<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|context| {
            self.advance(context);
            if let Poll::Ready(done) = work.as_mut().poll(context) {
                return Poll::Ready(done);
            }
            // What was handed over leaves now, and what that brought is for the work.
            self.advance(context);
            work.as_mut().poll(context)
        })
        .await
    }

    fn advance(&mut self, context: &mut Context<'_>) {
        if self.0.as_mut().is_some_and(|connection| connection.as_mut().poll(context).is_ready()) {
            self.0 = None;
        }
    }
}

struct Tls {
    trust: Trust,
    server_name: ServerName<'static>,
}

/// Opens connections to one origin.
pub struct Dialer {
    origin: Origin,
    resolver: Resolver,
    tls: Option<Tls>,
}

impl Dialer {
    /// Prepares TLS where the origin wants it: the public roots, and those of `ca_file`. `upstream` is its name in logs.
    ///
    /// # Errors
    /// See [`TlsSetupError`].
    pub fn new(upstream: &'static str, origin: Origin, ca_file: Option<&Path>) -> Result<Self, TlsSetupError> {
        let resolver = Resolver::new(&origin.host, origin.port);
        if !origin.tls {
            return Ok(Self { origin, resolver, tls: None });
        }
        let server_name = ServerName::try_from(origin.host.clone()).map_err(|_| TlsSetupError::ServerName)?;
        let tls = Some(Tls { trust: Trust::new(upstream, ca_file)?, server_name });
        Ok(Self { origin, resolver, tls })
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Opens a connection within `limit`. No byte of any request is written.
    pub async fn dial(&self, limit: Duration) -> Result<Connection, TransportError> {
        let opened = timeout(limit, self.open()).await;
        opened.unwrap_or(Err(TransportErrorKind::Timeout)).map_err(TransportError::unsent)
    }

    async fn open(&self) -> Result<Connection, TransportErrorKind> {
        let addresses = self.resolver.addresses().await.ok_or(TransportErrorKind::Connect)?;
        // One after the other, until one accepts.
        let tcp = TcpStream::connect(&*addresses).await.map_err(|_| TransportErrorKind::Connect)?;
        // A small request must not wait for the acknowledgement of an earlier one.
        tcp.set_nodelay(true).map_err(|_| TransportErrorKind::Connect)?;
        match &self.tls {
            None => handshake(TokioIo::new(tcp)).await,
            Some(tls) => {
                let stream = tls.trust.connector().connect(tls.server_name.clone(), tcp).await;
                handshake(TokioIo::new(stream.map_err(|error| kind_of(&error))?)).await
            }
        }
    }
}

/// A handshake can break off by itself; a certificate that is not trusted is not trusted the next time either.
fn kind_of(error: &std::io::Error) -> TransportErrorKind {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(error)) => TransportErrorKind::Certificate(fault_of(error)),
        _ => TransportErrorKind::Tls,
    }
}

fn fault_of(error: &CertificateError) -> CertificateFault {
    use CertificateError as Error;
    match error {
        // An authority that was renewed under its old name made none of the signatures that the old one made.
        Error::UnknownIssuer | Error::BadSignature => CertificateFault::Authority,
        Error::NotValidForName | Error::NotValidForNameContext { .. } => CertificateFault::Name,
        Error::Expired | Error::ExpiredContext { .. } | Error::NotValidYet | Error::NotValidYetContext { .. } => {
            CertificateFault::Time
        }
        _ => CertificateFault::Other,
    }
}

async fn handshake<T>(io: T) -> Result<Connection, TransportErrorKind>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(io).await.map_err(|_| TransportErrorKind::Connect)?;
    Ok(Connection { sender, driver: Driver::new(connection) })
}

#[cfg(test)]
mod tests;
