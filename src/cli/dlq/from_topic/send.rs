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

/// What became of originals that were sent, so far.
#[derive(Default)]
pub struct Sent {
    /// Which of them the broker has for sure, in their order. Another one may be published all the same; the intake knows it when it
    /// comes again.
    pub acknowledged: Vec<bool>,
    /// The broker is unreachable (69) or refuses a record (1).
    pub failure: Option<Failure>,
}

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

    /// Sends them in their order; what became of each is known when it answers. Dropped half-way, `sent` tells of what was
    /// acknowledged till then.
    pub async fn send(&self, originals: &[Original], sent: &mut Sent) {
        sent.acknowledged = vec![false; originals.len()];
        let mut deliveries = Vec::with_capacity(originals.len());
        for original in originals {
            match self.enqueue(original).await {
                Ok(delivery) => deliveries.push(delivery),
                Err(error) => {
                    sent.failure = Some(self.failed(&error));
                    break;
                }
            }
        }
        for (acknowledged, delivery) in sent.acknowledged.iter_mut().zip(deliveries) {
            let failure = match delivery.await {
                Ok(Ok(_)) => None,
                Ok(Err((error, _))) => Some(self.failed(&error)),
                Err(_) => Some(Failure::new(Exit::Failed, "the producer ended before its records")),
            };
            *acknowledged = failure.is_none();
            if sent.failure.is_none() {
                sent.failure = failure;
            }
        }
    }

    fn failed(&self, error: &KafkaError) -> Failure {
        let failure = self.context.failure(&self.endpoint.brokers, "publishing", error);
        failure.fix("when the broker is back, start the same command again: nothing is done twice")
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
