//! Workers that die, freeze and take over from each other while events are being worked on.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

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

/// Of each answer of the vendors: the whole work then takes some seconds, and the blow falls in the midst of it.
const SLOWNESS_SECONDS: f64 = 0.3;

async fn a_killed_and_restarted_worker_gives_every_input_one_result(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let published = publish_all(&stand).await;
    let first = stand.worker().await;
    midway(&stand).await;
    first.kill();
    let second = stand.worker().await;
    assert_every_input_has_one_result(&stand, &published, [second]).await;
}

async fn a_second_worker_takes_over_from_a_killed_one(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let published = publish_all(&stand).await;
    let (mut first, mut second) = (stand.start_worker(), stand.start_worker());
    first.ready().await;
    second.ready().await;
    midway(&stand).await;
    first.kill();
    assert_every_input_has_one_result(&stand, &published, [second]).await;
}

async fn a_frozen_worker_that_comes_back_links_nothing_twice(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let published = publish_all(&stand).await;
    let mut first = stand.worker().await;
    midway(&stand).await;
    first.freeze();
    let second = stand.worker().await;
    wait_for_take_over(&stand).await;
    first.thaw();
    assert_every_input_has_one_result(&stand, &published, [first, second]).await;
}

/// While the one worker is frozen, a profile more can only be the other's doing.
async fn wait_for_take_over(stand: &Stand<'_>) {
    let before = stand.sandbox.booked("profiles").await.len();
    let taken_over = eventually("the second worker links", PATIENCE, async || {
        (stand.sandbox.booked("profiles").await.len() > before).then_some(())
    });
    taken_over.await;
}

/// Publishes all events before there is a worker, and makes the vendors slow; answers the events' ids.
async fn publish_all(stand: &Stand<'_>) -> BTreeSet<String> {
    stand.sandbox.fault(json!({"route": "*", "action": "delay", "delay": SLOWNESS_SECONDS})).await;
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
        events::permanent(&format!("permanent-{number}"), customer, &stand.sandbox.permanent_token().await)
    } else {
        events::temporary(&format!("temporary-{number}"), customer, &stand.sandbox.tokenise(json!({})).await)
    }
}

async fn midway(stand: &Stand<'_>) {
    let booked = eventually("the work is under way", PATIENCE, async || {
        let booked = stand.sandbox.booked("profiles").await.len();
        (booked >= MIDWAY).then_some(booked)
    });
    assert!(booked.await < EVENTS, "the blow would fall after the work is done: make the vendors slower");
}

/// The census: one result an input; one profile for each that is linked, none for another. The only rejection that a
/// cut-off call can cause is that of a conversion whose answer was lost, since no vendor call looks it up.
async fn assert_every_input_has_one_result<const N: usize>(
    stand: &Stand<'_>,
    published: &BTreeSet<String>,
    survivors: [Worker; N],
) {
    wait_for_results(stand, published).await;
    // Whatever they still have to say, they have said it when they have ended.
    for worker in survivors {
        assert_eq!(worker.terminate(), 0, "a worker that is asked to end does so");
    }
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
    assert_only_lost_conversions(&rejected);
}

fn assert_only_lost_conversions(rejected: &BTreeMap<String, Vec<Value>>) {
    for (id, events) in rejected {
        assert!(id.starts_with("temporary-"), "{id} needs no conversion, yet: {events:?}");
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
    result["causationid"].as_str().expect("a result names its input").to_owned()
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
