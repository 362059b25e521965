//! `dlq replay --from-topic`: what it leaves in the audit, what it says of what it leaves, and where a ramp stops.

use std::io::Write;
use std::process::Command;
use std::time::Duration;

use profile_linker::domain::EventIdentity;
use serde_json::{Value, json};

use crate::bench::{REJECTED, rejected};
use crate::letters::{DLQ, Letter, Letters};
use crate::patience::eventually;
use crate::questions::Terminal;
use crate::running::Running;

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_from_the_topic_that_is_killed_is_in_the_audit_all_the_same() {
    let letters = Letters::new(1).await;
    assert_eq!(letters.run(&["migrate"]).await.code, 0);
    for (id, offset) in [("a", 1), ("b", 2), ("c", 3)] {
        letters.publish(&Letter::of(id, 0, offset)).await;
    }
    let slow = ["dlq", "replay", "--from-topic", "--rate", "1/h", "--limit", "2", "--by", "ada", "--why", "lost"];
    let replay = letters.command(&slow);
    let replay = tokio::task::spawn_blocking(|| Running::start(replay)).await.unwrap();
    letters.published(1).await;
    // It is killed.
    drop(replay);
    let acts = letters.dlq(&["audit", "--output", "json"]).await.lines();
    let [act] = &acts[..] else { panic!("{acts:?}") };
    assert_eq!((&act["actor"], &act["why"]), (&json!("ada"), &json!("lost")));
    assert_eq!(
        (&act["act"], &act["target"]),
        (&json!("replay-from-topic"), &json!(format!("begun, 2 at most of {DLQ}")))
    );
    // One that comes to its end tells how many they were; a line each, for people too.
    let whole = letters.dlq(&["replay", "--from-topic", "--by", "ada", "--why", "lost"]).await;
    assert_eq!(whole.code, 0, "{whole:?}");
    let acts = letters.dlq(&["audit"]).await.out;
    for part in [format!("begun, 2 at most of {DLQ}"), format!("begun, 3 at most of {DLQ}"), format!(" 3 of {DLQ}")] {
        assert!(acts.contains(&part), "{part} is not in\n{acts}");
    }
}

/// Also before it begins: how the input topic is divided is asked first.
#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_replay_from_the_topic_whose_broker_does_not_answer() {
    let letters = Letters::new(1).await;
    letters.publish(&Letter::of("a", 0, 1)).await;
    let mut command = letters.command(&["dlq", "replay", "--from-topic"]);
    let mut terminal = Terminal::of(&mut command);
    let child = command.spawn().unwrap();
    drop(command);
    assert!(terminal.shows("publish the originals of 1 dead letter to the input topic again?"), "{}", terminal.shown);
    letters.broker.fall_silent();
    terminal.ours.write_all(b"y\n").unwrap();
    let id = child.id().to_string();
    let listens =
        || std::fs::read_to_string(format!("/proc/{id}/status")).is_ok_and(|status| catches_interrupts(&status));
    eventually("it listens for signals", Duration::from_secs(10), async || listens().then_some(())).await;
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    terminal.shows("the end");
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", terminal.shown);
    assert_eq!(String::from_utf8(ended.stdout).unwrap(), "replayed 0, skipped 0\n");
}

/// As the kernel tells of a process: SIGINT, the second of all signals, is not left to it.
fn catches_interrupts(status: &str) -> bool {
    let caught = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigCgt:")?.trim(), 16).ok());
    caught.is_some_and(|signals| signals & 2 != 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_replay_from_the_topic_leaves_has_a_line_each_with_the_reason() {
    let letters = Letters::new(1).await;
    letters.publish(&Letter::of("good", 0, 1)).await;
    letters.publish_damaged(&Letter::of("cut off", 0, 2), "too large").await;
    letters.publish_bytes(Some(b"{\"order\":1}")).await;
    let replay = letters.dlq(&["replay", "--from-topic", "--output", "json"]).await.lines();
    let [good, too_large, stray, last] = &replay[..] else { panic!("{replay:?}") };
    assert_eq!(good["action"], "replayed");
    let why = |reason: &str, offset: i64| json!({"reason": reason, "topic": DLQ, "partition": 0, "offset": offset});
    assert_eq!((&too_large["eventId"], &too_large["generation"]), (&json!("cut off"), &json!(1)));
    assert_eq!(too_large["unreadable"], why("too_large", 1));
    let nothing = json!({"eventId": null, "origin": null, "generation": null, "action": "skipped",
                         "unreadable": why("not_a_dead_letter", 2)});
    assert_eq!((&too_large["action"], stray), (&json!("skipped"), &nothing));
    assert_eq!(*last, json!({"replayed": 1, "skipped": 2, "unreadable": 2}));
    let text = letters.dlq(&["replay", "--from-topic"]).await;
    assert!(text.err.contains(&format!("unreadable cut off at {DLQ}/0/1: the original was too large")), "{text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_tells_of_another_event_than_its_original_is_unreadable_everywhere() {
    let letters = Letters::new(1).await;
    let mut event = letters.event(&Letter::of("true", 0, 1));
    letters.publish_bytes(Some(event.to_string().as_bytes())).await;
    event["data"]["created"]["id"] = json!("forged");
    letters.publish_bytes(Some(event.to_string().as_bytes())).await;
    let list = letters.dlq(&["list", "--from-topic", "--output", "json"]).await.lines();
    let state = |id: &str| list.iter().find(|line| line["eventId"] == id).map(|line| line["state"].clone());
    assert_eq!((state("true"), state("forged")), (Some(json!("dead-lettered")), Some(json!("unreadable"))), "{list:?}");
    assert_eq!(list[1]["unreadable"]["reason"], "another_event");
    let dry = letters.dlq(&["replay", "--from-topic", "--dry-run", "--output", "json"]).await.lines();
    assert_eq!(dry, [json!({"wouldReplay": {"retries_exhausted": 1}, "unreadable": 1})]);
    let replay = letters.dlq(&["replay", "--from-topic", "--output", "json"]).await.lines();
    assert_eq!(replay.last(), Some(&json!({"replayed": 1, "skipped": 1, "unreadable": 1})));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_converted_with_a_lost_ledger_is_not_promised_to_be_linked() {
    let letters = Letters::new(1).await;
    letters.publish(&Letter::of("a", 0, 1)).await;
    let shown = letters.dlq(&["show", "a", "--from-topic"]).await.out;
    assert!(shown.contains("converts again") && shown.contains("a used token ends as conversion_unknown"), "{shown}");
    let dry = letters.dlq(&["replay", "--from-topic", "--dry-run"]).await;
    assert!(dry.err.contains("1 of them were sent to be converted before"), "{dry:?}");
    assert!(dry.err.contains("a used token ends as conversion_unknown"), "{dry:?}");
}

/// What a ramp says where its first replay ends so.
async fn ramp_stopped_by(disposition: &str) -> String {
    let letters = Letters::new(1).await;
    for (id, offset) in [("a 1", 1), ("b", 2)] {
        letters.publish(&Letter::of(id, 0, offset)).await;
    }
    let ramp = letters.command(&["dlq", "replay", "--from-topic", "--ramp", "--yes"]);
    let ramp = tokio::task::spawn_blocking(|| Running::start(ramp)).await.unwrap();
    letters.published(1).await;
    let mut result: Value = rejected("a 1", "42", "account_declined");
    let identity = EventIdentity { source: "urn:test".to_owned(), id: "a 1".to_owned() };
    result["id"] = json!(identity.result_id(2));
    (result["data"]["generation"], result["data"]["disposition"]) = (json!(2), json!(disposition));
    letters.broker.publish(REJECTED, "42", &result).await;
    let told = tokio::task::spawn_blocking(move || ramp.last_words()).await.unwrap();
    letters.published(1).await;
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ramp_that_stops_tells_where_to_look_by_what_can_be_pasted() {
    let told = ramp_stopped_by("final").await;
    assert!(told.contains("1 of the last 1 not linked: finally rejected"), "{told}");
    assert!(told.contains("`profile-linker watch --event-id 'a 1' --from start`"), "{told}");
    let told = ramp_stopped_by("dead-lettered").await;
    assert!(told.contains("1 of the last 1 failed again"), "{told}");
    assert!(told.contains("`profile-linker dlq show --from-topic 'a 1'`"), "{told}");
}
