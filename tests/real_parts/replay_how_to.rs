//! `docs/how-to/replay-dead-letters.md`, played with its own commands.

use serde_json::json;

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    the_how_to_of_replaying_is_played needs [Kafka, Postgres];
    the_how_to_of_a_lost_ledger_is_played needs [Kafka, Postgres];
}

const ORDERS: usize = 12;
/// Where the page's last story begins.
const LOST: &str = "## The ledger is lost";

/// What each command must have said, in the order of the page.
const SAID: [(&str, &str); 11] = [
    ("dlq stats", "12     retries_exhausted  link"),
    ("dlq list", "order-12"),
    ("dlq show", "503"),
    ("dlq replay", "12            retries_exhausted  loanpro  2"),
    ("dlq replay", "replayed 12, skipped 0"),
    ("dlq replay", "replayed 0, skipped 0"),
    ("dlq list", ""),
    ("dlq audit", "12 events"),
    ("dlq discard", "discarded 0, skipped 0"),
    ("dlq restore", "restored 0, skipped 0"),
    ("dlq replay", "replayed 0, skipped 0"),
];

async fn the_how_to_of_replaying_is_played(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    stand.amend("[dead_letters]", "[dead_letters]\nallow_edit = true");
    let worker = dead_letters(&stand).await;
    let commands = commands();
    assert_eq!(commands.len(), SAID.len() + 1, "the page and this test tell the same story: {commands:?}");
    for (command, (name, said)) in commands.iter().zip(SAID) {
        if command.contains(&"--ramp".to_owned()) {
            stand.sandbox.heal().await;
        }
        let told = run(&stand, command, name);
        assert!(told.contains(said), "{command:?} said\n{told}");
        if name == "dlq list" && said.is_empty() {
            eventually("nothing is left", PATIENCE, async || run(&stand, command, name).is_empty().then_some(())).await;
        }
    }
    assert_eq!(run(&stand, &commands[SAID.len()], "dlq export"), "", "there is no dead letter any more");
    assert_eq!(stand.sandbox.booked("profiles").await.len(), ORDERS, "each profile is linked once");
    assert_eq!(worker.terminate(), 0);
}

/// A worker, and the dead letters of an outage that lasts.
async fn dead_letters(stand: &Stand<'_>) -> Worker {
    // The share of failures that opens a breaker is reached by nobody whose looks are answered.
    stand.amend(
        "max_interval = \"1s\"",
        "max_interval = \"1s\"\nbudget = \"2s\"\n[breaker]\nfailures = 1000\nfailure_rate = 1.0",
    );
    let worker = stand.worker().await;
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "status", "status": 503})).await;
    for number in 1..=ORDERS {
        let customer = stand.sandbox.create_customer().await;
        let token = stand.sandbox.permanent_token().await;
        stand.publish(&events::permanent(&format!("order-{number}"), &customer, &token)).await;
    }
    let mut letters = stand.reader(&[&stand.topics.dead_letter]);
    letters.read_until("all are dead letters", PATIENCE, |seen| seen.len() >= ORDERS).await;
    worker
}

/// What each command of the last section must have said, in its order; the worker is started between them.
const SAID_OF_LOST: [(&str, &str); 8] = [
    ("migrate", ""),
    ("dlq stats", "12     retries_exhausted  link"),
    ("dlq list", "order-12"),
    ("run --adopt-ledger", ""),
    ("dlq replay", "12            retries_exhausted  loanpro  2"),
    ("dlq replay", "replayed 12, skipped 0"),
    ("dlq replay", "replayed 0, skipped 0"),
    ("dlq audit", "the ledger was lost"),
];

async fn the_how_to_of_a_lost_ledger_is_played(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = dead_letters(&stand).await;
    worker.kill();
    stand.sandbox.heal().await;
    stand.amend(&stand.database, &parts.postgres().create_database().await);
    let page = include_str!("../../docs/how-to/replay-dead-letters.md");
    let commands = commands_of(page.split(LOST).nth(1).expect("the section"));
    assert_eq!(commands.len(), SAID_OF_LOST.len(), "the page and this test tell the same story: {commands:?}");
    let mut worker = None;
    for (command, (name, said)) in commands.iter().zip(SAID_OF_LOST) {
        if name.starts_with("run") {
            let mut adopting = stand.start_worker_saying(&["--adopt-ledger"], &[]);
            adopting.ready().await;
            worker = Some(adopting);
        } else {
            let told = run(&stand, command, name);
            assert!(told.contains(said), "{command:?} said\n{told}");
        }
    }
    assert_eq!(stand.sandbox.booked("profiles").await.len(), ORDERS, "each profile is linked once");
    assert_eq!(worker.expect("a worker").terminate(), 0);
}

fn run(stand: &Stand<'_>, command: &[String], name: &str) -> String {
    assert!(command.join(" ").starts_with(name), "{command:?} is not {name}");
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let output = stand.command(&words);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{command:?}: {told}");
    String::from_utf8(output.stdout).expect("text")
}

/// The page's commands, without the program's name and without the configuration, which is the stand's.
fn commands() -> Vec<Vec<String>> {
    let page = include_str!("../../docs/how-to/replay-dead-letters.md");
    commands_of(page.split(LOST).next().unwrap_or_default())
}

fn commands_of(page: &str) -> Vec<Vec<String>> {
    let lines = page.lines().filter_map(|line| line.strip_prefix("profile-linker "));
    lines.map(|line| words(line.trim_end_matches("--config worker.toml"))).collect()
}

/// As a shell takes a line apart that has double quotes only.
fn words(line: &str) -> Vec<String> {
    let parts = line.trim().split('"').enumerate();
    let each = parts.flat_map(|(place, part)| match place % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect(),
        _ => vec![part.to_owned()],
    });
    each.collect()
}
