//! Topics that take less than they do by default: a record that would be refused is made smaller, and many that only together
//! are too large are not sent together.

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    a_dead_letter_that_its_topic_would_refuse_is_published_without_its_original needs [Kafka, Postgres];
    results_that_only_together_are_too_large_for_their_topic_are_published needs [Kafka, Postgres];
}

/// What the topics take here: a little more than the largest result.
const SMALL: &str = "70000";
/// Its dead letter is larger than that.
const LARGE_RECORD: usize = 200_000;
/// So many rejections, sent at once, are several times larger than that.
const MANY: usize = 300;

async fn a_dead_letter_that_its_topic_would_refuse_is_published_without_its_original(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    stand.kafka.set_topic(&stand.topics.dead_letter, "max.message.bytes", SMALL).await;
    let worker = stand.worker().await;
    let customer = stand.sandbox.create_customer().await;
    stand.publish_bytes(&customer, &[b'x'; LARGE_RECORD]).await;
    stand.publish_bytes(&customer, b"small").await;
    let token = stand.sandbox.permanent_token().await;
    stand.publish(&events::permanent("behind", &customer, &token)).await;
    let mut reader = stand.reader(&[&stand.topics.linked]);
    reader.read_until("the event behind it is published", PATIENCE, |seen| !seen.is_empty()).await;
    let letters = stand.all(&stand.topics.dead_letter).await;
    let [large, small] = &letters[..] else { panic!("not two dead letters but {}", letters.len()) };
    let data = |record: &Record| record.json()["data"].clone();
    assert_eq!(data(large)["sealedOmitted"], "too_large");
    assert_eq!(data(large).get("sealed"), None);
    assert_eq!(data(small).get("sealedOmitted"), None, "there is room for a small one");
    assert!(data(small)["sealed"].is_string());
    let exported: Vec<Value> = exported(&stand).iter().map(|event| event["data"].clone()).collect();
    let sealed: Vec<usize> = exported.iter().map(|data| data["sealed"].as_str().map_or(0, str::len)).collect();
    assert!(sealed.len() == 2 && sealed[0] > LARGE_RECORD, "the ledger has it, and a file has room: {sealed:?}");
    assert_eq!(exported[1]["sealed"], data(small)["sealed"], "what was published whole is exported so");
    assert_eq!(worker.terminate(), 0);
}

async fn results_that_only_together_are_too_large_for_their_topic_are_published(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    stand.kafka.set_topic(&stand.topics.rejected, "max.message.bytes", SMALL).await;
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.permanent_token().await;
    let mut event = events::permanent(&"e".repeat(500), &customer, &token);
    event["correlationid"] = json!("c".repeat(500));
    // All but the first are conflicts: they end in the write that accepts them, and so at once.
    for number in 0..=MANY {
        event["data"]["title"] = json!(format!("title {number}"));
        stand.publish(&event).await;
    }
    let worker = stand.worker().await;
    let mut reader = stand.reader(&[&stand.topics.rejected]);
    let seen = reader.read_until("every conflict has its rejection", PATIENCE, |seen| seen.len() >= MANY).await;
    let bytes: usize = seen.iter().map(|record| record.json().to_string().len()).sum();
    assert!(bytes > 5 * SMALL.parse::<usize>().expect("a number"), "they would have fitted together: {bytes}");
    assert_eq!(worker.terminate(), 0);
}

fn exported(stand: &Stand<'_>) -> Vec<Value> {
    let exported = stand.command(&["dlq", "export"]);
    let lines = String::from_utf8_lossy(&exported.stdout).into_owned();
    lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}
