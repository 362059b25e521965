//! The one polled consumer. A thread of its own polls, always; rebalances are handed over to the worker, which answers
//! them when it has given up or taken over what they name, while polling goes on.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::backlog::Backlog;
use super::membership::Membership;
use super::polling::{Common, Handover, Poller};
use super::watch::{self, Known, TopicWatch};
use super::{Committed, GroupMetadata, KafkaTrouble, KnownTopic, Position, Source, SourceEvent, client, log_ends};
use crate::config::Kafka;
use crate::pulse::Pulse;

/// Limit of a call to the group's coordinator.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long leaving the group may take; after that the group finds out by itself.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);
/// How long to rest meanwhile between two looks.
const CLOSE_STEP: Duration = Duration::from_millis(10);

/// The consumer as the worker sees it.
pub struct KafkaSource {
    topic: String,
    consumer: Arc<BaseConsumer<Handover>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
    watch: std::thread::JoinHandle<()>,
    restarts: std::sync::mpsc::Sender<(i32, Option<i64>)>,
    common: Arc<Common>,
    topic_id: Arc<Mutex<Known>>,
}

impl KafkaSource {
    /// Joins the group and starts polling.
    ///
    /// # Errors
    /// If the client refuses its configuration.
    pub fn start(settings: &Kafka) -> Result<(Arc<Self>, UnboundedReceiver<SourceEvent>), KafkaTrouble> {
        let (events, receiver) = unbounded_channel();
        let common = Arc::<Common>::default();
        let context = Handover { events: events.clone(), common: Arc::clone(&common) };
        let mut consumer: BaseConsumer<Handover> = configuration(settings).create_with_context(context)?;
        let ring = Arc::clone(&common);
        consumer.set_nonempty_callback(move || ring.wake_the_poller());
        let consumer = Arc::new(consumer);
        client::follow_password(settings, &consumer, |consumer| consumer.client())?;
        consumer.subscribe(&[settings.topics.created.as_str()])?;
        let topic = settings.topics.created.clone();
        let (restarts, asked) = std::sync::mpsc::channel();
        let topic_id = Arc::<Mutex<Known>>::default();
        let poller = Poller {
            topic: topic.clone(),
            consumer: Arc::clone(&consumer),
            events: events.clone(),
            restarts: asked,
            common: Arc::clone(&common),
        };
        let watch = TopicWatch {
            topic: topic.clone(),
            consumer: Arc::clone(&consumer),
            events,
            common: Arc::clone(&common),
            known: Arc::clone(&topic_id),
        };
        let thread = Mutex::new(Some(spawn("kafka-poll", move || poller.run())?));
        let watch = spawn("kafka-topic", move || watch.run())?;
        Ok((Arc::new(Self { topic, consumer, thread, watch, restarts, common, topic_id }), receiver))
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

    /// What was fetched and waits to be taken in.
    #[must_use]
    pub fn backlog(&self) -> &Backlog {
        &self.common.backlog
    }

    /// Whether its polling thread goes on.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        self.common.pulse.clone()
    }

    fn list(&self, partitions: &[i32]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&self.topic, *partition);
        }
        list
    }

    /// The last rebalance is answered.
    fn answered(&self) {
        lock(&self.common.rebalances).answer();
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> Result<std::thread::JoinHandle<()>, KafkaTrouble> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(body);
    started.map_err(|error| KafkaTrouble(format!("starting the thread {name}: {error}")))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A third of the session, as Kafka's documents ask, and at most the client's own default.
fn heartbeat_ms(settings: &Kafka) -> u32 {
    let session = settings.properties.get("session.timeout.ms").and_then(|text| text.parse::<u32>().ok());
    session.map_or(3_000, |session| (session / 3).clamp(1, 3_000))
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
    client::default(&mut config, settings, "heartbeat.interval.ms", &heartbeat_ms(settings).to_string());
    config
}

#[async_trait]
impl Source for KafkaSource {
    fn assign(&self, starts: &[(i32, Option<i64>)]) -> Result<(), KafkaTrouble> {
        let mut list = TopicPartitionList::new();
        for (partition, start) in starts {
            let offset = start.map_or(Offset::Beginning, Offset::Offset);
            list.add_partition_offset(&self.topic, *partition, offset)?;
        }
        self.consumer.incremental_assign(&list)?;
        if lock(&self.common.brake).full {
            self.consumer.pause(&list)?;
        }
        self.answered();
        log_ends::alarm_where_positions_are_gone(&self.consumer, &self.topic, starts);
        Ok(())
    }

    fn unassign(&self, partitions: &[i32]) -> Result<(), KafkaTrouble> {
        let _changing = lock(&self.common.assigning);
        self.consumer.incremental_unassign(&self.list(partitions))?;
        self.answered();
        Ok(())
    }

    fn restart(&self, partition: i32, start: Option<i64>) -> Result<(), KafkaTrouble> {
        self.restarts.send((partition, start)).map_err(|_| KafkaTrouble("the polling thread ended".to_owned()))
    }

    fn pause(&self, partitions: &[i32]) -> Result<(), KafkaTrouble> {
        lock(&self.common.brake).pause(partitions);
        Ok(self.consumer.pause(&self.list(partitions))?)
    }

    fn resume(&self, partitions: &[i32]) -> Result<(), KafkaTrouble> {
        // Held until the client knows, so that the brake of the polling thread comes before or after.
        let mut brake = lock(&self.common.brake);
        let now = brake.resume(partitions);
        Ok(self.consumer.resume(&self.list(&now))?)
    }

    async fn committed(&self, partitions: &[i32]) -> Result<Vec<Committed>, KafkaTrouble> {
        let (consumer, list) = (Arc::clone(&self.consumer), self.list(partitions));
        let answer = blocking(move || Ok(consumer.committed_offsets(list, CALL_TIMEOUT)?)).await?;
        answer.elements().iter().map(committed).collect()
    }

    async fn log_ends(&self, partitions: &[i32]) -> Result<Vec<(i32, i64)>, KafkaTrouble> {
        let (consumer, topic, partitions) = (Arc::clone(&self.consumer), self.topic.clone(), partitions.to_vec());
        blocking(move || log_ends::read(&consumer, &topic, &partitions)).await
    }

    async fn commit(&self, positions: &[Position]) -> Result<(), KafkaTrouble> {
        let (consumer, list) = (Arc::clone(&self.consumer), position_list(&self.topic, positions)?);
        blocking(move || {
            // The client would send an outsider's commit, which a broker takes while the group is empty.
            if consumer.assignment_lost() || Membership::of(&consumer).is_none() {
                return Err(KafkaTrouble("the partitions are lost: nothing is committed".to_owned()));
            }
            Ok(consumer.commit(&list, CommitMode::Sync)?)
        })
        .await
    }

    fn group(&self) -> Option<GroupMetadata> {
        let before = Membership::of(&self.consumer)?;
        let metadata = self.consumer.group_metadata()?;
        // Generations only grow: what was the same before and after was the same between.
        let same = Membership::of(&self.consumer).as_ref() == Some(&before);
        // Asked last: what is told after this moment waits for the cycle that is put together now.
        let ours = same && !self.consumer.assignment_lost() && lock(&self.common.rebalances).cover(&before);
        ours.then(|| GroupMetadata::new(metadata))
    }

    async fn topic(&self) -> Result<Option<KnownTopic>, KafkaTrouble> {
        let (consumer, topic, known) = (Arc::clone(&self.consumer), self.topic.clone(), Arc::clone(&self.topic_id));
        blocking(move || watch::tell(&consumer, &topic, &known)).await
    }

    async fn close(&self) {
        self.common.stop.store(true, Ordering::SeqCst);
        self.watch.thread().unpark();
        let thread = self.thread.lock().map_or(None, |mut thread| thread.take());
        let (consumer, common) = (Arc::clone(&self.consumer), Arc::clone(&self.common));
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
                if consumer.poll(Duration::ZERO).is_none() && !common.has_served() {
                    std::thread::park_timeout(CLOSE_STEP);
                }
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
