//! Three brokers that are one cluster, of which one may be lost.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};

use super::{Broker, JavaBroker, Kafka};
use crate::support::Absent;
use crate::support::patience::within;

/// Enough of them to lose one.
const SIZE: usize = 3;
/// On a loaded machine; a quiet one takes some seconds.
const COMPLETE_WITHIN: Duration = Duration::from_secs(60);
/// Of one answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// Brokers with three copies of everything, two of which must have a record.
pub struct Cluster {
    brokers: Vec<JavaBroker>,
    kafka: Kafka,
}

impl Cluster {
    /// Starts the brokers and waits until they know each other.
    pub fn start() -> Result<Self, Absent> {
        let brokers = JavaBroker::start_cluster(SIZE)?;
        let addresses: Vec<&str> = brokers.iter().map(JavaBroker::address).collect();
        let kafka = Kafka { broker: Broker::Given(addresses.join(",")) };
        let cluster = Self { brokers, kafka };
        within(COMPLETE_WITHIN, || cluster.is_complete().then_some(()))
            .ok_or_else(|| Absent(format!("its brokers do not find each other within {COMPLETE_WITHIN:?}")))?;
        Ok(cluster)
    }

    /// As a client sees it.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// The numbers of its brokers.
    pub fn ids(&self) -> Vec<i32> {
        self.brokers.iter().map(|broker| broker.seat().id).collect()
    }

    /// The broker that leads a partition, which of an internal topic is the coordinator.
    pub fn leader(&self, topic: &str, partition: i32) -> Option<i32> {
        let metadata = self.asking().fetch_metadata(Some(topic), ANSWER_WITHIN).ok()?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        partitions.filter(|one| one.id() == partition).map(|one| one.leader()).find(|leader| *leader >= 0)
    }

    /// Ends a broker by `kill -9`; it does not come back.
    pub fn lose(&self, id: i32) {
        self.brokers.iter().filter(|broker| broker.seat().id == id).for_each(JavaBroker::kill);
    }

    fn is_complete(&self) -> bool {
        let metadata = self.asking().fetch_metadata(None, ANSWER_WITHIN);
        metadata.is_ok_and(|metadata| metadata.brokers().len() == SIZE)
    }

    fn asking(&self) -> BaseConsumer {
        self.kafka.client().create().expect("a client")
    }
}
