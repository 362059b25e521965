//! A place on an embedded broker: a topic, a group, and consumers that answer for the worker.

use std::sync::Arc;
use std::time::Duration;

use profile_linker::config::{Delivery, Kafka, Topics};
use profile_linker::contract::results::OutputMode;
use profile_linker::kafka::consumer::KafkaSource;
use profile_linker::kafka::{Source, SourceEvent};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

/// Long beside a rebalance, short beside for ever.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A cluster of its own, with all our topics.
pub struct Place {
    pub cluster: MockCluster<'static, DefaultProducerContext>,
    pub settings: Kafka,
}

impl Place {
    pub fn new(partitions: i32) -> Self {
        let cluster = MockCluster::new(1).expect("an embedded broker");
        let topics = Topics {
            created: "created".to_owned(),
            linked: "linked".to_owned(),
            rejected: "rejected".to_owned(),
            dead_letter: "created.dlq".to_owned(),
        };
        for topic in [&topics.created, &topics.linked, &topics.rejected, &topics.dead_letter] {
            cluster.create_topic(topic, partitions, 1).expect("a topic");
        }
        let properties = [
            ("fetch.wait.max.ms", "10"),
            ("heartbeat.interval.ms", "100"),
            // The embedded broker lets a rebalance take a second less than this, and a first one three seconds.
            ("session.timeout.ms", "6000"),
            ("topic.metadata.refresh.interval.ms", "200"),
        ];
        let settings = Kafka {
            brokers: cluster.bootstrap_servers(),
            group: "group".to_owned(),
            topics,
            delivery: Delivery::Transactional,
            output_mode: OutputMode::Structured,
            properties: properties.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
            password_file: None,
        };
        Self { cluster, settings }
    }

    pub fn consumer(&self) -> Member {
        let (source, events) = KafkaSource::start(&self.settings).expect("a consumer");
        Member { source, events }
    }

    /// A consumer to which partitions are assigned.
    pub async fn assigned_consumer(&self) -> Member {
        let mut member = self.consumer();
        let SourceEvent::Assigned(partitions) = member.rebalance().await else { panic!("partitions come first") };
        member.assign(&partitions);
        member
    }
}

/// A consumer, and what it reports.
pub struct Member {
    pub source: Arc<KafkaSource>,
    pub events: UnboundedReceiver<SourceEvent>,
}

impl Member {
    /// The next thing that waits for an answer.
    pub async fn rebalance(&mut self) -> SourceEvent {
        let next = async {
            loop {
                let event = self.events.recv().await.expect("the consumer goes on");
                if matches!(event, SourceEvent::Assigned(_) | SourceEvent::Revoked { .. }) {
                    return event;
                }
            }
        };
        timeout(PATIENCE, next).await.expect("a rebalance")
    }

    pub fn assign(&self, partitions: &[i32]) {
        let starts: Vec<_> = partitions.iter().map(|partition| (*partition, None)).collect();
        self.source.assign(&starts).expect("the assignment is answered");
    }
}
