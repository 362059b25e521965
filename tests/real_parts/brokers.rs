//! The facts about Kafka and PostgreSQL that the design stands on.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use crate::support::parts::RealParts;

const LIMIT: Duration = Duration::from_secs(30);

crate::cases! {
    a_cursor_in_a_transactions_commit_metadata_comes_back needs [Kafka];
    an_aborted_transaction_leaves_the_cursor_as_it_was needs [Kafka];
    a_database_of_ones_own_answers needs [Postgres];
}

/// The cursor of what was published travels in the commit's metadata: docs/architecture.md builds on it.
async fn a_cursor_in_a_transactions_commit_metadata_comes_back(parts: &RealParts) {
    let lane = Lane::new(parts).await;
    let producer = lane.transactional_producer();
    lane.send_cursor(&producer, 42, "cursor-7");
    producer.commit_transaction(LIMIT).expect("the commit");
    assert_eq!(lane.committed(), (Offset::Offset(42), "cursor-7".to_owned()));
}

async fn an_aborted_transaction_leaves_the_cursor_as_it_was(parts: &RealParts) {
    let lane = Lane::new(parts).await;
    let producer = lane.transactional_producer();
    lane.send_cursor(&producer, 42, "cursor-7");
    producer.commit_transaction(LIMIT).expect("the commit");
    lane.send_cursor(&producer, 50, "cursor-9");
    producer.abort_transaction(LIMIT).expect("the abort");
    assert_eq!(lane.committed(), (Offset::Offset(42), "cursor-7".to_owned()));
}

async fn a_database_of_ones_own_answers(parts: &RealParts) {
    let url = parts.postgres().create_database().await;
    let mut connection = PgConnection::connect(&url).await.expect("a connection");
    let one: i32 = sqlx::query_scalar("select 1").fetch_one(&mut connection).await.expect("an answer");
    assert_eq!(one, 1);
}

/// One partition, and a group that commits to it.
struct Lane {
    brokers: String,
    topic: String,
    consumer: BaseConsumer,
}

impl Lane {
    async fn new(parts: &RealParts) -> Self {
        let topic = Uuid::new_v4().to_string();
        parts.kafka().create_topic(&topic, 1).await;
        let brokers = parts.kafka().brokers().to_owned();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &brokers).set("group.id", &topic);
        Self { brokers, topic, consumer: config.create().expect("a consumer") }
    }

    fn transactional_producer(&self) -> BaseProducer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.brokers).set("transactional.id", &self.topic);
        let producer: BaseProducer = config.create().expect("a producer");
        producer.init_transactions(LIMIT).expect("transactions are ready");
        producer
    }

    fn send_cursor(&self, producer: &BaseProducer, position: i64, cursor: &str) {
        let mut offsets = TopicPartitionList::new();
        let mut lane = offsets.add_partition(&self.topic, 0);
        lane.set_offset(Offset::Offset(position)).expect("an offset");
        lane.set_metadata(cursor);
        let group = self.consumer.group_metadata().expect("a group");
        producer.begin_transaction().expect("a transaction");
        producer.send_offsets_to_transaction(&offsets, &group, LIMIT).expect("the offsets are sent");
    }

    fn committed(&self) -> (Offset, String) {
        let mut asked = TopicPartitionList::new();
        asked.add_partition(&self.topic, 0);
        let committed = self.consumer.committed_offsets(asked, LIMIT).expect("the committed position");
        let elements = committed.elements();
        (elements[0].offset(), elements[0].metadata().to_owned())
    }
}
