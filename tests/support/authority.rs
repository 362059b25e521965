//! Certificates, made anew in each run: no key lies in the repository.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// A certificate authority that nobody knows.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A server's certificate and private key, both in PEM.
pub struct ServerPem {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    /// A new one.
    pub fn new() -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).expect("no names, no trouble");
        // Another name than that of its servers: OpenSSL takes a certificate that names itself as issuer for self-signed.
        parameters.distinguished_name.push(DnType::CommonName, "an authority of the tests");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().expect("a key")).expect("a signature"))
    }

    /// What clients are to trust.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server on loopback.
    pub fn server(&self, names: &[&str]) -> ServerPem {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let parameters = CertificateParams::new(names).expect("good names");
        let certificate = parameters.signed_by(&key, &self.0).expect("a signature").pem();
        ServerPem { certificate, key: key.serialize_pem() }
    }
}
