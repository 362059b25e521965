//! The end of a cell, checked from outside: I1 and I2 by what readers and vendors see.

use std::collections::{BTreeMap, BTreeSet};

use profile_linker::domain::EventIdentity;
use profile_linker::domain::ids::CallStep;
use serde_json::Value;

use super::supply::{Kind, Published};
use super::tally::Tally;
use crate::support::events::SOURCE;
use crate::support::stand::Stand;

/// Counts, and panics where a promise is broken. `late` are the keys of links that left within the residue.
pub async fn take(stand: &Stand<'_>, published: &[Published], late: &BTreeSet<String>, tally: &mut Tally) {
    let results = results(stand).await;
    assert_one_result_each(&results, published);
    let letters = stand.all(&stand.topics.dead_letter).await.len();
    let dead_lettered = results.iter().filter(|result| result["data"]["disposition"] == "dead-lettered").count();
    assert_eq!(letters, dead_lettered, "dead letters beside rejections that say so");
    let state = stand.sandbox.state().await;
    for result in results.iter().filter(|result| !is_of_a_place(result)) {
        tally.residue += assert_profiles(result, &state, late);
    }
    let linked = results.iter().filter(|result| is_linked(result)).count();
    tally.results += results.len();
    tally.linked += linked;
    tally.rejected += results.len() - linked - dead_lettered;
    tally.dead_lettered += dead_lettered;
    tally.late += late.len();
    count_calls(&state, published, tally);
}

async fn results(stand: &Stand<'_>) -> Vec<Value> {
    let mut results = Vec::new();
    for topic in [&stand.topics.linked, &stand.topics.rejected] {
        results.extend(stand.all(topic).await.iter().map(|record| record.json()));
    }
    results
}

/// A result whose record has no identity of its own.
fn is_of_a_place(result: &Value) -> bool {
    let code = &result["data"]["reason"]["code"];
    code == "event_id_conflict" || code == "malformed_event"
}

fn is_linked(result: &Value) -> bool {
    result["type"] == "payments.profile-linked.v1"
}

/// I1: each identity, and each record without one, has exactly one result, and there are no others.
fn assert_one_result_each(results: &[Value], published: &[Published]) {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for result in results {
        *found.entry(subject(result)).or_default() += 1;
    }
    let expected = published.iter().filter(|record| record.kind != Kind::Duplicate).map(|record| match record.kind {
        Kind::Event => record.id.clone(),
        _ => place(record.partition.into(), record.offset),
    });
    let expected: BTreeMap<String, usize> = expected.map(|subject| (subject, 1)).collect();
    let wrong = |(subject, count): &(&String, &usize)| expected.get(*subject) != Some(*count);
    let many: Vec<_> = found.iter().filter(wrong).collect();
    let missing: Vec<_> = expected.keys().filter(|subject| !found.contains_key(*subject)).collect();
    assert!(many.is_empty() && missing.is_empty(), "I1: not one result each: {many:?}; without one: {missing:?}");
    let ids: BTreeSet<&str> = results.iter().filter_map(|result| result["id"].as_str()).collect();
    assert_eq!(ids.len(), results.len(), "I1: two results have the same id");
}

fn subject(result: &Value) -> String {
    if is_of_a_place(result) {
        let origin = &result["data"]["origin"];
        return place(origin["partition"].as_i64().unwrap_or(-1), origin["offset"].as_i64().unwrap_or(-1));
    }
    assert_eq!(result["data"]["generation"], 1, "nothing was replayed: {result}");
    result["data"]["created"]["id"].as_str().unwrap_or_default().to_owned()
}

fn place(partition: i64, offset: i64) -> String {
    format!("{partition}/{offset}")
}

/// The key that every link of an event carries, by which the books know it in both systems.
pub fn link_key(id: &str) -> String {
    let identity = EventIdentity { source: SOURCE.to_owned(), id: id.to_owned() };
    identity.idempotency_key(CallStep::Link).to_string()
}

/// I2: one profile where the event is linked, none where it is finally rejected, at most one where it is dead-lettered.
/// Answers how many more the residue made.
fn assert_profiles(result: &Value, state: &Value, late: &BTreeSet<String>) -> usize {
    let id = subject(result);
    let key = link_key(&id);
    let profiles: Vec<&Value> = list(&state["profiles"]).filter(|one| one["idempotencyKey"] == key.as_str()).collect();
    let made = profiles.len() + refused_as_there(state, &key);
    if late.contains(&key) {
        assert!(made <= 2, "{id}: one link left late, yet: {profiles:?}");
        return made.saturating_sub(1);
    }
    assert!(made <= 1, "I2: {id} was linked {made} times, or would have been: {profiles:?}; {result}");
    if is_linked(result) {
        assert_eq!(made, 1, "I2: {id} is said to be linked and is not");
        assert_eq!(profiles[0]["id"], result["data"]["paymentAccountId"], "{id}");
    }
    if result["data"]["disposition"] == "final" {
        assert_eq!(made, 0, "I2: {id} is finally rejected, yet linked: {result}");
    }
    0
}

/// Links that would have made a second profile, had the sandbox's LoanPro not refused a title that is there already: a
/// vendor's kindness on which nothing may rest.
fn refused_as_there(state: &Value, key: &str) -> usize {
    calls(state).filter(|call| call["idempotencyKey"] == key && call["status"] == 409).count()
}

fn count_calls(state: &Value, published: &[Published], tally: &mut Tally) {
    let keys: BTreeSet<String> = published.iter().map(|record| link_key(&record.id)).collect();
    let mut links: BTreeMap<&str, usize> = BTreeMap::new();
    for call in calls(state) {
        let (route, key) = (call["route"].as_str().unwrap_or_default(), call["idempotencyKey"].as_str());
        tally.look_ups += usize::from(route.ends_with(".lookup"));
        tally.faults += usize::from(call["fault"].is_string());
        // A promotion goes the same way as a link, with a key of its own.
        if let Some(key) = key.filter(|key| route.ends_with(".link") && keys.contains(*key)) {
            *links.entry(key).or_default() += 1;
        }
    }
    tally.links += links.values().sum::<usize>();
    tally.links_again += links.values().map(|count| count - 1).sum::<usize>();
}

fn calls(state: &Value) -> impl Iterator<Item = &Value> {
    list(&state["calls"]["recent"])
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
