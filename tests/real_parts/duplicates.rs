//! The same event again, wherever and whenever it comes: one profile, one result, and nobody waits for it.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::positions::Positions;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    duplicates_in_one_batch_on_other_partitions_and_after_a_restart_add_no_result needs [Kafka, Postgres];
    a_duplicate_that_another_worker_reads_adds_no_result needs [Kafka, Postgres];
    the_same_id_with_another_payload_is_a_conflict_of_its_own_and_final needs [Kafka, Postgres];
    a_duplicate_of_an_event_that_hangs_at_the_vendor_holds_nothing_up needs [Kafka, Postgres];
}

/// What `migrate --topics` makes.
const PARTITIONS: i32 = 6;

/// Copies of the event beside the original.
const COPIES: usize = 20;

async fn duplicates_in_one_batch_on_other_partitions_and_after_a_restart_add_no_result(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let event = event(&stand, "again").await;
    // Before there is a worker, so that they come in one batch; the keys spread half of them over the partitions.
    for copy in 0..COPIES {
        let key = if copy % 2 == 0 { "one key".to_owned() } else { format!("key {copy}") };
        stand.publish_bytes(&key, event.to_string().as_bytes()).await;
    }
    let worker = stand.worker().await;
    passed_by(&stand, "before").await;
    assert_eq!(worker.terminate(), 0);
    let worker = stand.worker().await;
    stand.publish(&event).await;
    stand.publish_bytes("another key", event.to_string().as_bytes()).await;
    passed_by(&stand, "after").await;
    assert_one_of_each(&stand, &["again", "before", "after"], [worker]).await;
}

async fn a_duplicate_that_another_worker_reads_adds_no_result(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let workers = [stand.worker().await, stand.worker().await];
    shared(&stand, &workers).await;
    let event = event(&stand, "again").await;
    // With twenty keys on six partitions, both workers read some.
    let mut read_by = std::collections::BTreeSet::new();
    for copy in 0..COPIES {
        let (partition, _) = stand.publish_bytes(&format!("key {copy}"), event.to_string().as_bytes()).await;
        read_by.insert(partition);
    }
    assert!(read_by.len() > 3, "more partitions than one worker has: {read_by:?}");
    passed_by(&stand, "after").await;
    assert_one_of_each(&stand, &["again", "after"], workers).await;
}

async fn the_same_id_with_another_payload_is_a_conflict_of_its_own_and_final(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let mut event = event(&stand, "again").await;
    stand.publish(&event).await;
    let worker = stand.worker().await;
    ended(&stand, &stand.topics.linked, 1).await;
    event["data"]["title"] = json!("another payload");
    let (partition, offset) = stand.publish(&event).await;
    let rejected = ended(&stand, &stand.topics.rejected, 1).await.remove(0);
    assert_eq!(rejected["data"]["reason"]["code"], "event_id_conflict");
    assert_eq!(rejected["data"]["disposition"], "final");
    let origin = json!({"topic": stand.topics.created, "partition": partition, "offset": offset});
    assert_eq!(rejected["data"]["origin"], origin);
    assert_eq!(worker.terminate(), 0);
    let linked = ended(&stand, &stand.topics.linked, 1).await.remove(0);
    assert_ne!(rejected["id"], linked["id"], "a conflict has a result id of its own");
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 1);
    assert!(stand.all(&stand.topics.dead_letter).await.is_empty(), "what is final is not dead-lettered");
}

async fn a_duplicate_of_an_event_that_hangs_at_the_vendor_holds_nothing_up(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    // The call is never answered, and never timed out within the test's patience.
    stand.amend("\ntimeout = \"2s\"", "\ntimeout = \"2m\"");
    let event = event(&stand, "hangs").await;
    let customer = event["data"]["customer"]["id"].clone();
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "hang", "customers": [customer]})).await;
    let _worker = stand.worker().await;
    let (partition, _) = stand.publish(&event).await;
    called(&stand, "loanpro.link").await;
    let (_, duplicate) = stand.publish(&event).await;
    let next = beside(&stand, "next", &event).await;
    assert_eq!(next.0, partition, "in the same partition");
    let linked = ended(&stand, &stand.topics.linked, 1).await;
    assert_eq!(
        linked[0]["causationid"], "next",
        "the one that hangs holds up neither its duplicate nor the next event"
    );
    assert!(next.1 > duplicate);
    committed_beyond(&stand, next).await;
    assert_eq!(called(&stand, "loanpro.link").await, 2, "one call each: the duplicate makes none");
    assert!(stand.all(&stand.topics.rejected).await.is_empty());
}

async fn event(stand: &Stand<'_>, id: &str) -> Value {
    let customer = stand.sandbox.create_customer().await;
    events::permanent(id, &customer, &stand.sandbox.permanent_token().await)
}

/// Another event, published under the same key, of another customer.
async fn beside(stand: &Stand<'_>, id: &str, event: &Value) -> (i32, i64) {
    let key = event["data"]["customer"]["id"].as_str().expect("an id").to_owned();
    let other = self::event(stand, id).await;
    stand.publish_bytes(&key, other.to_string().as_bytes()).await
}

/// An event on each partition is ended behind everything that was published before; only the first has this id.
async fn passed_by(stand: &Stand<'_>, id: &str) {
    let event = event(stand, id).await;
    for partition_key in 0..COPIES {
        stand.publish_bytes(&format!("key {partition_key}"), event.to_string().as_bytes()).await;
    }
    positions_at_the_end(stand).await;
    let mut reader = stand.reader(&[&stand.topics.linked]);
    let of = |record: &Record| record.json()["causationid"] == id;
    reader.read_until("the event behind them is linked", PATIENCE, |seen| seen.iter().any(of)).await;
}

/// One result and one profile for each of these, and no other, once the workers have said what they have to say.
async fn assert_one_of_each<const N: usize>(stand: &Stand<'_>, ids: &[&str], workers: [Worker; N]) {
    for worker in workers {
        assert_eq!(worker.terminate(), 0);
    }
    let mut linked: Vec<String> =
        stand.all(&stand.topics.linked).await.iter().map(|record| text(&record.json(), "causationid")).collect();
    let profiles = stand.sandbox.booked("profiles").await;
    let mut titles: Vec<String> = profiles.iter().map(title).collect();
    let mut expected: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    expected.sort();
    linked.sort();
    titles.sort();
    assert_eq!((&linked, &titles), (&expected, &expected));
    assert!(stand.all(&stand.topics.rejected).await.is_empty(), "a duplicate is no error");
}

fn text(value: &Value, member: &str) -> String {
    value[member].as_str().unwrap_or_default().to_owned()
}

/// Test events carry their id as title; the worker adds ` #` and its marker.
fn title(profile: &Value) -> String {
    text(profile, "title").split(" #").next().unwrap_or_default().to_owned()
}

/// The results in a topic, once there are so many.
async fn ended(stand: &Stand<'_>, topic: &str, count: usize) -> Vec<Value> {
    let mut reader = stand.reader(&[topic]);
    let records = reader.read_until("the events end", PATIENCE, |seen| seen.len() >= count).await;
    records.iter().map(Record::json).collect()
}

/// How often a route was called, once it was.
async fn called(stand: &Stand<'_>, route: &str) -> u64 {
    let counted = eventually("the vendor is called", PATIENCE, async || {
        stand.sandbox.state().await["calls"]["counts"][route].as_u64()
    });
    counted.await
}

/// Waits until each worker has its half of the partitions.
async fn shared(stand: &Stand<'_>, workers: &[Worker]) {
    let mut ledger = PgConnection::connect(&stand.database).await.expect("a connection to the ledger");
    let shared = eventually("each worker has partitions", PATIENCE, async || {
        let owners = sqlx::query_scalar("select owner from lane where owner is not null");
        let owners: Vec<String> = owners.fetch_all(&mut ledger).await.expect("the owners");
        let has = |worker: &Worker| {
            owners.iter().filter(|owner| owner.starts_with(&format!("{}-", worker.pid()))).count() == 3
        };
        workers.iter().all(has).then_some(())
    });
    shared.await;
}

async fn committed_beyond(stand: &Stand<'_>, (partition, offset): (i32, i64)) {
    let committed = positions(stand);
    let passed = eventually("the committed position passes both", PATIENCE, async || {
        committed.committed().get(&partition).is_some_and(|position| *position > offset).then_some(())
    });
    passed.await;
}

async fn positions_at_the_end(stand: &Stand<'_>) {
    let positions = positions(stand);
    let read = eventually("everything is read", PATIENCE, async || positions.at_the_end().then_some(()));
    read.await;
}

fn positions(stand: &Stand<'_>) -> Positions {
    Positions::of(stand.kafka.brokers(), &stand.group, &stand.topics.created, PARTITIONS)
}
