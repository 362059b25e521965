//! Publishing without transactions: acknowledge, then commit. A crash between the two repeats results, with the same ids.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::producer::{BaseProducer, Producer, PurgeConfig};

use super::consumer::blocking;
use super::polling::POLL;
use super::producing::{DeliveryReports, Outgoing};
use super::{Cycle, CycleError, KafkaTrouble, Publisher, Source, client};
use crate::config::{Kafka, Topics};
use crate::contract::OutgoingRecord;

/// Limit of one batch.
const BATCH_TIMEOUT: Duration = Duration::from_secs(30);

/// The publisher for brokers without transactions.
pub struct IdempotentPublisher {
    producer: Arc<BaseProducer<DeliveryReports>>,
    source: Arc<dyn Source>,
    topics: Topics,
}

impl IdempotentPublisher {
    /// Makes the producer; positions are committed through `source`.
    ///
    /// # Errors
    /// If the client refuses its configuration.
    pub fn start(settings: &Kafka, source: Arc<dyn Source>) -> Result<Self, KafkaTrouble> {
        let producer: BaseProducer<_> = client::producer(settings).create_with_context(DeliveryReports::default())?;
        let producer = Arc::new(producer);
        client::follow_password(settings, &producer, |producer| producer.client())?;
        Ok(Self { producer, source, topics: settings.topics.clone() })
    }
}

#[async_trait]
impl Publisher for IdempotentPublisher {
    async fn publish(&self, cycle: Cycle) -> Result<(), CycleError> {
        let (producer, topics, records) = (Arc::clone(&self.producer), self.topics.clone(), cycle.records);
        let produced = blocking(move || Ok(produce(&producer, &topics, &records, cycle.at_ms)));
        produced.await.map_err(|error| CycleError::Aborted(error.0))??;
        self.source.commit(&cycle.positions).await.map_err(|error| CycleError::InDoubt(error.0))
    }
}

fn produce(
    producer: &BaseProducer<DeliveryReports>,
    topics: &Topics,
    records: &[OutgoingRecord],
    at_ms: Option<i64>,
) -> Result<(), CycleError> {
    let produced = Outgoing { producer, topics, records, at_ms, limit: BATCH_TIMEOUT }.produce(|| Ok(()));
    if matches!(produced, Err(CycleError::InDoubt(_))) {
        // What is still on its way must not arrive, or be reported, among the next batch's records.
        producer.purge(PurgeConfig::default().queue().inflight());
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::ZERO);
            std::thread::park_timeout(POLL);
        }
    }
    produced
}
