//! How large an outage is: a small one in every run, that of the promise when it is asked for.

use std::time::{Duration, Instant};

use crate::support::patience::eventually;
use crate::support::stand::PATIENCE;

/// The size of an outage.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Events that are published.
    pub events: usize,
    /// Customers that they are of.
    pub customers: usize,
    /// How long it lasts at least.
    pub lasts: Duration,
}

/// Long enough to outlast the tests' retry budget, by the number of probes.
const USUAL: Size = Size { events: 300, customers: 300, lasts: Duration::ZERO };
const FULL: Size = Size { events: 2_000, customers: 500, lasts: Duration::from_secs(20) };

impl Size {
    /// `PROFILE_LINKER_TEST_OUTAGES=full` asks for the full one.
    pub fn wished() -> Self {
        match std::env::var("PROFILE_LINKER_TEST_OUTAGES") {
            Ok(size) if size == "full" => FULL,
            _ => USUAL,
        }
    }

    /// Whether every run can afford it.
    pub fn is_usual(&self) -> bool {
        self.lasts.is_zero()
    }

    /// Waits until an outage that began then has lasted as long as it shall.
    pub async fn passes(&self, began: Instant) {
        let lasts = self.lasts;
        eventually("the outage lasts", PATIENCE, async || (began.elapsed() >= lasts).then_some(())).await;
    }

    /// So many calls are few to a vendor that is probed all the while.
    pub fn few(&self, at_once: u64, probe_interval: Duration) -> u64 {
        at_once + (self.lasts.as_secs_f64() / probe_interval.as_secs_f64()).ceil() as u64
    }
}

/// How long it took, from the beginning on, until results came at half of the pace of the busiest second.
pub fn time_to_full_speed(arrivals: &[Duration]) -> Duration {
    let pace = |from: &Duration| {
        let second = *from..*from + Duration::from_secs(1);
        arrivals.iter().filter(|at| second.contains(*at)).count()
    };
    let busiest = arrivals.iter().map(pace).max().unwrap_or_default();
    arrivals.iter().find(|at| pace(at) * 2 >= busiest).copied().unwrap_or_default()
}
