//! TLS: our own roots are believed, others are not, and a failed handshake sent nothing.

use std::path::Path;
use std::sync::Arc;

use profile_linker::upstream::OpenGate;
use profile_linker::upstream::http::{
    CertificateFault, ClientError, HttpClient, Origin, Transport, TransportError, TransportErrorKind,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::server::{LIMIT, Server, put, read_request, respond};

/// An authority, and what takes connections with a certificate of it for `name`.
pub fn certified(name: &str) -> (TlsAcceptor, String) {
    certified_until(name, 4_000)
}

/// The same with a certificate that is valid until the end of a year.
fn certified_until(name: &str, year: i32) -> (TlsAcceptor, String) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let mut certificate = CertificateParams::new(vec![name.to_owned()]).unwrap();
    certificate.not_after = rcgen::date_time_ymd(year, 12, 31);
    let certificate = certificate.signed_by(&key, &authority).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), authority.pem())
}

/// An authority and a server that has a certificate of it for `name`.
pub async fn tls_server(name: &str) -> (Server, String) {
    serving(certified(name)).await
}

async fn serving((acceptor, authority): (TlsAcceptor, String)) -> (Server, String) {
    let server = Server::start(move |stream, _| {
        let acceptor = acceptor.clone();
        async move {
            // A client that does not believe us hangs up; the test asserts what it reports.
            let Ok(mut stream) = acceptor.accept(stream).await else {
                return;
            };
            while read_request(&mut stream).await.is_some() {
                respond(&mut stream, "over tls").await;
            }
        }
    })
    .await;
    (server, authority)
}

pub fn client(server: &Server, ca_file: Option<&Path>) -> HttpClient {
    let origin = Origin::parse(&format!("https://localhost:{}/", server.port), false).unwrap();
    HttpClient::new("test", origin, ca_file, LIMIT, None).unwrap()
}

pub fn untrusted(fault: CertificateFault) -> TransportError {
    TransportError::unsent(TransportErrorKind::Certificate(fault))
}

pub fn written(pem: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    file
}

#[tokio::test]
async fn a_server_with_a_certificate_of_our_own_authority_is_believed() {
    let (server, authority) = tls_server("localhost").await;
    let file = written(&authority);
    let client = client(&server, Some(file.path()));
    for _ in 0..2 {
        let answer = client.exchange(put(), &OpenGate).await.ok().unwrap();
        assert_eq!(answer.body.as_slice(), b"over tls");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn an_unknown_authority_fails_before_anything_is_sent() {
    let (server, _) = tls_server("localhost").await;
    let error = client(&server, None).exchange(put(), &OpenGate).await.err();
    assert_eq!(error, Some(untrusted(CertificateFault::Authority)));
}

#[tokio::test]
async fn a_certificate_that_has_expired_fails_before_anything_is_sent() {
    let (server, authority) = serving(certified_until("localhost", 2_001)).await;
    let file = written(&authority);
    let error = client(&server, Some(file.path())).exchange(put(), &OpenGate).await.err();
    assert_eq!(error, Some(untrusted(CertificateFault::Time)));
}

#[tokio::test]
async fn a_certificate_for_another_name_fails_before_anything_is_sent() {
    let (server, authority) = tls_server("elsewhere.example").await;
    let file = written(&authority);
    let error = client(&server, Some(file.path())).exchange(put(), &OpenGate).await.err();
    assert_eq!(error, Some(untrusted(CertificateFault::Name)));
}

#[test]
fn a_ca_file_without_certificates_stops_the_start() {
    let file = written("nothing here");
    let missing = file.path().with_extension("missing");
    for path in [file.path(), &missing] {
        let origin = Origin::parse("https://localhost/", false).unwrap();
        let made = HttpClient::new("test", origin, Some(path), LIMIT, None);
        assert!(matches!(made.err(), Some(ClientError::Tls(_))));
    }
}
