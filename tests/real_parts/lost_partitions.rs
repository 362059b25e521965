//! Input topics that are made anew with fewer partitions: what was left of the lost ones ends all the same, once.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Publisher;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    what_was_left_of_partitions_that_the_topic_has_no_longer_ends_once needs [Kafka, Postgres];
    partitions_that_are_lost_while_a_worker_runs_are_gathered_by_it_and_end_once needs [Kafka, Postgres];
}

/// Enough to be on every partition.
const EVENTS: usize = 12;

async fn what_was_left_of_partitions_that_the_topic_has_no_longer_ends_once(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    make_anew(&stand, 3).await;
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "status", "status": 503})).await;
    // Dead letters, then events that are waiting when their worker dies.
    let worker = started(&stand, &[("RETRY__BUDGET", "1s")]).await;
    let mut partitions = publish(&stand, "dead").await;
    read(&stand, &stand.topics.dead_letter, EVENTS).await;
    assert_eq!(worker.terminate(), 0);
    let worker = started(&stand, &[]).await;
    partitions.extend(publish(&stand, "waiting").await);
    // Not before their tokens are written down: a conversion that nobody saw would end as that.
    for number in 0..EVENTS {
        converted(&stand, &format!("waiting-{number}")).await;
    }
    worker.kill();
    assert!(partitions.len() > 1, "some are on partitions that will be lost: {partitions:?}");
    make_anew(&stand, 1).await;
    stand.sandbox.heal().await;
    let worker = started(&stand, &[]).await;
    read(&stand, &stand.topics.linked, EVENTS).await;
    assert!(worker.log().contains("the topic has fewer partitions than before"), "{}", worker.log());
    let replayed = stand.command(&["dlq", "replay", "--yes", "--output", "json"]);
    let told = String::from_utf8_lossy(&replayed.stdout).into_owned();
    assert!(told.contains(&format!("{{\"replayed\":{EVENTS},\"skipped\":0}}")), "{told}");
    let linked = read(&stand, &stand.topics.linked, 2 * EVENTS).await;
    let ids: BTreeSet<String> = linked.iter().map(|event| event["causationid"].to_string()).collect();
    assert_eq!((linked.len(), ids.len()), (2 * EVENTS, 2 * EVENTS), "each once");
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 2 * EVENTS, "each once");
    assert_eq!(stand.sandbox.booked("conversions").await.len(), 2 * EVENTS, "what was converted is kept");
    // The worker goes on with the new topic, and the next one gathers nothing.
    assert_eq!(worker.terminate(), 0);
    let worker = started(&stand, &[]).await;
    publish(&stand, "new").await;
    read(&stand, &stand.topics.linked, 3 * EVENTS).await;
    assert!(!worker.log().contains("the topic has fewer partitions than before"), "{}", worker.log());
    assert_eq!(worker.terminate(), 0);
}

async fn partitions_that_are_lost_while_a_worker_runs_are_gathered_by_it_and_end_once(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    make_anew(&stand, 3).await;
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "status", "status": 503})).await;
    let worker = started(&stand, &[]).await;
    assert!(publish(&stand, "waiting").await.len() > 1, "some are on partitions that will be lost");
    for number in 0..EVENTS {
        converted(&stand, &format!("waiting-{number}")).await;
    }
    make_anew(&stand, 1).await;
    let gathers = async || worker.log().contains("the topic has fewer partitions than before").then_some(());
    eventually("it gathers what is left of them", PATIENCE, gathers).await;
    stand.sandbox.heal().await;
    read(&stand, &stand.topics.linked, EVENTS).await;
    publish(&stand, "new").await;
    let linked = read(&stand, &stand.topics.linked, 2 * EVENTS).await;
    let ids: BTreeSet<String> = linked.iter().map(|event| event["causationid"].to_string()).collect();
    assert_eq!((linked.len(), ids.len()), (2 * EVENTS, 2 * EVENTS), "each once");
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 2 * EVENTS, "each once");
    assert_eq!(worker.terminate(), 0);
}

async fn make_anew(stand: &Stand<'_>, partitions: i32) {
    stand.kafka.delete_topic(&stand.topics.created).await;
    stand.kafka.create_topic(&stand.topics.created, partitions).await;
}

async fn started(stand: &Stand<'_>, settings: &[(&str, &str)]) -> Worker {
    let wide = [("BREAKER__FAILURES", "10000"), ("BREAKER__FAILURE_RATE", "1.0")];
    let settings: Vec<_> = wide.iter().chain(settings).collect();
    let settings: Vec<_> =
        settings.iter().map(|(name, value)| (format!("PROFILE_LINKER_{name}"), (*value).to_owned())).collect();
    let mut worker = stand.start_worker_with(&settings);
    worker.ready().await;
    worker
}

/// One event each of so many customers; answers the partitions that they went to.
async fn publish(stand: &Stand<'_>, name: &str) -> BTreeSet<i32> {
    // A publisher that was there before may not have heard of the new topic.
    let publisher = Publisher::new(stand.kafka.brokers());
    let mut partitions = BTreeSet::new();
    for number in 0..EVENTS {
        let customer = stand.sandbox.create_customer().await;
        let token = stand.sandbox.tokenise(json!({})).await;
        let event = events::temporary(&format!("{name}-{number}"), &customer, &token).to_string();
        let (partition, _) =
            publisher.publish(&stand.topics.created, &customer, events::STRUCTURED, event.as_bytes()).await;
        partitions.insert(partition);
    }
    partitions
}

async fn converted(stand: &Stand<'_>, id: &str) {
    eventually("it is converted", PATIENCE, async || {
        let shown = stand.command(&["ledger", "show", id, "--output", "json"]);
        String::from_utf8_lossy(&shown.stdout).contains("\"state\":\"converted\"").then_some(())
    })
    .await;
}

/// Waits until a topic has so many events.
async fn read(stand: &Stand<'_>, topic: &str, count: usize) -> Vec<Value> {
    let mut reader = stand.reader(&[topic]);
    let seen = reader.read_until(&format!("{count} of {topic}"), PATIENCE, |seen| seen.len() >= count).await;
    seen.iter().map(|record| record.json()).collect()
}
