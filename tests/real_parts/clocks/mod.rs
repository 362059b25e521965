//! A worker whose machine's clock, or its ledger's, is stepped while it works: nothing expires, nothing is postponed, and what it
//! publishes is dated by the ledger's clock.

mod wall_clock;

use std::time::{Duration, Instant};

use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::json;

use crate::support::admin::Admin;
use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::postgres::Postgres;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

use wall_clock::WallClock;

crate::cases! {
    a_machines_clock_that_is_stepped_expires_and_postpones_nothing needs [Kafka, Postgres];
    without_transactions_a_clock_that_is_stepped_expires_and_postpones_nothing needs [Kafka, Postgres];
    a_clock_that_is_the_ledgers_too_expires_and_postpones_nothing needs [Kafka, Postgres];
    a_ledgers_clock_that_is_stepped_expires_and_postpones_nothing needs [Kafka, Postgres];
    a_clock_that_is_put_back_while_there_is_nothing_to_do_stops_no_loop needs [Kafka, Postgres];
}

const HOUR: i64 = 3_600;
/// More than a broker takes by default (an hour ahead), further back than a topic is kept; and right again.
const STEPS: [i64; 4] = [3 * HOUR, -3 * HOUR, -400 * 24 * HOUR, 0];
/// Results are dated by the ledger's clock: so it is not put back by more than topics are kept.
const LEDGER_STEPS: [i64; 4] = [3 * HOUR, -3 * HOUR, -72 * HOUR, 0];
/// Tokens live for as long: less than each step.
const LIFE: Duration = Duration::from_secs(1_800);
/// Loops turn many times a second.
const STUCK_S: u64 = 3;
/// By so much a result may be older or younger than what the test sees.
const NEAR: i64 = 300;

async fn a_machines_clock_that_is_stepped_expires_and_postpones_nothing(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let clock = WallClock::wrong_by(0);
    let seen = steps(&stand, &clock, &clock.environment(), &STEPS).await;
    assert!(seen.iter().all(is_of_now));
}

async fn without_transactions_a_clock_that_is_stepped_expires_and_postpones_nothing(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Idempotent).await;
    let clock = WallClock::wrong_by(0);
    let seen = steps(&stand, &clock, &clock.environment(), &STEPS).await;
    assert!(seen.iter().all(is_of_now));
}

/// With SQLite both clocks are one.
async fn a_clock_that_is_the_ledgers_too_expires_and_postpones_nothing(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let clock = WallClock::wrong_by(0);
    let file = format!("sqlite://{}", stand.folder().join("ledger.db").display());
    let stand = moved(stand, &file);
    steps(&stand, &clock, &clock.environment(), &LEDGER_STEPS).await;
}

async fn a_ledgers_clock_that_is_stepped_expires_and_postpones_nothing(parts: &RealParts) {
    let clock = WallClock::wrong_by(0);
    let server = Postgres::start_with(&clock.environment()).expect("a server");
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let stand = moved(stand, &server.create_database().await);
    steps(&stand, &clock, &[], &LEDGER_STEPS).await;
}

/// The stand with its ledger elsewhere.
fn moved<'a>(stand: Stand<'a>, ledger: &str) -> Stand<'a> {
    stand.amend(&stand.database, ledger);
    assert!(stand.command(&["migrate"]).status.success(), "it is made");
    stand
}

/// A loop that waits for a time of day would wait for a day longer.
async fn a_clock_that_is_put_back_while_there_is_nothing_to_do_stops_no_loop(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let clock = WallClock::wrong_by(0);
    let mut worker = stand.start_worker_with(&clock.environment());
    worker.ready().await;
    let admin = Admin::of(&worker);
    for wrong_by in [-24 * HOUR, -48 * HOUR] {
        clock.step(wrong_by);
        let began = Instant::now();
        let silent = eventually("its loops go on, or they do not", PATIENCE, async || {
            let silent = longest_silence(&admin).await;
            (silent >= STUCK_S || began.elapsed() > Duration::from_secs(STUCK_S)).then_some(silent)
        });
        let silent = silent.await;
        assert!(silent < STUCK_S, "a loop of the worker is silent since the step {wrong_by}");
    }
    assert_eq!(worker.terminate(), 0);
}

/// Of its loops.
async fn longest_silence(admin: &Admin) -> u64 {
    let body = admin.get("/healthz").await.json();
    let loops = body["loops"].as_object().expect("its loops").values();
    loops.map(|one| one["silentSeconds"].as_u64().expect("seconds")).max().expect("a loop")
}

/// Steps the clock while an event waits for a vendor and another one comes.
async fn steps(stand: &Stand<'_>, clock: &WallClock, environment: &[(String, String)], steps: &[i64]) -> Vec<Record> {
    let mut worker = stand.start_worker_with(environment);
    worker.ready().await;
    let mut reader = stand.reader(&[&stand.topics.linked, &stand.topics.rejected, &stand.topics.dead_letter]);
    let mut published = 0;
    for (number, &wrong_by) in steps.iter().enumerate() {
        stand.sandbox.fault(json!({"route": "loanpro.link", "action": "status", "status": 503, "next": 2})).await;
        publish(stand, &format!("waits {wrong_by}")).await;
        clock.step(wrong_by);
        if steps == LEDGER_STEPS {
            eventually("the worker has read it", PATIENCE, async || (told(&worker) > number).then_some(())).await;
        }
        publish(stand, &format!("comes {wrong_by}")).await;
        published += 2;
        reader.read_until(&format!("wrong by {wrong_by} s"), PATIENCE, |seen| seen.len() >= published).await;
    }
    assert_eq!(Admin::of(&worker).get("/healthz").await.status, StatusCode::OK);
    assert_eq!(worker.terminate(), 0);
    assert_eq!(stand.sandbox.booked("profiles").await.len(), published, "each once");
    for record in reader.seen() {
        assert_eq!(record.topic, stand.topics.linked, "{}", record.json());
    }
    reader.seen().to_vec()
}

/// How many steps of the ledger's clock the worker told of.
fn told(worker: &Worker) -> usize {
    worker.log().matches("the ledger's clock was put").count()
}

/// An event whose token lives for less than a step.
async fn publish(stand: &Stand<'_>, id: &str) {
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.tokenise(json!({})).await;
    let mut event = events::temporary(id, &customer, &token);
    event["data"]["expiresAt"] = json!((Timestamp::now() + LIFE).to_string());
    stand.publish(&event).await;
}

/// Kafka keeps a record by the time in it, and refuses one that is far ahead.
fn is_of_now(record: &Record) -> bool {
    let now = Timestamp::now().as_second();
    record.timestamp.is_some_and(|at| (now - at / 1_000).abs() < NEAR)
}
