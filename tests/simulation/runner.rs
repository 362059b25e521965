//! Many histories, several at a time; and what is done with one that fails.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::coverage::Coverage;
use crate::history::{self, Told};
use crate::mutations::{Mutation, breaks};
use crate::plan::Plan;
use crate::world::Violation;

/// A batch of histories.
#[derive(Clone, Copy)]
pub struct Batch {
    pub first_seed: u64,
    pub histories: u64,
    pub mutation: Option<Mutation>,
    pub jobs: usize,
}

/// What a batch came to.
#[derive(Default)]
pub struct Outcome {
    /// The failure with the lowest seed among those found.
    pub failure: Option<(u64, Violation)>,
    pub told: u64,
    pub residue: u64,
    pub coverage: Coverage,
    pub virtual_time: Duration,
}

impl Batch {
    /// Runs until all are told or one has failed.
    pub fn run(self, bar: &ProgressBar) -> Outcome {
        let (next, failed) = (AtomicU64::new(0), AtomicBool::new(false));
        let outcome = Mutex::new(Outcome::default());
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                scope.spawn(|| self.work(&next, &failed, &outcome, bar));
            }
        });
        outcome.into_inner().unwrap()
    }

    fn work(self, next: &AtomicU64, failed: &AtomicBool, outcome: &Mutex<Outcome>, bar: &ProgressBar) {
        while !failed.load(Ordering::Relaxed) {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= self.histories {
                return;
            }
            let seed = self.first_seed.wrapping_add(number);
            let told = history::tell(Plan::of(seed), self.mutation, false);
            bar.inc(1);
            let counts =
                |violation: &Violation| self.mutation.is_none_or(|one| breaks(one).contains(&violation.invariant));
            let told = Told { violation: told.violation.filter(counts), ..told };
            failed.fetch_or(told.violation.is_some(), Ordering::Relaxed);
            outcome.lock().unwrap().add(seed, told);
        }
    }
}

impl Outcome {
    fn add(&mut self, seed: u64, told: Told) {
        self.told += 1;
        self.residue += u64::from(told.residue);
        self.virtual_time += told.took;
        self.coverage.add(&told.coverage);
        let earlier = self.failure.as_ref().is_none_or(|(known, _)| seed < *known);
        if let Some(violation) = told.violation.filter(|_| earlier) {
            self.failure = Some((seed, violation));
        }
    }
}

/// Leaves parts out as long as the same invariant still breaks; answers the parts left out, in the order of leaving out.
pub fn shrink(seed: u64, mutation: Option<Mutation>, invariant: &str) -> Vec<usize> {
    let (mut plan, mut left_out) = (Plan::of(seed), Vec::new());
    let mut part = plan.parts();
    while part > 0 {
        part -= 1;
        let Some(smaller) = plan.without(part) else { continue };
        let told = history::tell(smaller.clone(), mutation, false);
        if told.violation.is_some_and(|violation| violation.invariant == invariant) {
            plan = smaller;
            left_out.push(part);
        }
    }
    left_out
}

/// The plan of a seed without these parts.
pub fn plan_without(seed: u64, left_out: &[usize]) -> Plan {
    let plan = Plan::of(seed);
    left_out.iter().fold(plan, |plan, part| plan.without(*part).unwrap_or(plan))
}

/// What to read when an invariant broke: the seed, the command that tells it again, and the shortest history found.
pub fn report(seed: u64, mutation: Option<Mutation>, violation: &Violation) -> String {
    let left_out = shrink(seed, mutation, violation.invariant);
    let told = history::tell(plan_without(seed, &left_out), mutation, true);
    let numbers: Vec<String> = left_out.iter().map(ToString::to_string).collect();
    let without = if numbers.is_empty() { String::new() } else { format!(" --without {}", numbers.join(",")) };
    format!(
        "{}\nseed {seed} breaks invariant_{}: {}\nagain: cargo test --release --test simulation -- --replay {seed}{without}",
        told.lines.join("\n"),
        violation.invariant,
        violation.detail,
    )
}

/// A bar on a terminal, nothing elsewhere.
pub fn bar(histories: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} histories, {per_sec}, {eta} left");
    ProgressBar::new(histories).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// One line about a batch.
pub fn summary(outcome: &Outcome, first_seed: u64, began: Instant) -> String {
    let took = began.elapsed().as_secs_f64();
    format!(
        "{} histories from seed {first_seed} in {took:.1} s ({:.0} a second), {} h of virtual time, {} calls in the named \
         residue, {}",
        outcome.told,
        outcome.told as f64 / took.max(0.001),
        outcome.virtual_time.as_secs() / 3600,
        outcome.residue,
        outcome.failure.as_ref().map_or_else(
            || "none failed".to_owned(),
            |(seed, violation)| format!("seed {seed} breaks invariant_{}", violation.invariant)
        ),
    )
}
