//! Whose certificates are believed: those of the public authorities, and of the ones in `ca_file`, which is followed.
//!
//! The file is looked at where a connection is opened, and read if it changed. Whatever it holds then, the process goes on:
//! with what it holds if that can be used, else with what was read last. So a wrong file is mended without a restart, and a
//! file that is just being written again breaks nothing.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

use crate::upstream::stamp::Stamp;

/// Limit of a file of certificates. The bundle of all public authorities has a quarter of this; a device has no end.
const MAX_FILE_BYTES: u64 = 1 << 20;

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

/// What a server's certificate is checked with.
pub(super) struct Trust {
    upstream: &'static str,
    file: Option<PathBuf>,
    held: Mutex<Held>,
}

/// What is in use.
struct Held {
    connector: TlsConnector,
    /// The file as it was when its content was last read and found good, or the same.
    stamp: Option<Stamp>,
    /// That content.
    pem: Vec<u8>,
    /// What was last said to be wrong with it: said once, not for each connection.
    complaint: Option<String>,
}

impl Trust {
    /// The public authorities, and those of `file`. `upstream` is its name in logs.
    pub fn new(upstream: &'static str, file: Option<&Path>) -> Result<Self, TlsSetupError> {
        let (stamp, pem) = match file {
            Some(path) => read(path).map(|(stamp, pem)| (Some(stamp), pem)).map_err(|source| unusable(path, source))?,
            None => (None, Vec::new()),
        };
        let connector = connector(file, &pem)?;
        let held = Mutex::new(Held { connector, stamp, pem, complaint: None });
        Ok(Self { upstream, file: file.map(Path::to_owned), held })
    }

    /// What a new connection is opened with. A look at a file, and reading one, are local and small, as with secrets: this
    /// does not leave the async thread. No call waits for it between the gate and its bytes: they have their connection.
    pub fn connector(&self) -> TlsConnector {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.file
            && let Some(news) = held.follow(path)
        {
            self.tell(path, &news);
        }
        held.connector.clone()
    }

    fn tell(&self, path: &Path, news: &News) {
        let (upstream, file) = (self.upstream, path.display());
        match news {
            News::Changed => {
                tracing::info!(upstream, %file, "ca_file has changed; new connections trust whom it names now");
            }
            News::Unusable(error) => {
                tracing::warn!(upstream, %file, error, "ca_file cannot be used; new connections trust whom it named before");
            }
        }
    }
}

/// What is to be said of the file: of a change, not of a connection.
#[derive(Debug, PartialEq, Eq)]
enum News {
    Changed,
    /// And why.
    Unusable(String),
}

impl Held {
    /// Takes up what the file holds now; without it, what is in use stays so.
    fn follow(&mut self, path: &Path) -> Option<News> {
        match self.changed(path) {
            Ok(made) => {
                self.complaint = None;
                // All anew, what it remembers of sessions included: a resumed one checks no certificate.
                self.connector = made?;
                Some(News::Changed)
            }
            Err(error) => {
                let why = why(&error);
                let is_new = self.complaint.as_ref() != Some(&why);
                self.complaint = Some(why.clone());
                is_new.then_some(News::Unusable(why))
            }
        }
    }

    /// What the file's new content makes; `None` if it holds what it held. After a failure it is read each time, also where it
    /// looks as before: why it could not be read may have passed without a trace.
    fn changed(&mut self, path: &Path) -> Result<Option<TlsConnector>, TlsSetupError> {
        let looked = std::fs::metadata(path).map_err(|source| unusable(path, source))?;
        if self.complaint.is_none() && self.stamp == Some(Stamp::of(&looked)) {
            return Ok(None);
        }
        let (stamp, pem) = read(path).map_err(|source| unusable(path, source))?;
        let made = if pem == self.pem { None } else { Some(connector(Some(path), &pem)?) };
        (self.stamp, self.pem) = (Some(stamp), pem);
        Ok(made)
    }
}

/// The file as it looked just before its content was read, and that content. What is written meanwhile has another stamp.
fn read(path: &Path) -> io::Result<(Stamp, Vec<u8>)> {
    let metadata = std::fs::metadata(path)?;
    // Before it is opened: a pipe would wait for somebody who writes.
    if !metadata.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut pem = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut pem)?;
    if pem.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_FILE_BYTES} bytes")));
    }
    Ok((Stamp::of(&metadata), pem))
}

fn connector(file: Option<&Path>, pem: &[u8]) -> Result<TlsConnector, TlsSetupError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = file {
        add(&mut roots, pem).map_err(|source| unusable(path, source))?;
    }
    // The provider is named, not the process's default: another library may have set a different one, or none.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

fn add(roots: &mut RootCertStore, pem: &[u8]) -> io::Result<()> {
    let mut added = 0;
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| io::Error::other(error.to_string()))?;
        roots.add(certificate).map_err(io::Error::other)?;
        added += 1;
    }
    if added == 0 {
        return Err(io::Error::other("the file holds no certificate"));
    }
    Ok(())
}

fn unusable(path: &Path, source: io::Error) -> TlsSetupError {
    TlsSetupError::CaFile { path: path.to_owned(), source }
}

/// Without the path, which has a field of its own.
fn why(error: &TlsSetupError) -> String {
    match error {
        TlsSetupError::CaFile { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn certificate() -> String {
        let key = KeyPair::generate().unwrap();
        CertificateParams::new(Vec::new()).unwrap().self_signed(&key).unwrap().pem()
    }

    fn unusable(why: &str) -> Option<News> {
        Some(News::Unusable(why.to_owned()))
    }

    #[test]
    fn what_is_wrong_with_the_file_is_said_once_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let first = certificate();
        let writes = |text: &str| std::fs::write(&path, text).unwrap();
        writes(&first);
        let trust = Trust::new("test", Some(&path)).unwrap();
        let mut held = trust.held.into_inner().unwrap();
        let mut news = || [held.follow(&path), held.follow(&path)];
        assert_eq!(news(), [None, None]);
        writes("nothing here");
        assert_eq!(news(), [unusable("the file holds no certificate"), None]);
        std::fs::remove_file(&path).unwrap();
        let [Some(News::Unusable(gone)), None] = news() else { panic!("another trouble is said, once") };
        assert!(gone.contains("No such file"), "{gone}");
        writes(&first);
        assert_eq!(news(), [None, None], "it holds what it held");
        writes("");
        assert_eq!(news(), [unusable("the file holds no certificate"), None], "it was well meanwhile");
        writes(&certificate());
        assert_eq!(news(), [Some(News::Changed), None]);
    }

    #[test]
    fn what_is_no_file_of_certificates_is_refused_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let large = folder.path().join("large.pem");
        std::fs::write(&large, certificate().repeat(3_000)).unwrap();
        for path in [folder.path(), &large, Path::new("/dev/zero")] {
            assert!(matches!(Trust::new("test", Some(path)), Err(TlsSetupError::CaFile { .. })), "{}", path.display());
        }
    }
}
