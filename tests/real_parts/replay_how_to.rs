//! `docs/how-to/replay-dead-letters.md`, played with its own commands.

use serde_json::json;

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    the_how_to_of_replaying_is_played needs [Kafka, Postgres];
}

const ORDERS: usize = 12;

/// What each command must have said, in the order of the page.
const SAID: [(&str, &str); 10] = [
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
];

async fn the_how_to_of_replaying_is_played(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
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

fn run(stand: &Stand<'_>, command: &[String], name: &str) -> String {
    assert_eq!(command[..2].join(" "), name);
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    let output = stand.command(&words);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{command:?}: {told}");
    String::from_utf8(output.stdout).expect("text")
}

/// The page's commands, without the program's name and without the configuration, which is the stand's.
fn commands() -> Vec<Vec<String>> {
    let page = include_str!("../../docs/how-to/replay-dead-letters.md");
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
