//! What a lane has in memory, counted by what is counted itself: a load leaves the count when its owner goes, however it
//! goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

#[derive(Default)]
struct Counts {
    records: AtomicUsize,
    bytes: AtomicUsize,
}

/// The count.
#[derive(Clone, Default)]
pub(super) struct Tally(Arc<Counts>);

/// One record's part of a count.
#[derive(Default)]
pub(super) struct Load {
    tally: Option<Tally>,
    bytes: usize,
}

impl Tally {
    /// Counts a record of so many bytes as long as the answer lives.
    pub fn add(&self, bytes: usize) -> Load {
        self.0.records.fetch_add(1, Ordering::Relaxed);
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        Load { tally: Some(self.clone()), bytes }
    }

    pub fn records(&self) -> usize {
        self.0.records.load(Ordering::Relaxed)
    }

    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if let Some(Tally(counts)) = &self.tally {
            counts.records.fetch_sub(1, Ordering::Relaxed);
            counts.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}
