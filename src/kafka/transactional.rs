//! Publishing in transactions: results, positions and cursors become visible together or not at all.
//!
//! After any time-out or indefinite error the producer is dropped and made anew with the same transactional id, which
//! fences and resolves the old transaction; only then the cycle is reported as in doubt, so that the committed cursor tells
//! what became of it. The bundled client knows nothing of KIP-890: only the new producer's epoch keeps an old request out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::TopicPartitionList;

use super::consumer::position_list;
use super::producing::{DeliveryReports, Outgoing, is_refusal};
use super::watchdog::{Attempt, Hand, Intent, Patience, Watched};
use super::{Cycle, CycleError, KafkaTrouble, Publisher, client};
use crate::config::{Kafka, Topics};
use crate::pulse::Pulse;

/// How long a broker keeps a transaction open whose worker died: a successor waits for it.
pub const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Time-outs of the transaction calls.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of one call.
    pub call: Duration,
    /// Of `init_transactions`: a fresh cluster loads its coordinator first.
    pub init: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { call: Duration::from_secs(10), init: Duration::from_secs(30) }
    }
}

impl Limits {
    /// For so long the thread may be silent before something is wrong with it that the watchdog did not mend.
    #[must_use]
    pub fn silence(self) -> Duration {
        let Patience { cycle, make } = self.patience();
        (cycle + make) * 2
    }

    /// Producing and its last probe are two calls; sending offsets and committing are repeated for as long as one each; an
    /// abort may follow. One more is a margin.
    fn patience(self) -> Patience {
        Patience { cycle: self.call * 8, make: self.init * 2 }
    }
}

/// The transactional publisher.
pub struct TransactionalPublisher(Watched);

impl TransactionalPublisher {
    /// Makes the producer; answers when its transactional id is initialised.
    ///
    /// # Errors
    /// If the client refuses its configuration or the coordinator does not answer within the limit.
    pub async fn start(settings: &Kafka, transactional_id: &str, limits: Limits) -> Result<Self, KafkaTrouble> {
        let (settings, transactional_id) = (settings.clone(), transactional_id.to_owned());
        let make = move || -> Result<Hand, KafkaTrouble> {
            let config = configuration(&settings, &transactional_id);
            let producer: BaseProducer<DeliveryReports> = config.create_with_context(DeliveryReports::default())?;
            let producer = Arc::new(producer);
            // Before the first call: what is wrong now may be mended while it waits.
            client::follow_password(&settings, &producer, |producer| producer.client())?;
            producer.init_transactions(limits.init)?;
            let topics = settings.topics.clone();
            Ok(Box::new(move |attempt, intent| transact(&producer, &topics, attempt, intent, limits.call)))
        };
        Watched::start(Arc::new(make), limits.patience()).await.map(Self)
    }

    /// Whether its thread goes on.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.0.pulse()
    }
}

fn configuration(settings: &Kafka, transactional_id: &str) -> ClientConfig {
    let mut config = client::producer(settings);
    config.set("transactional.id", transactional_id);
    // The client makes a record's time-out the transaction's, where it is not shorter: see `config::timeouts`.
    client::default(&mut config, settings, "transaction.timeout.ms", &TRANSACTION_TIMEOUT.as_millis().to_string());
    config
}

#[async_trait]
impl Publisher for TransactionalPublisher {
    async fn publish(&self, cycle: Cycle) -> Result<(), CycleError> {
        self.0.publish(cycle).await
    }
}

/// One transaction.
struct Transaction<'a> {
    producer: &'a BaseProducer<DeliveryReports>,
    offsets: TopicPartitionList,
    group: &'a ConsumerGroupMetadata,
    limit: Duration,
}

fn transact(
    producer: &BaseProducer<DeliveryReports>,
    topics: &Topics,
    attempt: &Attempt,
    intent: Intent,
    limit: Duration,
) -> Result<(), CycleError> {
    let cycle = &attempt.cycle;
    let group = cycle.group.as_ref().and_then(|group| group.get::<ConsumerGroupMetadata>());
    let group = group.ok_or_else(|| CycleError::Aborted("no group membership yet".to_owned()))?;
    let offsets = position_list(&topics.created, &cycle.positions).map_err(|e| CycleError::Aborted(e.0))?;
    let transaction = Transaction { producer, offsets, group, limit };
    producer.begin_transaction().map_err(|error| CycleError::InDoubt(error.to_string()))?;
    let batch = Outgoing { producer, topics, records: &cycle.records, at_ms: cycle.at_ms, limit };
    let produced = batch.produce(|| transaction.probe());
    if intent == Intent::Abort {
        return transaction.play_and_abort(produced);
    }
    produced.map_err(|error| transaction.abort(error))?;
    transaction
        .retried(|| transaction.send_offsets())
        .and_then(|()| {
            attempt.asks_for_commit();
            transaction.retried(|| producer.commit_transaction(limit))
        })
        .map_err(|error| transaction.after(&error))
}

impl Transaction<'_> {
    fn send_offsets(&self) -> Result<(), KafkaError> {
        self.producer.send_offsets_to_transaction(&self.offsets, self.group, self.limit)
    }

    /// Ends with an abort whatever the broker takes of it. A membership that the group refuses by now is no matter: the
    /// coordinator has noted the offsets' partition before the group is asked.
    fn play_and_abort(&self, produced: Result<(), CycleError>) -> Result<(), CycleError> {
        if let Err(CycleError::InDoubt(why)) = produced {
            return Err(CycleError::InDoubt(why));
        }
        if let Err(CycleError::InDoubt(why)) = self.retried(|| self.send_offsets()).map_err(|error| failed(&error)) {
            return Err(CycleError::InDoubt(why));
        }
        self.producer.abort_transaction(self.limit).map_err(|error| CycleError::InDoubt(error.to_string()))
    }

    /// Whether the transaction has failed already. The client says it at its next call only, and keeps the records of a
    /// partition that it could not add; offsets may be sent twice.
    fn probe(&self) -> Result<(), CycleError> {
        match self.send_offsets() {
            Err(KafkaError::Transaction(error)) if is_retriable(&error) => Ok(()),
            Err(error) => Err(failed(&error)),
            Ok(()) => Ok(()),
        }
    }

    /// Repeats a transaction call as long as the client calls its failure retriable.
    fn retried(&self, call: impl Fn() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
        let began = Instant::now();
        loop {
            match call() {
                Err(KafkaError::Transaction(error)) if is_retriable(&error) && began.elapsed() < self.limit => {
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                result => return result,
            }
        }
    }

    /// What a failed transaction call means: definite only if the client says "abort" and the abort succeeds.
    fn after(&self, error: &KafkaError) -> CycleError {
        self.abort(failed(error))
    }

    /// Aborts, unless nothing but a new producer can tell what became of it.
    fn abort(&self, because: CycleError) -> CycleError {
        if matches!(because, CycleError::InDoubt(_)) {
            return because;
        }
        match self.producer.abort_transaction(self.limit) {
            Ok(()) => nothing_delivered(because),
            Err(error) => CycleError::InDoubt(format!("{because}; and the abort failed: {error}")),
        }
    }
}

/// What was acknowledged within an aborted transaction is not there.
fn nothing_delivered(error: CycleError) -> CycleError {
    match error {
        CycleError::Refused { index, error, too_large, .. } => {
            CycleError::Refused { index, error, delivered: BTreeSet::new(), too_large }
        }
        error => error,
    }
}

/// A time-out is never retried with the same producer, whatever the client says of it.
fn is_retriable(error: &RDKafkaError) -> bool {
    error.is_retriable() && !is_timeout(error.code())
}

fn is_timeout(code: RDKafkaErrorCode) -> bool {
    matches!(code, RDKafkaErrorCode::OperationTimedOut | RDKafkaErrorCode::RequestTimedOut)
}

fn failed(error: &KafkaError) -> CycleError {
    match error {
        KafkaError::Transaction(inner)
            if !inner.txn_requires_abort() || inner.is_fatal() || is_timeout(inner.code()) =>
        {
            CycleError::InDoubt(error.to_string())
        }
        KafkaError::Transaction(inner) if is_refusal(inner.code()) => CycleError::RefusedSomewhere(error.to_string()),
        KafkaError::Transaction(_) => CycleError::Aborted(error.to_string()),
        _ => CycleError::InDoubt(error.to_string()),
    }
}
