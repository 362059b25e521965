//! Sealing at rest: XChaCha20-Poly1305 under a named key; the newest key writes, every known key reads.
//!
//! A blob is `version (1) | length of key id | key id | nonce (24) | ciphertext with tag`. This layout must never change:
//! ledgers and dead-letter topics are full of it. The nonce is drawn from the operating system; 24 bytes are enough to
//! never meet the same one twice. The context (AAD) says what the blob is and whose, so that it opens in no other place.

use std::collections::BTreeMap;

use chacha20poly1305::aead::{Aead, Generate, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::domain::Secret;

/// First byte of every blob.
const VERSION: u8 = 1;
/// Bytes of an XChaCha20 nonce.
const NONCE_BYTES: usize = 24;

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
    active: String,
    seals: XChaCha20Poly1305,
    opens: BTreeMap<String, XChaCha20Poly1305>,
}

impl Vault {
    /// A vault from keys of 32 bytes each; `active` must be among them.
    ///
    /// # Errors
    /// A text that names the key at fault: missing active key, wrong length, empty id or one over 255 bytes, an id twice.
    pub fn new(active: &str, keys: Vec<(String, Secret)>) -> Result<Self, String> {
        let mut opens = BTreeMap::new();
        for (id, key) in keys {
            let cipher = cipher(&id, &key)?;
            if opens.insert(id.clone(), cipher).is_some() {
                return Err(format!("key {id:?} is given twice"));
            }
        }
        let seals =
            opens.get(active).cloned().ok_or_else(|| format!("the active key {active:?} is not among the keys"))?;
        Ok(Self { active: active.to_owned(), seals, opens })
    }

    /// Id of the key that seals.
    #[must_use]
    pub fn active(&self) -> &str {
        &self.active
    }

    /// Whether this key is among the keys.
    #[must_use]
    pub fn opens(&self, id: &str) -> bool {
        self.opens.contains_key(id)
    }

    /// Id of the key under which a blob is sealed; it need not be configured.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn key_id_of(sealed: &[u8]) -> Result<&str, VaultError> {
        Blob::parse(sealed).map(|blob| blob.key_id)
    }

    /// Seals under the active key, bound to `context` (the AAD).
    #[must_use]
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let nonce = XNonce::generate();
        #[expect(
            clippy::expect_used,
            reason = "fails only for over 256 GiB; to go on without the bytes would lose them"
        )]
        let ciphertext =
            self.seals.encrypt(&nonce, Payload { msg: plain, aad: context }).expect("plain text of a sane length");
        let mut blob = prefix(&self.active);
        blob.reserve_exact(NONCE_BYTES + ciphertext.len());
        blob.extend(&nonce);
        blob.extend(ciphertext);
        blob
    }

    /// Opens what [`Vault::seal`] made for the same `context`.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        let blob = Blob::parse(sealed)?;
        let cipher = self.opens.get(blob.key_id).ok_or_else(|| VaultError::UnknownKey(blob.key_id.to_owned()))?;
        cipher
            .decrypt(&blob.nonce, Payload { msg: blob.ciphertext, aad: context })
            .map(Zeroizing::new)
            .map_err(|_| VaultError::DoesNotOpen)
    }
}

/// What every blob that this key sealed begins with, and no other.
pub(super) fn prefix(id: &str) -> Vec<u8> {
    // A vault's keys have at most 255 bytes of id: `new` has checked it.
    let mut prefix = vec![VERSION, u8::try_from(id.len()).unwrap_or(u8::MAX)];
    prefix.extend(id.as_bytes());
    prefix
}

/// The cipher of a configured key.
fn cipher(id: &str, key: &Secret) -> Result<XChaCha20Poly1305, String> {
    if id.is_empty() || id.len() > usize::from(u8::MAX) {
        return Err(format!("key id {id:?} must have 1 to 255 bytes"));
    }
    XChaCha20Poly1305::new_from_slice(key.expose())
        .map_err(|_| format!("key {id:?} has {} bytes, it needs 32", key.expose().len()))
}

/// The parts of a blob.
struct Blob<'a> {
    key_id: &'a str,
    nonce: XNonce,
    ciphertext: &'a [u8],
}

impl<'a> Blob<'a> {
    fn parse(sealed: &'a [u8]) -> Result<Self, VaultError> {
        Self::split(sealed).ok_or(VaultError::Malformed)
    }

    fn split(sealed: &'a [u8]) -> Option<Self> {
        let (&version, rest) = sealed.split_first()?;
        let (&length, rest) = rest.split_first()?;
        let (key_id, rest) = rest.split_at_checked(usize::from(length))?;
        let (nonce, ciphertext) = rest.split_at_checked(NONCE_BYTES)?;
        let key_id = std::str::from_utf8(key_id).ok().filter(|id| !id.is_empty() && version == VERSION)?;
        Some(Self { key_id, nonce: XNonce::try_from(nonce).ok()?, ciphertext })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> Secret {
        Secret::new(vec![byte; 32])
    }

    fn vault() -> Vault {
        Vault::new("k1", vec![("k1".into(), key(1))]).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

        #[test]
        fn what_is_sealed_opens_in_its_context(plain: Vec<u8>, context: Vec<u8>, id in "\\PC{1,40}") {
            let vault = Vault::new(&id, vec![(id.clone(), key(7))]).unwrap();
            let blob = vault.seal(&context, &plain);
            prop_assert_eq!(Vault::key_id_of(&blob).unwrap(), id.as_str());
            let opened = vault.open(&context, &blob).unwrap();
            prop_assert_eq!(opened.as_slice(), plain.as_slice());
        }

        #[test]
        fn nothing_opens_with_another_key_in_another_place_or_with_a_bit_changed(
            plain: Vec<u8>,
            context: Vec<u8>,
            other: Vec<u8>,
            place: prop::sample::Index,
            bit in 0..8_u32,
        ) {
            let blob = vault().seal(&context, &plain);
            let wrong_key = Vault::new("k1", vec![("k1".into(), key(2))]).unwrap();
            prop_assert_eq!(wrong_key.open(&context, &blob).unwrap_err(), VaultError::DoesNotOpen);
            if other != context {
                prop_assert_eq!(vault().open(&other, &blob).unwrap_err(), VaultError::DoesNotOpen);
            }
            let mut changed = blob.clone();
            changed[place.index(blob.len())] ^= 1 << bit;
            prop_assert!(vault().open(&context, &changed).is_err());
        }

        #[test]
        fn foreign_bytes_never_open(bytes: Vec<u8>) {
            prop_assert!(vault().open(b"", &bytes).is_err());
        }
    }

    #[test]
    fn another_context_does_not_open() {
        let vault = vault();
        let blob = vault.seal(b"token:one", b"secret");
        assert_eq!(vault.open(b"token:two", &blob).unwrap_err(), VaultError::DoesNotOpen);
    }

    #[test]
    fn a_blob_with_any_byte_changed_does_not_open() {
        let vault = vault();
        let blob = vault.seal(b"context", b"secret");
        for place in 0..blob.len() {
            let mut changed = blob.clone();
            changed[place] ^= 1;
            assert!(vault.open(b"context", &changed).is_err(), "byte {place}");
        }
    }

    #[test]
    fn a_truncated_blob_does_not_open() {
        let vault = vault();
        let blob = vault.seal(b"context", b"secret");
        for length in 0..blob.len() {
            assert!(vault.open(b"context", &blob[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn an_old_key_still_opens_and_an_unknown_one_is_named() {
        let old = vault().seal(b"context", b"secret");
        let rotated = Vault::new("k2", vec![("k1".into(), key(1)), ("k2".into(), key(2))]).unwrap();
        assert_eq!(rotated.open(b"context", &old).unwrap().as_slice(), b"secret");
        let new = rotated.seal(b"context", b"secret");
        assert_eq!(Vault::key_id_of(&new).unwrap(), "k2");
        assert_eq!(vault().open(b"context", &new).unwrap_err(), VaultError::UnknownKey("k2".into()));
    }

    #[test]
    fn the_same_bytes_are_never_sealed_alike() {
        let vault = vault();
        assert_ne!(vault.seal(b"context", b"secret"), vault.seal(b"context", b"secret"));
    }

    #[test]
    fn a_wrong_set_of_keys_is_refused_with_the_name_of_the_key() {
        let fault = |active: &str, keys| Vault::new(active, keys).err().unwrap();
        assert!(fault("k2", vec![("k1".into(), key(1))]).contains("k2"));
        assert!(fault("k1", vec![("k1".into(), Secret::new(vec![1; 31]))]).contains("31 bytes"));
        assert!(fault("k1", vec![("k1".into(), key(1)), ("k1".into(), key(2))]).contains("twice"));
        assert!(fault("", vec![(String::new(), key(1))]).contains("1 to 255"));
    }
}
