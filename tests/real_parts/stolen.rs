//! A lane that another worker took while a cycle of ours was on its way to the broker.

use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, PgConnection};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::{eventually, within};
use crate::support::positions::Positions;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    a_lane_is_not_taken_again_while_a_cycle_of_ours_may_become_visible needs [Kafka, Postgres];
}

/// A fenced worker asks for its lane after two heartbeats, of a second here; three seconds show that it does not take it.
const LONGER_THAN_THE_PAUSE: Duration = Duration::from_secs(3);

async fn a_lane_is_not_taken_again_while_a_cycle_of_ours_may_become_visible(_: &RealParts) {
    // A broker of its own, to be frozen.
    let own = RealParts::default();
    let stand = Stand::prepare(&own, Delivery::Transactional).await;
    stand.amend("\"session.timeout.ms\" = 6000", "\"session.timeout.ms\" = 30000");
    stand.amend("\ntimeout = \"2s\"", "\ntimeout = \"10s\"");
    let worker = stand.worker().await;
    let mut ledger = PgConnection::connect(&stand.database).await.expect("a connection to the ledger");
    let partition = result_waits_for_a_frozen_broker(&stand, &mut ledger).await;
    let stolen = steal(&mut ledger, partition).await;
    let fenced = eventually("the worker sees that the lane is another's", PATIENCE, async || {
        worker.log().contains("the lane was taken by another worker").then_some(())
    });
    fenced.await;
    within(LONGER_THAN_THE_PAUSE, || None::<()>);
    let early = epoch(&mut ledger, partition).await > stolen;
    stand.kafka.thaw();
    let taken = eventually("the lane is taken again", PATIENCE, async || {
        (epoch(&mut ledger, partition).await > stolen).then_some(())
    });
    taken.await;
    assert_eq!(results_when_all_is_said(&stand, worker).await, ["first", "second"], "taken early: {early}");
}

/// The event's end is in the ledger, and its cycle stands before a broker that does not answer.
async fn result_waits_for_a_frozen_broker(stand: &Stand<'_>, ledger: &mut PgConnection) -> i32 {
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "delay", "delay": 2.5, "next": 1})).await;
    let (partition, _) = publish(stand, "first").await;
    let positions = Positions::of(stand.kafka.brokers(), &stand.group, &stand.topics.created, 6);
    // The position's own cycle is over; the next one is the result's.
    let committed = eventually("the position is committed", PATIENCE, async || positions.at_the_end().then_some(()));
    committed.await;
    stand.kafka.freeze();
    let ended = eventually("the event ends", PATIENCE, async || {
        let count = sqlx::query_scalar("select count(*) from event where state = 3");
        let count: i64 = count.fetch_one(&mut *ledger).await.expect("a count");
        (count == 1).then_some(())
    });
    ended.await;
    partition
}

async fn publish(stand: &Stand<'_>, id: &str) -> (i32, i64) {
    let customer = stand.sandbox.create_customer().await;
    let event = events::permanent(id, &customer, &stand.sandbox.permanent_token().await);
    stand.publish_bytes("one key", event.to_string().as_bytes()).await
}

/// As a worker does that wakes with an assignment of long ago.
async fn steal(ledger: &mut PgConnection, partition: i32) -> i64 {
    let raise =
        sqlx::query_scalar("update lane set epoch = epoch + 1, owner = 'a thief' where lane = $1 returning epoch");
    raise.bind(partition).fetch_one(ledger).await.expect("a raised epoch")
}

async fn epoch(ledger: &mut PgConnection, partition: i32) -> i64 {
    let epoch = sqlx::query_scalar("select epoch from lane where lane = $1").bind(partition);
    epoch.fetch_one(ledger).await.expect("an epoch")
}

/// Causes of all results, in the order of the partitions, after the worker has ended.
async fn results_when_all_is_said(stand: &Stand<'_>, worker: crate::support::worker::Worker) -> Vec<String> {
    publish(stand, "second").await;
    let mut reader = stand.reader(&[&stand.topics.linked]);
    let cause = |record: &Record| record.json()["causationid"].as_str().unwrap_or_default().to_owned();
    reader.read_until("the second is linked", PATIENCE, |seen| seen.iter().any(|one| cause(one) == "second")).await;
    assert_eq!(worker.terminate(), 0);
    let mut causes: Vec<String> = stand.all(&stand.topics.linked).await.iter().map(cause).collect();
    causes.sort();
    causes
}
