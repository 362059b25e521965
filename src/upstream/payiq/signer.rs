//! The signature of PayIQ's `Api/Auth`.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::domain::Secret;

/// Signs a request for an access token. A seam, because the vendor documents that there is a signature, but not how it is
/// made.
pub trait Signer: Send + Sync {
    /// The `Signature` for this API key and `CreationDate` (as it stands in the request). `None` if the key cannot sign.
    fn sign(&self, api_key: &Secret, creation_date: &str, signing_key: &Secret) -> Option<String>;
}

/// Base64 of HMAC-SHA256 under the signing key over `APIKey` followed by `CreationDate`.
///
/// \[U\] The algorithm is unknown: this is the commonest one for such a triple, and what the sandbox accepts.
pub struct HmacSha256Signer;

impl Signer for HmacSha256Signer {
    fn sign(&self, api_key: &Secret, creation_date: &str, signing_key: &Secret) -> Option<String> {
        let mut mac = Hmac::<Sha256>::new_from_slice(signing_key.expose()).ok()?;
        mac.update(api_key.expose());
        mac.update(creation_date.as_bytes());
        let digest = Zeroizing::new(mac.finalize().into_bytes().to_vec());
        Some(BASE64.encode(&digest))
    }
}
