//! A person mends the event of a dead letter: it is linked once, with the token of the first one.

use std::collections::BTreeSet;
use std::process::Output;

use serde_json::{Value, json};

use crate::ledgers::copy_of;
use crate::support::events;
use crate::support::operator::{WIDE, dlq, lines, started};
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    an_event_with_a_wrong_customer_is_edited_and_linked needs [Kafka, Postgres];
    what_may_have_been_linked_is_edited_only_once_a_look_says_that_it_is_not_there needs [Kafka, Postgres];
    what_was_linked_for_an_edited_event_is_found_after_a_restore_from_before_the_edit needs [Kafka, Postgres];
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
    let worker = started(&stand, &WIDE).await;
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
    assert_eq!(dlq(&stand, &["replay", "there"]).last(), Some(&json!({"replayed": 1, "skipped": 0})));
    let linked = read(&stand, &stand.topics.linked, 2).await;
    assert_eq!(linked[1]["data"]["resolvedBy"], "lookup", "{}", linked[1]);
    let profiles = stand.sandbox.booked("profiles").await;
    let customers: BTreeSet<&str> = profiles.iter().filter_map(|profile| profile["customer"].as_str()).collect();
    let expected = BTreeSet::from([right.as_str(), mended.as_str()]);
    assert_eq!((profiles.len(), customers), (2, expected), "each once, and none with the wrong one");
    assert_eq!(stand.sandbox.booked("conversions").await.len(), 2, "what was converted is kept");
    assert_eq!(worker.terminate(), 0);
}

async fn what_was_linked_for_an_edited_event_is_found_after_a_restore_from_before_the_edit(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = started(&stand, &WIDE).await;
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "status", "status": 503})).await;
    let customer = stand.sandbox.create_customer().await;
    let event = events::permanent("order-1", &customer, &stand.sandbox.permanent_token().await);
    stand.publish(&event).await;
    read(&stand, &stand.topics.dead_letter, 1).await;
    stand.sandbox.heal().await;
    assert_eq!(worker.terminate(), 0);
    let backup = copy_of(parts, &stand.database).await;
    let worker = started(&stand, &WIDE).await;
    let mut mended = event;
    mended["data"]["title"] = json!("mended");
    let told = lines(&edit_as(&stand, mended).await);
    assert_eq!(told.last(), Some(&json!({"replayed": 1, "skipped": 0})), "{told:?}");
    let edited = read(&stand, &stand.topics.linked, 1).await.remove(0);
    worker.kill();
    // The ledger knows of no edit any more.
    stand.amend(&stand.database, &backup);
    let worker = started(&stand, &WIDE).await;
    assert_eq!(listed(&stand, "open")[0]["eventId"], "order-1");
    assert_eq!(dlq(&stand, &["replay", "order-1"]).last(), Some(&json!({"replayed": 1, "skipped": 0})));
    let first = read(&stand, &stand.topics.linked, 2).await.remove(1);
    let told = |result: &Value| result["data"]["paymentAccountId"].clone();
    assert_eq!((&first["data"]["resolvedBy"], told(&first)), (&json!("lookup"), told(&edited)), "{first}");
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 1, "it is linked once");
    assert_eq!(worker.terminate(), 0);
}

/// Edits the event to be of this customer, by a file, once it may be judged.
async fn edit(stand: &Stand<'_>, id: &str, customer: &str) -> Output {
    edit_as(stand, events::temporary(id, customer, "")).await
}

/// The same, to be this event, whose token is left out.
async fn edit_as(stand: &Stand<'_>, mut event: Value) -> Output {
    event["data"]["token"].as_object_mut().expect("a token").remove("value");
    let id = event["id"].as_str().expect("an id");
    let file = stand.file("edited.json", &event.to_string()).display().to_string();
    let words = ["dlq", "replay", id, "--edit", &file, "--why", "a typing mistake", "--yes", "--output", "json"];
    let allowed = [("PROFILE_LINKER_DEAD_LETTERS__ALLOW_EDIT".to_owned(), "true".to_owned())];
    eventually("the look may be made", PATIENCE, async || {
        Some(stand.command_with(&words, &allowed)).filter(|output| output.status.code() != Some(TRY_AGAIN))
    })
    .await
}

fn listed(stand: &Stand<'_>, state: &str) -> Vec<Value> {
    dlq(stand, &["list", "--state", state])
}

/// Waits until a topic has so many events.
async fn read(stand: &Stand<'_>, topic: &str, count: usize) -> Vec<Value> {
    let mut reader = stand.reader(&[topic]);
    let seen = reader.read_until(&format!("{count} of {topic}"), PATIENCE, |seen| seen.len() >= count).await;
    seen.iter().map(|record| record.json()).collect()
}
