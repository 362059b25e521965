//! Whether a loop of this process goes on: each tells so at every turn, and `/healthz` asks when it did so last.
//!
//! Only what is stuck within this process counts. A loop that waits for a database or a broker still turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A loop's last turn. Cheap to share, and to beat at every turn.
#[derive(Debug, Clone)]
pub struct Pulse(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    /// The machine's time of being awake: a machine that slept did not stop its loops.
    began: Instant,
    /// Milliseconds since then.
    last: AtomicU64,
}

impl Pulse {
    /// A loop that is about to begin.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Beats { began: Instant::now(), last: AtomicU64::new(0) }))
    }

    /// The loop has made a turn.
    pub fn beat(&self) {
        self.0.last.store(self.now(), Ordering::Relaxed);
    }

    /// How long ago it did so last.
    #[must_use]
    pub fn silence(&self) -> Duration {
        Duration::from_millis(self.now().saturating_sub(self.0.last.load(Ordering::Relaxed)))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_grows_until_the_next_beat() {
        let pulse = Pulse(Arc::new(Beats {
            began: Instant::now().checked_sub(Duration::from_secs(100)).unwrap(),
            last: AtomicU64::new(0),
        }));
        assert!(pulse.silence() >= Duration::from_secs(100));
        pulse.clone().beat();
        assert!(pulse.silence() < Duration::from_secs(50));
    }
}
