//! A group's committed positions and a topic's ends, read by a client that takes part in nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::Offset;

/// One broker on this machine, perhaps with a campaign on it.
const BROKER_ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// The positions of one group in one topic.
pub struct Positions {
    client: BaseConsumer,
    topic: String,
    partitions: i32,
}

impl Positions {
    /// Of so many partitions.
    pub fn of(brokers: &str, group: &str, topic: &str, partitions: i32) -> Self {
        let mut config = ClientConfig::new();
        // Uncommitted: the last committed positions at once, whatever transaction is open.
        config.set("bootstrap.servers", brokers).set("group.id", group).set("isolation.level", "read_uncommitted");
        let client = config.create().expect("a client of the group");
        Self { client, topic: topic.to_owned(), partitions }
    }

    /// The committed positions, of the partitions that have one.
    pub fn committed(&self) -> BTreeMap<i32, i64> {
        self.commits().into_iter().map(|(partition, (offset, _))| (partition, offset)).collect()
    }

    /// The same, with each commit's metadata.
    pub fn commits(&self) -> BTreeMap<i32, (i64, String)> {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&self.topic, 0, self.partitions - 1);
        let committed = self.client.committed_offsets(list, BROKER_ANSWERS_WITHIN).expect("committed positions");
        let commit = |partition: i32| {
            let element = committed.find_partition(&self.topic, partition)?;
            let Offset::Offset(offset) = element.offset() else { return None };
            Some((partition, (offset, element.metadata().to_owned())))
        };
        (0..self.partitions).filter_map(commit).collect()
    }

    /// Whether everything that is in the topic is behind the committed positions.
    pub fn at_the_end(&self) -> bool {
        let committed = self.committed();
        (0..self.partitions).all(|partition| committed.get(&partition).copied().unwrap_or(0) >= self.end(partition))
    }

    fn end(&self, partition: i32) -> i64 {
        let (_, end) = self
            .client
            .fetch_watermarks(&self.topic, partition, BROKER_ANSWERS_WITHIN)
            .expect("the end of a partition");
        end
    }
}
