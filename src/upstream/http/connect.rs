//! Opening a connection: TCP, TLS where the origin wants it, the HTTP/1.1 handshake.

use std::future::poll_fn;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::rt::{Read, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::unconstrained;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Origin, TransportError, TransportErrorKind};

/// The body type of our requests.
pub type RequestBody = http_body_util::Full<Bytes>;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The CA file cannot be read, holds no certificate, or one that is none.
    #[error("failed to read certificates from {}", .path.display())]
    CaFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: io::Error,
    },
    /// The host of the base URL cannot stand in a certificate.
    #[error("base_url names a host that cannot stand in a certificate")]
    ServerName,
    /// The TLS library refuses its own defaults.
    #[error("failed to set up tls")]
    Library(#[from] rustls::Error),
}

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
    connector: TlsConnector,
    server_name: ServerName<'static>,
}

/// Opens connections to one origin.
pub struct Dialer {
    origin: Origin,
    tls: Option<Tls>,
}

impl Dialer {
    /// Prepares TLS where the origin wants it: the public roots, and those of `ca_file`.
    ///
    /// # Errors
    /// See [`TlsSetupError`].
    pub fn new(origin: Origin, ca_file: Option<&Path>) -> Result<Self, TlsSetupError> {
        let tls = if origin.tls { Some(Tls::new(&origin, ca_file)?) } else { None };
        Ok(Self { origin, tls })
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
        let address = (self.origin.host.as_str(), self.origin.port);
        let tcp = TcpStream::connect(address).await.map_err(|_| TransportErrorKind::Connect)?;
        // A small request must not wait for the acknowledgement of an earlier one.
        tcp.set_nodelay(true).map_err(|_| TransportErrorKind::Connect)?;
        match &self.tls {
            None => handshake(TokioIo::new(tcp)).await,
            Some(tls) => {
                let stream = tls.connector.connect(tls.server_name.clone(), tcp).await;
                handshake(TokioIo::new(stream.map_err(|error| kind_of(&error))?)).await
            }
        }
    }
}

/// A handshake can break off by itself; a certificate that is not trusted is not trusted the next time either.
fn kind_of(error: &std::io::Error) -> TransportErrorKind {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::InvalidCertificate(_)) => TransportErrorKind::Certificate,
        _ => TransportErrorKind::Tls,
    }
}

async fn handshake<T>(io: T) -> Result<Connection, TransportErrorKind>
where
    T: Read + Write + Unpin + Send + 'static,
{
    let (sender, connection) = http1::handshake(io).await.map_err(|_| TransportErrorKind::Connect)?;
    Ok(Connection { sender, driver: Driver::new(connection) })
}

impl Tls {
    fn new(origin: &Origin, ca_file: Option<&Path>) -> Result<Self, TlsSetupError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = ca_file {
            add_roots(&mut roots, path)?;
        }
        // The provider is named, not the process's default: another library may have set a different one, or none.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let server_name = ServerName::try_from(origin.host.clone()).map_err(|_| TlsSetupError::ServerName)?;
        Ok(Self { connector: TlsConnector::from(Arc::new(config)), server_name })
    }
}

fn add_roots(roots: &mut RootCertStore, path: &Path) -> Result<(), TlsSetupError> {
    let failed = |source| TlsSetupError::CaFile { path: path.to_owned(), source };
    let pem = std::fs::read(path).map_err(failed)?;
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| failed(io::Error::other(error.to_string())))?;
        roots.add(certificate).map_err(|error| failed(io::Error::other(error)))?;
        added += 1;
    }
    if added == 0 {
        return Err(failed(io::Error::other("the file holds no certificate")));
    }
    Ok(())
}
