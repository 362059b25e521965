//! Producing a batch and waiting for every acknowledgement.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use super::{CycleError, client};
use crate::config::Topics;
use crate::contract::{OutgoingRecord, TopicRole};

/// `flush` polls in steps of 100 ms; this is our own step.
const STEP: Duration = Duration::from_millis(1);

/// Collects the first refused record of a batch.
#[derive(Default)]
pub(super) struct DeliveryReports {
    refused: Mutex<Option<(usize, String)>>,
}

impl DeliveryReports {
    fn take(&self) -> Option<(usize, String)> {
        self.refused.lock().map_or(None, |mut refused| refused.take())
    }
}

impl ClientContext for DeliveryReports {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(kafka.error = %error, kafka.reason = reason, "kafka producer trouble");
    }
}

impl ProducerContext for DeliveryReports {
    type DeliveryOpaque = Box<usize>;

    fn delivery(&self, result: &DeliveryResult<'_>, index: Box<usize>) {
        if let (Err((error, _)), Ok(mut refused)) = (result, self.refused.lock()) {
            // The first refusal is the cause; the rest are purged with it.
            refused.get_or_insert_with(|| (*index, error.to_string()));
        }
    }
}

/// Sends every record and waits until each is acknowledged or refused.
pub(super) fn produce_all(
    producer: &BaseProducer<DeliveryReports>,
    topics: &Topics,
    records: &[OutgoingRecord],
    limit: Duration,
) -> Result<(), CycleError> {
    producer.context().take();
    let deadline = Instant::now() + limit;
    for (index, record) in records.iter().enumerate() {
        send(producer, topics, record, index, deadline)?;
    }
    while producer.in_flight_count() > 0 {
        if Instant::now() > deadline {
            return Err(CycleError::Aborted(format!("not acknowledged within {} s", limit.as_secs())));
        }
        producer.poll(STEP);
    }
    match producer.context().take() {
        Some((index, error)) => Err(CycleError::Refused { index, error }),
        None => Ok(()),
    }
}

fn send(
    producer: &BaseProducer<DeliveryReports>,
    topics: &Topics,
    record: &OutgoingRecord,
    index: usize,
    deadline: Instant,
) -> Result<(), CycleError> {
    let mut message = to_message(topics, record, index);
    loop {
        match producer.send(message) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) if Instant::now() < deadline => {
                producer.poll(STEP);
                message = back;
            }
            Err((error, _)) => return Err(CycleError::Refused { index, error: error.to_string() }),
        }
    }
}

fn to_message<'a>(
    topics: &'a Topics,
    record: &'a OutgoingRecord,
    index: usize,
) -> BaseRecord<'a, [u8], [u8], Box<usize>> {
    let topic = match record.topic {
        TopicRole::Linked => &topics.linked,
        TopicRole::Rejected => &topics.rejected,
        TopicRole::DeadLetter => &topics.dead_letter,
    };
    let mut headers = OwnedHeaders::new_with_capacity(record.headers.len());
    for (name, value) in &record.headers {
        headers = headers.insert(Header { key: name, value: Some(value) });
    }
    let mut message = BaseRecord::with_opaque_to(topic, Box::new(index)).payload(&record.value[..]).headers(headers);
    if let Some(key) = &record.key {
        message = message.key(&key[..]);
    }
    message
}
