//! Credentials that may rotate: a file is read again when it changes.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use hyper::header::HeaderValue;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::stamp::Stamp;
use crate::config::SecretSource;
use crate::domain::Secret;

/// Limit of a secret's file. A signed web token is below 8 KB; more is the wrong file.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// Why a secret cannot be used. Names the path, never the content.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("failed to read the secret file {}", .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is empty or above the limit.
    #[error("the secret file {} is empty or larger than {MAX_FILE_BYTES} bytes", .0.display())]
    Size(PathBuf),
    /// The value holds bytes that cannot stand where it is needed.
    #[error("the {0} holds characters that cannot be sent")]
    Unsendable(&'static str),
}

/// A credential's present value.
pub struct Credential {
    source: SecretSource,
    last: Mutex<Option<(Stamp, Secret)>>,
}

impl Credential {
    /// A credential from its source; nothing is read yet.
    #[must_use]
    pub fn new(source: SecretSource) -> Self {
        Self { source, last: Mutex::new(None) }
    }

    /// The value now. A file is looked at on each call and read if it is another or was written to; both are local and small,
    /// so this does not leave the async thread.
    ///
    /// # Errors
    /// See [`CredentialError`].
    pub fn current(&self) -> Result<Secret, CredentialError> {
        match &self.source {
            SecretSource::Value(secret) => Ok(secret.clone()),
            SecretSource::File(path) => self.read_if_changed(path),
        }
    }

    fn read_if_changed(&self, path: &Path) -> Result<Secret, CredentialError> {
        let unreadable = |source| CredentialError::Unreadable { path: path.to_owned(), source };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        let stamp = Stamp::of(&metadata);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, secret)) = &*last
            && *seen == stamp
        {
            return Ok(secret.clone());
        }
        if metadata.len() > MAX_FILE_BYTES {
            return Err(CredentialError::Size(path.to_owned()));
        }
        let secret = read(path).map_err(unreadable)?;
        if secret.expose().is_empty() {
            return Err(CredentialError::Size(path.to_owned()));
        }
        *last = Some((stamp, secret.clone()));
        Ok(secret)
    }
}

/// Reads the file without its trailing line end. The buffer is made once, so that no outgrown copy stays behind.
fn read(path: &Path) -> io::Result<Secret> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_FILE_BYTES).unwrap_or(usize::MAX)));
    std::fs::File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\r')).map_or(0, |last| last + 1);
    Ok(Secret::new(bytes[..end].to_vec()))
}

/// A header value `prefix` + secret, marked so that no HTTP layer prints it.
///
/// # Errors
/// The secret holds bytes that no header may hold.
pub fn header_value(prefix: &str, secret: &Secret, name: &'static str) -> Result<HeaderValue, CredentialError> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(prefix.len() + secret.expose().len()));
    bytes.extend_from_slice(prefix.as_bytes());
    bytes.extend_from_slice(secret.expose());
    let mut value = HeaderValue::from_bytes(&bytes).map_err(|_| CredentialError::Unsendable(name))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The `Idempotency-Key` header of a changing call.
#[must_use]
pub fn idempotency_header(key: Uuid) -> HeaderValue {
    let mut text = Uuid::encode_buffer();
    // The text of a UUID is always a valid header value; were it not, no vendor relies on it.
    HeaderValue::from_str(key.hyphenated().encode_lower(&mut text)).unwrap_or(HeaderValue::from_static(""))
}
