//! Sealing at rest: XChaCha20-Poly1305 under a named key; the newest key writes, every known key reads.

use zeroize::Zeroizing;

use crate::domain::Secret;

/// Why something could not be unsealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VaultError {
    /// The blob names a key that is not configured.
    #[error("sealed under key {0:?}, which is not configured")]
    UnknownKey(String),
    /// Wrong key bytes, wrong context, or changed bytes.
    #[error("sealed bytes do not open: wrong key, wrong place or damaged")]
    DoesNotOpen,
    /// Not a blob of ours.
    #[error("not a sealed blob")]
    Malformed,
}

/// The keys that seal and open.
pub struct Vault {
    _active: String,
}

impl Vault {
    /// A vault from keys of 32 bytes each; `active` must be among them.
    ///
    /// # Errors
    /// A text that names the key at fault: missing active key, wrong length, id over 255 bytes.
    pub fn new(active: &str, keys: Vec<(String, Secret)>) -> Result<Self, String> {
        let _ = keys;
        Ok(Self {
            _active: active.to_owned(),
        })
    }

    /// Id of the key that seals.
    #[must_use]
    pub fn active(&self) -> &str {
        &self._active
    }

    /// Seals under the active key, bound to `context` (the AAD).
    #[must_use]
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let _ = (context, plain);
        unimplemented!()
    }

    /// Opens what [`Vault::seal`] made for the same `context`.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let _ = (context, sealed);
        unimplemented!()
    }
}
