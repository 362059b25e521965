//! The only place that reads the machine's clocks.

use std::time::Duration;

/// Time and chance for the worker; the simulation brings its own.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970, as this machine's clock has it: somebody may step it, so nothing is ended or removed by it.
    fn wall_ms(&self) -> i64;
    /// Time since boot, suspension included: for durations and for the freshness of claims.
    fn tick(&self) -> Duration;
    /// A random number in 0..1.
    fn chance(&self) -> f64;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }

    fn tick(&self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
    }

    fn chance(&self) -> f64 {
        rand::random()
    }
}
