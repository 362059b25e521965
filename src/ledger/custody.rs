//! What operators do with what the ledger keeps sealed: count it by key, seal it anew under another key, erase one
//! customer's part of it. Beside the work of the workers, who know nothing of it: no lane is locked, no claim asked for.

use std::time::Duration;

use async_trait::async_trait;

use super::rows::origin;
use super::{Act, LedgerError};
use crate::domain::{Customer, EventKey, Lane, Origin};

/// Bytes of a batch of sealed blobs, but for its last one: old and new ones go to the server in one message, and a record may
/// have a megabyte.
pub const BATCH_BYTES: i64 = 4 * 1024 * 1024;
/// How long counting may take where somebody waits for the numbers: it looks at every sealed row.
pub const COUNTING_LIMIT: Duration = Duration::from_secs(60);

/// Where sealed bytes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedKind {
    /// Original records: of unfinished events, and of dead letters.
    Record,
    /// Permanent tokens.
    Token,
}

/// How much one key has sealed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealedCount {
    /// The key's id, as the blobs tell it.
    pub key_id: String,
    /// Original records.
    pub records: u64,
    /// Permanent tokens.
    pub tokens: u64,
    /// How many of these are dead letters': nothing goes on with them unless somebody replays them.
    pub dead_letters: u64,
    /// Whether the ledger's hash key is among it.
    pub hash_key: bool,
}

/// Sealed bytes as they stand, with what their context is made of.
#[derive(Clone)]
pub struct SealedBlob {
    /// The row.
    pub key: EventKey,
    /// The partition where its record stood; 0 for a token.
    pub lane: Lane,
    /// Its offset; 0 for a token.
    pub offset: i64,
    /// Its record's timestamp; 0 for a token.
    pub timestamp: i64,
    /// The topic of its record, where it is another than the one that the ledger serves now; `None` for a token.
    pub topic: Option<String>,
    /// The blob.
    pub bytes: Vec<u8>,
}

impl SealedBlob {
    /// What it is bound to, in a ledger that serves the topic `served`: see [`record_context`] and [`token_context`].
    #[must_use]
    pub fn context(&self, kind: SealedKind, served: &str) -> Vec<u8> {
        match kind {
            SealedKind::Token => token_context(self.key),
            SealedKind::Record => {
                let topic = self.topic.as_deref().unwrap_or(served);
                record_context(&origin(topic, self.lane, self.offset, self.timestamp))
            }
        }
    }
}

/// Bytes to take the place of others.
#[derive(Clone)]
pub struct Resealing {
    /// The row.
    pub key: EventKey,
    /// What must stand there still.
    pub old: Vec<u8>,
    /// What is to stand there: the same, sealed under another key.
    pub new: Vec<u8>,
}

/// What an erasure came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Erased {
    /// Rows that tell nothing of the customer any more.
    pub erased: u64,
    /// Rows that were left as they are, all of them, since one is unfinished, not published yet, or being written to.
    pub left: u64,
    /// Whether what was erased can still stand in the ledger's file: it was not written anew. A repeat does that.
    pub lingers: bool,
}

/// The operators' side of a ledger.
#[async_trait]
pub trait Custody: Send + Sync {
    /// How much each key has sealed, by id. Looks at every sealed row, for no longer than `within`; then it is `Unavailable`.
    async fn sealed_counts(&self, within: Duration) -> Result<Vec<SealedCount>, LedgerError>;

    /// The next blobs, by key, behind `after`, that another key than `active` has sealed; at most `limit`, and no more
    /// once they have [`BATCH_BYTES`].
    async fn sealed_otherwise(
        &self,
        kind: SealedKind,
        active: &str,
        after: Option<EventKey>,
        limit: u32,
    ) -> Result<Vec<SealedBlob>, LedgerError>;

    /// Puts new bytes in the place of old ones, each only where the old ones still stand. Waits for nobody: a row that is
    /// being written to is passed over. Answers how many were replaced; the repeat of a call that was applied: none.
    async fn reseal(&self, kind: SealedKind, rows: &[Resealing]) -> Result<u64, LedgerError>;

    /// The same for the ledger's hash key, with an audit line (`keys-rotate`, the keys' ids). Answers whether it was done.
    async fn reseal_hash_key(&self, old: &[u8], new: &[u8], target: &str, act: &Act) -> Result<bool, LedgerError>;

    /// Erases what tells of a customer: sealed bytes, the converter's account, the timeline, the event's source and id, the
    /// customer. What stays tells duplicates: the row's key and payload hash. All of the customer's rows or none: while one is
    /// unfinished or not published the others tell what it may do, as that a later event has become primary. Writes an audit
    /// line (`erase-customer`, `mark`), also where nothing was found or erased.
    async fn erase_customer(&self, customer: &Customer, mark: &str, act: &Act) -> Result<Erased, LedgerError>;
}

/// What a sealed record is bound to: its origin, which a dead letter shows too. Must never change.
#[must_use]
pub fn record_context(origin: &Origin) -> Vec<u8> {
    format!("record\n{}\n{}\n{}\n{}", origin.topic, origin.partition, origin.offset, origin.timestamp).into_bytes()
}

/// What a sealed permanent token is bound to: its event. Must never change.
#[must_use]
pub fn token_context(key: EventKey) -> Vec<u8> {
    let mut context = b"token\n".to_vec();
    context.extend_from_slice(&key.0);
    context
}
