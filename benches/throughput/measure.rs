//! Events a second, and events for each second of processor time.

use std::time::{Duration, Instant};

use crate::support::stand::Stand;

/// Clock ticks a second in `/proc/<pid>/stat`: 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A run that makes no progress for long has failed.
const LIMIT: Duration = Duration::from_secs(1800);

/// What one run showed.
#[derive(Clone, Copy)]
pub struct Measurement {
    per_second: f64,
    per_cpu_second: f64,
}

/// Watches one process while it works.
pub struct Meter {
    what: &'static str,
    pid: u32,
}

impl Meter {
    /// Of a process that was just started.
    pub fn start(what: &'static str, pid: u32) -> Self {
        Self { what, pid }
    }

    /// Waits until every event has its result, as a read_committed reader sees it. The rate counts from the first result
    /// to the last, so that starting and joining the group is not in it; the processor time is that of the whole life.
    pub async fn until_all_results(self, stand: &Stand<'_>, events: usize) -> Measurement {
        let mut reader = stand.reader(&[&stand.topics.linked]);
        reader.read_until("the first result", LIMIT, |seen| !seen.is_empty()).await;
        let (first, begun) = (reader.seen().len(), Instant::now());
        reader.read_until("all results", LIMIT, |seen| seen.len() >= events).await;
        let seconds = begun.elapsed().as_secs_f64();
        let cpu_seconds = cpu_seconds(self.pid);
        assert_eq!(stand.sandbox.booked("profiles").await.len(), events, "profiles linked by the {}", self.what);
        let measured =
            Measurement { per_second: count(events - first) / seconds, per_cpu_second: count(events) / cpu_seconds };
        println!(
            "{:>9}: {:8.0} events/s {:8.0} events/CPU s  ({seconds:.1} s, {cpu_seconds:.1} CPU s)",
            self.what, measured.per_second, measured.per_cpu_second
        );
        measured
    }
}

/// Prints the medians and what the guarantees cost.
pub fn report(worker: &[Measurement], bare: &[Measurement]) {
    let rate = |measured: &Measurement| measured.per_second;
    let thrift = |measured: &Measurement| measured.per_cpu_second;
    for (what, of) in [("events/s", &rate as &dyn Fn(&Measurement) -> f64), ("events/CPU s", &thrift)] {
        let (worker, bare) = (median(worker, of), median(bare, of));
        println!("median {what}: worker {worker:.0}, bare loop {bare:.0}, ratio {:.2}", worker / bare);
    }
}

fn median(measurements: &[Measurement], of: &dyn Fn(&Measurement) -> f64) -> f64 {
    let mut values: Vec<f64> = measurements.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// User and system time of a process so far: fields 14 and 15 of its `stat`, counted after the name in brackets.
fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process still runs");
    let (_, fields) = stat.rsplit_once(')').expect("a name in brackets");
    let ticks = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_PER_SECOND
}

#[expect(clippy::cast_precision_loss, reason = "counts of events are far below 2^52")]
fn count(events: usize) -> f64 {
    events as f64
}
