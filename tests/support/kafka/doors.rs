//! The Java broker's listener with TLS and a log-in, and who may come in.

use std::io;
use std::path::{Path, PathBuf};

use crate::support::authority::Authority;

/// A user of the broker.
#[derive(Debug, Clone, Copy)]
pub struct User {
    /// The name.
    pub name: &'static str,
    /// The password.
    pub password: &'static str,
}

/// Who may do everything that no rule is made about.
pub const LINKER: User = User { name: "linker", password: "a-password-of-the-linker" };

/// A listener with a certificate of a CA that nobody else knows.
pub struct Doors {
    address: String,
    folder: PathBuf,
}

impl Doors {
    /// Makes the CA, the broker's certificate, and another CA that signed nothing.
    pub fn make(folder: &Path, port: u16) -> io::Result<Self> {
        let authority = Authority::new();
        let server = authority.server(&["127.0.0.1", "localhost"]);
        std::fs::write(folder.join("ca.pem"), authority.pem())?;
        std::fs::write(folder.join("other-ca.pem"), Authority::new().pem())?;
        std::fs::write(folder.join("server.pem"), server.key + &server.certificate)?;
        Ok(Self { address: format!("127.0.0.1:{port}"), folder: folder.to_owned() })
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The CA's certificate.
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The certificate of a CA that signed nothing.
    pub fn other_ca_file(&self) -> PathBuf {
        self.folder.join("other-ca.pem")
    }

    pub(super) fn listener(&self) -> String {
        format!("SASL_SSL://{}", self.address)
    }

    /// The broker's properties. Its plain listener stays as it was: whoever comes in by it may do everything.
    pub(super) fn settings(&self) -> String {
        let User { name, password } = LINKER;
        let listener = "listener.name.sasl_ssl";
        let module = "org.apache.kafka.common.security";
        let scram = |size: u16| {
            format!("{listener}.scram-sha-{size}.sasl.jaas.config={module}.scram.ScramLoginModule required;")
        };
        let pem = self.folder.join("server.pem");
        format!(
            "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
{listener}.ssl.keystore.type=PEM
{listener}.ssl.keystore.location={pem}
{listener}.plain.sasl.jaas.config={module}.plain.PlainLoginModule required user_{name}=\"{password}\";
{scram_256}
{scram_512}
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=true
",
            pem = pem.display(),
            scram_256 = scram(256),
            scram_512 = scram(512),
        )
    }

    /// What makes the user known to SCRAM, as arguments of the storage tool.
    pub(super) fn scram_users() -> Vec<String> {
        let User { name, password } = LINKER;
        let known = |mechanism: &str| format!("{mechanism}=[name={name},password={password}]");
        ["SCRAM-SHA-256", "SCRAM-SHA-512"]
            .into_iter()
            .flat_map(|mechanism| ["--add-scram".to_owned(), known(mechanism)])
            .collect()
    }
}
