//! Following topics from a start: what `watch` shows and what `publish --wait` waits for.

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;
use rdkafka::message::Message;

use super::backlog;
use super::broker::{ANSWER_LIMIT, Reader, is_settling, is_unreachable};
use super::endpoint::Endpoint;
use super::exit::{Exit, Failure};
use super::records::Record;
use super::start::Start;

/// A reader of some topics, assigned all their partitions.
pub struct Follower {
    reader: Reader,
    /// Earlier records are not shown, in milliseconds since 1970: for a broker that has no offsets for times.
    not_before: Option<i64>,
}

impl Follower {
    /// Starts to follow. What is published from now on is seen, whatever `start` says.
    ///
    /// # Errors
    /// The broker is unreachable (69), or a topic is not there (1).
    pub async fn new(endpoint: &Endpoint, topics: &[&str], start: Start) -> Result<Self, Failure> {
        let reader = Reader::new(endpoint)?;
        let mut partitions = Vec::new();
        for topic in topics {
            let found = reader.partitions(topic).await?;
            if found.is_empty() {
                return Err(Failure::new(Exit::Failed, format!("there is no topic {topic}"))
                    .at(reader.brokers.clone())
                    .fix("`profile-linker migrate --topics` makes missing topics"));
            }
            partitions.extend(found.into_iter().map(|partition| ((*topic).to_owned(), partition)));
        }
        let not_before = start.time().filter(|_| endpoint.embedded);
        let start = if not_before.is_some() { Start::Beginning } else { start };
        let places = match start {
            Start::Back(count) => back(&reader, endpoint, topics, count).await?,
            _ => reader.ask("reading positions", move |consumer| start.places(consumer, &partitions)).await?,
        };
        reader
            .consumer
            .assign(&places)
            .map_err(|error| reader.context.failure(&reader.brokers, "assigning", &error))?;
        Ok(Self { reader, not_before })
    }

    /// The next event; waits for it without limit.
    ///
    /// # Errors
    /// The broker became unreachable (69) or refuses (1).
    pub async fn next(&self) -> Result<Record, Failure> {
        loop {
            match self.reader.consumer.recv().await {
                Ok(message) => match Record::read(&message) {
                    Some(record) if self.is_early(&record) => {}
                    Some(record) => return Ok(record),
                    None => tracing::warn!(
                        kafka.topic = message.topic(),
                        kafka.partition = message.partition(),
                        kafka.offset = message.offset(),
                        "skipping a record that is not a CloudEvent"
                    ),
                },
                Err(error) if is_unreachable(&error) || is_settling(&error) => self.probe().await?,
                Err(error) => return Err(self.reader.context.failure(&self.reader.brokers, "reading", &error)),
            }
        }
    }

    fn is_early(&self, record: &Record) -> bool {
        self.not_before.is_some_and(|limit| record.timestamp.is_some_and(|timestamp| timestamp < limit))
    }

    /// A lost connection comes back by itself; only a broker that then does not answer is a failure.
    async fn probe(&self) -> Result<(), Failure> {
        self.reader.ask("reading", |consumer| consumer.fetch_metadata(None, 2 * ANSWER_LIMIT).map(|_| ())).await
    }
}

/// So many records back in each partition of each topic.
async fn back(
    reader: &Reader,
    endpoint: &Endpoint,
    topics: &[&str],
    count: i64,
) -> Result<TopicPartitionList, Failure> {
    let mut places = Vec::new();
    for topic in topics {
        let last = backlog::last(reader, endpoint, topic, count).await?;
        places.extend(last.into_iter().map(|(partition, at)| ((*topic).to_owned(), partition, Offset::Offset(at))));
    }
    list(&places).map_err(|error| reader.context.failure(&reader.brokers, "assigning", &error))
}

/// The place of each partition, as a list to assign.
pub(super) fn list(places: &[(String, i32, Offset)]) -> Result<TopicPartitionList, rdkafka::error::KafkaError> {
    let mut list = TopicPartitionList::new();
    for (topic, partition, offset) in places {
        list.add_partition_offset(topic, *partition, *offset)?;
    }
    Ok(list)
}
