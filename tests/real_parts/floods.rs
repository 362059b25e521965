//! How far the flood guard lets a flood run, and that it needs no ledger to stop one.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::admin::Admin;
use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    of_a_flood_of_bad_input_no_more_is_dead_lettered_than_is_in_flight needs [Kafka, Postgres];
    of_a_flood_that_a_vendor_makes_no_more_is_dead_lettered_than_is_in_flight needs [Kafka, Postgres];
    a_guard_whose_pause_cannot_be_written_stops_all_the_same_and_says_so needs [Kafka, Postgres];
}

/// The guard's limit.
const RUN: usize = 20;
/// `worker.max_in_flight` of the stand.
const IN_FLIGHT: usize = 40;
/// Several of the batches in which records are fetched.
const FLOOD: usize = 1_200;
const AT_ONCE: usize = 32;
/// Longer than what is on its way takes to end.
const A_WHILE: Duration = Duration::from_secs(4);

async fn of_a_flood_of_bad_input_no_more_is_dead_lettered_than_is_in_flight(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let bad = (0..FLOOD).map(|number| {
        let (stand, key) = (&stand, format!("key {number}"));
        async move { stand.publish_bytes(&key, b"not an event").await }
    });
    stream::iter(bad).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    let worker = guarded(&stand, RUN).await;
    assert_stopped_in_time(&stand, worker, "bad input").await;
}

/// The converter answers each of them so that it cannot be told whether its token was used.
async fn of_a_flood_that_a_vendor_makes_no_more_is_dead_lettered_than_is_in_flight(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let doubtful = (0..FLOOD / 4).map(|number| {
        let stand = &stand;
        async move {
            let token = stand.sandbox.tokenise(json!({"outcome": "duplicate_payment"})).await;
            let customer = stand.sandbox.create_customer().await;
            stand.publish(&events::temporary(&format!("event-{number}"), &customer, &token)).await
        }
    });
    stream::iter(doubtful).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    let worker = guarded(&stand, RUN).await;
    assert_stopped_in_time(&stand, worker, "a vendor").await;
}

/// The answers to the guard's writes are as good as lost: the table of their audit lines is locked.
async fn a_guard_whose_pause_cannot_be_written_stops_all_the_same_and_says_so(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = guarded(&stand, 5).await;
    let admin = Admin::of(&worker);
    let mut holder = PgConnection::connect(&stand.database).await.expect("a connection");
    let mut lock = holder.begin().await.expect("a transaction");
    lock.execute("lock table audit in exclusive mode").await.expect("the lock");
    for _ in 0..5 {
        stand.publish_bytes("1", b"not an event").await;
    }
    let body = admin.until("intake", "paused").await;
    let reason = body["checks"]["intake"]["reason"].as_str().unwrap_or_default();
    assert_eq!(reason, "paused by the flood guard: 5 dead letters in a row", "{body}");
    let since = body["checks"]["intake"]["since"].clone();
    stand.publish_bytes("1", b"not an event either").await;
    let rows = "select count(*) from pause";
    let written = async |stand: &Stand<'_>| -> i64 {
        let mut connection = PgConnection::connect(&stand.database).await.expect("a connection");
        sqlx::query_scalar(rows).fetch_one(&mut connection).await.expect("the pauses")
    };
    assert_eq!(written(&stand).await, 0, "the ledger does not have it");
    lock.rollback().await.expect("the lock is released");
    eventually("the pause is written", PATIENCE, async || (written(&stand).await == 1).then_some(())).await;
    let body = admin.until("intake", "paused").await;
    assert_eq!(body["checks"]["intake"]["since"], since, "it is one pause all the while: {body}");
    assert_eq!(stand.all(&stand.topics.dead_letter).await.len(), 5, "nothing was taken in meanwhile");
    assert_eq!(worker.terminate(), 0);
}

async fn guarded(stand: &Stand<'_>, run: usize) -> Worker {
    let name = "PROFILE_LINKER_DEAD_LETTERS__PAUSE_AFTER_RUN".to_owned();
    let mut worker = stand.start_worker_with(&[(name, run.to_string())]);
    worker.ready().await;
    worker
}

async fn assert_stopped_in_time(stand: &Stand<'_>, worker: Worker, whose: &str) {
    Admin::of(&worker).until("intake", "paused").await;
    let began = Instant::now();
    eventually("a while passes", PATIENCE, async || (began.elapsed() >= A_WHILE).then_some(())).await;
    let dead = stand.all(&stand.topics.dead_letter).await.len();
    println!("floods: {whose}: {dead} dead letters, the guard's limit is {RUN}, in flight {IN_FLIGHT}");
    assert!((RUN..=RUN + IN_FLIGHT).contains(&dead), "{dead}");
    assert_eq!(worker.terminate(), 0);
}
