//! How fast changes may come: each is a write to the ledger and a line of its audit table.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// So many at once: what a person or a script of one's own does in a row.
const BURST: f64 = 60.0;
/// So many a second for as long as one likes; no operator waits for it, and no runaway script fills the audit table.
const PER_SECOND: f64 = 20.0;

/// A bucket that fills with time and is emptied by calls.
pub(super) struct Pace(Mutex<(f64, Option<Instant>)>);

impl Default for Pace {
    fn default() -> Self {
        Self(Mutex::new((BURST, None)))
    }
}

impl Pace {
    /// Whether one more may go now.
    pub fn admits(&self, now: Instant) -> bool {
        // Two numbers are never half written: whoever panicked here left them whole.
        let mut bucket = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = bucket.1.map_or(Duration::ZERO, |last| now.saturating_duration_since(last));
        let filled = (bucket.0 + passed.as_secs_f64() * PER_SECOND).min(BURST);
        let admitted = filled >= 1.0;
        *bucket = (if admitted { filled - 1.0 } else { filled }, Some(now));
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_come_in_bursts_and_then_at_their_pace() {
        let (pace, start) = (Pace::default(), Instant::now());
        assert_eq!((0..100).filter(|_| pace.admits(start)).count(), 60);
        let second = start + Duration::from_secs(1);
        assert_eq!((0..100).filter(|_| pace.admits(second)).count(), 20);
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| pace.admits(later)).count(), 60, "it holds no more than a burst");
        assert!(!pace.admits(start), "a clock that seems to go back fills nothing");
    }
}
