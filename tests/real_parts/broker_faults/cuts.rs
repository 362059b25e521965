//! The network between worker and broker is cut for longer than the group, and a transaction, wait.

use std::time::{Duration, Instant};

use super::census::Census;
use crate::support::detour::Detour;
use crate::support::kafka::Kafka;
use crate::support::parts::RealParts;
use crate::support::patience::within;
use crate::support::stand::{Delivery, Stand};

crate::cases! {
    a_worker_cut_off_from_the_broker_goes_on_when_the_network_is_back needs [JavaKafka, Postgres];
    what_a_cut_off_worker_left_another_goes_on_with_and_its_return_repeats_nothing needs [JavaKafka, Postgres];
}

const EVENTS: usize = 1_000;
/// Longer than the session time-out of 6 s and the transaction's of 10 s together.
const CUT: Duration = Duration::from_secs(18);

async fn a_worker_cut_off_from_the_broker_goes_on_when_the_network_is_back(parts: &RealParts) {
    cut_off(parts, 0).await;
}

async fn what_a_cut_off_worker_left_another_goes_on_with_and_its_return_repeats_nothing(parts: &RealParts) {
    cut_off(parts, 1).await;
}

/// One worker comes by a detour, `others` come directly, as the reader does.
async fn cut_off(parts: &RealParts, others: usize) {
    let broker = Kafka::start_java().expect("a broker of its own");
    let seat = *broker.seat();
    let detour = Detour::open(seat.detour, seat.behind).await;
    let kafka = Kafka::of_java(broker);
    let stand = Stand::prepare_at(&kafka, parts, Delivery::Transactional).await;
    let mut census = Census::begin(&stand, EVENTS).await;
    let by_detour = ("PROFILE_LINKER_KAFKA__BROKERS".to_owned(), format!("127.0.0.1:{}", seat.detour));
    let mut workers = vec![stand.start_worker_with(&[by_detour])];
    workers.extend((0..others).map(|_| stand.start_worker()));
    for worker in &mut workers {
        worker.ready().await;
    }
    census.tenths(2).await;
    detour.cut();
    let (cut, before) = (Instant::now(), census.count());
    let back = tokio::task::spawn_blocking(move || {
        within(CUT, || None::<()>);
        detour.restore();
        detour
    });
    census.flows_again(cut, before).await;
    let detour = back.await.expect("the network is back");
    let ended = || workers.into_iter().for_each(|worker| assert_eq!(worker.terminate(), 0));
    census.end(&format!("{CUT:?} without a network, {others} other workers"), ended).await;
    drop(detour);
}
