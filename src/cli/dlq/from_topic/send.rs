//! Originals, published to the input topic as their producers once did: to the same partition, since a customer's order is the
//! order of one partition, whoever chose it.

use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};

use crate::cli::broker::{Quiet, create};
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::{Exit, Failure};
use crate::dead_letters::topic::Original;

/// How long to let a full queue drain before the next try.
const DRAIN: Duration = Duration::from_millis(10);

/// A producer of originals.
pub struct Sender {
    producer: FutureProducer<Quiet>,
    context: Quiet,
    endpoint: Endpoint,
}

impl Sender {
    /// One that has sent nothing yet.
    ///
    /// # Errors
    /// librdkafka refuses the configuration (78).
    pub fn new(endpoint: &Endpoint) -> Result<Self, Failure> {
        let context = Quiet::default();
        let producer = create(&endpoint.producer(), &context)?;
        Ok(Self { producer, context, endpoint: endpoint.clone() })
    }

    /// Sends them in their order; all are acknowledged when it answers.
    ///
    /// # Errors
    /// The broker is unreachable (69) or refuses a record (1). Some may be published; the intake knows them when they come again.
    pub async fn send(&self, originals: &[Original]) -> Result<(), Failure> {
        let told = |error: &KafkaError| {
            let failure = self.context.failure(&self.endpoint.brokers, "publishing", error);
            failure.fix("when the broker is back, start the same command again: nothing is done twice")
        };
        let mut deliveries = Vec::with_capacity(originals.len());
        for original in originals {
            deliveries.push(self.enqueue(original).await.map_err(|error| told(&error))?);
        }
        for delivery in deliveries {
            let delivered =
                delivery.await.map_err(|_| Failure::new(Exit::Failed, "the producer ended before its records"))?;
            delivered.map_err(|(error, _)| told(&error))?;
        }
        Ok(())
    }

    async fn enqueue(&self, original: &Original) -> Result<DeliveryFuture, KafkaError> {
        let origin = &original.replayed.origin;
        loop {
            let mut record: FutureRecord<'_, [u8], [u8]> =
                FutureRecord::to(&origin.topic).partition(origin.partition).headers(headers(original));
            (record.key, record.payload) =
                (original.parts.key.as_deref(), original.parts.value.as_ref().map(|value| value.as_slice()));
            match self.producer.send_result(record) {
                Ok(delivery) => return Ok(delivery),
                Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                    tokio::time::sleep(DRAIN).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}

fn headers(original: &Original) -> OwnedHeaders {
    let (own, ours) = (&original.parts.headers, original.replayed.headers());
    let mut headers = OwnedHeaders::new_with_capacity(own.len() + ours.len());
    for (key, value) in own {
        headers = headers.insert(Header { key, value: value.as_deref() });
    }
    for (key, value) in &ours {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    headers
}
