//! What `check` asks of a ledger beyond its identity.

use jiff::Timestamp;

use super::address::Address;
use super::{LedgerError, Serves, postgres};
use crate::domain::Secret;

/// What a ledger tells of itself.
pub struct LedgerProbe {
    /// What it is bound to; `None` before its first use.
    pub serves: Option<Serves>,
    /// Its clock in milliseconds since 1970, between two readings of ours; `None` where it has no clock of its own.
    pub clock: Option<(Timestamp, i64, Timestamp)>,
}

/// Asks a migrated ledger. A SQLite file belongs to one process on this very machine: there is nothing to ask.
///
/// # Errors
/// It cannot be reached, or does not let us read.
pub async fn probe(url: &Secret) -> Result<LedgerProbe, LedgerError> {
    match Address::parse(url)? {
        Address::Postgres(options) => postgres::probe(&options).await,
        Address::Sqlite(_) => Ok(LedgerProbe { serves: None, clock: None }),
    }
}
