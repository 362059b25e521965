//! What an operator does to topics while workers run.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewPartitions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Kafka;
use crate::support::patience::eventually;

/// One broker on this machine: anything slower is a failure.
const LIMIT: Duration = Duration::from_secs(20);

impl Kafka {
    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("an admin client")
    }

    /// Deletes a topic and waits until the broker knows it no more.
    pub async fn delete_topic(&self, name: &str) {
        let deleted = self.admin().delete_topics(&[name], &AdminOptions::new()).await.expect("topics are deleted");
        assert!(deleted.iter().all(Result::is_ok), "topic {name}: {deleted:?}");
        let asking: BaseConsumer = self.client().create().expect("a consumer");
        let gone = eventually("the topic is gone", LIMIT, async || {
            let metadata = asking.fetch_metadata(None, LIMIT).expect("metadata");
            metadata.topics().iter().all(|topic| topic.name() != name).then_some(())
        });
        gone.await;
    }

    /// Gives a topic more partitions.
    pub async fn grow_topic(&self, name: &str, partitions: usize) {
        let wanted = NewPartitions { topic_name: name, new_partition_count: partitions, assignment: None };
        let grown =
            self.admin().create_partitions([&wanted], &AdminOptions::new()).await.expect("partitions are added");
        assert!(grown.iter().all(Result::is_ok), "topic {name}: {grown:?}");
    }

    /// Sets one of a topic's properties; the others go back to their defaults.
    pub async fn set_topic(&self, name: &str, property: &str, value: &str) {
        let wanted = AlterConfig::new(ResourceSpecifier::Topic(name)).set(property, value);
        let set = self.admin().alter_configs([&wanted], &AdminOptions::new()).await.expect("the topic is altered");
        assert!(set.iter().all(Result::is_ok), "topic {name}: {set:?}");
    }

    /// Deletes a group and its positions, as expiry does; the group must be empty.
    pub async fn delete_group(&self, name: &str) {
        let deleted = self.admin().delete_groups(&[name], &AdminOptions::new()).await.expect("groups are deleted");
        assert!(deleted.iter().all(Result::is_ok), "group {name}: {deleted:?}");
    }

    /// Deletes a partition's records below an offset, as retention would.
    pub async fn delete_records(&self, topic: &str, partition: i32, below: i64) {
        let mut wanted = TopicPartitionList::new();
        wanted.add_partition_offset(topic, partition, Offset::Offset(below)).expect("an offset");
        self.admin().delete_records(&wanted, &AdminOptions::new()).await.expect("records are deleted");
    }
}
