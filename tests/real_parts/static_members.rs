//! Workers with a name of their own in the group (`group.instance.id`): a restart within the session time-out moves nothing.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    restarts_of_a_named_member_move_no_partition_and_lose_no_result needs [Kafka, Postgres];
}

/// Of each of the four rounds.
const EVENTS: usize = 60;

async fn restarts_of_a_named_member_move_no_partition_and_lose_no_result(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    // A restart on a loaded machine must fit.
    stand.amend("\"session.timeout.ms\" = 6000", "\"session.timeout.ms\" = 60000");
    stand.sandbox.fault(json!({"route": "*", "action": "delay", "delay": 0.1})).await;
    let (mut restarted, mut other) = (named(&stand, "worker-0"), named(&stand, "worker-1"));
    restarted.ready().await;
    other.ready().await;
    let share = settled(&restarted, &other).await;
    publish(&stand, 0).await;
    results(&stand, EVENTS / 2).await;
    let before = moves(&other);
    for round in 1..=2 {
        publish(&stand, round).await;
        assert_eq!(restarted.terminate(), 0);
        restarted = named(&stand, "worker-0");
        let again = eventually("it has its share again", PATIENCE, async || {
            let held = held(&restarted);
            (held.len() >= share.len()).then_some(held)
        });
        assert_eq!(again.await, share, "the same partitions, round {round}");
    }
    publish(&stand, 3).await;
    results(&stand, 4 * EVENTS).await;
    assert_eq!(moves(&other), before, "the other one gave and took nothing:\n{}", other.log());
    assert_eq!((restarted.terminate(), other.terminate()), (0, 0));
    let linked = stand.all(&stand.topics.linked).await;
    let causes: BTreeSet<String> = linked.iter().map(|one| one.json()["causationid"].to_string()).collect();
    assert_eq!((linked.len(), causes.len()), (4 * EVENTS, 4 * EVENTS), "each event has one result");
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 4 * EVENTS, "each event has one profile");
}

fn named(stand: &Stand<'_>, name: &str) -> Worker {
    stand.start_worker_with(&[("PROFILE_LINKER_KAFKA__PROPERTIES__GROUP__INSTANCE__ID".to_owned(), name.to_owned())])
}

/// Waits until the six partitions are shared; answers what the first one has.
async fn settled(first: &Worker, other: &Worker) -> BTreeSet<i64> {
    let shared = eventually("the partitions are shared", PATIENCE, async || {
        let (one, two) = (held(first), held(other));
        (one.len() == 3 && two.len() == 3 && one.is_disjoint(&two)).then_some(one)
    });
    shared.await
}

/// Partitions that it took, less those that it gave up.
fn held(worker: &Worker) -> BTreeSet<i64> {
    let mut held = BTreeSet::new();
    for line in worker.log().lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok()) {
        let field = |name: &str| line.get(name).or_else(|| line["fields"].get(name)).cloned().unwrap_or_default();
        match field("message").as_str() {
            Some("took the partition over") => _ = held.insert(field("kafka.partition").as_i64().expect("a partition")),
            Some("giving partitions up") => {
                let given: BTreeSet<i64> =
                    serde_json::from_str(field("partitions").as_str().expect("a list")).expect("numbers");
                held.retain(|partition| !given.contains(partition));
            }
            _ => {}
        }
    }
    held
}

/// How often it took a partition or gave some up.
fn moves(worker: &Worker) -> usize {
    let log = worker.log();
    log.matches("took the partition over").count() + log.matches("giving partitions up").count()
}

async fn publish(stand: &Stand<'_>, round: usize) {
    let token = stand.sandbox.permanent_token().await;
    for number in 0..EVENTS {
        let customer = stand.sandbox.create_customer().await;
        stand.publish(&events::permanent(&format!("event-{round}-{number}"), &customer, &token)).await;
    }
}

async fn results(stand: &Stand<'_>, count: usize) {
    let mut reader = stand.reader(&[&stand.topics.linked]);
    reader.read_until("results", PATIENCE, |seen: &[Record]| seen.len() >= count).await;
}
