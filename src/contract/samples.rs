//! Valid events for trying things out: `publish --sample` and `dev`.

use serde_json::{Value, json};

use super::PROFILE_CREATED;

/// What a sample needs from outside: a customer that exists and a token that can be converted.
#[derive(Clone, Copy)]
pub struct SampleParts<'a> {
    /// LoanPro customer: decimal integer 1..2^63-1.
    pub customer_id: &'a str,
    /// Temporary token, 1..1024 bytes. A secret like any other.
    pub temporary_token: &'a str,
}

/// The `n`th sample of a run: a checking account for a LoanPro customer, in structured mode. Source and id are unique for
/// `run` and `n`; `run` must be at most 400 bytes without control characters.
#[must_use]
pub fn sample(n: u64, run: &str, parts: &SampleParts<'_>) -> Value {
    json!({
        "specversion": "1.0",
        "type": PROFILE_CREATED,
        "source": format!("urn:profile-linker:sample:{run}"),
        "id": format!("sample-{run}-{n}"),
        "datacontenttype": "application/json",
        "data": {
            "customer": { "system": "loanpro", "id": parts.customer_id },
            "token": { "kind": "temporary", "value": parts.temporary_token },
            "account": { "kind": "checking", "lastFour": format!("{:04}", n % 10_000) },
            "title": format!("Sample {n}"),
            "secondary": true,
        },
    })
}
