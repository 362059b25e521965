//! How much the guarantees cost: the worker against a bare loop that makes the same calls and gives no guarantee.
//!
//! `cargo bench --bench throughput -- --events 20000 --delay-ms 10`. Both read the same kind of topic, filled beforehand, on
//! real Kafka, and call the sandbox, a process of its own whose answers are delayed. The worker keeps its ledger in real
//! PostgreSQL. The two take turns, so that a busy machine troubles both alike. docs/real-parts.md tells how to read it.
#![expect(clippy::expect_used, clippy::panic, reason = "a measurement stops at its first surprise")]
#![allow(dead_code, reason = "the support modules are shared with the tests, which use the rest of them")]

#[path = "throughput/bare.rs"]
mod bare;
#[path = "throughput/fill.rs"]
mod fill;
#[path = "throughput/measure.rs"]
mod measure;
#[path = "../tests/support/mod.rs"]
mod support;

use clap::{Args, Parser, Subcommand};

use bare::BareLoop;
use measure::{Measurement, Meter};
use support::child::Guarded;
use support::parts::RealParts;
use support::stand::{Delivery, Stand};

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    plan: Plan,
    /// `cargo bench` always says this.
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    part: Option<Role>,
}

/// What is measured.
#[derive(Args, Clone)]
struct Plan {
    /// Events of each run.
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// Customers that the events are spread over.
    #[arg(long, default_value_t = 5_000)]
    customers: usize,
    /// How long the vendors take for each answer, in milliseconds.
    #[arg(long, default_value_t = 10)]
    delay_ms: u64,
    /// Events being worked on at once, by either.
    #[arg(long, default_value_t = 1024)]
    in_flight: usize,
    /// How often each is measured; they take turns.
    #[arg(long, default_value_t = 3)]
    pairs: usize,
}

#[derive(Subcommand)]
enum Role {
    /// The bare loop, run by the benchmark itself in a process of its own.
    #[command(hide = true)]
    BareLoop(BareLoop),
}

fn main() {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    match arguments.part {
        Some(Role::BareLoop(bare)) => runtime.block_on(bare.run()),
        None => runtime.block_on(compare(&arguments.plan)),
    }
}

async fn compare(plan: &Plan) {
    let parts = RealParts::default();
    let (mut worker, mut bare) = (Vec::new(), Vec::new());
    for pair in 0..plan.pairs {
        // Who goes first changes, so that neither always finds the caches warm.
        if pair.is_multiple_of(2) {
            worker.push(measure_worker(&parts, plan).await);
            bare.push(measure_bare_loop(&parts, plan).await);
        } else {
            bare.push(measure_bare_loop(&parts, plan).await);
            worker.push(measure_worker(&parts, plan).await);
        }
    }
    measure::report(&worker, &bare);
}

async fn measure_worker(parts: &RealParts, plan: &Plan) -> Measurement {
    let stand = filled(parts, plan).await;
    let in_flight = ("PROFILE_LINKER_WORKER__MAX_IN_FLIGHT".to_owned(), plan.in_flight.to_string());
    // The stand's own limits are made for the tests' blows, not for many calls at once on two processors.
    let patient = ["CONVERTER__PAYIQ", "TARGET__LOANPRO"]
        .map(|table| (format!("PROFILE_LINKER_{table}__TIMEOUT"), "10s".to_owned()));
    let environment: Vec<_> = patient.into_iter().chain([in_flight]).collect();
    let worker = stand.start_worker_with(&environment);
    let meter = Meter::start("worker", worker.pid());
    meter.until_all_results(&stand, plan.events).await
}

async fn measure_bare_loop(parts: &RealParts, plan: &Plan) -> Measurement {
    let stand = filled(parts, plan).await;
    let program = BareLoop::of(&stand, plan.in_flight).command_line();
    let log = tempfile::NamedTempFile::new().expect("a file for the output");
    let process = Guarded::start(&program, &[], log.path()).expect("the bare loop starts");
    let meter = Meter::start("bare loop", process.pid());
    meter.until_all_results(&stand, plan.events).await
}

/// A stand of its own for each run: the topic is filled, and the vendors are slow from now on.
async fn filled<'a>(parts: &'a RealParts, plan: &Plan) -> Stand<'a> {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    fill::fill(&stand, plan.events, plan.customers).await;
    let seconds = std::time::Duration::from_millis(plan.delay_ms).as_secs_f64();
    stand.sandbox.fault(serde_json::json!({"route": "*", "action": "delay", "delay": seconds})).await;
    stand
}
