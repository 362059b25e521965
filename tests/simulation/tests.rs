//! What `cargo test` asks of the simulation: a batch without a failure, seeds that replay, mistakes that are found.

use indicatif::ProgressBar;
use libtest_mimic::{Failed, Trial};

use crate::arguments::cores;
use crate::history;
use crate::mutations::{self, Mutation};
use crate::plan::Plan;
use crate::runner::{self, Batch};

/// Histories of the batch: what a build tells in about half a minute.
const BATCH: u64 = if cfg!(debug_assertions) { 300 } else { 5_000 };
/// Within so many histories every mistake must show.
const HUNT: u64 = 10_000;
/// Where the hunts begin: not where the batch does.
const HUNT_FROM: u64 = 1_000_000;

/// All tests.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("a_batch_of_histories_breaks_no_invariant_and_visits_every_transition", batch),
        Trial::test("the_same_seed_tells_the_same_history_twice", replays),
        Trial::test("a_failing_history_is_shrunk_and_still_fails", shrinks),
    ];
    for mutation in mutations::ALL {
        let name = format!("a_mistake_is_found_within_{HUNT}_histories: {}", mutations::name(mutation));
        trials.push(Trial::test(name, move || hunt(mutation)));
    }
    trials
}

fn batch() -> Result<(), Failed> {
    let batch = Batch { first_seed: 1, histories: BATCH, mutation: None, jobs: cores() };
    let outcome = batch.run(&ProgressBar::hidden());
    if let Some((seed, violation)) = &outcome.failure {
        return Err(runner::report(*seed, None, violation).into());
    }
    let unvisited = outcome.coverage.unvisited_edges();
    if unvisited.is_empty() { Ok(()) } else { Err(format!("unvisited: {unvisited:?}").into()) }
}

fn replays() -> Result<(), Failed> {
    for seed in 1..=30 {
        let fingerprint = || history::tell(Plan::of(seed), None, false).fingerprint;
        let (first, second) = (fingerprint(), fingerprint());
        if first != second {
            return Err(format!("seed {seed}: {first:?} and {second:?}").into());
        }
    }
    Ok(())
}

/// Where the test's hunt begins. The rarest begin near a history that shows them, so that the tests stay quick.
fn hunted_from(mutation: Mutation) -> u64 {
    match mutation {
        Mutation::NoWaitForTheWire => 1_000_500,
        Mutation::UnlockedEpoch => 1_001_600,
        Mutation::MetadataAtCommit => 1_008_100,
        Mutation::RestoredRowsAreTrusted => 1_002_500,
        _ => HUNT_FROM,
    }
}

/// The invariant that a mistake breaks, and in which history.
fn found(mutation: Mutation, first_seed: u64) -> Option<(&'static str, u64)> {
    let batch = Batch { first_seed, histories: HUNT, mutation: Some(mutation), jobs: 1 };
    let outcome = batch.run(&ProgressBar::hidden());
    outcome.failure.map(|(_, violation)| (violation.invariant, outcome.told))
}

fn hunt(mutation: Mutation) -> Result<(), Failed> {
    let Some((invariant, history)) = found(mutation, hunted_from(mutation)) else {
        return Err(format!("{mutation:?} breaks nothing in {HUNT} histories").into());
    };
    println!("{mutation:?} breaks {invariant} in history {history}");
    Ok(())
}

/// Rows of a table: mistake, the invariant that it breaks, histories until then.
pub fn mutation_table() -> impl Iterator<Item = String> {
    let row = |mutation: &Mutation| {
        let name = mutations::name(*mutation).replace('_', " ");
        match found(*mutation, HUNT_FROM) {
            Some((invariant, history)) => format!("| {name} | {} | {history} |", invariant.replace('_', " ")),
            None => format!("| {name} | not found | {HUNT} |"),
        }
    };
    mutations::ALL.iter().map(row)
}

/// A failure that is left with no part that could be spared.
fn shrinks() -> Result<(), Failed> {
    let mutation = Some(Mutation::SkipReadBack);
    let batch = Batch { first_seed: HUNT_FROM, histories: HUNT, mutation, jobs: 1 };
    let (seed, violation) = batch.run(&ProgressBar::hidden()).failure.ok_or("nothing to shrink")?;
    let left_out = runner::shrink(seed, mutation, violation.invariant);
    let plan = runner::plan_without(seed, &left_out);
    let again = history::tell(plan.clone(), mutation, true);
    let same = again.violation.is_some_and(|again| again.invariant == violation.invariant);
    let smaller = plan.parts() < Plan::of(seed).parts() && !again.lines.is_empty();
    if same && smaller { Ok(()) } else { Err(format!("seed {seed} without {left_out:?}").into()) }
}
