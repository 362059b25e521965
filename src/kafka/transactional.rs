//! Publishing in transactions: results, positions and cursors become visible together or not at all.
//!
//! The client's transaction calls block, so a thread of its own makes them. After any time-out or indefinite error the
//! producer is dropped and made anew with the same transactional id, which fences and resolves the old transaction; only
//! then the cycle is reported as in doubt, so that the committed cursor tells what became of it.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{KafkaError, RDKafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};
use tokio::sync::oneshot;

use super::consumer::position_list;
use super::producing::{DeliveryReports, produce_all};
use super::{Cycle, CycleError, KafkaTrouble, Publisher, client};
use crate::config::{Kafka, Topics};

/// How long a broker keeps a transaction open whose worker died: a successor waits for it.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit of one transaction call.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit of `init_transactions`: a fresh cluster loads its coordinator first.
const INIT_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause between attempts to make the producer anew.
const REMAKE_PAUSE: Duration = Duration::from_millis(500);

/// The transactional publisher.
pub struct TransactionalPublisher {
    jobs: Mutex<Sender<Job>>,
}

struct Job {
    cycle: Cycle,
    answer: oneshot::Sender<Result<(), CycleError>>,
}

impl TransactionalPublisher {
    /// Starts the thread and makes the producer; answers when its transactional id is initialised.
    ///
    /// # Errors
    /// If the client refuses its configuration or the coordinator does not answer within 30 s.
    pub async fn start(settings: &Kafka, transactional_id: &str) -> Result<Self, KafkaTrouble> {
        let mut config = client::producer(settings);
        config.set("transactional.id", transactional_id);
        config.set("transaction.timeout.ms", TRANSACTION_TIMEOUT.as_millis().to_string());
        let (jobs, receiver) = channel();
        let (ready, is_ready) = oneshot::channel();
        let topics = settings.topics.clone();
        std::thread::Builder::new()
            .name("kafka-transactions".to_owned())
            .spawn(move || serve(&config, &topics, &receiver, ready))
            .map_err(|error| KafkaTrouble(format!("starting the transaction thread: {error}")))?;
        is_ready.await.map_err(|_| KafkaTrouble("the transaction thread ended".to_owned()))??;
        Ok(Self { jobs: Mutex::new(jobs) })
    }
}

#[async_trait]
impl Publisher for TransactionalPublisher {
    async fn publish(&self, cycle: Cycle) -> Result<(), CycleError> {
        let (answer, answered) = oneshot::channel();
        let ended = || CycleError::InDoubt("the transaction thread ended".to_owned());
        self.jobs.lock().map_err(|_| ended())?.send(Job { cycle, answer }).map_err(|_| ended())?;
        answered.await.map_err(|_| ended())?
    }
}

fn serve(
    config: &rdkafka::ClientConfig,
    topics: &Topics,
    jobs: &Receiver<Job>,
    ready: oneshot::Sender<Result<(), KafkaTrouble>>,
) {
    let mut producer = match make(config) {
        Ok(producer) => producer,
        Err(error) => {
            let _ = ready.send(Err(error.into()));
            return;
        }
    };
    let _ = ready.send(Ok(()));
    while let Ok(job) = jobs.recv() {
        let result = transact(&producer, topics, job.cycle);
        if let Err(CycleError::InDoubt(why)) = &result {
            tracing::warn!(error = %why, "a transaction's outcome is unknown; making the producer anew");
            drop(producer);
            producer = remake(config);
        }
        // A worker that no longer waits has ended; the committed cursor tells its successor.
        let _ = job.answer.send(result);
    }
}

fn make(config: &rdkafka::ClientConfig) -> Result<BaseProducer<DeliveryReports>, KafkaError> {
    let producer: BaseProducer<DeliveryReports> = config.create_with_context(DeliveryReports::default())?;
    producer.init_transactions(INIT_TIMEOUT)?;
    Ok(producer)
}

fn remake(config: &rdkafka::ClientConfig) -> BaseProducer<DeliveryReports> {
    loop {
        match make(config) {
            Ok(producer) => return producer,
            Err(error) => {
                tracing::warn!(error = %error, "the transactional producer cannot be made; trying again");
                std::thread::park_timeout(REMAKE_PAUSE);
            }
        }
    }
}

fn transact(producer: &BaseProducer<DeliveryReports>, topics: &Topics, cycle: Cycle) -> Result<(), CycleError> {
    let group = cycle.group.as_ref().and_then(|group| group.get::<ConsumerGroupMetadata>());
    let group = group.ok_or_else(|| CycleError::Aborted("no group membership yet".to_owned()))?;
    let offsets = position_list(&topics.created, &cycle.positions).map_err(|e| CycleError::Aborted(e.0))?;
    producer.begin_transaction().map_err(|error| CycleError::InDoubt(error.to_string()))?;
    if let Err(error) = produce_all(producer, topics, &cycle.records, CALL_TIMEOUT) {
        return Err(abort(producer, error));
    }
    retried(|| producer.send_offsets_to_transaction(&offsets, group, CALL_TIMEOUT))
        .and_then(|()| retried(|| producer.commit_transaction(CALL_TIMEOUT)))
        .map_err(|error| after(producer, &error))
}

/// Repeats a transaction call as long as the client calls its failure retriable.
fn retried(call: impl Fn() -> Result<(), KafkaError>) -> Result<(), KafkaError> {
    let began = Instant::now();
    loop {
        match call() {
            Err(KafkaError::Transaction(error)) if is_retriable(&error) && began.elapsed() < CALL_TIMEOUT => {
                std::thread::park_timeout(Duration::from_millis(20));
            }
            result => return result,
        }
    }
}

fn is_retriable(error: &RDKafkaError) -> bool {
    error.is_retriable() && error.code() != RDKafkaErrorCode::OperationTimedOut
}

/// What a failed transaction call means: definite only if the client says "abort" and the abort succeeds.
fn after(producer: &BaseProducer<DeliveryReports>, error: &KafkaError) -> CycleError {
    match error {
        KafkaError::Transaction(inner) if inner.txn_requires_abort() && !inner.is_fatal() => {
            abort(producer, CycleError::Aborted(error.to_string()))
        }
        _ => CycleError::InDoubt(error.to_string()),
    }
}

fn abort(producer: &BaseProducer<DeliveryReports>, because: CycleError) -> CycleError {
    match producer.abort_transaction(CALL_TIMEOUT) {
        Ok(()) => because,
        Err(error) => CycleError::InDoubt(format!("{because}; and the abort failed: {error}")),
    }
}
