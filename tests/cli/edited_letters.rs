//! `dlq --from-topic`, where the topic holds what was edited, made up, or half replayed.

use profile_linker::domain::EventIdentity;
use serde_json::{Value, json};

use crate::bench::{Ended, LINKED, REJECTED, linked, rejected};
use crate::letters::{DLQ, Letter, Letters};
use crate::running::Running;

fn identity(id: &str) -> EventIdentity {
    EventIdentity { source: "urn:test".to_owned(), id: id.to_owned() }
}

/// The id of the event that a person made of this one.
fn edited(id: &str) -> &'static str {
    identity(id).edited_id().to_string().leak()
}

fn ids(ended: &Ended) -> Vec<String> {
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.lines().iter().filter_map(|line| line["eventId"].as_str().map(str::to_owned)).collect()
}

async fn list(letters: &Letters) -> Vec<String> {
    ids(&letters.dlq(&["list", "--from-topic", "--output", "json"]).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_edited_is_told_by_the_edited_event_alone() {
    let letters = Letters::new(1).await;
    // `a` was edited, and that again; of `b`, `c` and `d` the edited event has ended; `e` was not edited, nor was the last.
    for (id, offset) in [(edited(edited("a")), 1), (edited("a"), 1), ("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5)] {
        letters.publish(&Letter::of(id, 0, offset)).await;
    }
    letters.publish(&Letter::of(edited("d"), 0, 4)).await;
    letters.publish(&Letter { id: None, reason: "malformed_event", ..Letter::of("-", 0, 6) }).await;
    let nameless = Letter { id: None, reason: "malformed_event", ..Letter::of("-", 0, 7) };
    letters.publish(&nameless).await;
    let another = |mut result: Value| {
        result["data"]["created"]["source"] = json!("urn:another");
        result
    };
    for (topic, result) in [
        (LINKED, linked(edited("b"), "43")),
        (REJECTED, rejected(edited("c"), "42", "token_rejected")),
        (LINKED, linked(edited(edited("d")), "42")),
        // Not of its edited event: of another record with that name, and of another source.
        (REJECTED, rejected(edited("e"), "42", "event_id_conflict")),
        (LINKED, another(linked(edited("e"), "42"))),
        // What a person made of a record without an identity may be of any source.
        (LINKED, another(linked(nameless.edited_id().leak(), "42"))),
    ] {
        letters.broker.publish(topic, "42", &result).await;
    }
    assert_eq!(list(&letters).await, [edited(edited("a")), "e"]);
    let stats = letters.dlq(&["stats", "--from-topic", "--output", "json"]).await.lines();
    let nameless: Vec<&Value> = stats.iter().filter(|group| group["reason"] == "malformed_event").collect();
    assert!(nameless.len() == 1 && nameless[0]["count"] == 1, "{stats:?}");
    let replay = letters.dlq(&["replay", "--from-topic", "--output", "json"]).await;
    assert_eq!(ids(&replay), [edited(edited("a")), "e"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generation_that_leaves_no_room_for_the_next_is_told_and_hides_no_other() {
    let letters = Letters::new(1).await;
    letters.publish(&Letter::of("a", 0, 1)).await;
    for generation in [json!(i32::MAX), json!(1_000_000), json!(i64::MAX)] {
        let mut event = letters.event(&Letter::of("a", 0, 1));
        event["data"]["generation"] = generation;
        letters.publish_bytes(Some(event.to_string().as_bytes())).await;
    }
    letters.publish(&Letter { generation: 999_999, ..Letter::of("b", 0, 2) }).await;
    let list = letters.dlq(&["list", "--from-topic", "--output", "json"]).await.lines();
    let unreadable: Vec<&Value> = list.iter().filter(|line| line["state"] == "unreadable").collect();
    let faults: Vec<&Value> = unreadable.iter().map(|line| &line["unreadable"]["reason"]).collect();
    assert_eq!(faults, ["last_generation"; 3], "{list:?}");
    let replay = letters.dlq(&["replay", "--from-topic", "--output", "json"]).await;
    let generations: Vec<Value> = replay.lines().iter().map(|line| line["generation"].clone()).collect();
    assert_eq!(generations[..2], [json!(2), json!(1_000_000)], "{replay:?}");
    assert_eq!(replay.lines().last(), Some(&json!({"replayed": 2, "skipped": 3, "unreadable": 3})));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_published_before_the_broker_refused_is_told_and_in_the_audit() {
    let letters = Letters::new(2).await;
    assert_eq!(letters.run(&["migrate"]).await.code, 0);
    for (id, partition) in [("a", 0), ("b", 1)] {
        letters.publish(&Letter::of(id, partition, 1)).await;
    }
    letters.broker.refuse_the_second_publication();
    let replay = letters.dlq(&["replay", "--from-topic", "--why", "lost", "--output", "json"]).await;
    assert_eq!(replay.code, 1, "{replay:?}");
    let told = replay.lines();
    assert_eq!((told.len(), &told[0]["action"]), (2, &json!("replayed")), "{replay:?}");
    assert_eq!(told[1], json!({"replayed": 1, "skipped": 0}), "the tally comes before the failure");
    assert_eq!(letters.input().await.len(), 1);
    let audit = letters.dlq(&["audit", "--output", "json"]).await.lines();
    let [begun, line] = &audit[..] else { panic!("{audit:?}") };
    assert_eq!(begun["target"], format!("begun, 2 at most of {DLQ}"));
    assert_eq!((&line["act"], &line["why"]), (&json!("replay-from-topic"), &json!("lost")));
    assert_eq!(line["target"], format!("1 of {DLQ}"));
}

/// As after an earlier run that was killed: the results of all that it published come while this one waits for its first step's.
#[tokio::test(flavor = "multi_thread")]
async fn a_ramp_hears_the_results_of_later_steps_that_come_before_them() {
    let letters = Letters::new(1).await;
    for (id, offset) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] {
        letters.publish(&Letter::of(id, 0, offset)).await;
    }
    let ramp = letters.command(&["dlq", "replay", "--from-topic", "--ramp", "--yes"]);
    let mut ramp = tokio::task::spawn_blocking(|| Running::start(ramp)).await.unwrap();
    letters.published(1).await;
    for id in ["d", "c", "b", "a"] {
        let mut result = linked(id, "42");
        result["id"] = json!(identity(id).result_id(2));
        result["data"]["generation"] = json!(2);
        letters.broker.publish(LINKED, "42", &result).await;
    }
    let code = tokio::task::spawn_blocking(move || ramp.ended()).await.unwrap();
    assert_eq!(code, Some(0), "it ends by itself");
    letters.published(4).await;
}
