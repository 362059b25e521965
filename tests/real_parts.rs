//! Tests against real parts: Apache Kafka, PostgreSQL, and the program as its user runs it.
//!
//! `cargo test --test real_parts` starts what is needed and says how; `--list` and filters work as everywhere. A test whose
//! part is absent is shown as ignored with the reason, and fails with `CI=true`. docs/real-parts.md tells more.
#![expect(clippy::expect_used, clippy::panic, reason = "a test stops at its first surprise")]
#![allow(dead_code, reason = "the support modules are shared; each test binary uses its own share of them")]

#[path = "real_parts/admin.rs"]
mod admin;
#[path = "real_parts/bad_input.rs"]
mod bad_input;
#[path = "real_parts/bounds.rs"]
mod bounds;
#[path = "real_parts/broker_faults/mod.rs"]
mod broker_faults;
#[path = "real_parts/brokers.rs"]
mod brokers;
#[path = "real_parts/checkup.rs"]
mod checkup;
#[path = "real_parts/clocks/mod.rs"]
mod clocks;
#[path = "real_parts/cursors.rs"]
mod cursors;
#[path = "real_parts/dead_letters.rs"]
mod dead_letters;
#[path = "real_parts/duplicates.rs"]
mod duplicates;
#[path = "real_parts/editing.rs"]
mod editing;
#[path = "real_parts/ends.rs"]
mod ends;
#[path = "real_parts/failures.rs"]
mod failures;
#[path = "real_parts/floods.rs"]
mod floods;
#[path = "real_parts/leaving.rs"]
mod leaving;
#[path = "real_parts/ledger_accidents.rs"]
mod ledger_accidents;
#[path = "real_parts/ledger_outages.rs"]
mod ledger_outages;
#[path = "real_parts/ledgers.rs"]
mod ledgers;
#[path = "real_parts/letters_at_size.rs"]
mod letters_at_size;
#[path = "real_parts/letting_go.rs"]
mod letting_go;
#[path = "real_parts/looking.rs"]
mod looking;
#[path = "real_parts/lost_ledger.rs"]
mod lost_ledger;
#[path = "real_parts/lost_partitions.rs"]
mod lost_partitions;
#[path = "real_parts/outages/mod.rs"]
mod outages;
#[path = "real_parts/pauses.rs"]
mod pauses;
#[path = "real_parts/progress.rs"]
mod progress;
#[path = "real_parts/raised_limits.rs"]
mod raised_limits;
#[path = "real_parts/record_sizes.rs"]
mod record_sizes;
#[path = "real_parts/refusals.rs"]
mod refusals;
#[path = "real_parts/refused_records.rs"]
mod refused_records;
#[path = "real_parts/remade_topics.rs"]
mod remade_topics;
#[path = "real_parts/renamed_topics.rs"]
mod renamed_topics;
#[path = "real_parts/replay_ends.rs"]
mod replay_ends;
#[path = "real_parts/replay_how_to.rs"]
mod replay_how_to;
#[path = "real_parts/replaying.rs"]
mod replaying;
#[path = "real_parts/replaying_at_size.rs"]
mod replaying_at_size;
#[path = "real_parts/retention.rs"]
mod retention;
#[path = "real_parts/secrets/mod.rs"]
mod secrets;
#[path = "real_parts/securely.rs"]
mod securely;
#[path = "real_parts/shown.rs"]
mod shown;
#[path = "real_parts/static_members.rs"]
mod static_members;
#[path = "real_parts/stolen.rs"]
mod stolen;
#[path = "real_parts/stops/mod.rs"]
mod stops;
#[path = "real_parts/stories.rs"]
mod stories;
#[path = "real_parts/storms.rs"]
mod storms;
#[path = "real_parts/story.rs"]
mod story;
mod support;
#[path = "real_parts/traces.rs"]
mod traces;
#[path = "real_parts/upgrading.rs"]
mod upgrading;
#[path = "real_parts/verdicts.rs"]
mod verdicts;

use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::Arguments;
use support::parts::{Case, RealParts, trial};

/// Every test, module by module.
const CASES: &[&[Case]] = &[
    stops::CASES,
    stops::RESIDUE,
    duplicates::CASES,
    bad_input::CASES,
    stolen::CASES,
    brokers::CASES,
    leaving::CASES,
    story::CASES,
    traces::CASES,
    stories::CASES,
    verdicts::CASES,
    refusals::CASES,
    failures::CASES,
    ledgers::CASES,
    refused_records::CASES,
    record_sizes::CASES,
    remade_topics::CASES,
    renamed_topics::CASES,
    lost_partitions::CASES,
    storms::CASES,
    broker_faults::restarts::CASES,
    broker_faults::clusters::CASES,
    broker_faults::cuts::CASES,
    broker_faults::freezes::CASES,
    secrets::CASES,
    secrets::PLANTED,
    secrets::KEYS,
    securely::CASES,
    checkup::CASES,
    upgrading::CASES,
    looking::CASES,
    bounds::CASES,
    progress::CASES,
    cursors::CASES,
    clocks::CASES,
    ends::CASES,
    static_members::CASES,
    retention::CASES,
    admin::CASES,
    shown::CASES,
    outages::CASES,
    outages::table::CASES,
    outages::misconfigured::CASES,
    outages::certificates::CASES,
    pauses::CASES,
    floods::CASES,
    raised_limits::CASES,
    letting_go::CASES,
    ledger_outages::CASES,
    ledger_accidents::CASES,
    dead_letters::CASES,
    replaying::CASES,
    replaying_at_size::CASES,
    letters_at_size::CASES,
    editing::CASES,
    replay_ends::CASES,
    replay_how_to::CASES,
    lost_ledger::CASES,
];

fn main() -> ExitCode {
    let parts = Arc::new(RealParts::default());
    let trials =
        CASES.iter().copied().flatten().chain(outages::table::rest()).map(|case| trial(*case, &parts)).collect();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), trials);
    // The harness has dropped its trials, so these are the last hands on the parts: they are stopped here.
    drop(parts);
    conclusion.exit_code()
}
