//! How long events took, from the moment at which they were due to be published until a read_committed reader had the result.

use std::time::Duration;

/// What one run showed of the others' events.
#[derive(Clone, Copy)]
pub struct Latencies {
    pub events: usize,
    pub p50: Duration,
    pub p99: Duration,
}

impl Latencies {
    /// Of at least one event.
    pub fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |percent: usize| all[(all.len() * percent / 100).min(all.len() - 1)];
        Self { events: all.len(), p50: at(50), p99: at(99) }
    }

    /// Says so, and answers itself.
    pub fn told(self, what: &str) -> Self {
        println!("{what:>21}: p50 {:7.1} ms  p99 {:7.1} ms  ({} events)", ms(self.p50), ms(self.p99), self.events);
        self
    }
}

/// Prints what the stuck customer cost in each pair (without, with), and the median.
pub fn report(pairs: &[(Latencies, Latencies)]) {
    let mut ratios: Vec<f64> =
        pairs.iter().map(|(without, with)| with.p99.as_secs_f64() / without.p99.as_secs_f64()).collect();
    ratios.iter().for_each(|ratio| println!("p99 with / without: {ratio:.2}"));
    ratios.sort_by(f64::total_cmp);
    println!("median of {} pairs: {:.2}", ratios.len(), ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN));
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
pub fn count(events: usize) -> f64 {
    events as f64
}
