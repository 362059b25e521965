//! Kafka records as a user's script would write and read them.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;

use super::validity::{self, Published};

/// One broker on this machine: anything slower is a failure.
const BROKER_ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// Where tests published as they liked, also into the program's own topics: that is not the program's.
static OURS: Mutex<BTreeSet<(String, i32, i64)>> = Mutex::new(BTreeSet::new());

/// A record that was read.
#[derive(Debug, Clone)]
pub struct Record {
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// The value as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(self.value.as_deref().unwrap_or_default()).expect("the value is JSON")
    }

    /// The header's value as text.
    pub fn header(&self, name: &str) -> Option<String> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map(|headers| headers.iter().map(owned_header).collect());
        let record = Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
        };
        record.must_be_valid();
        record
    }

    /// Whatever a test looks for: what it reads of ours is what the schemas promise.
    fn must_be_valid(&self) {
        let Some(published) = published_in(&self.topic) else { return };
        if OURS.lock().unwrap_or_else(PoisonError::into_inner).contains(&(
            self.topic.clone(),
            self.partition,
            self.offset,
        )) {
            return;
        }
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        let held = validity::holds(published, self.value.as_deref().unwrap_or_default(), headers);
        let place = format!("{}/{}/{}", self.topic, self.partition, self.offset);
        assert!(held.is_ok(), "{place} is not valid: {}", held.err().unwrap_or_default());
    }
}

/// What a topic of the tests holds, by its name as a stand makes it. `None`: input.
fn published_in(topic: &str) -> Option<Published> {
    match topic {
        _ if topic.ends_with(".dlq") => Some(Published::DeadLetter),
        _ if topic.starts_with("linked-") => Some(Published::Linked),
        _ if topic.starts_with("rejected-") => Some(Published::Rejected),
        _ => None,
    }
}

fn owned_header(header: Header<'_, &[u8]>) -> (String, Vec<u8>) {
    (header.key.to_owned(), header.value.unwrap_or_default().to_vec())
}

/// Publishes as Java clients do: one key, one partition.
pub struct Publisher(FutureProducer);

impl Publisher {
    /// A producer at these brokers.
    pub fn new(brokers: &str) -> Self {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("partitioner", "murmur2_random").set("linger.ms", "5");
        // As much as a broker takes with its headers: bad input is large, too.
        config.set("message.max.bytes", "1050000");
        Self(config.create().expect("a producer"))
    }

    /// Publishes and waits for the acknowledgement; answers partition and offset.
    pub async fn publish(&self, topic: &str, key: &str, content_type: &str, value: &[u8]) -> (i32, i64) {
        let headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some(content_type) });
        let record = FutureRecord::to(topic).key(key).payload(value).headers(headers);
        let delivered = self.0.send(record, BROKER_ANSWERS_WITHIN).await;
        let delivery = delivered.map_err(|(error, _)| error).expect("the record is acknowledged");
        (delivery.partition, delivery.offset)
    }
}

impl Publisher {
    /// Publishes a record as it stands: any key, value and headers, or none.
    pub async fn publish_record(
        &self,
        topic: &str,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(String, Option<Vec<u8>>)],
    ) -> (i32, i64) {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (name, value)| all.insert(Header { key: name, value: value.as_deref() }));
        let mut record: FutureRecord<'_, [u8], [u8]> = FutureRecord::to(topic).headers(headers);
        record.key = key;
        record.payload = value;
        let delivered = self.0.send(record, BROKER_ANSWERS_WITHIN).await;
        let delivery = delivered.map_err(|(error, _)| error).expect("the record is acknowledged");
        OURS.lock().unwrap_or_else(PoisonError::into_inner).insert((
            topic.to_owned(),
            delivery.partition,
            delivery.offset,
        ));
        (delivery.partition, delivery.offset)
    }
}

/// Follows topics from their start, seeing committed records only.
pub struct Reader {
    consumer: StreamConsumer,
    /// Of the last topic; the end of a partition is told without its topic's name.
    partitions: BTreeSet<i32>,
    seen: Vec<Record>,
}

impl Reader {
    /// A reader of all the partitions that the topics have now.
    pub fn new(brokers: &str, topics: &[&str]) -> Self {
        let consumer: StreamConsumer = reader_config(brokers).create().expect("a consumer");
        let mut from_start = TopicPartitionList::new();
        let mut partitions = BTreeSet::new();
        for topic in topics {
            partitions = partitions_of(brokers, topic);
            for partition in &partitions {
                from_start.add_partition_offset(topic, *partition, Offset::Beginning).expect("an offset");
            }
        }
        consumer.assign(&from_start).expect("an assignment");
        Self { consumer, partitions, seen: Vec::new() }
    }

    /// What it read so far.
    pub fn seen(&self) -> &[Record] {
        &self.seen
    }

    /// Reads on until `enough` of what was read; panics with `what` after `limit`.
    pub async fn read_until(&mut self, what: &str, limit: Duration, enough: impl Fn(&[Record]) -> bool) -> &[Record] {
        let end = Instant::now() + limit;
        while !enough(&self.seen) {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(received) = tokio::time::timeout(left, self.consumer.recv()).await else {
                panic!("not within {limit:?}: {what}; {} records were read", self.seen.len());
            };
            match received {
                Ok(message) => self.seen.push(Record::of(&message)),
                Err(KafkaError::PartitionEOF(_)) => {}
                Err(error) => assert!(is_passing(&error), "{what}: {error}"),
            }
        }
        &self.seen
    }

    /// The next record, as long as it takes; a broker may be away meanwhile.
    pub async fn next(&mut self) -> Record {
        loop {
            match self.consumer.recv().await {
                Ok(message) => return Record::of(&message),
                Err(KafkaError::PartitionEOF(_)) => {}
                Err(error) => assert!(is_passing(&error), "reading on: {error}"),
            }
        }
    }

    /// Everything that the topic holds now, read by a new reader up to the end of each partition.
    pub async fn all(brokers: &str, topic: &str) -> Vec<Record> {
        let mut reader = Self::new(brokers, &[topic]);
        let mut open = reader.partitions.clone();
        while !open.is_empty() {
            match tokio::time::timeout(BROKER_ANSWERS_WITHIN, reader.consumer.recv()).await {
                Ok(Ok(message)) => reader.seen.push(Record::of(&message)),
                Ok(Err(KafkaError::PartitionEOF(partition))) => _ = open.remove(&partition),
                Ok(Err(error)) => assert!(is_passing(&error), "{topic}: {error}"),
                Err(_) => panic!("{topic}: no end of partitions {open:?}"),
            }
        }
        reader.seen
    }
}

/// Whether it is a broker that is away for now, or for good while others have its records: the client goes on by itself.
fn is_passing(error: &KafkaError) -> bool {
    let away = [
        RDKafkaErrorCode::BrokerTransportFailure,
        RDKafkaErrorCode::AllBrokersDown,
        RDKafkaErrorCode::OperationTimedOut,
    ];
    error.rdkafka_error_code().is_some_and(|code| away.contains(&code))
}

fn reader_config(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        // It joins no group, but the client library wants a name.
        .set("group.id", "profile-linker-test-reader")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .set("fetch.wait.max.ms", "10");
    config
}

fn partitions_of(brokers: &str, topic: &str) -> BTreeSet<i32> {
    let consumer: BaseConsumer = ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a consumer");
    let metadata = consumer.fetch_metadata(Some(topic), BROKER_ANSWERS_WITHIN).expect("metadata");
    let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions()).map(|one| one.id());
    let partitions: BTreeSet<i32> = partitions.collect();
    assert!(!partitions.is_empty(), "topic {topic} has no partitions");
    partitions
}
