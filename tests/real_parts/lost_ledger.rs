//! The ledger is lost: a new one is made, and the dead letters come back out of their topic.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::child::Signal;
use crate::support::events;
use crate::support::operator::{WIDE, dlq, replay, started, started_saying, unreadable};
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::{Publisher, Record};
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    the_dead_letters_of_a_lost_ledger_are_linked_once_each_out_of_their_topic needs [Kafka, Postgres];
    a_replay_from_the_topic_beside_a_ledger_that_knows_its_dead_letters_is_done_once needs [Kafka, Postgres];
    replays_from_the_topic_that_fail_again_trip_no_flood_guard needs [Kafka, Postgres];
}

/// Events that no vendor took.
const REFUSED: usize = 12;
async fn the_dead_letters_of_a_lost_ledger_are_linked_once_each_out_of_their_topic(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = started(&stand, &WIDE).await;
    let bad = dead_letters_of_every_kind(&stand).await;
    worker.kill();
    stand.sandbox.heal().await;
    damaged(&stand).await;
    // Lost: a new one, which knows nothing.
    stand.amend(&stand.database, &parts.postgres().create_database().await);
    assert!(stand.command(&["migrate"]).status.success());
    let all = REFUSED + 3;
    let listed = dlq(&stand, &["list", "--from-topic"]);
    let (unreadable, readable): (Vec<_>, Vec<_>) = listed.iter().partition(|line| line["state"] == "unreadable");
    assert_eq!((readable.len(), unreadable.len()), (all, DAMAGED.len()), "{listed:?}");
    assert!(dlq(&stand, &["list"]).is_empty(), "the new ledger has none");
    // A replay that is killed, one to its end, and the same once more, before any worker has seen one of them.
    let mut killed = replay(&stand, &["--from-topic", "--rate", "10/s", "--why", "killed"]);
    eventually("some are published", PATIENCE, async || {
        (killed.output().matches("replayed").count() >= 3).then_some(())
    })
    .await;
    killed.signal(Signal::Kill);
    drop(killed);
    for _ in 0..2 {
        let told = dlq(&stand, &["replay", "--from-topic", "--why", "the ledger is lost"]);
        let last = json!({"replayed": all, "skipped": DAMAGED.len(), "unreadable": DAMAGED.len()});
        assert_eq!(told.last(), Some(&last));
    }
    let worker = started_saying(&stand, &["--adopt-ledger"], &WIDE).await;
    let left = || dlq(&stand, &["list"]).len();
    eventually("all have ended", PATIENCE, async || {
        (linked(&stand).await.len() > REFUSED && left() == 2).then_some(())
    })
    .await;
    assert_told_once_each(&stand, &bad).await;
    let acts = dlq(&stand, &["audit", "--act", "replay-from-topic"]);
    let of = |why: &'static str| acts.iter().filter(move |act| act["why"] == why).map(|act| &act["target"]);
    let letters = &stand.topics.dead_letter;
    let (begun, ended) = (format!("begun, {all} at most of {letters}"), format!("{all} of {letters}"));
    assert_eq!(of("the ledger is lost").collect::<Vec<_>>(), [&begun, &ended, &begun, &ended], "{acts:?}");
    assert_eq!(of("killed").collect::<Vec<_>>(), [&begun], "also of the one that was killed: {acts:?}");
    // What has ended well is none any more, in the topic neither.
    let again = dlq(&stand, &["replay", "--from-topic", "--reason", "retries_exhausted"]);
    assert_eq!(again, [json!({"replayed": 0, "skipped": 0})]);
    assert_eq!(worker.terminate(), 0);
}

/// Events that were refused until their budgets were spent; `sent`, whose link was applied and never seen; `converted`, whose
/// permanent token is lost with the ledger; and a record that is no event, whose bytes are answered.
async fn dead_letters_of_every_kind(stand: &Stand<'_>) -> Vec<u8> {
    let sandbox = &stand.sandbox;
    let bad = vec![b'{', 0xff, 0, b'"'];
    stand.publish_record(None, Some(&bad), &[("h".to_owned(), None)]).await;
    let (sent, converted) = (sandbox.create_customer().await, sandbox.create_customer().await);
    for rule in [
        json!({"route": "loanpro.link", "action": "apply_drop", "customers": [sent]}),
        json!({"route": "loanpro.lookup", "action": "status", "status": 503}),
        json!({"route": "loanpro.link", "action": "status", "status": 503}),
    ] {
        sandbox.fault(rule).await;
    }
    stand.publish(&events::permanent("sent", &sent, &sandbox.permanent_token().await)).await;
    stand.publish(&events::temporary("converted", &converted, &sandbox.tokenise(json!({})).await)).await;
    for number in 0..REFUSED {
        let customer = sandbox.create_customer().await;
        let token = sandbox.permanent_token().await;
        stand.publish(&events::permanent(&format!("e{number}"), &customer, &token)).await;
    }
    let mut letters = stand.reader(&[&stand.topics.dead_letter]);
    letters.read_until("all are dead letters", PATIENCE, |seen| seen.len() >= REFUSED + 3).await;
    assert_eq!(sandbox.booked("profiles").await.len(), 1, "only one link was applied");
    bad
}

/// Damage of six kinds, each a record of the dead-letter topic.
const DAMAGED: [&str; 6] = ["nothing", "cut", "foreign", "sealed under a key that is gone", "changed", "omitted"];

async fn damaged(stand: &Stand<'_>) {
    let letters = stand.all(&stand.topics.dead_letter).await;
    let good = letters.iter().map(Record::json).find(|event| event["data"]["created"]["id"] == "e0").expect("e0");
    let publisher = Publisher::new(stand.kafka.brokers());
    for (number, kind) in (0..).zip(DAMAGED) {
        let mut event = good.clone();
        // Of an event of its own, so that it replaces none.
        event["data"]["created"]["id"] = json!(kind);
        event["data"]["origin"]["offset"] = json!(1000 + number);
        let data = &mut event["data"];
        match kind {
            "sealed under a key that is gone" => data["sealed"] = json!(sealed_under("k0")),
            "omitted" => {
                let data = data.as_object_mut().expect("data");
                data.retain(|name, _| name != "sealed" && name != "keyId");
                data.insert("sealedOmitted".to_owned(), json!("too_large"));
            }
            // Its origin is another's, so its seal does not open.
            _ => {}
        }
        let text = event.to_string().into_bytes();
        let value = match kind {
            "nothing" => None,
            "cut" => Some(&text[..text.len() / 2]),
            "foreign" => Some(&b"{\"order\":1}"[..]),
            _ => Some(&text[..]),
        };
        publisher.publish_record(&stand.topics.dead_letter, None, value, &[]).await;
    }
}

/// A sealed blob that names this key.
fn sealed_under(key: &str) -> String {
    let mut blob = vec![1, u8::try_from(key.len()).expect("a short name")];
    blob.extend(key.as_bytes());
    blob.extend([7; 64]);
    data_encoding::BASE64.encode(&blob)
}

async fn assert_told_once_each(stand: &Stand<'_>, bad: &[u8]) {
    let linked = linked(stand).await;
    let mut told: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for result in &linked {
        told.entry(result["data"]["created"]["id"].as_str().expect("an id")).or_default().push(result);
    }
    assert_eq!(told.len(), REFUSED + 1, "every event but the converted one is linked");
    assert!(told.values().all(|results| results.len() == 1 && results[0]["data"]["generation"] == 2), "{told:?}");
    assert_eq!(told["sent"][0]["data"]["resolvedBy"], "lookup", "what was sent before is found, not sent again");
    let profiles = stand.sandbox.booked("profiles").await;
    let mut customers: Vec<String> = profiles.iter().map(|profile| profile["customer"].to_string()).collect();
    customers.sort();
    customers.dedup();
    assert_eq!((profiles.len(), customers.len()), (REFUSED + 1, REFUSED + 1), "one profile each");
    // The token that was used for a conversion that nobody knows of any more is not tried for ever, and nothing is linked by it.
    let left = dlq(stand, &["list"]);
    let reasons: Vec<_> = left.iter().map(|line| (&line["reason"]["code"], &line["generation"])).collect();
    assert!(reasons.contains(&(&json!("conversion_unknown"), &json!(2))), "{left:?}");
    assert!(reasons.contains(&(&json!("malformed_event"), &json!(2))), "{left:?}");
    assert_eq!(stand.sandbox.booked("conversions").await.len(), 1, "converted once");
    assert_the_record_is_the_same(stand, bad).await;
}

/// The event of a record; none of a damaged one.
fn event_of(record: &Record) -> Option<Value> {
    serde_json::from_slice(record.value.as_deref()?).ok()
}

/// Two dead letters of one input tell one origin, and hold the same bytes, without what a replay put on them.
async fn assert_the_record_is_the_same(stand: &Stand<'_>, bad: &[u8]) {
    let letters: Vec<Value> = stand.all(&stand.topics.dead_letter).await.iter().filter_map(event_of).collect();
    let of_it: Vec<&Value> = letters.iter().filter(|one| one["data"]["reason"]["code"] == "malformed_event").collect();
    let origins: Vec<&Value> = of_it.iter().map(|one| &one["data"]["origin"]).collect();
    assert_eq!((origins.len(), origins[0]), (2, origins[1]), "{of_it:?}");
    let again = dlq(stand, &["replay", "--from-topic", "--reason", "malformed_event"]);
    assert_eq!(again[0]["generation"], 3, "{again:?}");
    let input = stand.all(&stand.topics.created).await;
    let copies: Vec<&Record> = input.iter().filter(|record| record.value.as_deref() == Some(bad)).collect();
    let generations: Vec<Option<String>> = copies.iter().map(|record| record.header("pl-generation")).collect();
    let last = copies.iter().find(|record| record.header("pl-generation").as_deref() == Some("3"));
    let headers: Vec<&str> = last.expect("it").headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(headers, ["h", "pl-generation", "pl-origin"], "{generations:?}");
}

async fn a_replay_from_the_topic_beside_a_ledger_that_knows_its_dead_letters_is_done_once(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = started(&stand, &WIDE).await;
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "status", "status": 503})).await;
    for number in 0..REFUSED {
        let customer = stand.sandbox.create_customer().await;
        let token = stand.sandbox.tokenise(json!({})).await;
        stand.publish(&events::temporary(&format!("e{number}"), &customer, &token)).await;
    }
    let mut letters = stand.reader(&[&stand.topics.dead_letter]);
    letters.read_until("all are dead letters", PATIENCE, |seen| seen.len() >= REFUSED).await;
    // While the outage lasts a ramp costs one replay.
    let ramp = stand.command(&["dlq", "replay", "--from-topic", "--ramp", "--output", "json"]);
    let told = String::from_utf8_lossy(&ramp.stderr).into_owned();
    assert_eq!(ramp.status.code(), Some(1), "{told}");
    assert!(told.contains("1 of the last 1 failed again"), "{told}");
    stand.sandbox.heal().await;
    let ramp = dlq(&stand, &["replay", "--from-topic", "--ramp"]);
    assert_eq!(ramp.last(), Some(&json!({"replayed": REFUSED, "skipped": 0})));
    let linked = linked(&stand).await;
    assert_eq!(linked.len(), REFUSED, "it waits for the results");
    assert_eq!(stand.sandbox.booked("conversions").await.len(), REFUSED, "a known token is kept");
    assert_eq!(stand.sandbox.booked("profiles").await.len(), REFUSED);
    let acts = dlq(&stand, &["audit", "--act", "replay"]);
    assert_eq!(acts.len(), REFUSED + 1, "a line for each reopening: {acts:?}");
    assert!(dlq(&stand, &["list", "--from-topic"]).is_empty() && dlq(&stand, &["list"]).is_empty());
    assert_eq!(worker.terminate(), 0);
}

async fn replays_from_the_topic_that_fail_again_trip_no_flood_guard(parts: &RealParts) {
    const BAD: usize = 12;
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let mut letters = unreadable(&stand, BAD).await;
    stand.amend(&stand.database, &parts.postgres().create_database().await);
    assert!(stand.command(&["migrate"]).status.success());
    let touchy = [("DEAD_LETTERS__PAUSE_AFTER_RUN", "3")];
    let worker = started_saying(&stand, &["--adopt-ledger"], &touchy).await;
    // Over no row: they end in the write that accepts them. Then over the rows that these have left.
    for round in 2..4 {
        let told = dlq(&stand, &["replay", "--from-topic"]);
        assert_eq!(told.last(), Some(&json!({"replayed": BAD, "skipped": 0})));
        letters.read_until("they end again", PATIENCE, |seen| seen.len() >= round * BAD).await;
    }
    let customer = stand.sandbox.create_customer().await;
    stand.publish(&events::permanent("live", &customer, &stand.sandbox.permanent_token().await)).await;
    let mut linked = stand.reader(&[&stand.topics.linked]);
    linked.read_until("a live event is linked", PATIENCE, |seen| !seen.is_empty()).await;
    assert!(!worker.log().contains("the flood guard stops"), "{}", worker.log());
    assert_eq!(worker.terminate(), 0);
}

async fn linked(stand: &Stand<'_>) -> Vec<Value> {
    stand.all(&stand.topics.linked).await.iter().map(Record::json).collect()
}
