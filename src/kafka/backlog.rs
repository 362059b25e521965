//! What was fetched and waits to be taken in. The channel to the worker never blocks the polling thread, since a rebalance
//! must be heard whatever the worker does; it is bounded all the same, by a brake: too much in it pauses every partition.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::contract::InputRecord;

/// Eight batches: a worker that is not behind never has so much waiting.
const MAX_RECORDS: usize = 4_000;
/// Where records are large this comes first: 16 of the largest that a broker takes by default.
const MAX_BYTES: usize = 16 << 20;
/// What a record takes in memory beside its bytes, about.
const OVERHEAD: usize = 256;

/// What a record takes in memory.
#[must_use]
pub fn weight(record: &InputRecord) -> usize {
    let headers = record.headers.iter().map(|(name, value)| name.len() + value.as_ref().map_or(0, Vec::len));
    let key = record.key.as_ref().map_or(0, Vec::len);
    let value = record.value.as_ref().map_or(0, |value| value.expose().len());
    OVERHEAD + key + value + headers.sum::<usize>()
}

/// Records between the polling thread and the worker's memory.
#[derive(Debug, Default)]
pub struct Backlog {
    records: AtomicUsize,
    bytes: AtomicUsize,
}

impl Backlog {
    /// Records that wait now.
    #[must_use]
    pub fn records(&self) -> usize {
        self.records.load(Ordering::Relaxed)
    }

    pub(super) fn is_full(&self) -> bool {
        self.reaches(MAX_RECORDS, MAX_BYTES)
    }

    /// Half empty: taking up fetching at every record would discard what was fetched ahead again and again.
    pub(super) fn has_room(&self) -> bool {
        !self.reaches(MAX_RECORDS / 2, MAX_BYTES / 2)
    }

    fn reaches(&self, records: usize, bytes: usize) -> bool {
        self.records() >= records || self.bytes.load(Ordering::Relaxed) >= bytes
    }
}

/// Records that were fetched together, in offset order within a partition.
#[derive(Default)]
pub struct Batch {
    records: Vec<InputRecord>,
    share: Share,
}

/// A batch's share of the backlog, until it is dropped.
#[derive(Default)]
pub struct Share {
    backlog: Option<Arc<Backlog>>,
    records: usize,
    bytes: usize,
}

impl Batch {
    pub(super) fn counted(records: Vec<InputRecord>, backlog: &Arc<Backlog>) -> Self {
        let bytes = records.iter().map(weight).sum();
        backlog.records.fetch_add(records.len(), Ordering::Relaxed);
        backlog.bytes.fetch_add(bytes, Ordering::Relaxed);
        let share = Share { backlog: Some(Arc::clone(backlog)), records: records.len(), bytes };
        Self { records, share }
    }

    /// The records, and what is to be dropped when they count no more.
    #[must_use]
    pub fn split(self) -> (Vec<InputRecord>, Share) {
        (self.records, self.share)
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// Uncounted: of a source without a channel to bound.
impl From<Vec<InputRecord>> for Batch {
    fn from(records: Vec<InputRecord>) -> Self {
        Self { records, share: Share::default() }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(backlog) = &self.backlog {
            backlog.records.fetch_sub(self.records, Ordering::Relaxed);
            backlog.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

/// Who wants which partitions paused: the worker single ones, a full backlog all.
#[derive(Debug, Default)]
pub(super) struct Brake {
    wished: BTreeSet<i32>,
    pub full: bool,
}

impl Brake {
    /// The worker wants these paused.
    pub fn pause(&mut self, partitions: &[i32]) {
        self.wished.extend(partitions);
    }

    /// The worker wants these fetched; answers those that may be.
    pub fn resume(&mut self, partitions: &[i32]) -> Vec<i32> {
        self.wished.retain(|partition| !partitions.contains(partition));
        if self.full { Vec::new() } else { partitions.to_vec() }
    }

    /// Of these, those that the worker wants fetched.
    pub fn wanted(&self, held: impl IntoIterator<Item = i32>) -> Vec<i32> {
        held.into_iter().filter(|partition| !self.wished.contains(partition)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_worker_paused_stays_paused_when_the_backlog_empties() {
        let mut brake = Brake::default();
        brake.pause(&[1, 2]);
        brake.full = true;
        assert_eq!(brake.resume(&[2]), [] as [i32; 0], "the backlog is full: nothing is fetched yet");
        brake.full = false;
        assert_eq!(brake.wanted([0, 1, 2]), [0, 2]);
    }
}
