//! The ledger's keyed hash: what payloads, tokens and unreadable records are compared by without being shown.
//!
//! HMAC-SHA256 under a key that is made once per ledger and never changed (a rotation of the vault's keys re-seals it).
//! The inputs in this file must never change: rows of running ledgers are compared by them.

use chacha20poly1305::aead::Generate;
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::LedgerIdentity;
use super::vault::{Vault, VaultError};
use crate::domain::{Customer, EventKey, Origin};

/// What the key is sealed for.
const CONTEXT: &[u8] = b"hash-key";
/// Domains: the same bytes hash differently for each use. None is a prefix of another, since each ends with NUL.
const PAYLOAD: &[u8] = b"payload\0";
const FINGERPRINT: &[u8] = b"fingerprint\0";
const UNREADABLE: &[u8] = b"unreadable\0";
const CUSTOMER: &[u8] = b"customer\0";
/// Bytes of a fingerprint: enough to correlate, shown as twice as many hex characters.
const FINGERPRINT_BYTES: usize = 16;

/// The key of the ledger's keyed hash.
#[derive(Clone)]
pub struct HashKey(Hmac<Sha256>);

impl HashKey {
    /// Makes the key of a new ledger: 32 random bytes, sealed.
    pub(super) fn make_sealed(vault: &Vault) -> Vec<u8> {
        let key = Zeroizing::new(<[u8; 32]>::generate());
        vault.seal(CONTEXT, key.as_slice())
    }

    /// Unseals the key of a ledger.
    ///
    /// # Errors
    /// See [`VaultError`]; `Malformed` also if it does not hold a key.
    pub fn open(identity: &LedgerIdentity, vault: &Vault) -> Result<Self, VaultError> {
        let key = vault.open(CONTEXT, &identity.sealed_hash_key)?;
        let key = Some(key).filter(|key| key.len() == 32).ok_or(VaultError::Malformed)?;
        Hmac::new_from_slice(&key).map(Self).map_err(|_| VaultError::Malformed)
    }

    /// The same key, sealed under the vault's active key.
    ///
    /// # Errors
    /// See [`VaultError`].
    pub fn resealed(identity: &LedgerIdentity, vault: &Vault) -> Result<Vec<u8>, VaultError> {
        vault.open(CONTEXT, &identity.sealed_hash_key).map(|key| vault.seal(CONTEXT, &key))
    }

    /// What an erased customer is called in the audit table: whoever knows the customer can tell the line, nobody else can
    /// tell the customer.
    #[must_use]
    pub fn customer_mark(&self, customer: &Customer) -> String {
        let id = customer.id.to_ascii_lowercase();
        let hash = self.hash(CUSTOMER, &[customer.system.as_str().as_bytes(), b"\n", id.as_bytes()]);
        HEXLOWER.encode(&hash[..FINGERPRINT_BYTES])
    }

    /// Hash of an event's canonical payload (of a record's bytes, where there is no payload).
    #[must_use]
    pub fn payload_hash(&self, payload: &[u8]) -> [u8; 32] {
        self.hash(PAYLOAD, &[payload])
    }

    /// What a token is called in results and logs: 32 hex characters that tell nothing about it.
    #[must_use]
    pub fn fingerprint(&self, token: &[u8]) -> String {
        HEXLOWER.encode(&self.hash(FINGERPRINT, &[token])[..FINGERPRINT_BYTES])
    }

    /// Key of a record without an identity of its own: unreadable, or a conflict.
    #[must_use]
    pub fn unreadable_key(&self, origin: &Origin, bytes: &[u8]) -> EventKey {
        let topic = origin.topic.as_bytes();
        EventKey::from_digest(&self.hash(
            UNREADABLE,
            &[
                &(topic.len() as u64).to_be_bytes(),
                topic,
                &origin.partition.to_be_bytes(),
                &origin.offset.to_be_bytes(),
                &origin.timestamp.to_be_bytes(),
                bytes,
            ],
        ))
    }

    fn hash(&self, domain: &[u8], parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        mac.update(domain);
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    fn vault() -> Vault {
        Vault::new("k1", vec![("k1".into(), Secret::new(vec![1; 32]))]).unwrap()
    }

    fn fixed() -> HashKey {
        let identity =
            LedgerIdentity { ledger_id: [0; 8], sealed_hash_key: vault().seal(CONTEXT, &[9; 32]), adopted_at: None };
        HashKey::open(&identity, &vault()).unwrap()
    }

    fn origin(partition: i32, offset: i64) -> Origin {
        Origin { topic: "created".into(), partition, offset, timestamp: 1_700_000_000_000 }
    }

    #[test]
    fn hashes_never_change() {
        // Made once with another implementation of HMAC; other values mean that a running ledger takes every event for a conflict.
        assert_eq!(
            HEXLOWER.encode(&fixed().payload_hash(b"payload")),
            "7d6465cdc548e6529c61e2123ec29ab1d9971ae4e5c4fb9b4ccbd4ea4cd986b3"
        );
        assert_eq!(fixed().fingerprint(b"token"), "a31708a6c6b8109422220551dc558438");
        assert_eq!(
            format!("{:?}", fixed().unreadable_key(&origin(3, 4), b"bytes")),
            "32a3b85cae1e9a1fb377fd4427e53ff6"
        );
    }

    #[test]
    fn each_use_hashes_the_same_bytes_differently() {
        let hash = HEXLOWER.encode(&fixed().payload_hash(b"same"));
        assert_ne!(hash[..32], fixed().fingerprint(b"same"));
    }

    #[test]
    fn records_that_differ_in_anything_have_different_keys() {
        let key = fixed();
        let keys = [
            key.unreadable_key(&origin(1, 2), b"a"),
            key.unreadable_key(&origin(1, 2), b"b"),
            key.unreadable_key(&origin(1, 3), b"a"),
            key.unreadable_key(&origin(2, 2), b"a"),
            key.unreadable_key(&Origin { timestamp: 0, ..origin(1, 2) }, b"a"),
            key.unreadable_key(&Origin { topic: "create".into(), ..origin(1, 2) }, b"a"),
        ];
        assert_eq!(std::collections::BTreeSet::from(keys).len(), keys.len());
    }

    #[test]
    fn two_ledgers_hash_differently() {
        let open = |sealed| {
            HashKey::open(&LedgerIdentity { ledger_id: [0; 8], sealed_hash_key: sealed, adopted_at: None }, &vault())
                .unwrap()
        };
        let (one, two) = (open(HashKey::make_sealed(&vault())), open(HashKey::make_sealed(&vault())));
        assert_ne!(one.payload_hash(b"same"), two.payload_hash(b"same"));
    }

    #[test]
    fn a_key_of_another_length_is_refused() {
        let identity =
            LedgerIdentity { ledger_id: [0; 8], sealed_hash_key: vault().seal(CONTEXT, &[9; 31]), adopted_at: None };
        assert_eq!(HashKey::open(&identity, &vault()).err(), Some(VaultError::Malformed));
    }
}
