//! The input topic gets another name, and the ledger is made to serve it: what was accepted from the old one goes on.

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    events_of_the_old_topic_end_and_its_dead_letters_are_replayed_after_another_was_adopted needs [Kafka, Postgres];
}

/// An unfinished event, a dead letter and an unreadable record, whose identity is where it stood.
async fn events_of_the_old_topic_end_and_its_dead_letters_are_replayed_after_another_was_adopted(parts: &RealParts) {
    let mut stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    stand.publish_bytes("a key", b"{\"no event\"").await;
    let [unreadable] = &letters(&stand, 1).await[..] else { panic!("one dead letter") };
    let origin = unreadable["data"]["origin"].clone();
    stand.sandbox.fault(json!({"route": "payiq.convert", "action": "status", "status": 503})).await;
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.tokenise(json!({})).await;
    stand.publish(&events::temporary("unfinished", &customer, &token)).await;
    let waits = async || worker.log().contains("the event backs off").then_some(());
    eventually("the event waits", PATIENCE, waits).await;
    assert_eq!(worker.terminate(), 0);
    stand.sandbox.heal().await;

    let new = format!("{}-renamed", stand.topics.created);
    let old = std::mem::replace(&mut stand.topics.created, new);
    stand.amend(&format!("topics.created = \"{old}\""), &format!("topics.created = \"{}\"", stand.topics.created));
    let migrated = stand.command(&["migrate", "--topics"]);
    assert!(migrated.status.success(), "{migrated:?}");
    let mut worker = stand.start_worker_saying(&["--adopt-ledger"], &[]);
    worker.ready().await;
    let mut linked = stand.reader(&[&stand.topics.linked]);
    linked.read_until("the old topic's event is linked", PATIENCE, |seen| !seen.is_empty()).await;
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 1, "once");

    let place = format!("{old}/{}/{}", origin["partition"], origin["offset"]);
    let replay = stand.command(&["dlq", "replay", "--origin", &place, "--yes"]);
    assert_eq!(String::from_utf8_lossy(&replay.stdout), "replayed 1, skipped 0\n", "{replay:?}");
    let again = &letters(&stand, 2).await[1];
    assert_eq!((&again["data"]["origin"], &again["data"]["generation"]), (&origin, &json!(2)), "where it always stood");
    assert_eq!(worker.terminate(), 0);
}

async fn letters(stand: &Stand<'_>, count: usize) -> Vec<Value> {
    let mut reader = stand.reader(&[&stand.topics.dead_letter]);
    let enough = |seen: &[Record]| seen.len() >= count;
    reader.read_until("dead letters", PATIENCE, enough).await.iter().map(Record::json).collect()
}
