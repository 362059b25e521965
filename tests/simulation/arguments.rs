//! The runner's arguments; anything else is the test harness's.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::mutations::{self, Mutation};

/// What the runner shall do.
pub enum Asked {
    /// Run the tests.
    Tests,
    /// Tell so many histories.
    Histories { first_seed: u64, count: u64, mutation: Option<Mutation>, jobs: usize },
    /// Hunt every mistake, and print the table of `docs/simulation.md`.
    Mutations,
    /// Tell one history aloud.
    Replay { seed: u64, left_out: Vec<usize>, mutation: Option<Mutation> },
}

/// Reads `--histories N`, `--first-seed S`, `--seeds-from-clock`, `--jobs N`, `--replay SEED`, `--without 1,2`,
/// `--mutation NAME`, `--mutations`.
pub fn asked() -> Asked {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    let number = |name: &str| value(name).map(|text| text.parse::<u64>().expect(name));
    let mutation = value("--mutation").map(|name| {
        let named = |mutation: &Mutation| mutations::name(*mutation) == name;
        mutations::ALL.into_iter().find(named).expect("a known mutation")
    });
    if let Some(seed) = number("--replay") {
        let parts = value("--without").unwrap_or_default();
        let left_out = parts.split(',').filter_map(|part| part.parse().ok()).collect();
        return Asked::Replay { seed, left_out, mutation };
    }
    if arguments.iter().any(|argument| argument == "--mutations") {
        return Asked::Mutations;
    }
    let Some(count) = number("--histories") else { return Asked::Tests };
    let fresh = arguments.iter().any(|argument| argument == "--seeds-from-clock");
    let first_seed = if fresh { seed_from_clock() } else { number("--first-seed").unwrap_or(1) };
    let jobs = number("--jobs").and_then(|jobs| usize::try_from(jobs).ok()).unwrap_or_else(cores);
    Asked::Histories { first_seed, count, mutation, jobs }
}

pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[expect(clippy::disallowed_methods, reason = "the one place where another seed each time is the point; it is printed")]
fn seed_from_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs() * 1_000_000)
}
