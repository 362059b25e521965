//! The deterministic simulation: the real worker, its real state machine, clients and classifiers, in a seeded world with
//! virtual time that crashes, freezes, loses and repeats. See `docs/simulation.md`.
//!
//! `cargo test --test simulation` runs the tests. With `--histories N` or `--replay SEED` it is a runner instead; the long
//! runs are `cargo test --release --test simulation -- --histories 1000000 --seeds-from-clock`.
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at its first surprise")]

mod arguments;
mod asking;
mod broker;
mod chance;
mod coverage;
mod duties;
mod flood;
mod group;
mod history;
mod inputs;
mod invariants;
mod ledger;
mod liveness;
mod losing;
mod mutations;
mod observer;
mod open_calls;
mod parts;
mod pausing;
mod plan;
mod process;
mod publisher;
mod purging;
mod refusing;
mod remaking;
mod reopening;
mod restoring;
mod results;
mod runner;
mod source;
mod statement;
mod tables;
mod tests;
mod token_lives;
mod trace;
mod transport;
#[path = "../support/validity.rs"]
mod validity;
mod vendors;
mod wire;
mod world;
mod writes;
mod yielding;

use std::process::ExitCode;
use std::time::Instant;

use arguments::Asked;
use libtest_mimic::Arguments;
use runner::Batch;

fn main() -> ExitCode {
    match arguments::asked() {
        Asked::Tests => libtest_mimic::run(&Arguments::from_args(), tests::trials()).exit_code(),
        Asked::Histories { first_seed, count, mutation, jobs } => {
            let (began, batch) = (Instant::now(), Batch { first_seed, histories: count, mutation, jobs });
            println!("{count} histories from seed {first_seed}");
            let bar = runner::bar(count);
            let outcome = batch.run(&bar);
            bar.finish_and_clear();
            println!("{}", outcome.coverage.report());
            println!("{}", runner::summary(&outcome, first_seed, began));
            let Some((seed, violation)) = &outcome.failure else { return ExitCode::SUCCESS };
            println!("{}", runner::report(*seed, mutation, violation));
            ExitCode::FAILURE
        }
        Asked::Mutations => {
            for row in tests::mutation_table() {
                println!("{row}");
            }
            ExitCode::SUCCESS
        }
        Asked::Replay { seed, left_out, mutation } => {
            let told = history::tell(runner::plan_without(seed, &left_out), mutation, true);
            println!("{}", told.lines.join("\n"));
            println!("fingerprint {:x?}, {:?} of virtual time", told.fingerprint, told.took);
            if told.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
    }
}
