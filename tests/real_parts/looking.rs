//! `watch` and `publish --wait` on topics whose offsets are not only records: transactions leave markers.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::stand::{Delivery, Stand};

crate::cases! {
    back_counts_records_and_not_what_transactions_leave_between_them needs [Kafka, Postgres];
    waiting_for_an_event_that_had_its_result_finds_that_one needs [Kafka, Postgres];
}

const LIMIT: Duration = Duration::from_secs(30);

async fn back_counts_records_and_not_what_transactions_leave_between_them(parts: &RealParts) {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    let topics = &stand.topics;
    for topic in [&topics.created, &topics.linked, &topics.rejected, &topics.dead_letter] {
        stand.kafka.create_topic(topic, 1).await;
    }
    let producer = producer(stand.kafka.brokers());
    for number in 0..6 {
        transaction(&producer, &topics.linked, &format!("e{number}"), true);
        transaction(&producer, &topics.linked, "aborted", false);
    }
    for (back, expected) in [("-3", ["e3", "e4", "e5", "new"].as_slice()), ("-0", &["new"]), ("-1", &["e5", "new"])] {
        let shown = watched(&stand, back, expected.len(), || transaction(&producer, &topics.linked, "new", true));
        assert_eq!(shown, expected, "{back}");
        // What was new is behind the place from which the next one looks back.
        transaction(&producer, &topics.linked, "e3", true);
        transaction(&producer, &topics.linked, "e4", true);
        transaction(&producer, &topics.linked, "e5", true);
    }
}

/// What `watch` shows from there on; `act` comes once it says that it watches, so that a count that is too small shows
/// wrong records instead of waiting for ever.
fn watched(stand: &Stand<'_>, back: &str, limit: usize, act: impl Fn()) -> Vec<String> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_profile-linker"))
        .args(["watch", "--from", back, "--limit", &limit.to_string(), "--config"])
        .arg(stand.config())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut said = String::new();
    BufReader::new(child.stderr.take().expect("a pipe")).read_line(&mut said).expect("it says something");
    assert!(said.starts_with("watching "), "{said}");
    (0..limit).for_each(|_| act());
    let out = child.wait_with_output().expect("it ends").stdout;
    let id = |line: &str| line.split_whitespace().nth(3).unwrap_or_default().trim_end_matches(':').to_owned();
    String::from_utf8_lossy(&out).lines().map(id).collect()
}

fn producer(brokers: &str) -> BaseProducer {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("transactional.id", Uuid::new_v4().to_string());
    let producer: BaseProducer = config.create().expect("a producer");
    producer.init_transactions(LIMIT).expect("transactions are ready");
    producer
}

/// One result in a transaction of its own, as a worker with little to do writes them.
fn transaction(producer: &BaseProducer, topic: &str, id: &str, commits: bool) {
    let event = json!({
        "specversion": "1.0", "type": "payments.profile-linked.v1", "source": "urn:profile-linker", "id": "r",
        "data": {"created": {"source": "urn:test", "id": id}, "customer": {"system": "loanpro", "id": "1"}},
    });
    producer.begin_transaction().expect("a transaction");
    let payload = event.to_string();
    producer.send(BaseRecord::to(topic).key("1").payload(&payload)).map_err(|(error, _)| error).expect("it is queued");
    producer.flush(LIMIT).expect("it is sent");
    match commits {
        true => producer.commit_transaction(LIMIT),
        false => producer.abort_transaction(LIMIT),
    }
    .expect("the transaction ends");
}

async fn waiting_for_an_event_that_had_its_result_finds_that_one(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let _worker = stand.worker().await;
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.tokenise(json!({})).await;
    let mut event = events::temporary("again", &customer, &token);
    let first = published(&stand, &event);
    let second = published(&stand, &event);
    assert_eq!((first.0, second.0), (0, 0));
    assert_eq!(first.1, second.1, "the very same record is shown");
    // The same identity with another payload is refused: the result that was there would be the wrong answer.
    event["data"]["title"] = json!("another payload");
    let (code, refused) = published(&stand, &event);
    assert_eq!(code, 1);
    assert_eq!(refused["event"]["data"]["reason"]["code"], "event_id_conflict", "{refused}");
    let (code, shown) = published(&stand, &events::temporary("again", &customer, &token));
    assert_eq!((code, &shown), (0, &first.1), "a refused conflict is not the event's own result");
}

fn published(stand: &Stand<'_>, event: &Value) -> (i32, Value) {
    let file = stand.file("event.json", &event.to_string());
    let file = file.to_str().expect("a path of text");
    let output = stand.command(&["publish", file, "--wait", "--output", "json"]);
    let line = serde_json::from_slice(&output.stdout);
    let line = line.unwrap_or_else(|_| panic!("no result: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().expect("it ended by itself"), line)
}
