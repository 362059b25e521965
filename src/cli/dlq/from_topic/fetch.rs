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
        let mut open: BTreeSet<i32> = firsts.keys().copied().collect();
        while !open.is_empty() {
            match tokio::time::timeout(ANSWER_LIMIT, self.consumer.recv()).await {
                Ok(Ok(message)) => {
                    let here = Place { partition: message.partition(), offset: message.offset() };
                    // A topic that was made anew meanwhile, and is shorter, is read from its start: either the place comes yet, with
                    // another record, or the end does.
                    let is_early = firsts.get(&here.partition).is_some_and(|first| here.offset < *first);
                    if is_early || !open.contains(&here.partition) {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{FutureProducer, FutureRecord};

    use super::*;
    use crate::config::Topics;

    const TOPIC: &str = "letters";

    fn endpoint(brokers: String) -> Endpoint {
        let [created, linked, rejected] = ["created", "linked", "rejected"].map(str::to_owned);
        let topics = Topics { created, linked, rejected, dead_letter: TOPIC.to_owned() };
        let properties = BTreeMap::new();
        Endpoint { brokers, topics, properties, password_file: None, embedded: true, sandbox: None }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn places_of_a_topic_that_was_made_anew_and_is_shorter_are_left_out() {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 1, 1).unwrap();
        let endpoint = endpoint(cluster.bootstrap_servers());
        let producer: FutureProducer = endpoint.producer().create().unwrap();
        for number in 0..3 {
            let payload = format!("{{\"specversion\":\"1.0\",\"id\":\"{number}\",\"source\":\"s\",\"type\":\"t\"}}");
            let record: FutureRecord<'_, str, str> = FutureRecord::to(TOPIC).partition(0).payload(&payload);
            producer.send(record, Duration::from_secs(10)).await.unwrap();
        }
        let fetch = Fetch::new(&endpoint).unwrap();
        for wanted in [&[5000][..], &[2, 5000], &[2, 9000, 90000]] {
            let places: Vec<Place> = wanted.iter().map(|offset| Place { partition: 0, offset: *offset }).collect();
            let events = tokio::time::timeout(Duration::from_secs(60), fetch.events(&places)).await;
            let events = events.expect("it comes to an end").unwrap();
            let there: Vec<i64> = events.keys().map(|place| place.offset).collect();
            assert_eq!(there, wanted.iter().copied().filter(|offset| *offset < 3).collect::<Vec<_>>());
        }
    }
}
