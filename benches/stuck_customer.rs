//! What one stuck customer costs the others: how long their events take, with and without a customer whose vendor does not
//! answer.
//!
//! `cargo bench --bench stuck_customer`. Events of many customers come at a steady rate, half of what the
//! worker does at most (measured first, or told by `--rate`). One customer in `--one-in` events is always the same one; in
//! every second run the vendor hangs whenever it is asked for that customer. docs/benchmarks.md tells how to read it.
#![expect(clippy::expect_used, clippy::panic, reason = "a measurement stops at its first surprise")]
#![allow(dead_code, reason = "the support modules are shared with the tests, which use the rest of them")]

#[path = "throughput/fill.rs"]
mod fill;
#[path = "stuck_customer/latency.rs"]
mod latency;
#[path = "stuck_customer/load.rs"]
mod load;
#[path = "../tests/support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::json;

use latency::Latencies;
use load::Load;
use support::parts::RealParts;
use support::stand::{Delivery, Stand};
use support::worker::Worker;

/// A run that makes no progress for long has failed.
const LIMIT: Duration = Duration::from_secs(1800);

/// What is measured.
#[derive(Parser)]
struct Plan {
    /// How long events come in each run; the one customer is stuck all the while.
    #[arg(long, default_value_t = 120)]
    seconds: u32,
    /// Events a second; half of the measured maximum if not told.
    #[arg(long)]
    rate: Option<u32>,
    /// Events by which the maximum is measured.
    #[arg(long, default_value_t = 10_000)]
    probe_events: usize,
    /// Customers that the events are spread over, in turns: enough that none gets many profiles, since the sandbox's work
    /// grows with them.
    #[arg(long, default_value_t = 20_000)]
    customers: usize,
    /// One of so many events is of the customer that is stuck.
    #[arg(long, default_value_t = 400)]
    one_in: usize,
    /// How long the vendors take for each answer, in milliseconds.
    #[arg(long, default_value_t = 10)]
    delay_ms: u64,
    /// How often each is measured; they take turns.
    #[arg(long, default_value_t = 5)]
    pairs: usize,
    /// `cargo bench` always says this.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let plan = Plan::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(compare(&plan));
}

async fn compare(plan: &Plan) {
    let parts = RealParts::default();
    let rate = match plan.rate {
        Some(rate) => f64::from(rate),
        None => half_of_the_maximum(&parts, plan).await,
    };
    println!("{rate:.0} events/s for {} s, one in {} of the one customer", plan.seconds, plan.one_in);
    let mut pairs = Vec::new();
    for pair in 0..plan.pairs {
        // Who goes first changes, so that neither always finds the caches warm.
        let stuck_first = !pair.is_multiple_of(2);
        let first = measure(&parts, plan, rate, stuck_first).await;
        let second = measure(&parts, plan, rate, !stuck_first).await;
        pairs.push(if stuck_first { (second, first) } else { (first, second) });
    }
    latency::report(&pairs);
}

/// Half of the rate at which the worker empties a topic that was filled beforehand.
async fn half_of_the_maximum(parts: &RealParts, plan: &Plan) -> f64 {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    fill::fill(&stand, plan.probe_events, plan.customers).await;
    delay(&stand, plan).await;
    let _worker = start(&stand).await;
    let mut reader = stand.reader(&[&stand.topics.linked]);
    let first = reader.read_until("the first result", LIMIT, |seen| !seen.is_empty()).await.len();
    let begun = Instant::now();
    reader.read_until("all results", LIMIT, |seen| seen.len() >= plan.probe_events).await;
    let maximum = latency::count(plan.probe_events - first) / begun.elapsed().as_secs_f64();
    println!("maximum: {maximum:.0} events/s");
    maximum / 2.0
}

/// A stand of its own for each run.
async fn measure(parts: &RealParts, plan: &Plan, rate: f64, stuck: bool) -> Latencies {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let load = Load::make(&stand, rate, plan).await;
    delay(&stand, plan).await;
    if stuck {
        let hang = json!({"route": "loanpro.*", "action": "hang", "customers": [load.one]});
        stand.sandbox.fault(hang).await;
    }
    let worker = start(&stand).await;
    let latencies = load.run(&stand).await;
    drop(worker);
    latencies.told(if stuck { "with a stuck customer" } else { "without" })
}

async fn delay(stand: &Stand<'_>, plan: &Plan) {
    let seconds = Duration::from_millis(plan.delay_ms).as_secs_f64();
    stand.sandbox.fault(json!({"route": "*", "action": "delay", "delay": seconds})).await;
}

/// The stand's own limits are made for the tests' blows, not for many calls at once on two processors.
async fn start(stand: &Stand<'_>) -> Worker {
    let settings = [
        ("CONVERTER__PAYIQ__TIMEOUT", "10s"),
        ("TARGET__LOANPRO__TIMEOUT", "10s"),
        ("WORKER__MAX_IN_FLIGHT", "1024"),
        ("RETRY__MAX_INTERVAL", "30s"),
    ];
    let settings = settings.map(|(name, value)| (format!("PROFILE_LINKER_{name}"), value.to_owned()));
    let mut worker = stand.start_worker_with(&settings);
    worker.ready().await;
    worker
}
