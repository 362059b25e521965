//! Blow after blow: workers that are killed, or join and leave, while a reader outside of them counts what it sees.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::records::Reader;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    two_workers_killed_again_and_again_publish_each_result_once_and_in_order needs [Kafka, Postgres];
    three_workers_killed_again_and_again_publish_each_result_once_and_in_order needs [Kafka, Postgres];
    workers_that_come_and_go_publish_each_result_once_and_in_order needs [Kafka, Postgres];
}

/// Of one customer come in order, so they must be spread for work to be under way when a blow falls.
const CUSTOMERS: usize = 100;
const EVENTS: usize = 1_000;
/// Of each answer of the vendors: with the limit of calls in flight the work takes longer than the blows.
const SLOWNESS_SECONDS: f64 = 0.2;

async fn two_workers_killed_again_and_again_publish_each_result_once_and_in_order(parts: &RealParts) {
    kill_again_and_again(parts, 2, 3).await;
}

async fn three_workers_killed_again_and_again_publish_each_result_once_and_in_order(parts: &RealParts) {
    kill_again_and_again(parts, 3, 3).await;
}

async fn kill_again_and_again(parts: &RealParts, count: usize, kills: usize) {
    let storm = Storm::begin(parts).await;
    let mut workers = storm.workers(count).await;
    let mut reader = storm.stand.reader(&[&storm.stand.topics.linked]);
    let mut take_overs = Vec::new();
    for kill in 0..kills {
        results(&mut reader, EVENTS * (kill + 1) / (kills + 2)).await;
        let before = storm.stand.all(&storm.stand.topics.linked).await.len();
        workers.remove(0).kill();
        let killed = Instant::now();
        workers.push(storm.stand.start_worker());
        // More than the others can still publish of their own: the dead one's partitions go on.
        results(&mut reader, (before + EVENTS / 10).min(EVENTS)).await;
        take_overs.push(killed.elapsed());
    }
    storm.end(reader, workers, &format!("{kills} kills of {count} workers"), &take_overs).await;
}

async fn workers_that_come_and_go_publish_each_result_once_and_in_order(parts: &RealParts) {
    let storm = Storm::begin(parts).await;
    let mut workers = storm.workers(2).await;
    let mut reader = storm.stand.reader(&[&storm.stand.topics.linked]);
    let rounds = 6;
    for round in 0..rounds {
        results(&mut reader, EVENTS * (round + 1) / (rounds + 2)).await;
        let mut guest = storm.stand.start_worker();
        guest.ready().await;
        workers.push(guest);
        assert_eq!(workers.remove(0).terminate(), 0, "it leaves in good order");
    }
    storm.end(reader, workers, &format!("{rounds} joined and left"), &[]).await;
}

/// The events of one test.
struct Storm<'a> {
    stand: Stand<'a>,
    /// Ids of each customer's events in input order.
    published: BTreeMap<String, Vec<String>>,
    began: Instant,
}

impl<'a> Storm<'a> {
    /// Publishes everything before there is a worker. Permanent tokens only: no conversion can get lost.
    async fn begin(parts: &'a RealParts) -> Self {
        let stand = Stand::prepare(parts, Delivery::Transactional).await;
        let mut published: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut customers = Vec::new();
        for _ in 0..CUSTOMERS {
            customers.push(stand.sandbox.create_customer().await);
        }
        let token = stand.sandbox.permanent_token().await;
        for number in 0..EVENTS {
            let (id, customer) = (format!("event-{number:05}"), &customers[number % CUSTOMERS]);
            stand.publish(&events::permanent(&id, customer, &token)).await;
            published.entry(customer.clone()).or_default().push(id);
        }
        stand.sandbox.fault(json!({"route": "*", "action": "delay", "delay": SLOWNESS_SECONDS})).await;
        Self { stand, published, began: Instant::now() }
    }

    async fn workers(&self, count: usize) -> Vec<Worker> {
        let mut workers: Vec<Worker> = (0..count).map(|_| self.stand.start_worker()).collect();
        for worker in &mut workers {
            worker.ready().await;
        }
        workers
    }

    /// Waits for the last result, ends the workers, and counts.
    async fn end(self, mut reader: Reader, workers: Vec<Worker>, blows: &str, take_overs: &[Duration]) {
        self.all_have_results(&mut reader).await;
        for worker in workers {
            assert_eq!(worker.terminate(), 0, "a worker that is asked to end does so");
        }
        let seen: Vec<Value> = self.stand.all(&self.stand.topics.linked).await.iter().map(|one| one.json()).collect();
        let ids: BTreeSet<&str> = seen.iter().map(cause).collect();
        eprintln!(
            "storm: {EVENTS} events, {blows}, {} duplicates, {} missing, take-overs {take_overs:?}, {:?} in all",
            seen.len() - ids.len(),
            EVENTS - ids.len(),
            self.began.elapsed(),
        );
        assert_eq!((seen.len(), ids.len()), (EVENTS, EVENTS), "each event has one result");
        assert!(seen.iter().all(|event| event["data"]["generation"] == 1));
        for (customer, published) in &self.published {
            let of = |event: &&Value| event["data"]["customer"]["id"] == customer.as_str();
            let linked: Vec<&str> = seen.iter().filter(of).map(cause).collect();
            assert_eq!(linked, *published, "customer {customer} keeps the order");
        }
        assert_eq!(self.stand.sandbox.booked("profiles").await.len(), EVENTS, "each event has one profile");
        assert!(self.stand.all(&self.stand.topics.rejected).await.is_empty(), "nothing is rejected");
    }

    async fn all_have_results(&self, reader: &mut Reader) {
        let complete = |seen: &[crate::support::records::Record]| {
            seen.len() >= EVENTS
                && seen
                    .iter()
                    .map(|record| record.json())
                    .map(|one| cause(&one).to_owned())
                    .collect::<BTreeSet<_>>()
                    .len()
                    >= EVENTS
        };
        reader.read_until("every event has a result", PATIENCE, complete).await;
    }
}

fn cause(result: &Value) -> &str {
    result["causationid"].as_str().expect("a result names its input")
}

async fn results(reader: &mut Reader, count: usize) {
    reader.read_until(&format!("{count} results"), PATIENCE, |seen| seen.len() >= count).await;
}
