//! Memory stays bounded, whatever comes in. Measured as the kernel does: the most that the process ever had resident.

use futures_util::future::join_all;
use serde_json::json;

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    ten_thousand_events_of_one_customer_hold_up_nobody_else_and_fill_no_memory needs [Kafka, Postgres];
    the_largest_records_fill_no_memory needs [Kafka, Postgres];
    two_hundred_partitions_on_one_worker_fill_no_memory needs [Kafka, Postgres];
}

const MEBIBYTE: u64 = 1 << 20;
/// A worker that has little to do, in a build for tests.
const IDLE: u64 = 120 * MEBIBYTE;

async fn ten_thousand_events_of_one_customer_hold_up_nobody_else_and_fill_no_memory(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let (busy, other) = (stand.sandbox.create_customer().await, stand.sandbox.create_customer().await);
    let token = stand.sandbox.permanent_token().await;
    for thousand in 0..10 {
        let published = (0..1_000).map(async |number| {
            stand.publish(&events::permanent(&format!("busy-{thousand}-{number}"), &busy, &token)).await
        });
        join_all(published).await;
    }
    stand.publish(&events::permanent("other", &other, &token)).await;
    stand.sandbox.fault(json!({"route": "*", "action": "delay", "delay": 0.2})).await;
    let worker = stand.worker().await;
    let mut reader = stand.reader(&[&stand.topics.linked]);
    let is_other = |record: &Record| record.json()["causationid"] == "other";
    let seen = reader.read_until("the other customer's event", PATIENCE, |seen| seen.iter().any(is_other)).await;
    assert!(seen.len() < 1_000, "it did not wait for the busy one's {} events", seen.len());
    // Each of them about 2 KB in memory, several times over.
    assert_memory(&worker, "10,000 events of one customer", IDLE + 150 * MEBIBYTE);
    worker.kill();
}

async fn the_largest_records_fill_no_memory(parts: &RealParts) {
    // A build for tests takes half a second of processor time for each.
    const RECORDS: usize = 60;
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let value = vec![b'x'; 900_000];
    for number in 0..RECORDS {
        stand.publish_bytes(&number.to_string(), &value).await;
    }
    let limit = ("PROFILE_LINKER_WORKER__MAX_BYTES".to_owned(), (16 * MEBIBYTE).to_string());
    let worker = stand.start_worker_with(&[limit]);
    let mut reader = stand.reader(&[&stand.topics.rejected]);
    reader.read_until("each is rejected", PATIENCE, |seen| seen.len() >= RECORDS).await;
    // 54 MB came in, and about 70 MB went out; each record is there several times over.
    assert_memory(&worker, "60 records of 900 KB", IDLE + 100 * MEBIBYTE);
    assert_eq!(worker.terminate(), 0);
}

async fn two_hundred_partitions_on_one_worker_fill_no_memory(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    // What is a flood elsewhere is the load here.
    stand.amend("pause_min = 400", "pause_min = 1000000\npause_after_run = 1000000");
    stand.kafka.grow_topic(&stand.topics.created, 200).await;
    join_all((0..2_000).map(async |number| stand.publish_bytes(&number.to_string(), b"unreadable").await)).await;
    let worker = stand.worker().await;
    let mut reader = stand.reader(&[&stand.topics.rejected]);
    reader.read_until("each is rejected", PATIENCE, |seen| seen.len() >= 2_000).await;
    assert_memory(&worker, "200 partitions", IDLE + 100 * MEBIBYTE);
    assert_eq!(worker.terminate(), 0);
}

fn assert_memory(worker: &Worker, of: &str, limit: u64) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", worker.pid())).expect("the worker runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells it");
    let most = line.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).expect("a number") * 1_024;
    eprintln!("memory: {of}: {} MiB at most", most / MEBIBYTE);
    assert!(most < limit, "{of}: {} MiB, more than {}", most / MEBIBYTE, limit / MEBIBYTE);
}
