//! TLS in front of something that speaks none: a server whose certificate the test decides, and changes.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

use super::authority::ServerPem;

/// Passes on what comes over TLS to one port of loopback to another one, in clear.
pub struct TlsDoor {
    port: u16,
    certificate: watch::Sender<TlsAcceptor>,
    refused: Arc<AtomicU64>,
    _passing: AbortOnDropHandle<()>,
}

impl TlsDoor {
    /// Begins to listen, with this certificate.
    pub async fn before(to: u16, pem: &ServerPem) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port for the door");
        let port = listener.local_addr().expect("a bound listener has an address").port();
        let (certificate, shown) = watch::channel(acceptor(pem));
        let refused = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&refused);
        let passing = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, to, shown.clone(), Arc::clone(&counter)));
            }
        });
        Self { port, certificate, refused, _passing: AbortOnDropHandle::new(passing) }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Shows another certificate from now on, and ends every connection, as a server does that is restarted with it.
    pub fn change(&self, pem: &ServerPem) {
        self.certificate.send_replace(acceptor(pem));
    }

    /// How many callers did not take its certificate.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

async fn pass(client: TcpStream, to: u16, mut shown: watch::Receiver<TlsAcceptor>, refused: Arc<AtomicU64>) {
    let acceptor = shown.borrow_and_update().clone();
    let Ok(mut client) = acceptor.accept(client).await else {
        refused.fetch_add(1, Ordering::Relaxed);
        return;
    };
    let Ok(mut server) = TcpStream::connect((Ipv4Addr::LOCALHOST, to)).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut client, &mut server) => {}
        _ = shown.changed() => {}
    }
}

fn acceptor(pem: &ServerPem) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(pem.certificate.as_bytes()).expect("a certificate");
    let key = PrivateKeyDer::from_pem_slice(pem.key.as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the library's defaults")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .expect("the key is the certificate's");
    TlsAcceptor::from(Arc::new(config))
}
