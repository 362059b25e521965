//! Input topics that are deleted and made again, that grow, and that lose records before they were accepted.

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::{Publisher, Record};
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    a_topic_made_anew_and_longer_while_the_worker_runs_is_read_from_its_start needs [Kafka, Postgres];
    a_topic_made_anew_and_shorter_while_the_worker_runs_is_read_from_its_start needs [Kafka, Postgres];
    a_topic_made_anew_while_no_worker_runs_is_read_from_its_start needs [Kafka, Postgres];
    partitions_that_are_added_are_consumed needs [Kafka, Postgres];
    a_position_below_the_logs_start_is_an_alarm_and_goes_on_from_the_start needs [Kafka, Postgres];
}

async fn a_topic_made_anew_and_longer_while_the_worker_runs_is_read_from_its_start(parts: &RealParts) {
    made_anew_under_a_worker(parts, 5, 40).await;
}

async fn a_topic_made_anew_and_shorter_while_the_worker_runs_is_read_from_its_start(parts: &RealParts) {
    made_anew_under_a_worker(parts, 40, 5).await;
}

async fn made_anew_under_a_worker(parts: &RealParts, before: usize, after: usize) {
    let stand = one_partition(parts).await;
    let worker = stand.worker().await;
    publish(&stand, "old", before).await;
    results(&stand, "old", before).await;
    make_anew(&stand).await;
    publish(&stand, "new", after).await;
    results(&stand, "new", after).await;
    // Kafka's client may have begun at the start by itself, before the worker heard of the new topic.
    let noticed = async || Some(worker.log().matches("the topic was made anew").count()).filter(|count| *count > 0);
    assert_eq!(eventually("the worker notices", PATIENCE, noticed).await, 1, "{}", worker.log());
    assert_eq!(worker.terminate(), 0);
    assert_eq!(
        results(&stand, "old", before).await + after,
        stand.all(&stand.topics.rejected).await.len(),
        "each once"
    );
}

async fn a_topic_made_anew_while_no_worker_runs_is_read_from_its_start(parts: &RealParts) {
    let stand = one_partition(parts).await;
    let worker = stand.worker().await;
    publish(&stand, "old", 5).await;
    results(&stand, "old", 5).await;
    assert_eq!(worker.terminate(), 0);
    make_anew(&stand).await;
    publish(&stand, "new", 40).await;
    let worker = stand.worker().await;
    results(&stand, "new", 40).await;
    assert_eq!(worker.log().matches("the topic was made anew").count(), 1, "{}", worker.log());
    assert_eq!(stand.all(&stand.topics.rejected).await.len(), 45, "each once");
}

async fn partitions_that_are_added_are_consumed(parts: &RealParts) {
    let stand = one_partition(parts).await;
    let _worker = stand.worker().await;
    publish(&stand, "old", 2).await;
    results(&stand, "old", 2).await;
    stand.kafka.grow_topic(&stand.topics.created, 4).await;
    // A publisher that was there before would not hear of the new partitions for minutes.
    let publisher = Publisher::new(stand.kafka.brokers());
    for event in (0..40).map(|number| event("new", number)) {
        let (key, value) = (event["data"]["customer"]["id"].to_string(), event.to_string());
        publisher.publish(&stand.topics.created, &key, events::STRUCTURED, value.as_bytes()).await;
    }
    results(&stand, "new", 40).await;
    let partitions: std::collections::BTreeSet<i32> =
        stand.all(&stand.topics.created).await.iter().map(|record| record.partition).collect();
    assert!(partitions.len() > 1, "some of them went to new partitions: {partitions:?}");
}

async fn a_position_below_the_logs_start_is_an_alarm_and_goes_on_from_the_start(parts: &RealParts) {
    let stand = one_partition(parts).await;
    let worker = stand.worker().await;
    publish(&stand, "old", 3).await;
    results(&stand, "old", 3).await;
    assert_eq!(worker.terminate(), 0);
    publish(&stand, "lost", 4).await;
    publish(&stand, "new", 5).await;
    stand.kafka.delete_records(&stand.topics.created, 0, 7).await;
    let worker = stand.worker().await;
    results(&stand, "new", 5).await;
    let alarms = eventually("the alarm", PATIENCE, async || {
        let log = worker.log();
        let alarms: Vec<&str> = log.lines().filter(|line| line.contains("outside of the log")).collect();
        alarms.first().map(|first| (alarms.len(), first.contains("ERROR")))
    });
    assert_eq!(alarms.await, (1, true), "one line, of level ERROR");
}

/// A stand whose input topic has one partition, so that offsets of old and new records meet.
async fn one_partition(parts: &RealParts) -> Stand<'_> {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    make_anew(&stand).await;
    stand
}

async fn make_anew(stand: &Stand<'_>) {
    stand.kafka.delete_topic(&stand.topics.created).await;
    stand.kafka.create_topic(&stand.topics.created, 1).await;
}

/// Events that need no vendor: each is rejected for its missing account.
async fn publish(stand: &Stand<'_>, name: &str, count: usize) {
    for number in 0..count {
        stand.publish(&event(name, number)).await;
    }
}

fn event(name: &str, number: usize) -> Value {
    let mut event = events::temporary(&format!("{name}-{number}"), &format!("{}", 1000 + number), "token");
    event["data"]["token"]["kind"] = json!("permanent");
    event
}

/// Waits until each of them has its result; answers how many results they have.
async fn results(stand: &Stand<'_>, name: &str, count: usize) -> usize {
    let of =
        |record: &Record| record.json()["causationid"].as_str().is_some_and(|id| id.starts_with(&format!("{name}-")));
    let mut reader = stand.reader(&[&stand.topics.rejected]);
    let enough = |seen: &[Record]| seen.iter().filter(|record| of(record)).count() >= count;
    let seen = reader.read_until(&format!("every {name} event has its result"), PATIENCE, enough).await;
    seen.iter().filter(|record| of(record)).count()
}
