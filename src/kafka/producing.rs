//! Producing a batch and waiting for every acknowledgement.

use std::collections::BTreeMap;
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

/// How long to rest between two looks for acknowledgements.
const STEP: Duration = Duration::from_millis(1);

/// How long acknowledgements may fail to come before the way is probed.
const PROBE_EVERY: Duration = Duration::from_millis(500);

/// Collects the records of a batch that were not delivered.
#[derive(Default)]
pub(super) struct DeliveryReports {
    failed: Mutex<BTreeMap<usize, KafkaError>>,
}

impl DeliveryReports {
    fn take(&self) -> BTreeMap<usize, KafkaError> {
        self.failed.lock().map_or_else(|_| BTreeMap::new(), |mut failed| std::mem::take(&mut *failed))
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
            failed.insert(*index, error.clone());
        }
    }
}

/// Records to be sent together.
pub(super) struct Outgoing<'a> {
    pub producer: &'a BaseProducer<DeliveryReports>,
    pub topics: &'a Topics,
    pub records: &'a [OutgoingRecord],
    /// See [`Cycle::at_ms`](super::Cycle::at_ms).
    pub at_ms: Option<i64>,
    pub limit: Duration,
}

impl Outgoing<'_> {
    /// Sends every record and waits until each is acknowledged or refused; asks `probe` while nothing is heard.
    pub fn produce(&self, probe: impl Fn() -> Result<(), CycleError>) -> Result<(), CycleError> {
        self.producer.context().take();
        let deadline = Instant::now() + self.limit;
        for (index, record) in self.records.iter().enumerate() {
            if let Err(error) = self.send(record, index, deadline) {
                return self.after(index, error, deadline, probe);
            }
        }
        self.await_reports(deadline, probe)?;
        self.verdict(self.producer.context().take(), self.records.len())
    }

    /// One record was not even queued: those before it are under way, and those behind it are not sent.
    fn after(
        &self,
        index: usize,
        error: KafkaError,
        deadline: Instant,
        probe: impl Fn() -> Result<(), CycleError>,
    ) -> Result<(), CycleError> {
        self.await_reports(deadline, probe)?;
        let mut failed = self.producer.context().take();
        failed.insert(index, error);
        self.verdict(failed, index)
    }

    fn await_reports(&self, deadline: Instant, probe: impl Fn() -> Result<(), CycleError>) -> Result<(), CycleError> {
        let mut next_probe = Instant::now() + PROBE_EVERY;
        while self.producer.in_flight_count() > 0 {
            let now = Instant::now();
            if now > deadline {
                return Err(CycleError::InDoubt(format!("not acknowledged within {} s", self.limit.as_secs())));
            }
            if now > next_probe {
                next_probe = now + PROBE_EVERY;
                probe()?;
            }
            self.serve();
        }
        Ok(())
    }

    /// Hands out what came in, and rests. The client's own waiting ends in up to a millisecond of turning round, since it
    /// counts what is left in whole ones: waiting a millisecond that way kept a processor busy.
    fn serve(&self) {
        self.producer.poll(Duration::ZERO);
        std::thread::park_timeout(STEP);
    }

    /// Whose fault it is: a record's own, or the way's, which any record would have met. The first of `sent` records that
    /// was refused counts.
    fn verdict(&self, failed: BTreeMap<usize, KafkaError>, sent: usize) -> Result<(), CycleError> {
        let code = |error: &KafkaError| error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let refused = failed.iter().find(|(_, error)| is_refusal(code(error)));
        if let Some((index, error)) = refused {
            let delivered = (0..sent).filter(|index| !failed.contains_key(index)).collect();
            let too_large = is_too_large(code(error));
            return Err(CycleError::Refused { index: *index, error: error.to_string(), delivered, too_large });
        }
        match failed.values().next() {
            Some(error) if code(error) == RDKafkaErrorCode::MessageTimedOut => {
                Err(CycleError::InDoubt(error.to_string()))
            }
            Some(error) => Err(CycleError::Aborted(error.to_string())),
            None => Ok(()),
        }
    }

    fn send(&self, record: &OutgoingRecord, index: usize, deadline: Instant) -> Result<(), KafkaError> {
        let mut message = to_message(self.topics, record, self.at_ms, index);
        loop {
            match self.producer.send(message) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    self.serve();
                    message = back;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }
}

/// Whether a record, or the topic it goes to, is what the broker does not take.
pub(super) fn is_refusal(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
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
            | Code::UnsupportedForMessageFormat
    )
}

/// Whether it is its size that is refused, by the client itself or by the broker.
fn is_too_large(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::MessageBatchTooLarge)
}

fn to_message<'a>(
    topics: &'a Topics,
    record: &'a OutgoingRecord,
    at_ms: Option<i64>,
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
    if let Some(at_ms) = at_ms {
        message = message.timestamp(at_ms);
    }
    message
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rustix::time::{ClockId, clock_gettime};

    use super::*;

    /// The processor time that this thread has had.
    fn processor_time() -> Duration {
        clock_gettime(ClockId::ThreadCPUTime).try_into().unwrap()
    }

    #[test]
    fn waiting_for_acknowledgements_takes_next_to_no_processor_time() {
        let broker = MockCluster::new(1).unwrap();
        let producer: BaseProducer<DeliveryReports> = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", broker.bootstrap_servers())
            .create_with_context(DeliveryReports::default())
            .unwrap();
        let topics = Topics {
            created: "created".to_owned(),
            linked: "linked".to_owned(),
            rejected: "rejected".to_owned(),
            dead_letter: "dead-letters".to_owned(),
        };
        let record =
            OutgoingRecord { topic: TopicRole::Linked, key: None, value: b"a result".to_vec(), headers: Vec::new() };
        let limit = Duration::from_secs(30);
        let batch = Outgoing { producer: &producer, topics: &topics, records: &[record], at_ms: None, limit };
        batch.produce(|| Ok(())).unwrap();

        broker.broker_round_trip_time(1, Duration::from_millis(500)).unwrap();
        let (began, before) = (Instant::now(), processor_time());
        batch.produce(|| Ok(())).unwrap();

        let (waited, used) = (began.elapsed(), processor_time() - before);
        assert!(waited >= Duration::from_millis(500), "{waited:?}");
        assert!(used < waited / 5, "{used:?} of {waited:?}");
    }

    #[test]
    fn a_record_that_the_broker_does_not_take_is_a_refusal() {
        for code in [RDKafkaErrorCode::MessageSizeTooLarge, RDKafkaErrorCode::TopicAuthorizationFailed] {
            assert!(is_refusal(code), "{code}");
        }
    }

    #[test]
    fn an_outage_is_no_records_fault() {
        for code in
            [RDKafkaErrorCode::MessageTimedOut, RDKafkaErrorCode::QueueFull, RDKafkaErrorCode::NotEnoughReplicas]
        {
            assert!(!is_refusal(code), "{code}");
        }
    }
}
