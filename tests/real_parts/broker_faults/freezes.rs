//! Processes that stand still for longer than the session time-out, and then go on as if nothing had been.

use std::time::{Duration, Instant};

use super::census::Census;
use crate::support::kafka::Kafka;
use crate::support::parts::RealParts;
use crate::support::patience::within;
use crate::support::stand::{Delivery, Stand};
use crate::support::worker::Worker;

crate::cases! {
    three_workers_frozen_in_turn_past_the_session_time_out_publish_each_result_once needs [Kafka, Postgres];
    a_broker_frozen_past_the_session_time_out_repeats_nothing_to_three_workers needs [JavaKafka, Postgres];
}

const EVENTS: usize = 2_000;
const WORKERS: usize = 3;
/// Longer than the session time-out of 6 s.
const FREEZE: Duration = Duration::from_secs(9);
/// Well beyond that. A broker that its controller gave up comes back without leaders for its partitions, and then Kafka may drop the
/// end marker of a committed transaction (seen on 4.3.1): nobody reads beyond it until a person ends it, whatever a worker does.
const MISSED_AFTER: Duration = Duration::from_secs(60);

async fn three_workers_frozen_in_turn_past_the_session_time_out_publish_each_result_once(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let mut census = Census::begin(&stand, EVENTS).await;
    let mut workers = three(&stand).await;
    for (turn, worker) in workers.iter_mut().enumerate() {
        census.tenths(1 + 2 * turn).await;
        worker.freeze();
        let (frozen, before) = (Instant::now(), census.count());
        within(FREEZE, || None::<()>);
        worker.thaw();
        census.flows_again(frozen, before).await;
    }
    census.end(&format!("{WORKERS} workers frozen for {FREEZE:?} in turn"), || end(workers)).await;
}

async fn a_broker_frozen_past_the_session_time_out_repeats_nothing_to_three_workers(parts: &RealParts) {
    let kafka = Kafka::of_java(Kafka::start_java_missed_after(MISSED_AFTER).expect("a broker of its own"));
    let stand = Stand::prepare_at(&kafka, parts, Delivery::Transactional).await;
    let mut census = Census::begin(&stand, EVENTS).await;
    let workers = three(&stand).await;
    census.tenths(2).await;
    kafka.freeze();
    let (frozen, before) = (Instant::now(), census.count());
    within(FREEZE, || None::<()>);
    kafka.thaw();
    census.flows_again(frozen, before).await;
    census.end(&format!("the broker frozen for {FREEZE:?}, {WORKERS} workers"), || end(workers)).await;
}

async fn three(stand: &Stand<'_>) -> Vec<Worker> {
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| stand.start_worker()).collect();
    for worker in &mut workers {
        worker.ready().await;
    }
    workers
}

fn end(workers: Vec<Worker>) {
    workers.into_iter().for_each(|worker| assert_eq!(worker.terminate(), 0));
}
