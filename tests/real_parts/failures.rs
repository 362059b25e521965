//! Workers that die, freeze and take over from each other while events are being worked on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    a_killed_and_restarted_worker_gives_every_input_one_result needs [Kafka, Postgres];
    a_second_worker_takes_over_from_a_killed_one needs [Kafka, Postgres];
    a_frozen_worker_that_comes_back_links_nothing_twice needs [Kafka, Postgres];
}

/// Half of them have a permanent token, half must be converted first.
const EVENTS: usize = 300;

/// Events of one customer keep their order, so fewer customers would leave fewer calls to be cut off.
const CUSTOMERS: usize = 60;

/// So many profiles are booked when the blow falls: in the midst of it.
const MIDWAY: usize = 60;

async fn a_killed_and_restarted_worker_gives_every_input_one_result(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let first = stand.worker().await;
    let published = publish_all(&stand).await;
    midway(&stand).await;
    first.kill();
    let _second = stand.worker().await;
    assert_every_input_has_one_result(&stand, &published).await;
}

async fn a_second_worker_takes_over_from_a_killed_one(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let first = stand.worker().await;
    let _second = stand.worker().await;
    let published = publish_all(&stand).await;
    midway(&stand).await;
    first.kill();
    assert_every_input_has_one_result(&stand, &published).await;
}

async fn a_frozen_worker_that_comes_back_links_nothing_twice(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let mut first = stand.worker().await;
    let published = publish_all(&stand).await;
    midway(&stand).await;
    first.freeze();
    let _second = stand.worker().await;
    // The second has taken over once it links more than what was done at the freeze.
    let before = stand.sandbox.booked("profiles").await.len();
    eventually("the second worker links", PATIENCE, async || {
        (stand.sandbox.booked("profiles").await.len() > before).then_some(())
    })
    .await;
    first.thaw();
    assert_every_input_has_one_result(&stand, &published).await;
}

/// Publishes all events while the vendors are slow enough for the blow to fall in the midst; answers their ids.
async fn publish_all(stand: &Stand<'_>) -> BTreeSet<String> {
    stand
        .sandbox
        .fault(json!({"route": "*", "action": "delay", "delay": 0.1}))
        .await;
    let mut customers = Vec::new();
    for _ in 0..CUSTOMERS {
        customers.push(stand.sandbox.create_customer().await);
    }
    let mut ids = BTreeSet::new();
    for number in 0..EVENTS {
        let event = event(stand, number, &customers[number % CUSTOMERS]).await;
        stand.publish(&event).await;
        ids.insert(event["id"].as_str().expect("an id").to_owned());
    }
    ids
}

async fn event(stand: &Stand<'_>, number: usize, customer: &str) -> Value {
    // Neighbours share no customer, and each customer gets both kinds over the rounds.
    if (number / CUSTOMERS + number).is_multiple_of(2) {
        events::permanent(
            &format!("permanent-{number}"),
            customer,
            &stand.sandbox.permanent_token().await,
        )
    } else {
        events::temporary(
            &format!("temporary-{number}"),
            customer,
            &stand.sandbox.tokenise(json!({})).await,
        )
    }
}

async fn midway(stand: &Stand<'_>) {
    let booked = eventually("the work is under way", PATIENCE, async || {
        let booked = stand.sandbox.booked("profiles").await.len();
        (booked >= MIDWAY).then_some(booked)
    });
    assert!(
        booked.await < EVENTS,
        "the blow would fall after the work is done: make the vendors slower"
    );
}

/// The census: one result an input; one profile for each that is linked, none for another. The only rejection that a
/// cut-off call can cause is that of a conversion whose answer was lost, since no vendor call looks it up.
async fn assert_every_input_has_one_result(stand: &Stand<'_>, published: &BTreeSet<String>) {
    wait_for_results(stand, published).await;
    let linked = results(stand, &stand.topics.linked).await;
    let rejected = results(stand, &stand.topics.rejected).await;
    let mut profiles = profiles_by_event(stand).await;
    for id in published {
        let count = linked.get(id).map_or(0, Vec::len) + rejected.get(id).map_or(0, Vec::len);
        assert_eq!(count, 1, "{id} has {count} results");
        let expected = usize::from(linked.contains_key(id));
        assert_eq!(profiles.remove(id).unwrap_or(0), expected, "profiles of {id}");
    }
    assert!(profiles.is_empty(), "profiles of nobody's event: {profiles:?}");
    for (id, events) in rejected {
        assert!(
            id.starts_with("temporary-"),
            "{id} needs no conversion, yet: {events:?}"
        );
        assert_eq!(events[0]["data"]["reason"]["code"], "conversion_unknown", "{id}");
    }
}

async fn wait_for_results(stand: &Stand<'_>, published: &BTreeSet<String>) {
    let mut reader = stand.reader(&[&stand.topics.linked, &stand.topics.rejected]);
    let complete = |seen: &[Record]| {
        // Counted first: the names are compared only when they can be complete.
        seen.len() >= published.len() && published.is_subset(&seen.iter().map(|record| cause(&record.json())).collect())
    };
    reader.read_until("every input has a result", PATIENCE, complete).await;
}

async fn results(stand: &Stand<'_>, topic: &str) -> BTreeMap<String, Vec<Value>> {
    let mut results: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for record in stand.all(topic).await {
        let event = record.json();
        results.entry(cause(&event)).or_default().push(event);
    }
    results
}

fn cause(result: &Value) -> String {
    result["causationid"]
        .as_str()
        .expect("a result names its input")
        .to_owned()
}

/// Test events carry their id as title; the worker adds ` #` and its marker.
async fn profiles_by_event(stand: &Stand<'_>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for profile in stand.sandbox.booked("profiles").await {
        let title = profile["title"].as_str().expect("a profile has a title");
        let id = title.rsplit_once(" #").map_or(title, |(id, _)| id);
        *counts.entry(id.to_owned()).or_insert(0) += 1;
    }
    counts
}
