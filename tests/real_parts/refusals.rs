//! What the worker refuses, and how it says so.

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    a_declined_account_is_rejected_for_good needs [Kafka, Postgres];
    an_unreadable_record_is_rejected_and_dead_lettered needs [Kafka, Postgres];
    an_event_published_twice_has_one_result needs [Kafka, Postgres];
    a_worker_on_an_unmigrated_ledger_ends_with_the_command_to_run needs [Kafka, Postgres];
    a_worker_whose_positions_are_of_another_ledger_ends_and_says_so needs [Kafka, Postgres];
}

async fn a_declined_account_is_rejected_for_good(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let _worker = stand.worker().await;
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.tokenise(json!({"outcome": "declined"})).await;
    stand.publish(&events::temporary("declined-1", &customer, &token)).await;
    let rejected = first(&stand, &stand.topics.rejected).await.json();
    assert_eq!(rejected["type"], "payments.profile-rejected.v1");
    assert_eq!(rejected["data"]["reason"]["code"], "account_declined");
    assert_eq!(rejected["data"]["reason"]["stage"], "convert");
    assert_eq!(rejected["data"]["disposition"], "final");
    assert!(!rejected.to_string().contains(&token), "no token leaves");
    assert!(stand.sandbox.booked("profiles").await.is_empty(), "nothing was linked");
    assert!(stand.all(&stand.topics.dead_letter).await.is_empty(), "what is final is not dead-lettered");
}

async fn an_unreadable_record_is_rejected_and_dead_lettered(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let _worker = stand.worker().await;
    let (partition, offset) = stand.publish_bytes("4711", b"{\"specversion\": ").await;
    let origin = json!({"topic": stand.topics.created, "partition": partition, "offset": offset});
    let rejected = first(&stand, &stand.topics.rejected).await.json();
    assert_eq!(rejected["data"]["reason"]["code"], "malformed_event");
    assert_eq!(rejected["data"]["disposition"], "dead-lettered");
    assert_eq!(rejected["data"]["origin"], origin);
    let letter = first(&stand, &stand.topics.dead_letter).await;
    assert_dead_letter(&letter, &origin);
}

fn assert_dead_letter(letter: &Record, origin: &Value) {
    assert_eq!(letter.key.as_deref(), Some(b"4711".as_slice()));
    assert_eq!(letter.header("dlq-reason-code").as_deref(), Some("malformed_event"));
    assert_eq!(letter.header("dlq-original-offset"), Some(origin["offset"].to_string()));
    let event = letter.json();
    assert_eq!(event["type"], "payments.dead-letter.v1");
    for field in ["topic", "partition", "offset"] {
        assert_eq!(event["data"]["origin"][field], origin[field], "{field}");
    }
    assert!(event["data"]["sealed"].is_object() || event["data"]["sealed"].is_string(), "the original is sealed in it");
}

async fn an_event_published_twice_has_one_result(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let _worker = stand.worker().await;
    let customer = stand.sandbox.create_customer().await;
    let twice = events::temporary("twice", &customer, &stand.sandbox.tokenise(json!({})).await);
    let last = events::temporary("last", &customer, &stand.sandbox.tokenise(json!({})).await);
    for event in [&twice, &twice, &last] {
        stand.publish(event).await;
    }
    // One customer's results come in order, so after the last one there is nothing left to come.
    let mut reader = stand.reader(&[&stand.topics.linked]);
    let is_last = |record: &Record| record.json()["causationid"] == "last";
    reader.read_until("the last event is linked", PATIENCE, |seen| seen.iter().any(is_last)).await;
    let results = stand.all(&stand.topics.linked).await;
    let results: Vec<Value> = results.iter().map(|record| record.json()["causationid"].clone()).collect();
    assert_eq!(results, ["twice", "last"]);
    assert!(stand.all(&stand.topics.rejected).await.is_empty(), "a duplicate is not an error");
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 2);
}

async fn a_worker_on_an_unmigrated_ledger_ends_with_the_command_to_run(parts: &RealParts) {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    let mut worker = stand.start_worker();
    assert_eq!(worker.exit_code(), 78, "{}", worker.log());
    assert!(worker.log().contains("profile-linker migrate"), "it names the command to run:\n{}", worker.log());
}

async fn a_worker_whose_positions_are_of_another_ledger_ends_and_says_so(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let first_worker = stand.worker().await;
    stand.publish_bytes("4711", b"unreadable").await;
    first(&stand, &stand.topics.rejected).await;
    assert_eq!(first_worker.terminate(), 0);
    give_another_ledger(&stand, &parts.postgres().create_database().await);
    // It learns of it in the midst of taking its partitions over: the client waits for an answer to their assignment.
    let mut worker = stand.start_worker();
    assert_eq!(worker.exit_code(), 78, "{}", worker.log());
    assert!(worker.log().contains("was committed with another ledger"), "it says why:\n{}", worker.log());
}

fn give_another_ledger(stand: &Stand<'_>, database: &str) {
    let before = std::fs::read_to_string(stand.config()).expect("the configuration");
    let line = |line: &str| match line.starts_with("url = ") {
        true => format!("url = \"{database}\""),
        false => line.to_owned(),
    };
    let after: Vec<String> = before.lines().map(line).collect();
    assert_ne!(before.lines().collect::<Vec<_>>(), after, "the ledger is configured in a line of its own");
    std::fs::write(stand.config(), after.join("\n")).expect("the configuration is written");
    assert!(stand.command(&["migrate"]).status.success(), "the other ledger is migrated");
}

/// The first record of a topic.
async fn first(stand: &Stand<'_>, topic: &str) -> Record {
    let mut reader = stand.reader(&[topic]);
    let records = reader.read_until("a record in the topic", PATIENCE, |seen| !seen.is_empty()).await;
    records[0].clone()
}
