//! `dlq --from-topic`: what the dead-letter topic tells where no ledger is, and the originals that go back to the input topic.

use serde_json::{Value, json};

use crate::bench::{CREATED, Ended, LINKED, REJECTED, linked, rejected};
use crate::letters::{DLQ, Letter, Letters, Origin};

/// The one line of a letter, by its event's id.
fn line_of<'a>(lines: &'a [Value], id: &str) -> &'a Value {
    lines.iter().find(|line| line["eventId"] == id).unwrap_or_else(|| panic!("no {id} in {lines:?}"))
}

fn ids(ended: &Ended) -> Vec<String> {
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = ended.lines();
    lines.iter().map(|line| line["eventId"].as_str().unwrap_or("-").to_owned()).collect()
}

/// `a` failed twice, `b` came in binary mode, `c` and `d` ended since, `e` has no identity.
async fn told() -> Letters {
    let letters = Letters::new(2).await;
    letters.publish(&Letter::of("a", 1, 3)).await;
    letters.publish(&Letter { generation: 2, reason: "link_unknown", ..Letter::of("a", 1, 3) }).await;
    letters.publish_binary(&Letter { customer: "43", ..Letter::of("b", 0, 9) }).await;
    letters.publish(&Letter::of("c", 0, 1)).await;
    letters.publish(&Letter::of("d", 0, 2)).await;
    letters.publish(&Letter { id: None, reason: "malformed_event", ..Letter::of("e", 1, 1) }).await;
    let generation = |mut result: Value, generation: i32| {
        result["data"]["generation"] = json!(generation);
        result
    };
    for (topic, result) in [
        (LINKED, generation(linked("c", "42"), 2)),
        (REJECTED, generation(rejected("d", "42", "token_rejected"), 2)),
        (REJECTED, generation(rejected("b", "43", "event_id_conflict"), 2)),
        // Each dead letter's own rejection.
        (REJECTED, {
            let mut own = generation(rejected("a", "42", "link_unknown"), 2);
            own["data"]["disposition"] = json!("dead-lettered");
            own
        }),
    ] {
        letters.broker.publish(topic, "42", &result).await;
    }
    letters
}

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_answers_what_a_ledger_would() {
    let letters = told().await;
    let list = letters.dlq(&["list", "--from-topic", "--output", "json"]).await;
    assert_eq!(ids(&list), ["b", "-", "a"], "the oldest record first, a partition in the order of its offsets");
    let lines = list.lines();
    let origin = json!({"topic": CREATED, "partition": 1, "offset": 3});
    let attempts = json!({"convert": 1, "link": 2, "lookup": 3});
    let a = line_of(&lines, "a");
    assert_eq!(
        (&a["generation"], &a["reason"]["code"], &a["state"]),
        (&json!(2), &json!("link_unknown"), &json!("dead-lettered"))
    );
    assert_eq!((&a["origin"], &a["attempts"], &a["source"]), (&origin, &attempts, &json!("urn:test")));
    assert_eq!(line_of(&lines, "b")["customer"], json!({"system": "loanpro", "id": "43"}));
    for (filter, found) in [
        (&["--reason", "retries_exhausted"][..], &["b"][..]),
        (&["--customer", "loanpro/42"], &["a"]),
        (&["--event-id", "c"], &[]),
        (&["--origin", "payments.profile-created.v1/1/1"], &["-"]),
        (&["--origin", "another/1/1"], &[]),
        (&["--since", "1h"], &[]),
        (&["--until", "1h", "--limit", "2"], &["b", "-"]),
        (&["--state", "discarded"], &[]),
    ] {
        let asked = [&["list", "--from-topic", "--output", "json"], filter].concat();
        assert_eq!(ids(&letters.dlq(&asked).await), found, "{filter:?}");
    }
    let stats = letters.dlq(&["stats", "--from-topic", "--output", "json"]).await.lines();
    let counts: Vec<_> =
        stats.iter().map(|group| (group["reason"].as_str().unwrap(), group["count"].clone())).collect();
    assert_eq!(counts, [("link_unknown", json!(1)), ("malformed_event", json!(1)), ("retries_exhausted", json!(1))]);
    assert_eq!(stats[0]["customers"], 1);
    let shown = letters.dlq(&["show", "a", "--from-topic"]).await;
    let parts = [
        "a from urn:test: dead-lettered (generation 2)",
        "link_unknown at link",
        "loanpro/42",
        "looks whether the profile is there",
    ];
    assert!(parts.iter().all(|part| shown.out.contains(part)), "{shown:?}");
    let none = letters.dlq(&["show", "c", "--from-topic"]).await;
    assert_eq!(none.code, 1, "{none:?}");
    assert!(none.err.contains("the topic holds no such dead letter") && none.err.contains(DLQ), "{none:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_from_the_topic_is_what_stands_there() {
    let letters = told().await;
    let exported = letters.dlq(&["export", "--from-topic"]).await;
    assert_eq!(exported.code, 0, "{exported:?}");
    let events = exported.lines();
    assert_eq!(events.len(), 3);
    let a = events.iter().find(|event| event["data"]["created"]["id"] == "a").unwrap();
    let second = Letter { generation: 2, reason: "link_unknown", ..Letter::of("a", 1, 3) };
    assert_eq!(a["id"], letters.event(&second)["id"], "the last generation of an event");
    assert!(a["data"]["sealed"].is_string() && !exported.out.contains("opaque"), "sealed as it is");
    let one = letters.dlq(&["export", "--from-topic", "--event-id", "b"]).await;
    assert_eq!(one.lines().len(), 1, "{one:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_dead_letters_are_told_with_the_reason_and_skipped_with_a_count() {
    let letters = Letters::new(1).await;
    letters.publish(&Letter::of("good", 0, 1)).await;
    let bad = [
        ("sealed elsewhere", "does_not_open"),
        ("changed", "does_not_open"),
        ("too large", "too_large"),
        ("another key", "unknown_key"),
        ("another key's bytes", "does_not_open"),
    ];
    for (offset, (kind, _)) in (2..).zip(bad) {
        letters.publish_damaged(&Letter::of(kind, 0, offset), kind).await;
    }
    let event = letters.event(&Letter::of("cut", 0, 20)).to_string();
    let mut incomplete = letters.event(&Letter::of("incomplete", 0, 21));
    incomplete["data"]["origin"]["offset"].take();
    let mut elsewhere = letters.event(&Letter::of("elsewhere", 0, 22));
    elsewhere["data"]["origin"]["topic"] = json!("orders");
    let strays = [
        (None, "not_json"),
        (Some(Vec::new()), "not_json"),
        (Some(event.as_bytes()[..event.len() / 2].to_vec()), "not_json"),
        (Some(vec![0xff, 0xfe]), "not_json"),
        (Some(b"{\"hello\":1}".to_vec()), "not_a_dead_letter"),
        (Some(linked("x", "42").to_string().into_bytes()), "not_a_dead_letter"),
        (Some(incomplete.to_string().into_bytes()), "invalid"),
        (Some(elsewhere.to_string().into_bytes()), "another_topic"),
    ];
    for (value, _) in &strays {
        letters.publish_bytes(value.as_deref()).await;
    }
    let list = letters.dlq(&["list", "--from-topic", "--output", "json"]).await.lines();
    assert_eq!(list.len(), 1 + bad.len() + strays.len(), "{list:?}");
    for (offset, (kind, reason)) in (1..).zip(bad) {
        let line = line_of(&list, kind);
        let told = json!({"reason": reason, "topic": DLQ, "partition": 0, "offset": offset});
        assert_eq!((&line["state"], &line["unreadable"]), (&json!("unreadable"), &told), "{kind}");
        assert_eq!(line["reason"]["code"], "retries_exhausted", "{kind}: what it tells in clear is told");
    }
    for (offset, (_, reason)) in (1 + bad.len()..).zip(&strays) {
        let at = |line: &&Value| line["unreadable"]["offset"] == offset;
        let line = list.iter().find(at).unwrap_or_else(|| panic!("nothing at {offset}"));
        assert_eq!((&line["unreadable"]["reason"], &line["origin"]), (&json!(reason), &Value::Null), "{offset}");
    }
    let text = letters.dlq(&["list", "--from-topic"]).await;
    assert!(text.out.contains("unreadable too large at payments.profile-created.v1.dlq/0/3: the original"), "{text:?}");
    let stats = letters.dlq(&["stats", "--from-topic", "--output", "json"]).await.lines();
    assert!(stats.contains(&json!({"unreadable": "does_not_open", "count": 3})), "{stats:?}");
    let dry = letters.dlq(&["replay", "--from-topic", "--dry-run", "--output", "json"]).await.lines();
    let damaged = bad.len() + strays.len();
    assert_eq!(dry, [json!({"wouldReplay": {"retries_exhausted": 1}, "unreadable": damaged})]);
    let one = letters.dlq(&["show", "changed", "--from-topic"]).await;
    assert!(one.code == 0 && one.out.contains("it does not open"), "{one:?}");
    let filtered = letters.dlq(&["list", "--from-topic", "--event-id", "good", "--output", "json"]).await;
    assert_eq!(ids(&filtered), ["good"], "of what is no dead letter nobody knows more than its time");
    let replay = letters.dlq(&["replay", "--from-topic", "--output", "json"]).await;
    let count = bad.len() + strays.len();
    let last = json!({"replayed": 1, "skipped": count, "unreadable": count});
    assert_eq!((replay.code, replay.lines().last()), (0, Some(&last)), "{replay:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_original_goes_back_to_its_partition_exactly_as_it_was() {
    let letters = Letters::new(3).await;
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let originals = [
        (Some(vec![0xff, 0, 0xfe]), Some(vec![0xc3, 0x28, 0]), vec![header("h", None), header("h", Some(&[0xff]))]),
        (None, None, vec![header("empty", Some(b""))]),
        (Some(b"text".to_vec()), Some(Vec::new()), vec![header("pl-generation", Some(b"a producer's"))]),
    ];
    for (partition, original) in (0..).zip(&originals) {
        let letter =
            Letter { id: None, reason: "malformed_event", generation: partition + 1, ..Letter::of("x", partition, 7) };
        letters.publish_original(&letter, original).await;
    }
    let gone = Letter { id: None, ..Letter::of("x", 3, 7) };
    letters.publish_original(&gone, &originals[0]).await;
    let dry = letters.dlq(&["replay", "--from-topic", "--dry-run", "--output", "json"]).await;
    assert_eq!(dry.lines(), [json!({"wouldReplay": {"malformed_event": 3, "retries_exhausted": 1}})]);
    assert!(letters.input().await.is_empty(), "nothing is changed by it");
    let replay = letters.dlq(&["replay", "--from-topic", "--yes"]).await;
    assert_eq!((replay.code, replay.out.as_str()), (0, "replayed 3, skipped 1\n"), "{replay:?}");
    assert!(
        replay.err.contains("has no partition 3") && replay.err.contains("no audit line was written"),
        "{replay:?}"
    );
    let mut input = letters.input().await;
    input.sort_by_key(|record| record.partition);
    for (record, original) in input.iter().zip(&originals) {
        let (key, value, headers) = original;
        assert_eq!((&record.key, &record.value), (key, value));
        let generation = (record.partition + 2).to_string();
        let origin = format!("{CREATED}/{}/7/{}", record.partition, Origin::TIMESTAMP);
        let ours = [header("pl-generation", Some(generation.as_bytes())), header("pl-origin", Some(origin.as_bytes()))];
        assert_eq!(record.headers, headers.iter().cloned().chain(ours).collect::<Vec<_>>());
    }
    assert_eq!(input.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replayed_of_a_customer_go_in_the_order_of_the_input_and_a_limit_and_a_rate_are_kept() {
    let letters = Letters::new(1).await;
    for (id, offset) in [("third", 30), ("first", 10), ("second", 20)] {
        letters.publish(&Letter::of(id, 0, offset)).await;
    }
    let two = letters.dlq(&["replay", "--from-topic", "--limit", "2", "--rate", "100/s", "--output", "json"]).await;
    assert_eq!(ids(&two), ["first", "second", "-"]);
    assert_eq!(two.lines()[0]["generation"], 2, "the new one");
    let offsets: Vec<String> = letters.input().await.iter().map(|record| record.text("pl-origin")).collect();
    let expected = [10, 20].map(|offset| format!("{CREATED}/0/{offset}/{}", Origin::TIMESTAMP));
    assert_eq!(offsets, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_does_not_open_is_replayed_from_its_earlier_generation() {
    let letters = Letters::new(1).await;
    letters.publish(&Letter::of("a", 0, 1)).await;
    letters.publish_damaged(&Letter { generation: 2, ..Letter::of("a", 0, 1) }, "changed").await;
    let replay = letters.dlq(&["replay", "--from-topic", "--output", "json"]).await;
    let lines = replay.lines();
    assert_eq!(lines[0]["generation"], 3, "{replay:?}");
    assert_eq!(letters.input().await[0].text("pl-generation"), "3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_only_this_build_can_name_is_replayed_and_one_of_another_name_is_not() {
    let letters = Letters::new(1).await;
    let original = |id| (None, Some(crate::bench::created(id, "42").to_string().into_bytes()), Vec::new());
    let nameless = Letter { id: None, reason: "unsupported_version", ..Letter::of("-", 0, 1) };
    letters.publish_original(&nameless, &original("a")).await;
    letters.publish_original(&Letter::of("b", 0, 2), &original("another")).await;
    let replay = letters.dlq(&["replay", "--from-topic", "--output", "json"]).await;
    let actions: Vec<Value> = replay.lines().iter().map(|line| line["action"].clone()).collect();
    assert_eq!(actions[..2], [json!("replayed"), json!("skipped")], "{replay:?}");
    assert_eq!(letters.input().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_missing_or_empty_is_told() {
    let letters = Letters::without_topic().await;
    let missing = letters.dlq(&["list", "--from-topic"]).await;
    assert_eq!(missing.code, 1, "{missing:?}");
    assert!(missing.err.contains("there is no topic") && missing.err.contains("migrate --topics"), "{missing:?}");
    let letters = Letters::new(1).await;
    for command in ["list", "stats", "export", "replay"] {
        let ended = letters.dlq(&[command, "--from-topic"]).await;
        assert_eq!(ended.code, 0, "{command}: {ended:?}");
    }
}
