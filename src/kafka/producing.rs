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

/// Collects the first record of a batch that was not delivered.
#[derive(Default)]
pub(super) struct DeliveryReports {
    failed: Mutex<Option<(usize, KafkaError)>>,
}

impl DeliveryReports {
    fn take(&self) -> Option<(usize, KafkaError)> {
        self.failed.lock().map_or(None, |mut failed| failed.take())
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
        if let (Err((error, _)), Ok(mut failed)) = (result, self.failed.lock()) {
            // The first failure is the cause; the rest are purged with it.
            failed.get_or_insert_with(|| (*index, error.clone()));
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
        Some((index, error)) => Err(undelivered(index, &error)),
        None => Ok(()),
    }
}

/// Whose fault it is: the record's own, or the way's, which any record would have met.
fn undelivered(index: usize, error: &KafkaError) -> CycleError {
    use RDKafkaErrorCode as Code;
    match error.rdkafka_error_code() {
        Some(
            Code::MessageSizeTooLarge
            | Code::MessageBatchTooLarge
            | Code::InvalidMessage
            | Code::InvalidMessageSize
            | Code::InvalidRecord
            | Code::PolicyViolation
            | Code::InvalidTopic
            | Code::TopicAuthorizationFailed
            | Code::UnknownTopic
            | Code::UnknownTopicOrPartition
            | Code::UnknownPartition
            | Code::InvalidTimestamp
            | Code::UnsupportedForMessageFormat,
        ) => CycleError::Refused { index, error: error.to_string() },
        _ => CycleError::Aborted(error.to_string()),
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
            Err((error, _)) => return Err(undelivered(index, &error)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn class(code: RDKafkaErrorCode) -> CycleError {
        undelivered(3, &KafkaError::MessageProduction(code))
    }

    #[test]
    fn a_record_that_the_broker_does_not_take_is_named() {
        for code in [RDKafkaErrorCode::MessageSizeTooLarge, RDKafkaErrorCode::TopicAuthorizationFailed] {
            assert!(matches!(class(code), CycleError::Refused { index: 3, .. }), "{code}");
        }
    }

    #[test]
    fn an_outage_is_no_records_fault() {
        for code in
            [RDKafkaErrorCode::MessageTimedOut, RDKafkaErrorCode::QueueFull, RDKafkaErrorCode::NotEnoughReplicas]
        {
            assert!(matches!(class(code), CycleError::Aborted(_)), "{code}");
        }
    }
}
