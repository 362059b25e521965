//! The thread that polls, always, and what the client calls from there.
//!
//! It never waits in the client: the client's waits end at a time of day, so that a machine's clock that is put back by a day, while
//! there is nothing to fetch, would make one last a day longer. It rests by the monotonic clock, until the client rings.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;

use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset};
use tokio::sync::mpsc::UnboundedSender;

use super::backlog::{Backlog, Batch, Brake, weight};
use super::membership::{Membership, Rebalances};
use super::{KafkaTrouble, SourceEvent, client};
use crate::contract::InputRecord;
use crate::domain::{Origin, Secret};
use crate::pulse::Pulse;

/// Records handed over at once: what one acceptance writes in a few milliseconds.
const BATCH: usize = 500;
/// Bytes handed over at once, about: large records would otherwise make batches of hundreds of megabytes.
const BATCH_BYTES: usize = 4 << 20;
/// How long it rests where nothing comes; also how soon the thread sees that it shall end.
pub(super) const POLL: Duration = Duration::from_millis(50);

/// What the polling thread and the worker's side of the consumer share.
#[derive(Default)]
pub(super) struct Common {
    pub rebalances: Mutex<Rebalances>,
    pub backlog: Arc<Backlog>,
    pub brake: Mutex<Brake>,
    /// Held while the assignment is changed, so that a restart does not take back what is given up meanwhile.
    pub assigning: Mutex<()>,
    /// Beaten at every poll.
    pub pulse: Pulse,
    pub stop: AtomicBool,
    /// The polling thread, once it runs.
    poller: OnceLock<Thread>,
    /// A callback was served since this was asked last.
    served: AtomicBool,
}

impl Common {
    /// There is something to poll.
    pub fn wake_the_poller(&self) {
        if let Some(poller) = self.poller.get() {
            poller.unpark();
        }
    }

    /// Whether a poll that brought nothing served a callback in its place. Then there may be more behind it, and the client rings
    /// only where its queue was empty.
    pub fn has_served(&self) -> bool {
        self.served.swap(false, Ordering::Relaxed)
    }

    fn serves(&self) {
        self.served.store(true, Ordering::Relaxed);
    }
}

/// Where callbacks go. The channel is bounded by pausing, not by blocking: polling must never wait.
pub(super) struct Handover {
    pub events: UnboundedSender<SourceEvent>,
    pub common: Arc<Common>,
}

impl ClientContext for Handover {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.common.serves();
        client::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.common.serves();
        tracing::debug!(kafka.error = %error, kafka.reason = reason, "kafka consumer trouble");
    }
}

impl ConsumerContext for Handover {
    fn commit_callback(&self, _: KafkaResult<()>, _: &TopicPartitionList) {
        self.common.serves();
    }

    fn rebalance(&self, consumer: &BaseConsumer<Self>, err: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        self.common.serves();
        let ids: Vec<i32> = partitions.elements().iter().map(|element| element.partition()).collect();
        let assigned = err == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.common.stop.load(Ordering::SeqCst) {
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
        let lost = !assigned && consumer.assignment_lost();
        let membership = if lost { None } else { Membership::of(consumer) };
        self.common.rebalances.lock().unwrap_or_else(PoisonError::into_inner).tell(membership);
        let event = if assigned { SourceEvent::Assigned(ids) } else { SourceEvent::Revoked { partitions: ids, lost } };
        // A closed channel means that the worker has ended; `close` answers then.
        let _ = self.events.send(event);
    }
}

/// The polling thread.
pub(super) struct Poller {
    pub topic: String,
    pub consumer: Arc<BaseConsumer<Handover>>,
    pub events: UnboundedSender<SourceEvent>,
    pub restarts: Receiver<(i32, Option<i64>)>,
    pub common: Arc<Common>,
}

impl Poller {
    pub fn run(&self) {
        let mut trouble = String::new();
        // Only one thread runs this.
        let _ = self.common.poller.set(std::thread::current());
        while !self.common.stop.load(Ordering::SeqCst) {
            self.common.pulse.beat();
            self.restart();
            self.brake();
            let batch = self.fetch(&mut trouble);
            if !batch.is_empty() {
                trouble.clear();
                let batch = Batch::counted(batch, &self.common.backlog);
                if self.events.send(SourceEvent::Records(batch)).is_err() {
                    return;
                }
            }
        }
    }

    fn fetch(&self, trouble: &mut String) -> Vec<InputRecord> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < BATCH && bytes < BATCH_BYTES {
            match self.next(batch.is_empty()) {
                None => break,
                Some(Ok(message)) => {
                    let record = owned(&message);
                    bytes += weight(&record);
                    batch.push(record);
                }
                Some(Err(error)) => {
                    report(&error, trouble, &self.events);
                    break;
                }
            }
        }
        batch
    }

    /// What is there, or comes while it rests.
    fn next(&self, rests: bool) -> Option<Result<BorrowedMessage<'_>, KafkaError>> {
        let next = self.consumer.poll(Duration::ZERO);
        if next.is_some() || !rests || self.common.has_served() {
            return next;
        }
        std::thread::park_timeout(POLL);
        self.consumer.poll(Duration::ZERO)
    }

    /// Pauses everything while too much waits to be taken in, and goes on when half of it is.
    fn brake(&self) {
        let mut brake = self.common.brake.lock().unwrap_or_else(PoisonError::into_inner);
        let (full, room) = (self.common.backlog.is_full(), self.common.backlog.has_room());
        if (brake.full && !room) || (!brake.full && !full) {
            return;
        }
        brake.full = full;
        if let Err(error) = self.apply(&brake) {
            // Tried again at the next poll.
            brake.full = !full;
            tracing::debug!(error = %error, "braking the intake");
        }
    }

    fn apply(&self, brake: &Brake) -> Result<(), KafkaTrouble> {
        let held = self.consumer.assignment()?;
        if brake.full {
            return Ok(self.consumer.pause(&held)?);
        }
        let held = held.elements().iter().map(|element| element.partition()).collect::<Vec<_>>();
        let mut wanted = TopicPartitionList::new();
        for partition in brake.wanted(held) {
            wanted.add_partition(&self.topic, partition);
        }
        Ok(self.consumer.resume(&wanted)?)
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
        let _changing = self.common.assigning.lock().unwrap_or_else(PoisonError::into_inner);
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

fn owned(message: &BorrowedMessage<'_>) -> InputRecord {
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
