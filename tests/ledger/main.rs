//! What a ledger does, on both ledgers; and what only PostgreSQL must withstand.
//!
//! Each case is written once and run on SQLite and on PostgreSQL. PostgreSQL is a server of its own: see
//! `support/postgres.rs`. Without one its tests are shown as ignored with the reason, and fail with `CI=true`.
#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test stops at its first surprise")]
#![allow(dead_code, reason = "the support modules are shared; each test binary uses its own share of them")]

mod accepting;
mod adopting;
mod correcting;
mod dead_letters;
mod dead_letters_beside;
mod ending;
mod erasing;
mod error_texts;
mod fencing;
mod gathering;
mod interleavings;
mod locking;
mod noting;
mod operators;
mod owning;
mod pausing;
mod purging;
mod purging_beside;
mod reopening;
mod replacing;
mod replacing_beside;
mod replays_by_topic;
mod rotating;
mod rotating_beside;
mod rows;
mod setting_up;
mod stage;
mod starting;
#[path = "../support/mod.rs"]
mod support;
mod taking_up;
mod topics;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Arguments;

use stage::{Case, Server, trials};

/// Every test, module by module.
const CASES: &[&[Case]] = &[
    setting_up::CASES,
    accepting::CASES,
    ending::CASES,
    owning::CASES,
    fencing::CASES,
    interleavings::CASES,
    locking::CASES,
    operators::CASES,
    correcting::CASES,
    adopting::CASES,
    topics::CASES,
    starting::CASES,
    noting::CASES,
    reopening::CASES,
    replays_by_topic::CASES,
    taking_up::CASES,
    pausing::CASES,
    dead_letters::CASES,
    dead_letters_beside::CASES,
    replacing::CASES,
    replacing_beside::CASES,
    gathering::CASES,
    purging::CASES,
    purging_beside::CASES,
    rotating::CASES,
    rotating_beside::CASES,
    erasing::CASES,
    error_texts::CASES,
];

fn main() -> ExitCode {
    let server = Arc::new(Server::default());
    let trials = CASES.iter().copied().flatten().flat_map(|case| trials(*case, &server)).collect();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    // The harness has dropped its trials, so this is the last hand on the server: it is stopped here.
    drop(server);
    conclusion.exit_code()
}
