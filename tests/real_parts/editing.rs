//! A person mends the event of a dead letter: it is linked once, with the token of the first one.

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    an_event_with_a_wrong_customer_is_edited_and_linked needs [Kafka, Postgres];
    what_may_have_been_linked_is_edited_only_once_a_look_says_that_it_is_not_there needs [Kafka, Postgres];
}

/// Not now: a call may still be under way.
const TRY_AGAIN: i32 = 75;

async fn an_event_with_a_wrong_customer_is_edited_and_linked(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    let token = stand.sandbox.tokenise(json!({})).await;
    stand.publish(&events::temporary("order-1", "4711-x", &token)).await;
    read(&stand, &stand.topics.dead_letter, 1).await;
    let customer = stand.sandbox.create_customer().await;
    let told = lines(&edit(&stand, "order-1", &customer).await);
    assert_eq!((&told[0]["action"], &told[0]["replaces"]), (&json!("replayed"), &json!("order-1")), "{told:?}");
    let linked = read(&stand, &stand.topics.linked, 1).await;
    assert_eq!(linked[0]["data"]["created"], json!({"source": events::SOURCE, "id": told[0]["eventId"]}));
    assert_eq!((&linked[0]["correlationid"], &linked[0]["data"]["generation"]), (&json!("order-1"), &json!(1)));
    let profiles = stand.sandbox.booked("profiles").await;
    assert_eq!((profiles.len(), &profiles[0]["customer"]), (1, &json!(customer)), "{profiles:?}");
    assert!(listed(&stand, "open").is_empty());
    assert_eq!(listed(&stand, "discarded")[0]["eventId"], "order-1");
    // What nobody did again stays done once.
    assert_eq!(worker.terminate(), 0);
    let worker = stand.worker().await;
    stand.publish(&events::temporary("order-1", "4711-x", &token)).await;
    let (customer, token) = (stand.sandbox.create_customer().await, stand.sandbox.permanent_token().await);
    stand.publish(&events::permanent("order-2", &customer, &token)).await;
    read(&stand, &stand.topics.linked, 2).await;
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 2, "one each");
    assert_eq!(stand.sandbox.booked("conversions").await.len(), 1);
    assert_eq!(worker.terminate(), 0);
}

async fn what_may_have_been_linked_is_edited_only_once_a_look_says_that_it_is_not_there(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = impatient(&stand).await;
    let [right, wrong, mended] = [
        stand.sandbox.create_customer().await,
        stand.sandbox.create_customer().await,
        stand.sandbox.create_customer().await,
    ];
    // One is linked, and nobody saw it; of the other one's link nothing came through.
    for fault in [
        json!({"route": "loanpro.link", "action": "apply_drop", "customers": [right]}),
        json!({"route": "loanpro.link", "action": "status", "status": 503, "customers": [wrong]}),
        json!({"route": "loanpro.lookup", "action": "status", "status": 503, "customers": [right]}),
    ] {
        stand.sandbox.fault(fault).await;
    }
    for (id, customer) in [("there", &right), ("not-there", &wrong)] {
        let token = stand.sandbox.tokenise(json!({})).await;
        stand.publish(&events::temporary(id, customer, &token)).await;
    }
    read(&stand, &stand.topics.dead_letter, 2).await;
    stand.sandbox.heal().await;
    let refused = edit(&stand, "there", &mended).await;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && told.contains("its profile is there already"), "{told}");
    let told = lines(&edit(&stand, "not-there", &mended).await);
    assert_eq!(told.last(), Some(&json!({"replayed": 1, "skipped": 0})), "{told:?}");
    read(&stand, &stand.topics.linked, 1).await;
    let replayed = stand.command(&["dlq", "replay", "there", "--yes", "--output", "json"]);
    assert_eq!(lines(&replayed).last(), Some(&json!({"replayed": 1, "skipped": 0})));
    let linked = read(&stand, &stand.topics.linked, 2).await;
    assert_eq!(linked[1]["data"]["resolvedBy"], "lookup", "{}", linked[1]);
    let profiles = stand.sandbox.booked("profiles").await;
    let customers: BTreeSet<&str> = profiles.iter().filter_map(|profile| profile["customer"].as_str()).collect();
    let expected = BTreeSet::from([right.as_str(), mended.as_str()]);
    assert_eq!((profiles.len(), customers), (2, expected), "each once, and none with the wrong one");
    assert_eq!(stand.sandbox.booked("conversions").await.len(), 2, "what was converted is kept");
    assert_eq!(worker.terminate(), 0);
}

/// A worker that dead-letters soon, and that nothing stops from it.
async fn impatient(stand: &Stand<'_>) -> Worker {
    let settings = [("RETRY__BUDGET", "1s"), ("BREAKER__FAILURES", "10000"), ("BREAKER__FAILURE_RATE", "1.0")];
    let settings = settings.map(|(name, value)| (format!("PROFILE_LINKER_{name}"), value.to_owned()));
    let mut worker = stand.start_worker_with(&settings);
    worker.ready().await;
    worker
}

/// Edits the event to be of this customer, by a file, once it may be judged.
async fn edit(stand: &Stand<'_>, id: &str, customer: &str) -> Output {
    let mut event = events::temporary(id, customer, "");
    event["data"]["token"] = json!({"kind": "temporary"});
    let file = stand.file("edited.json", &event.to_string()).display().to_string();
    let words = ["dlq", "replay", id, "--edit", &file, "--why", "a typing mistake", "--yes", "--output", "json"];
    let allowed = [("PROFILE_LINKER_DEAD_LETTERS__ALLOW_EDIT".to_owned(), "true".to_owned())];
    eventually("the look may be made", PATIENCE, async || {
        Some(stand.command_with(&words, &allowed)).filter(|output| output.status.code() != Some(TRY_AGAIN))
    })
    .await
}

fn listed(stand: &Stand<'_>, state: &str) -> Vec<Value> {
    lines(&stand.command(&["dlq", "list", "--state", state, "--output", "json"]))
}

fn lines(output: &Output) -> Vec<Value> {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// Waits until a topic has so many events.
async fn read(stand: &Stand<'_>, topic: &str, count: usize) -> Vec<Value> {
    let mut reader = stand.reader(&[topic]);
    let seen = reader.read_until(&format!("{count} of {topic}"), PATIENCE, |seen| seen.len() >= count).await;
    seen.iter().map(|record| record.json()).collect()
}
