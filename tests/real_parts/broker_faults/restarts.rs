//! The only broker dies with a transaction open, and comes back with its data.

use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::census::Census;
use crate::support::kafka::Kafka;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    a_broker_killed_in_mid_transaction_shows_each_result_once_when_it_is_back needs [JavaKafka, Postgres];
}

const EVENTS: usize = 1_000;
const KILLS: usize = 2;
/// As many as `migrate --topics` makes.
const PARTITIONS: i32 = 6;
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// An answer about positions comes at once, or when the transaction that holds them has ended.
const SETTLED_WITHIN: Duration = Duration::from_secs(1);

async fn a_broker_killed_in_mid_transaction_shows_each_result_once_when_it_is_back(parts: &RealParts) {
    let kafka = Kafka::of_java(Kafka::start_java().expect("a broker of its own"));
    let stand = Stand::prepare_at(&kafka, parts, Delivery::Transactional).await;
    let mut census = Census::begin(&stand, EVENTS).await;
    let mut worker = stand.worker().await;
    let sights = Sights::of(&stand);
    for kill in 0..KILLS {
        census.tenths(2 + 4 * kill).await;
        freeze_in_mid_transaction(&mut worker, &sights).await;
        kafka.kill();
        worker.thaw();
        let (killed, before) = (Instant::now(), census.count());
        kafka.start_again();
        census.flows_again(killed, before).await;
    }
    let ended = || assert_eq!(worker.terminate(), 0);
    census.end(&format!("{KILLS} kills of the only broker in mid-transaction"), ended).await;
}

/// What a frozen worker has left open stays so until its time-out: long enough for the blow.
async fn freeze_in_mid_transaction(worker: &mut Worker, sights: &Sights) {
    let open = eventually("the worker is frozen in mid-transaction", PATIENCE, async || {
        worker.freeze();
        // Asked twice: what was on its way has come to its end by the second time.
        let open = sights.results_alone_are_open() && sights.results_alone_are_open();
        if !open {
            worker.thaw();
        }
        open.then_some(())
    });
    open.await;
}

/// The ends of the results' partitions, as two readers see them.
struct Sights {
    input: String,
    topic: String,
    committed: BaseConsumer,
    uncommitted: BaseConsumer,
}

impl Sights {
    fn of(stand: &Stand<'_>) -> Self {
        let client = |level: &str| {
            let mut config = ClientConfig::new();
            config.set("bootstrap.servers", stand.kafka.brokers()).set("isolation.level", level);
            config.set("group.id", &stand.group);
            config.create().expect("a client")
        };
        let (committed, uncommitted) = (client("read_committed"), client("read_uncommitted"));
        let (input, topic) = (stand.topics.created.clone(), stand.topics.linked.clone());
        Self { input, topic, committed, uncommitted }
    }

    /// Whether there are results that only a reader of uncommitted ones may see, and no positions with them yet. The client
    /// then cannot ask for the commit any more: Kafka loses end markers when the only broker starts, and of a transaction
    /// whose commit was asked for nobody could tell what they were to be.
    fn results_alone_are_open(&self) -> bool {
        (0..PARTITIONS).any(|partition| self.end(&self.committed, partition) < self.end(&self.uncommitted, partition))
            && self.positions_are_settled()
    }

    fn positions_are_settled(&self) -> bool {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.input, 0, PARTITIONS - 1);
        self.committed.committed_offsets(list, SETTLED_WITHIN).is_ok()
    }

    fn end(&self, client: &BaseConsumer, partition: i32) -> i64 {
        client.fetch_watermarks(&self.topic, partition, ANSWER_WITHIN).expect("the end of a partition").1
    }
}
