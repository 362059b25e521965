//! The rate limit of an upstream: a token bucket, kept as the time at which the next call is free to go.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// How much of an unused second may be made up for at once. A tenth keeps close to the vendor's own counting, whatever
/// its window.
const BURST: Duration = Duration::from_millis(100);

/// Slowest rate that can be asked for: one call in a day.
const MIN_PER_SECOND: f64 = 1.0 / 86_400.0;

/// Hands out turns, first come first served. A caller that gives up loses its turn; it is not given to another.
pub struct RateLimit {
    interval: Duration,
    next_free: Mutex<Option<Instant>>,
}

impl RateLimit {
    /// A limit of so many calls a second; `None` if that is not a usable number.
    #[must_use]
    pub fn per_second(rate: f64) -> Option<Self> {
        if !rate.is_finite() || rate < MIN_PER_SECOND {
            return None;
        }
        let interval = Duration::try_from_secs_f64(1.0 / rate).ok()?;
        Some(Self { interval, next_free: Mutex::new(None) })
    }

    /// Waits for this call's turn. The queue is bounded by the calls that are in flight.
    pub async fn turn(&self) {
        sleep_until(self.reserve(Instant::now())).await;
    }

    fn reserve(&self, now: Instant) -> Instant {
        let mut next_free = self.next_free.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let turn = next_free.map_or(now, |free| free.max(earliest));
        *next_free = Some(turn + self.interval);
        turn
    }
}
