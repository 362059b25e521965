//! The retry policy of one event: exponential intervals with full jitter, a budget in working time.

use std::time::{Duration, Instant};

use backoff::backoff::Backoff;
use backoff::exponential::ExponentialBackoff;

/// After so many failures the interval has long reached its maximum; a bound for the loop below.
const MAX_STEPS: u32 = 64;

/// `[retry]` of the configuration, as a policy.
#[derive(Debug, Clone)]
pub struct RetryPolicy {
    exponential: ExponentialBackoff<StandingClock>,
    budget: Duration,
}

/// The `backoff` crate asks a clock for an elapsed time that we do not use; it gets one that stands still.
#[derive(Debug, Clone, Copy)]
struct StandingClock(Instant);

impl backoff::Clock for StandingClock {
    fn now(&self) -> Instant {
        self.0
    }
}

impl RetryPolicy {
    /// A policy. `standing` is any instant: it is only there because the `backoff` crate's type wants one.
    #[must_use]
    pub fn new(
        initial: Duration,
        multiplier: f64,
        max_interval: Duration,
        budget: Duration,
        standing: Instant,
    ) -> Self {
        let exponential = ExponentialBackoff {
            current_interval: initial,
            initial_interval: initial,
            randomization_factor: 0.0,
            multiplier,
            max_interval,
            start_time: standing,
            max_elapsed_time: None,
            clock: StandingClock(standing),
        };
        Self { exponential, budget }
    }

    /// Working time that an event may spend before it is dead-lettered.
    #[must_use]
    pub fn budget(&self) -> Duration {
        self.budget
    }

    /// The longest interval.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.exponential.max_interval
    }

    /// The interval after so many failures in a row (the first is 1), without jitter.
    #[must_use]
    pub fn interval(&self, failures: u32) -> Duration {
        let mut exponential = self.exponential.clone();
        let mut interval = exponential.initial_interval;
        for _ in 0..failures.clamp(1, MAX_STEPS) {
            interval = exponential.next_backoff().unwrap_or(exponential.max_interval);
        }
        interval
    }

    /// The wait after so many failures in a row: full jitter, with `chance` in 0..1 from the caller's random source.
    #[must_use]
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        self.interval(failures).mul_f64(chance.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        let ms = Duration::from_millis;
        RetryPolicy::new(ms(200), 2.0, ms(1_000), ms(60_000), Instant::now())
    }

    #[test]
    fn intervals_double_up_to_the_maximum() {
        let intervals: Vec<u128> = [1, 2, 3, 4, 1_000].iter().map(|n| policy().interval(*n).as_millis()).collect();
        assert_eq!(intervals, [200, 400, 800, 1_000, 1_000]);
    }

    #[test]
    fn full_jitter_spreads_from_nothing_to_the_interval() {
        assert_eq!(policy().delay(2, 0.0), Duration::ZERO);
        assert_eq!(policy().delay(2, 0.5).as_millis(), 200);
        assert_eq!(policy().delay(2, 1.0).as_millis(), 400);
    }
}
