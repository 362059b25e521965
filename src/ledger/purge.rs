//! What removing old rows asks for, and what it answers.

use std::time::Duration;

use super::LedgerError;
use super::decode::Columns;
use crate::domain::EventKey;

/// The last time that both databases know.
const LATEST_MS: i64 = 253_402_300_799_999;

/// Which rows may go, by the ledger's clock, and where to look for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Purge {
    /// What time it is at most, in milliseconds since 1970: ages are counted by the ledger's clock, unless it shows a later one.
    pub now_ms: i64,
    /// How long ago linked and finally rejected rows ended, at least.
    pub ended: Duration,
    /// How long ago dead-lettered rows ended, at least.
    pub dead_lettered: Duration,
    /// How old a row's record is, at least. A younger one that is read again would not count as possibly sent, so its row
    /// stays: a producer's clock may be ahead.
    pub record: Duration,
    /// Behind this row; `None`: from the oldest one on.
    pub after: Option<PurgePlace>,
    /// How many rows to look at, at most.
    pub limit: usize,
}

/// A row by its place among the old ones. Rows that stay (dead letters above all) are looked at once a run, not each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurgePlace {
    /// When it was accepted, in the ledger's own unit.
    pub accepted_at: i64,
    /// Its key.
    pub key: EventKey,
}

/// What a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// Rows removed.
    pub removed: u64,
    /// The last row looked at, if there may be more behind it.
    pub next: Option<PurgePlace>,
}

impl Purge {
    /// The least age of a row that may go: since a row ends after it is accepted, nothing younger need be looked at.
    pub(super) fn least_ms(&self) -> i64 {
        ms(self.ended.min(self.dead_lettered))
    }

    /// What time it is at most, as both databases can tell it.
    pub(super) fn latest_ms(&self) -> i64 {
        self.now_ms.clamp(0, LATEST_MS)
    }

    /// The three ages in milliseconds: ended, dead-lettered, record.
    pub(super) fn ages_ms(&self) -> [i64; 3] {
        [self.ended, self.dead_lettered, self.record].map(ms)
    }

    /// Before all others, if none is given.
    pub(super) fn place(&self) -> (i64, &[u8]) {
        self.after.as_ref().map_or((0, &[]), |place| (place.accepted_at, &place.key.0))
    }

    pub(super) fn rows(&self) -> i64 {
        i64::try_from(self.limit).unwrap_or(i64::MAX)
    }

    /// Where the next one goes on, after a last row looked at, of so many.
    pub(super) fn next(&self, looked: usize, last: Option<&impl Columns>) -> Result<Option<PurgePlace>, LedgerError> {
        match last.filter(|_| looked >= self.limit) {
            Some(row) => Ok(Some(PurgePlace { accepted_at: row.int("accepted_at")?, key: row.key("key")? })),
            None => Ok(None),
        }
    }
}

fn ms(age: Duration) -> i64 {
    i64::try_from(age.as_millis()).unwrap_or(i64::MAX)
}
