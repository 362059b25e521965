//! The deterministic simulation: the real worker, its real state machine, clients and classifiers, in a seeded world with
//! virtual time that crashes, freezes, loses and repeats. See `docs/simulation.md`.
//!
//! `cargo test --test simulation` runs a batch and the tests below. With one of these arguments it is a runner instead:
//! `--histories N` (with `--first-seed S`), `--replay SEED`, `--hunt MUTATION`.
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at its first surprise")]

mod broker;
mod chance;
mod coverage;
mod group;
mod history;
mod inputs;
mod invariants;
mod ledger;
mod mutations;
mod observer;
mod parts;
mod plan;
mod process;
mod publisher;
mod reopening;
mod source;
mod statement;
mod tables;
mod trace;
mod transport;
mod vendors;
mod world;
mod writes;

fn main() {
    let seed: u64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(1);
    let count: u64 = std::env::args().nth(2).and_then(|text| text.parse().ok()).unwrap_or(1);
    let mut failed = 0;
    let began = std::time::Instant::now();
    for seed in seed..seed + count {
        let told = history::tell(plan::Plan::of(seed), None, count == 1);
        for line in &told.lines {
            println!("{line}");
        }
        if let Some(violation) = &told.violation {
            failed += 1;
            println!("seed {seed}: {violation:?}");
        }
        if count == 1 {
            println!("{:?} after {:?} {}", told.fingerprint, told.took, told.residue);
        }
    }
    println!("{failed} of {count} failed in {:?}", began.elapsed());
}
