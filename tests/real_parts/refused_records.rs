//! Results that the broker does not take: their partition waits, loudly; nothing passes them; nobody else waits.

use serde_json::{Value, json};

use crate::support::admin::{Admin, sample};
use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    a_missing_dead_letter_topic_holds_up_its_partition_only needs [Kafka, Postgres];
    a_dead_letter_too_large_for_its_topic_holds_up_its_partition_only needs [Kafka, Postgres];
    a_dead_letter_too_large_for_a_topic_that_shrank_goes_without_its_original needs [Kafka, Postgres];
    without_transactions_a_refused_dead_letter_does_not_repeat_what_is_before_it needs [Kafka, Postgres];
}

/// Its dead letter is larger than [`SMALL`], and without it smaller.
const LARGE_RECORD: usize = 200_000;
/// What the dead-letter topic takes at first.
const SMALL: &str = "100000";
/// No dead letter is so small, with its original or without.
const TINY: &str = "500";
/// What it takes when it is mended.
const LARGE: &str = "1000000";

async fn a_missing_dead_letter_topic_holds_up_its_partition_only(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    stand.kafka.delete_topic(&stand.topics.dead_letter).await;
    let scene = Scene::play(&stand, &worker, b"unreadable").await;
    let admin = Admin::of(&worker);
    let body = admin.until("broker", "down").await;
    let reason = body["checks"]["broker"]["reason"].as_str().expect("a reason");
    assert!(body["ready"] == false && reason.contains("dead letter of partition"), "{body}");
    stand.kafka.create_topic(&stand.topics.dead_letter, 4).await;
    scene.goes_on().await;
    admin.until("broker", "ok").await;
    assert_eq!(worker.terminate(), 0);
}

async fn a_dead_letter_too_large_for_its_topic_holds_up_its_partition_only(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    // Only now: a worker does not start on a topic that is too small.
    stand.kafka.set_topic(&stand.topics.dead_letter, "max.message.bytes", TINY).await;
    let scene = Scene::play(&stand, &worker, &[b'x'; LARGE_RECORD]).await;
    let admin = Admin::of(&worker);
    admin.until("broker", "down").await;
    eventually("it is counted", PATIENCE, async || (held_up(&admin).await == Some(1.0)).then_some(())).await;
    stand.kafka.set_topic(&stand.topics.dead_letter, "max.message.bytes", LARGE).await;
    scene.goes_on().await;
    eventually("it is over", PATIENCE, async || (held_up(&admin).await == Some(0.0)).then_some(())).await;
    assert_eq!(worker.terminate(), 0);
}

async fn a_dead_letter_too_large_for_a_topic_that_shrank_goes_without_its_original(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    // The worker read the topic's settings when it started.
    stand.kafka.set_topic(&stand.topics.dead_letter, "max.message.bytes", SMALL).await;
    let customer = stand.sandbox.create_customer().await;
    stand.publish_bytes(&customer, &[b'x'; LARGE_RECORD]).await;
    stand.publish(&permanent(&stand, "behind", &customer).await).await;
    let mut reader = stand.reader(&[&stand.topics.linked]);
    reader.read_until("the event behind is published", PATIENCE, |seen| seen.iter().any(is_behind)).await;
    Admin::of(&worker).until("broker", "ok").await;
    assert_eq!(worker.terminate(), 0);
    let letters = stand.all(&stand.topics.dead_letter).await;
    let [letter] = &letters[..] else { panic!("one dead letter: {}", letters.len()) };
    assert!(is_without_original(letter), "{}", letter.json());
    let exported = stand.command(&["dlq", "export", "--output", "json"]);
    let exported: Value = serde_json::from_slice(&exported.stdout).expect("one dead letter");
    assert!(exported["data"]["sealed"].is_string(), "the ledger has it: {}", exported["data"]["reason"]);
}

/// Partitions that wait at a refused result, as `/metrics` tells it.
async fn held_up(admin: &Admin) -> Option<f64> {
    sample(&admin.get("/metrics").await.text, "profile_linker_publishing_refused", &[])
}

fn is_without_original(letter: &Record) -> bool {
    let data = &letter.json()["data"];
    data["sealedOmitted"] == "too_large" && data.get("sealed").is_none() && data.get("keyId").is_none()
}

async fn without_transactions_a_refused_dead_letter_does_not_repeat_what_is_before_it(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Idempotent).await;
    let mut worker = stand.worker().await;
    stand.kafka.set_topic(&stand.topics.dead_letter, "max.message.bytes", SMALL).await;
    // Both are there before the worker looks, so that they end in one write and are published in one cycle.
    worker.freeze();
    let customer = stand.sandbox.create_customer().await;
    stand.publish_bytes(&customer, b"before").await;
    stand.publish_bytes(&customer, &[b'x'; LARGE_RECORD]).await;
    worker.thaw();
    let mut reader = stand.reader(&[&stand.topics.dead_letter]);
    reader.read_until("both dead letters", PATIENCE, |seen| seen.len() >= 2).await;
    assert_eq!(worker.terminate(), 0);
    let letters = stand.all(&stand.topics.dead_letter).await;
    let offsets: Vec<Option<String>> = letters.iter().map(|letter| letter.header("dlq-original-offset")).collect();
    assert_eq!(offsets, ["0", "1"].map(|offset| Some(offset.to_owned())), "each once, in order");
    assert_eq!(letters.iter().map(is_without_original).collect::<Vec<_>>(), [false, true]);
}

/// A bad record, an event behind it in its partition, and one in another partition.
struct Scene<'a> {
    stand: &'a Stand<'a>,
}

impl<'a> Scene<'a> {
    /// Publishes them, and waits until the bad one was refused twice and the others are worked off.
    async fn play(stand: &'a Stand<'a>, worker: &Worker, bad: &[u8]) -> Self {
        let customer = stand.sandbox.create_customer().await;
        let (held, _) = stand.publish_bytes(&customer, bad).await;
        stand.publish(&permanent(stand, "behind", &customer).await).await;
        let mut beside = held;
        while beside == held {
            let other = stand.sandbox.create_customer().await;
            (beside, _) = stand.publish(&permanent(stand, &format!("beside-{other}"), &other).await).await;
        }
        refused(worker, 2).await;
        // Of those, the last one went to another partition than the bad record; all topics have as many partitions.
        let is_beside = |record: &Record| record.partition == beside;
        let mut reader = stand.reader(&[&stand.topics.linked]);
        reader.read_until("the other partition goes on", PATIENCE, |seen| seen.iter().any(is_beside)).await;
        eventually("the event behind is linked", PATIENCE, async || state(stand, "behind").filter(|s| s == "linked"))
            .await;
        let scene = Self { stand };
        assert!(!scene.behind_is_out().await, "nothing passes a refused record");
        scene
    }

    async fn behind_is_out(&self) -> bool {
        self.stand.all(&self.stand.topics.linked).await.iter().any(is_behind)
    }

    /// After the topic was mended everything is there, once.
    async fn goes_on(&self) {
        let mut reader = self.stand.reader(&[&self.stand.topics.linked]);
        reader.read_until("the event behind is published", PATIENCE, |seen| seen.iter().any(is_behind)).await;
        assert_eq!(self.stand.all(&self.stand.topics.rejected).await.len(), 1, "one rejection");
        assert_eq!(self.stand.all(&self.stand.topics.dead_letter).await.len(), 1, "one dead letter");
    }
}

fn is_behind(record: &Record) -> bool {
    record.json()["causationid"] == "behind"
}

async fn permanent(stand: &Stand<'_>, id: &str, customer: &str) -> Value {
    events::permanent(id, customer, &stand.sandbox.permanent_token().await)
}

/// Waits for so many refusals in the worker's log: it says them loudly.
async fn refused(worker: &Worker, times: usize) {
    let said = eventually("the refusal is said, and tried again", PATIENCE, async || {
        let log = worker.log();
        let lines =
            log.lines().filter(|line| line.contains("ERROR") && line.contains("the broker refuses a record of"));
        (lines.count() >= times).then_some(())
    });
    said.await;
}

fn state(stand: &Stand<'_>, event: &str) -> Option<String> {
    let shown = stand.command(&["ledger", "show", event, "--output", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap_or(json!({}));
    shown["state"].as_str().map(str::to_owned)
}
