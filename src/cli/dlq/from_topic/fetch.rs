//! Sealed originals, read again by their places: a batch at a time, so that no more than a batch is in memory.

use std::collections::{BTreeMap, BTreeSet};

use rdkafka::Offset;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use serde_json::Value;

use super::read::event;
use crate::cli::broker::{ANSWER_LIMIT, Quiet, create, is_settling, is_unreachable};
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::Failure;
use crate::cli::follow::list;
use crate::dead_letters::topic::Place;

/// Records between two wanted ones that are read over rather than sought past: to seek costs a fetch.
const READ_OVER: i64 = 1000;

/// A reader of places.
pub struct Fetch {
    consumer: StreamConsumer<Quiet>,
    context: Quiet,
    brokers: String,
    topic: String,
}

impl Fetch {
    /// One that has read nothing yet.
    ///
    /// # Errors
    /// librdkafka refuses the configuration (78).
    pub fn new(endpoint: &Endpoint) -> Result<Self, Failure> {
        let context = Quiet::default();
        let mut config = endpoint.reader();
        config.set("enable.partition.eof", "true");
        let consumer = create(&config, &context)?;
        let (brokers, topic) = (endpoint.brokers.clone(), endpoint.topics.dead_letter.clone());
        Ok(Self { consumer, context, brokers, topic })
    }

    /// The events at these places; one that is not there any more is left out.
    ///
    /// # Errors
    /// The broker is unreachable (69) or refuses (1).
    pub async fn events(&self, wanted: &[Place]) -> Result<BTreeMap<Place, Value>, Failure> {
        let mut left: BTreeSet<Place> = wanted.iter().copied().collect();
        let mut found = BTreeMap::new();
        while !left.is_empty() {
            self.run(&mut left, &mut found).await?;
        }
        Ok(found)
    }

    /// From the first wanted place of each partition on, until a long gap or the end: at least those first ones are dealt with.
    async fn run(&self, left: &mut BTreeSet<Place>, found: &mut BTreeMap<Place, Value>) -> Result<(), Failure> {
        let mut firsts: BTreeMap<i32, i64> = BTreeMap::new();
        for place in left.iter() {
            firsts.entry(place.partition).or_insert(place.offset);
        }
        let at = |(partition, offset): (&i32, &i64)| (self.topic.clone(), *partition, Offset::Offset(*offset));
        let places = list(&firsts.iter().map(at).collect::<Vec<_>>()).map_err(|error| self.failed(&error))?;
        self.consumer.assign(&places).map_err(|error| self.failed(&error))?;
        let mut open: BTreeSet<i32> = firsts.into_keys().collect();
        while !open.is_empty() {
            match tokio::time::timeout(ANSWER_LIMIT, self.consumer.recv()).await {
                Ok(Ok(message)) => {
                    let here = Place { partition: message.partition(), offset: message.offset() };
                    if !open.contains(&here.partition) {
                        continue;
                    }
                    // What stood before it, and was not met, is gone: the topic's retention was faster.
                    left.retain(|place| place.partition != here.partition || place.offset >= here.offset);
                    if left.remove(&here) {
                        found.extend(event(&message).ok().map(|record| (here, record.event)));
                    }
                    let next = left.range(here..).find(|place| place.partition == here.partition);
                    if next.is_none_or(|next| next.offset - here.offset > READ_OVER) {
                        open.remove(&here.partition);
                    }
                }
                Ok(Err(KafkaError::PartitionEOF(partition))) => {
                    if open.remove(&partition) {
                        left.retain(|place| place.partition != partition);
                    }
                }
                // It passes by itself; if it does not, the silence is noticed.
                Ok(Err(error)) if is_unreachable(&error) || is_settling(&error) => {}
                Ok(Err(error)) => return Err(self.failed(&error)),
                Err(_) => return Err(self.failed(&KafkaError::Global(RDKafkaErrorCode::OperationTimedOut))),
            }
        }
        Ok(())
    }

    fn failed(&self, error: &KafkaError) -> Failure {
        self.context.failure(&self.brokers, "reading", error)
    }
}
