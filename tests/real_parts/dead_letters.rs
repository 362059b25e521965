//! Dead letters as they can be read back: in the topic, by the commands, and unsealed.

use profile_linker::contract::record_bytes::{self, RecordParts};
use profile_linker::contract::schemas::violations;
use profile_linker::domain::Secret;
use profile_linker::ledger::Vault;
use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    every_header_and_field_of_a_dead_letter_is_read_back_and_its_bytes_come_back_exactly needs [Kafka, Postgres];
    an_exported_dead_letter_is_the_published_one needs [Kafka, Postgres];
    a_database_and_a_topic_answer_for_any_time_that_is_asked_for needs [Kafka, Postgres];
}

/// Key, value and headers of an odd record: nothing of it is UTF-8, or is there at all.
type Odd = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(String, Option<Vec<u8>>)>);

fn odd_records() -> Vec<Odd> {
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    vec![
        (Some(vec![0xff, 0, 0xfe]), Some(vec![0xc3, 0x28, 0]), vec![header("h", None), header("h", Some(&[0xff]))]),
        (None, None, vec![header("empty", Some(b""))]),
        (Some(b"text".to_vec()), Some(Vec::new()), Vec::new()),
        (Some(vec![b'k'; 1025]), Some(b"not json".to_vec()), Vec::new()),
    ]
}

async fn every_header_and_field_of_a_dead_letter_is_read_back_and_its_bytes_come_back_exactly(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    let vault = vault(&stand);
    for (count, (key, value, headers)) in (1..).zip(odd_records()) {
        let (partition, offset) = stand.publish_record(key.as_deref(), value.as_deref(), &headers).await;
        let letter = letters(&stand, count).await.into_iter().find(|letter| origin(letter) == (partition, offset));
        let letter = letter.expect("its dead letter");
        assert_told(&letter, &stand, key.as_deref());
        let data = &letter.json()["data"];
        let sealed = data["sealed"].as_str().expect("it is sealed");
        let sealed = data_encoding::BASE64.decode(sealed.as_bytes()).expect("base64");
        let timestamp = &data["origin"]["timestamp"];
        let context = format!("record\n{}\n{partition}\n{offset}\n{timestamp}", stand.topics.created);
        let bytes = vault.open(context.as_bytes(), &sealed).expect("it opens");
        let expected = RecordParts { key, value: value.map(zeroize::Zeroizing::new), headers };
        assert!(record_bytes::decode(&bytes) == Some(expected), "the record comes back as it was: {letter:?}");
    }
    assert_eq!(worker.terminate(), 0);
}

/// What people and generic tools read of it.
fn assert_told(letter: &Record, stand: &Stand<'_>, key: Option<&[u8]>) {
    let event = letter.json();
    assert!(violations("payments.dead-letter.v1", &event).is_empty(), "{event}");
    let data = &event["data"];
    let origin = &data["origin"];
    assert_eq!(origin["topic"], stand.topics.created.as_str());
    let shown = key.filter(|key| key.len() <= 1024);
    let text = shown.and_then(|key| std::str::from_utf8(key).ok());
    assert_eq!(origin.get("key").and_then(Value::as_str), text);
    let base64 = shown.filter(|_| text.is_none()).map(|key| data_encoding::BASE64.encode(key));
    assert_eq!(origin.get("keyBase64").and_then(Value::as_str), base64.as_deref());
    assert_eq!(letter.key.as_deref(), shown, "the key is the original's");
    assert_eq!((&data["reason"]["code"], &data["reason"]["stage"]), (&json!("malformed_event"), &json!("decode")));
    assert_eq!((&data["generation"], &data["keyId"]), (&json!(1), &json!("k1")));
    assert_eq!(data["attempts"], json!({"convert": 0, "link": 0, "lookup": 0}));
    let [topic, partition, offset, timestamp] = ["topic", "partition", "offset", "timestamp"].map(|name| &origin[name]);
    for (name, expected) in [
        ("dlq-original-topic", topic.as_str().unwrap_or_default().to_owned()),
        ("dlq-original-partition", partition.to_string()),
        ("dlq-original-offset", offset.to_string()),
        ("dlq-original-timestamp", timestamp.to_string()),
        ("dlq-reason-code", "malformed_event".to_owned()),
        ("dlq-reason-stage", "decode".to_owned()),
        ("dlq-attempts", "0".to_owned()),
        ("dlq-generation", "1".to_owned()),
        ("kafka_dlt-original-topic", topic.as_str().unwrap_or_default().to_owned()),
    ] {
        assert_eq!(letter.header(name), Some(expected), "{name}");
    }
    let number = |value: &Value| value.as_i64().expect("a number");
    let spring = [
        ("partition", i32::try_from(number(partition)).expect("a partition").to_be_bytes().to_vec()),
        ("offset", number(offset).to_be_bytes().to_vec()),
        ("timestamp", number(timestamp).to_be_bytes().to_vec()),
    ];
    for (name, expected) in spring {
        let name = format!("kafka_dlt-original-{name}");
        let found = letter.headers.iter().find(|(header, _)| *header == name).map(|(_, value)| value.clone());
        assert_eq!(found, Some(expected), "{name}");
    }
}

/// But for the times, which the worker and the ledger take by clocks of their own, and the words of a failure.
async fn an_exported_dead_letter_is_the_published_one(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    stand.publish_bytes("key", b"{\"no event\"").await;
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.tokenise(json!({"outcome": "contradictory"})).await;
    let mut event = events::temporary("unknown", &customer, &token);
    (event["correlationid"], event["traceparent"]) =
        (json!("order-1"), json!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    stand.publish(&event).await;
    let mut published: Vec<Value> = letters(&stand, 2).await.iter().map(Record::json).collect();
    let output = stand.command(&["dlq", "export"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let mut exported: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for event in published.iter_mut().chain(&mut exported) {
        assert!(violations("payments.dead-letter.v1", event).is_empty(), "{event}");
        event["time"].take();
        ["deadLetteredAt", "firstFailedAt"].into_iter().for_each(|name| drop(event["data"][name].take()));
        if event["data"]["reason"]["code"] == "conversion_unknown" {
            event["data"]["reason"]["detail"].take();
        }
    }
    let by_id = |event: &Value| event["id"].to_string();
    published.sort_by_key(by_id);
    exported.sort_by_key(by_id);
    assert_eq!(published, exported);
    assert!(!text.contains(&token), "no token is printed");
    assert_eq!(worker.terminate(), 0);
}

/// Of times that the database or the broker does not know, too.
async fn a_database_and_a_topic_answer_for_any_time_that_is_asked_for(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    stand.publish_bytes("key", b"{\"no event\"").await;
    letters(&stand, 1).await;
    for (time, since, until) in [
        ("3000000d", 1, 0),
        ("99999999999d", 1, 0),
        ("-009998-01-01T00:00:00Z", 1, 0),
        ("1969-12-31T23:59:59.999Z", 1, 0),
        ("9999-12-30T00:00:00Z", 0, 1),
    ] {
        for (edge, found) in [(format!("--since={time}"), since), (format!("--until={time}"), until)] {
            for words in [&["list"][..], &["list", "--from-topic"], &["export"], &["audit"], &["replay", "--dry-run"]] {
                let words = [&["dlq"], words, &[&edge, "--output", "json"]].concat();
                let output = stand.command(&words);
                assert_eq!(output.status.code(), Some(0), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
                let lines = String::from_utf8_lossy(&output.stdout).lines().count();
                assert!(words[1] != "list" || lines == found, "{words:?}: {lines} lines");
            }
        }
    }
    assert_eq!(worker.terminate(), 0);
}

async fn letters(stand: &Stand<'_>, count: usize) -> Vec<Record> {
    let mut reader = stand.reader(&[&stand.topics.dead_letter]);
    reader.read_until("the dead letters are there", PATIENCE, |seen| seen.len() >= count).await;
    stand.all(&stand.topics.dead_letter).await
}

fn origin(letter: &Record) -> (i32, i64) {
    let number = |name: &str| letter.header(name).and_then(|text| text.parse::<i64>().ok()).expect("a number");
    let partition = i32::try_from(number("dlq-original-partition")).expect("a partition");
    (partition, number("dlq-original-offset"))
}

fn vault(stand: &Stand<'_>) -> Vault {
    let key = std::fs::read(stand.folder().join("k1")).expect("the key file");
    let key = data_encoding::BASE64.decode(key.trim_ascii()).expect("a key");
    Vault::new("k1", vec![("k1".to_owned(), Secret::new(key))]).expect("a vault")
}
