//! Seals what older keys have sealed anew under the active one, while workers run.
//!
//! Properties: nothing is ever without a key that opens it, since each blob is replaced by one statement, only where the old
//! bytes still stand. It may be cut short anywhere and begun again. No lane is locked and no worker's write waited for: a row
//! that is being written to is passed over, and found by the next pass. A row that ends meanwhile is gone, which is as good.
//!
//! Known race: a worker that still seals under the old key makes new work for as long as it runs. So the passes are counted,
//! and what is left then is told.

use super::custody::{COUNTING_LIMIT, Custody, Resealing, SealedBlob, SealedCount, SealedKind};
use super::vault::{Vault, VaultError};
use super::{Act, HashKey, Ledger, LedgerError};

/// Blobs of one statement: their locks are held for some milliseconds.
const BATCH: u32 = 200;
/// How often the rows are gone through. The second time finds what was being written to; more than that says that a worker
/// still seals under the old key.
const PASSES: usize = 3;

/// Why a rotation stopped.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The ledger's.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Unfinished events, or the hash key, are sealed under a key that is not configured; nothing was changed.
    #[error("{rows} sealed rows need the key {key_id:?}, which is not configured")]
    MissingKey {
        /// The key.
        key_id: String,
        /// How many rows.
        rows: u64,
    },
    /// The ledger's hash key does not open.
    #[error("the ledger's hash key: {0}")]
    HashKey(VaultError),
}

/// What a rotation came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotated {
    /// Records sealed anew.
    pub records: u64,
    /// Tokens sealed anew.
    pub tokens: u64,
    /// Whether the hash key was.
    pub hash_key: bool,
    /// Rows that are still sealed under another key: somebody seals under it, or they are being written to.
    pub left: u64,
    /// Of those, rows that do not open: damaged, in another place, or dead letters whose key is not configured.
    pub unopened: u64,
}

impl Rotated {
    /// Whether nothing is left that another run could seal anew.
    #[must_use]
    pub fn is_through(&self) -> bool {
        self.left <= self.unopened
    }
}

/// A rotation under way.
pub struct Rotation<'a> {
    /// The ledger.
    pub ledger: &'a dyn Ledger,
    /// Opens with every key, seals with the active one.
    pub vault: &'a Vault,
    /// The input topic that the ledger serves: records are bound to theirs.
    pub topic: &'a str,
    /// Who asked for it.
    pub act: &'a Act,
}

/// A key that is not configured and that unfinished events need, or the hash key, with how much it sealed.
#[must_use]
pub fn missing(counts: &[SealedCount], vault: &Vault) -> Option<(String, u64)> {
    let needed = |count: &&SealedCount| count.hash_key || count.records + count.tokens > count.dead_letters;
    let count = counts.iter().filter(needed).find(|count| !vault.opens(&count.key_id))?;
    Some((count.key_id.clone(), count.records + count.tokens + u64::from(count.hash_key)))
}

/// The keys that are not configured and that only dead letters need, with how many sealed rows those have. Nothing but a replay
/// misses them, so a key that is lost for good is no reason to stand still.
pub fn wanting<'c>(counts: &'c [SealedCount], vault: &Vault) -> impl Iterator<Item = (&'c str, u64)> {
    let only_dead = |count: &&SealedCount| !count.hash_key && count.records + count.tokens == count.dead_letters;
    let lost = counts.iter().filter(only_dead).filter(|count| !vault.opens(&count.key_id));
    lost.map(|count| (count.key_id.as_str(), count.dead_letters))
}

/// How many rows other keys than the active one have sealed; the hash key aside.
#[must_use]
pub fn outstanding(counts: &[SealedCount], active: &str) -> u64 {
    counts.iter().filter(|count| count.key_id != active).map(|count| count.records + count.tokens).sum()
}

impl Rotation<'_> {
    /// Seals everything anew. `progress` is told how many rows were done so far, and how many there were at the start.
    ///
    /// # Errors
    /// See [`RotationError`]. What was sealed anew by then stays so.
    pub async fn run(&self, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<Rotated, RotationError> {
        // A ledger that keeps nothing has nothing to be sealed anew.
        let Some(custody) = self.ledger.custody() else { return Ok(Rotated::default()) };
        let counts = custody.sealed_counts(COUNTING_LIMIT).await?;
        if let Some((key_id, rows)) = missing(&counts, self.vault) {
            return Err(RotationError::MissingKey { key_id, rows });
        }
        let total = outstanding(&counts, self.vault.active());
        let mut rotated = Rotated { left: total, ..Rotated::default() };
        for _ in 0..PASSES {
            if rotated.left == 0 || rotated.left == rotated.unopened {
                break;
            }
            rotated.unopened = 0;
            for kind in [SealedKind::Record, SealedKind::Token] {
                self.pass(custody, kind, &mut rotated, &|done| progress(done, total)).await?;
            }
            rotated.left = outstanding(&custody.sealed_counts(COUNTING_LIMIT).await?, self.vault.active());
        }
        if rotated.is_through() {
            rotated.hash_key = self.hash_key(custody).await?;
        }
        Ok(rotated)
    }

    async fn pass(
        &self,
        custody: &dyn Custody,
        kind: SealedKind,
        rotated: &mut Rotated,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<(), LedgerError> {
        let mut after = None;
        loop {
            let found = custody.sealed_otherwise(kind, self.vault.active(), after, BATCH).await?;
            let Some(last) = found.last() else { return Ok(()) };
            after = Some(last.key);
            let rows: Vec<Resealing> = found.iter().filter_map(|blob| self.resealed(kind, blob)).collect();
            rotated.unopened += (found.len() - rows.len()) as u64;
            let done = custody.reseal(kind, &rows).await?;
            match kind {
                SealedKind::Record => rotated.records += done,
                SealedKind::Token => rotated.tokens += done,
            }
            progress(rotated.records + rotated.tokens);
        }
    }

    /// `None` if it does not open; it stays as it is, and is told.
    fn resealed(&self, kind: SealedKind, blob: &SealedBlob) -> Option<Resealing> {
        let context = blob.context(kind, self.topic);
        let plain = self.vault.open(&context, &blob.bytes).ok()?;
        Some(Resealing { key: blob.key, old: blob.bytes.clone(), new: self.vault.seal(&context, &plain) })
    }

    /// Last, so that its audit line says that the rotation came to its end.
    async fn hash_key(&self, custody: &dyn Custody) -> Result<bool, RotationError> {
        let identity = self.ledger.identity().await?;
        let old = Vault::key_id_of(&identity.sealed_hash_key).map_err(RotationError::HashKey)?.to_owned();
        if old == self.vault.active() {
            return Ok(false);
        }
        let new = HashKey::resealed(&identity, self.vault).map_err(RotationError::HashKey)?;
        let target = format!("{old} to {}", self.vault.active());
        Ok(custody.reseal_hash_key(&identity.sealed_hash_key, &new, &target, self.act).await?)
    }
}
