//! The one polled consumer. A thread of its own polls, always; rebalances are handed over to the worker, which answers
//! them when it has given up or taken over what they name, while polling goes on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{Committed, KafkaTrouble, Membership, Position, Source, SourceEvent, client};
use crate::config::Kafka;
use crate::contract::InputRecord;
use crate::domain::{Origin, Secret};

/// Records handed over at once: what one acceptance writes in a few milliseconds.
const BATCH: usize = 500;
/// How long one poll may wait; also how soon the thread sees that it shall end.
const POLL: Duration = Duration::from_millis(50);
/// Limit of a call to the group's coordinator.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long leaving the group may take; after that the group finds out by itself.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

/// The consumer as the worker sees it.
pub struct KafkaSource {
    topic: String,
    consumer: Arc<BaseConsumer<Handover>>,
    thread: std::sync::Mutex<Option<std::thread::JoinHandle<()>>>,
    stop: Arc<AtomicBool>,
    restarts: std::sync::mpsc::Sender<(i32, Option<i64>)>,
    assigning: Arc<std::sync::Mutex<()>>,
}

/// Where callbacks go. The channel is bounded by pausing, not by blocking: polling must never wait.
struct Handover {
    events: UnboundedSender<SourceEvent>,
    closing: Arc<AtomicBool>,
}

impl ClientContext for Handover {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(kafka.error = %error, kafka.reason = reason, "kafka consumer trouble");
    }
}

impl ConsumerContext for Handover {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let ids: Vec<i32> = partitions.elements().iter().map(|element| element.partition()).collect();
        let assigned = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::SeqCst) {
            // The worker has given up everything already; only the client itself still waits for the answer.
            let answer = if assigned {
                consumer.incremental_assign(partitions)
            } else {
                consumer.incremental_unassign(partitions)
            };
            if let Err(error) = answer {
                tracing::debug!(kafka.error = %error, "answering a rebalance while closing");
            }
            return;
        }
        let event = if assigned {
            SourceEvent::Assigned(ids)
        } else {
            SourceEvent::Revoked { partitions: ids, lost: consumer.assignment_lost() }
        };
        // A closed channel means that the worker has ended; `close` answers then.
        let _ = self.events.send(event);
    }
}

impl KafkaSource {
    /// Joins the group and starts polling.
    ///
    /// # Errors
    /// If the client refuses its configuration.
    pub fn start(settings: &Kafka) -> Result<(Arc<Self>, UnboundedReceiver<SourceEvent>), KafkaTrouble> {
        let (events, receiver) = unbounded_channel();
        let stop = Arc::new(AtomicBool::new(false));
        let context = Handover { events: events.clone(), closing: Arc::clone(&stop) };
        let consumer: Arc<BaseConsumer<Handover>> = Arc::new(configuration(settings).create_with_context(context)?);
        consumer.subscribe(&[settings.topics.created.as_str()])?;
        let topic = settings.topics.created.clone();
        let (restarts, asked) = std::sync::mpsc::channel();
        let assigning = Arc::new(std::sync::Mutex::new(()));
        let poller = Poller {
            topic: topic.clone(),
            consumer: Arc::clone(&consumer),
            events,
            restarts: asked,
            assigning: Arc::clone(&assigning),
            stop: Arc::clone(&stop),
        };
        let thread = std::thread::Builder::new()
            .name("kafka-poll".to_owned())
            .spawn(move || poller.run())
            .map_err(|error| KafkaTrouble(format!("starting the polling thread: {error}")))?;
        let thread = std::sync::Mutex::new(Some(thread));
        Ok((Arc::new(Self { topic, consumer, thread, stop, restarts, assigning }), receiver))
    }

    /// The cluster's id, within 30 s.
    ///
    /// # Errors
    /// If no broker answers.
    pub async fn cluster_id(&self) -> Result<String, KafkaTrouble> {
        let consumer = Arc::clone(&self.consumer);
        blocking(move || {
            consumer
                .client()
                .fetch_cluster_id(Duration::from_secs(30))
                .ok_or_else(|| KafkaTrouble("no broker answered within 30 s".to_owned()))
        })
        .await
    }

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, *partition);
        }
        list
    }
}

fn configuration(settings: &Kafka) -> rdkafka::ClientConfig {
    let mut config = client::base(settings);
    config.set("group.id", &settings.group);
    config.set("enable.auto.commit", "false");
    config.set("enable.auto.offset.store", "false");
    config.set("auto.offset.reset", "earliest");
    // Also what makes the read of committed positions wait for open transactions.
    config.set("isolation.level", "read_committed");
    config.set("partition.assignment.strategy", "cooperative-sticky");
    // What the client may hold back unasked: enough for the next batches, not 64 MB.
    client::default(&mut config, settings, "queued.max.messages.kbytes", "16384");
    client::default(&mut config, settings, "queued.min.messages", "2000");
    client::default(&mut config, settings, "fetch.wait.max.ms", "100");
    config
}

/// The polling thread.
struct Poller {
    topic: String,
    consumer: Arc<BaseConsumer<Handover>>,
    events: UnboundedSender<SourceEvent>,
    restarts: std::sync::mpsc::Receiver<(i32, Option<i64>)>,
    /// Held while the assignment is changed, so that a restart does not take back what is given up meanwhile.
    assigning: Arc<std::sync::Mutex<()>>,
    stop: Arc<AtomicBool>,
}

impl Poller {
    fn run(&self) {
        let mut trouble = String::new();
        while !self.stop.load(Ordering::SeqCst) {
            self.restart();
            let mut batch = Vec::new();
            let mut wait = POLL;
            while batch.len() < BATCH {
                match self.consumer.poll(wait) {
                    None => break,
                    Some(Ok(message)) => batch.push(owned(&message)),
                    Some(Err(error)) => {
                        report(&error, &mut trouble, &self.events);
                        break;
                    }
                }
                wait = Duration::ZERO;
            }
            if !batch.is_empty() {
                trouble.clear();
                if self.events.send(SourceEvent::Records(batch)).is_err() {
                    return;
                }
            }
        }
    }

    /// Done here, between two polls, so that "before" and "after" have a meaning in the channel.
    fn restart(&self) {
        while let Ok((partition, start)) = self.restarts.try_recv() {
            let event = match self.restart_one(partition, start) {
                Ok(()) => SourceEvent::Restarted(partition),
                Err(error) => SourceEvent::Fatal(error.0),
            };
            let _ = self.events.send(event);
        }
    }

    fn restart_one(&self, partition: i32, start: Option<i64>) -> Result<(), KafkaTrouble> {
        let _changing = self.assigning.lock().unwrap_or_else(PoisonError::into_inner);
        if self.consumer.assignment()?.find_partition(&self.topic, partition).is_none() {
            return Ok(());
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition, start.map_or(Offset::Beginning, Offset::Offset))?;
        self.consumer.incremental_unassign(&list)?;
        Ok(self.consumer.incremental_assign(&list)?)
    }
}

/// Says a trouble once, not at every poll.
fn report(error: &KafkaError, last: &mut String, events: &UnboundedSender<SourceEvent>) {
    let text = error.to_string();
    if matches!(error, KafkaError::MessageConsumptionFatal(_)) {
        let _ = events.send(SourceEvent::Fatal(text));
    } else if *last != text {
        last.clone_from(&text);
        let _ = events.send(SourceEvent::Trouble(text));
    }
}

fn owned(message: &rdkafka::message::BorrowedMessage<'_>) -> InputRecord {
    let headers = message.headers().map_or_else(Vec::new, |headers| {
        headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
    });
    InputRecord {
        origin: Origin {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            timestamp: message.timestamp().to_millis().unwrap_or(-1),
        },
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(|value| Secret::new(value.to_vec())),
        headers,
    }
}

#[async_trait]
impl Source for KafkaSource {
    fn assign(&self, starts: &[(i32, Option<i64>)]) -> Result<(), KafkaTrouble> {
        let mut list = TopicPartitionList::new();
        for (partition, start) in starts {
            let offset = start.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&self.topic, *partition, offset)?;
        }
        Ok(self.consumer.incremental_assign(&list)?)
    }

    fn unassign(&self, partitions: &[i32]) -> Result<(), KafkaTrouble> {
        let _changing = self.assigning.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(self.consumer.incremental_unassign(&self.list(partitions))?)
    }

    fn restart(&self, partition: i32, start: Option<i64>) -> Result<(), KafkaTrouble> {
        self.restarts.send((partition, start)).map_err(|_| KafkaTrouble("the polling thread ended".to_owned()))
    }

    fn pause(&self, partitions: &[i32]) -> Result<(), KafkaTrouble> {
        Ok(self.consumer.pause(&self.list(partitions))?)
    }

    fn resume(&self, partitions: &[i32]) -> Result<(), KafkaTrouble> {
        Ok(self.consumer.resume(&self.list(partitions))?)
    }

    async fn committed(&self, partitions: &[i32]) -> Result<Vec<Committed>, KafkaTrouble> {
        let (consumer, list) = (Arc::clone(&self.consumer), self.list(partitions));
        let answer = blocking(move || Ok(consumer.committed_offsets(list, CALL_TIMEOUT)?)).await?;
        answer.elements().iter().map(committed).collect()
    }

    async fn commit(&self, positions: &[Position]) -> Result<(), KafkaTrouble> {
        let (consumer, list) = (Arc::clone(&self.consumer), position_list(&self.topic, positions)?);
        blocking(move || Ok(consumer.commit(&list, CommitMode::Sync)?)).await
    }

    fn group(&self) -> Option<Membership> {
        let metadata = self.consumer.group_metadata();
        // Asked after: a lost membership's metadata has no member, and the broker would take it for an outsider's word.
        metadata.filter(|_| !self.consumer.assignment_lost()).map(Membership::new)
    }

    async fn close(&self) {
        self.stop.store(true, Ordering::SeqCst);
        let thread = self.thread.lock().map_or(None, |mut thread| thread.take());
        let consumer = Arc::clone(&self.consumer);
        let closed = blocking(move || {
            if let Some(thread) = thread {
                thread.join().map_err(|_| KafkaTrouble("the polling thread panicked".to_owned()))?;
            }
            answer_open_rebalance(&consumer);
            consumer.close_queue()?;
            let began = std::time::Instant::now();
            while !consumer.closed() {
                if began.elapsed() > CLOSE_LIMIT {
                    // Its destructor would wait in the same way; the process is about to end.
                    std::mem::forget(Arc::clone(&consumer));
                    return Err(KafkaTrouble(format!("no answer within {} s", CLOSE_LIMIT.as_secs())));
                }
                consumer.poll(POLL);
            }
            Ok(())
        });
        if let Err(error) = closed.await {
            tracing::warn!(error = %error, "leaving the group");
        }
    }
}

/// A rebalance that was handed over and that the worker did not come to answer, say because its last cycle is stuck with
/// the broker, would keep `close` waiting for ever. Nothing is done where none is open.
fn answer_open_rebalance(consumer: &BaseConsumer<Handover>) {
    let assigned = consumer.incremental_assign(&TopicPartitionList::new());
    let held = consumer.assignment().and_then(|held| match held.count() {
        0 => Ok(()),
        _ => consumer.incremental_unassign(&held),
    });
    for error in [assigned, held].into_iter().filter_map(Result::err) {
        tracing::debug!(kafka.error = %error, "answering the last rebalance");
    }
}

fn committed(element: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>) -> Result<Committed, KafkaTrouble> {
    element.error()?;
    let offset = match element.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    };
    Ok(Committed { partition: element.partition(), offset, metadata: element.metadata().to_owned() })
}

/// Positions as the client's list, each with its metadata.
pub(super) fn position_list(topic: &str, positions: &[Position]) -> Result<TopicPartitionList, KafkaTrouble> {
    let mut list = TopicPartitionList::new();
    for position in positions {
        let mut element = list.add_partition(topic, position.partition);
        element.set_offset(Offset::Offset(position.offset))?;
        element.set_metadata(position.metadata.as_str());
    }
    Ok(list)
}

/// Runs a call of the client that blocks.
pub(super) async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, KafkaTrouble> + Send + 'static,
) -> Result<T, KafkaTrouble> {
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result,
        Err(error) => Err(KafkaTrouble(format!("a client call ended abnormally: {error}"))),
    }
}
