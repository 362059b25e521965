//! The tokens that the vendors give out. They are made up and worth nothing, but treated like real ones: the books hold
//! fingerprints only.

use std::fmt;

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use rand::RngExt;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest, Sha256};

use super::books::{Books, Moment};
use crate::contract::{AccountKind, Brand};

/// Life of a temporary token where the request names none, in seconds. The vendor's is unknown; comparable ones give 15
/// minutes to a day.
const DEFAULT_LIFE: u64 = 3600;

/// The first 8 bytes of a token's SHA-256, in hex: enough to tell a million tokens apart, and no way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 8]);

impl Fingerprint {
    /// Of this token.
    #[must_use]
    pub fn of(token: &str) -> Self {
        let digest = Sha256::digest(token.as_bytes());
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Self(first)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = HEXLOWER.decode(text.as_bytes()).map_err(de::Error::custom)?;
        bytes.try_into().map(Self).map_err(|_| de::Error::custom("expected 16 hex digits"))
    }
}

/// The names of [`Outcome`], for people who wrote another.
pub const OUTCOMES: &str = "ok, system_error, validation, data_not_found, duplicate_payment, pre_auth_error, declined, \
    service_unavailable, user_locked, unknown_error, blocked, paypal, apple_pay, amazon_pay, contradictory_kind, \
    contradictory or empty_token";

/// What PayIQ will say when a temporary token is converted. The first nine are its ErrorNums 0..8 in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Converted.
    #[default]
    Ok,
    /// ErrorNum 1, every time.
    SystemError,
    /// ErrorNum 2.
    Validation,
    /// ErrorNum 3.
    DataNotFound,
    /// ErrorNum 4.
    DuplicatePayment,
    /// ErrorNum 5.
    PreAuthError,
    /// ErrorNum 6.
    Declined,
    /// ErrorNum 7, every time.
    ServiceUnavailable,
    /// ErrorNum 8.
    UserLocked,
    /// An ErrorNum that no document names.
    UnknownError,
    /// Converted, but the account is blocked.
    Blocked,
    /// Converted into a PayPal wallet.
    #[serde(rename = "paypal")]
    PayPal,
    /// Converted into an Apple Pay wallet.
    ApplePay,
    /// Converted into an Amazon Pay wallet.
    AmazonPay,
    /// Converted, and said to be both a card and a bank account.
    ContradictoryKind,
    /// `Success` with an ErrorNum of a decline.
    Contradictory,
    /// `Success` without a token.
    EmptyToken,
}

/// What the hosted form was filled in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// Checking, savings or card.
    pub kind: AccountKind,
    /// Last four digits of the account or card.
    pub last_four: String,
    /// The card's network.
    pub brand: Brand,
    /// Life of the token in seconds; 0 makes one that is dead already.
    pub expires_in: u64,
    /// What becomes of its conversion.
    pub outcome: Outcome,
    /// Give a permanent token at once, as Secure Payments' form does.
    pub permanent: bool,
}

impl Default for TokenRequest {
    fn default() -> Self {
        Self {
            kind: AccountKind::Checking,
            last_four: "1234".to_owned(),
            brand: Brand::Visa,
            expires_in: DEFAULT_LIFE,
            outcome: Outcome::Ok,
            permanent: false,
        }
    }
}

/// An account behind a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenisedAccount {
    /// Checking, savings or card.
    pub kind: AccountKind,
    /// Last four digits.
    pub last_four: String,
    /// Only meant for cards.
    pub brand: Brand,
}

/// A temporary token in the books.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TemporaryToken {
    /// The account behind it.
    pub account: TokenisedAccount,
    /// What becomes of its conversion.
    pub outcome: Outcome,
    /// Dead from then on.
    pub expires_at: Moment,
    /// Place of its conversion in [`Books::conversions`]; a token with one is used.
    pub converted: Option<usize>,
}

/// A permanent token in the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermanentToken {
    /// Checking, savings or card.
    pub kind: AccountKind,
}

/// Gives out the token that a form would, and writes it into the books.
#[must_use]
pub fn issue(books: &mut Books, request: &TokenRequest, now: Moment) -> String {
    books.changes += 1;
    if request.permanent {
        let token = permanent(request.kind);
        books.permanent.insert(Fingerprint::of(&token), PermanentToken { kind: request.kind });
        return token;
    }
    let token = format!("jst_{}", BASE64URL_NOPAD.encode(&noise(30)));
    let account = TokenisedAccount { kind: request.kind, last_four: request.last_four.clone(), brand: request.brand };
    let expires_at = now.plus_seconds(request.expires_in);
    let record = TemporaryToken { account, outcome: request.outcome, expires_at, converted: None };
    books.temporary.insert(Fingerprint::of(&token), record);
    token
}

/// A new permanent token: 0.6..2 KB of base64, as Secure Payments gives. A card's starts with `201:`, the form that
/// Aloha demands of Connected Payments, so that a converted card can be linked to either system.
#[must_use]
pub fn permanent(kind: AccountKind) -> String {
    let opaque = BASE64.encode(&noise(rand::rng().random_range(450..1500)));
    match kind {
        AccountKind::Card => format!("201:{opaque}"),
        AccountKind::Checking | AccountKind::Savings => opaque,
    }
}

/// So many random bytes.
#[must_use]
pub fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::rng().fill(&mut bytes[..]);
    bytes
}
