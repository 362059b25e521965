//! Progress that survives: thousands of events that wait hold back no position, and need neither their worker nor the
//! topic's records to go on where they were.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::positions::Positions;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    ten_thousand_waiting_events_survive_a_kill_and_the_loss_of_their_records needs [Kafka, Postgres];
}

const CUSTOMERS: usize = 2_500;
/// Of each customer, so that there is an order to keep.
const EACH: usize = 4;
const WAITING: usize = CUSTOMERS * EACH;
/// Published before the trouble began.
const BEFORE: usize = 50;
/// Longer than a kill, a time-out of the group and a take-over: a schedule that was forgotten shows.
const RETRY_AFTER_SECONDS: u64 = 60;
/// Ten thousand events on a loaded machine, in a build for tests.
const LONG: Duration = Duration::from_secs(480);
/// What the sandbox and the broker take at once.
const AT_ONCE: usize = 64;

async fn ten_thousand_waiting_events_survive_a_kill_and_the_loss_of_their_records(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    // With its breaker open most of them would only wait in memory, without a time of their own.
    stand.amend("[retry]", "[breaker]\nfailures = 10000\n[retry]");
    let worker = stand.worker().await;
    let token = stand.sandbox.permanent_token().await;
    let customers = customers(&stand).await;
    publish(&stand, "before", 0, &customers[..BEFORE], &token).await;
    linked(&stand, BEFORE, PATIENCE).await;
    let wait = json!({"Retry-After": RETRY_AFTER_SECONDS.to_string()});
    stand.sandbox.fault(json!({"route": "loanpro.*", "action": "status", "status": 503, "headers": wait})).await;
    for number in 0..EACH {
        publish(&stand, "waiting", number, &customers, &token).await;
    }
    let mut ledger = PgConnection::connect(&stand.database).await.expect("a connection to the ledger");
    positions_pass_all_that_waits(&stand, &mut ledger).await;
    worker.kill();
    let due = schedule(&mut ledger).await;
    lose_the_records(&stand).await;
    stand.sandbox.heal().await;
    let restarted = Timestamp::now();
    let worker = stand.worker().await;
    let results = linked(&stand, BEFORE + WAITING, LONG).await;
    assert_eq!(worker.terminate(), 0);
    assert_each_once_and_in_order(&stand, &customers, &results).await;
    assert_not_early(&due, &results, restarted);
}

async fn customers(stand: &Stand<'_>) -> Vec<String> {
    stream::iter(0..CUSTOMERS).map(|_| stand.sandbox.create_customer()).buffer_unordered(AT_ONCE).collect().await
}

/// One event for each customer.
async fn publish(stand: &Stand<'_>, name: &str, number: usize, customers: &[String], token: &str) {
    let published = customers.iter().map(async |customer| {
        stand.publish(&events::permanent(&format!("{name}-{customer}-{number}"), customer, token)).await
    });
    stream::iter(published).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
}

/// Everything that is linked, once there is so much of it; each result as the reader saw it.
async fn linked(stand: &Stand<'_>, count: usize, limit: Duration) -> Vec<Value> {
    let mut reader = stand.reader(&[&stand.topics.linked]);
    reader.read_until(&format!("{count} results"), limit, |seen| seen.len() >= count).await;
    stand.all(&stand.topics.linked).await.iter().map(Record::json).collect()
}

/// Each customer's first event backs off, the others wait behind it, and Kafka's position is behind them all.
async fn positions_pass_all_that_waits(stand: &Stand<'_>, ledger: &mut PgConnection) {
    let positions = Positions::of(stand.kafka.brokers(), &stand.group, &stand.topics.created, 6);
    let passed = eventually("the committed positions pass all that waits", LONG, async || {
        let (unfinished, backed_off): (i64, i64) =
            sqlx::query_as("select count(*), count(due_at) from event where state < 3")
                .fetch_one(&mut *ledger)
                .await
                .expect("counts");
        let all_wait = unfinished == WAITING as i64 && backed_off >= CUSTOMERS as i64;
        (all_wait && positions.at_the_end()).then_some(())
    });
    passed.await;
}

/// When each event that backs off is due, by its id.
async fn schedule(ledger: &mut PgConnection) -> BTreeMap<String, Timestamp> {
    let rows: Vec<(String, i64)> = sqlx::query_as(
        "select id, (extract(epoch from due_at) * 1000)::bigint from event join input using (key) \
         where state < 3 and due_at is not null",
    )
    .fetch_all(ledger)
    .await
    .expect("due times");
    rows.into_iter().map(|(id, due_ms)| (id, Timestamp::from_millisecond(due_ms).expect("a time"))).collect()
}

/// Deletes the input topic's records, all of them, as its retention would.
async fn lose_the_records(stand: &Stand<'_>) {
    let positions = Positions::of(stand.kafka.brokers(), &stand.group, &stand.topics.created, 6);
    for (partition, end) in positions.committed() {
        stand.kafka.delete_records(&stand.topics.created, partition, end).await;
    }
    assert!(stand.all(&stand.topics.created).await.is_empty(), "the records are gone");
}

async fn assert_each_once_and_in_order(stand: &Stand<'_>, customers: &[String], results: &[Value]) {
    let causes: BTreeSet<&str> = results.iter().map(cause).collect();
    assert_eq!((results.len(), causes.len()), (BEFORE + WAITING, BEFORE + WAITING), "each event has one result");
    let mut seen: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for result in results.iter().filter(|result| cause(result).starts_with("waiting-")) {
        let customer = result["data"]["customer"]["id"].as_str().expect("a customer");
        seen.entry(customer).or_default().push(cause(result));
    }
    for customer in customers {
        let published: Vec<String> = (0..EACH).map(|number| format!("waiting-{customer}-{number}")).collect();
        assert_eq!(seen[customer.as_str()], published, "customer {customer} keeps the order");
    }
    assert_eq!(stand.sandbox.booked("profiles").await.len(), BEFORE + WAITING, "each event has one profile");
    assert!(stand.all(&stand.topics.rejected).await.is_empty(), "nothing is rejected");
}

/// Nothing is tried before it is due, and for most of them this mattered: they were not due when the worker came back.
fn assert_not_early(due: &BTreeMap<String, Timestamp>, results: &[Value], restarted: Timestamp) {
    let late = due.values().filter(|due| **due > restarted).count();
    eprintln!("progress: {} events with a due time, {late} of them due after the restart", due.len());
    assert!(late > CUSTOMERS / 2, "only {late} were not due when the worker came back");
    for result in results {
        let linked_at: Timestamp = result["data"]["linkedAt"].as_str().expect("a time").parse().expect("RFC 3339");
        if let Some(due) = due.get(cause(result)) {
            assert!(linked_at >= *due, "{} was due at {due} and linked at {linked_at}", cause(result));
        }
    }
}

fn cause(result: &Value) -> &str {
    result["causationid"].as_str().expect("a result names its input")
}
