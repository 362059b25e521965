//! One broker of three is lost for good.

use std::time::Instant;

use super::census::Census;
use crate::support::kafka::cluster::Cluster;
use crate::support::parts::RealParts;
use crate::support::stand::{Delivery, Stand};

crate::cases! {
    a_broker_of_three_lost_for_good_costs_no_result_and_repeats_none needs [JavaKafka, Postgres];
    the_transaction_coordinators_broker_lost_costs_no_result_and_repeats_none needs [JavaKafka, Postgres];
    the_group_coordinators_broker_lost_costs_no_result_and_repeats_none needs [JavaKafka, Postgres];
}

const EVENTS: usize = 1_000;
const GROUPS: &str = "__consumer_offsets";
const TRANSACTIONS: &str = "__transaction_state";

async fn a_broker_of_three_lost_for_good_costs_no_result_and_repeats_none(parts: &RealParts) {
    // It leads partitions of ours, and coordinates nothing.
    let neither = |cluster: &Cluster| {
        let coordinators = [cluster.leader(GROUPS, 0), cluster.leader(TRANSACTIONS, 0)];
        cluster.ids().into_iter().find(|id| !coordinators.contains(&Some(*id)))
    };
    lose(parts, "a broker of three", neither).await;
}

async fn the_transaction_coordinators_broker_lost_costs_no_result_and_repeats_none(parts: &RealParts) {
    lose(parts, "the transaction coordinator", |cluster| cluster.leader(TRANSACTIONS, 0)).await;
}

async fn the_group_coordinators_broker_lost_costs_no_result_and_repeats_none(parts: &RealParts) {
    lose(parts, "the group coordinator", |cluster| cluster.leader(GROUPS, 0)).await;
}

async fn lose(parts: &RealParts, what: &str, which: impl Fn(&Cluster) -> Option<i32>) {
    let cluster = Cluster::start().expect("three brokers");
    let stand = Stand::prepare_at(cluster.kafka(), parts, Delivery::Transactional).await;
    let mut census = Census::begin(&stand, EVENTS).await;
    let worker = stand.worker().await;
    census.tenths(2).await;
    let id = which(&cluster).expect("every partition has a leader");
    cluster.lose(id);
    let (lost, before) = (Instant::now(), census.count());
    census.flows_again(lost, before).await;
    let coordinators = [cluster.leader(GROUPS, 0), cluster.leader(TRANSACTIONS, 0)];
    assert!(!coordinators.contains(&Some(id)), "another broker has its part");
    census.end(&format!("{what} lost for good"), || assert_eq!(worker.terminate(), 0)).await;
}
