//! What a topic holds now, read from given places to its end: unlike following, this ends.
//!
//! The end is told by the client itself (`enable.partition.eof`), not worked out from offsets: on a transactional topic the
//! last offsets may be commit markers, which no reader ever sees.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rdkafka::Offset;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};

use super::broker::{ANSWER_LIMIT, Quiet, Reader, create, is_settling, is_unreachable};
use super::endpoint::Endpoint;
use super::exit::Failure;
use super::follow::list;

/// Places in a topic, one a partition.
pub type Places = BTreeMap<i32, i64>;

/// Reads a topic from these places to its end.
///
/// # Errors
/// The broker is unreachable (69) or refuses (1).
pub async fn read(
    endpoint: &Endpoint,
    topic: &str,
    from: &Places,
    mut seen: impl FnMut(&BorrowedMessage<'_>),
) -> Result<(), Failure> {
    let context = Quiet::default();
    let failed = |error: &KafkaError| context.failure(&endpoint.brokers, "reading", error);
    let mut config = endpoint.reader();
    config.set("enable.partition.eof", "true");
    let consumer: StreamConsumer<Quiet> = create(&config, &context)?;
    let places: Vec<_> =
        from.iter().map(|(partition, offset)| (topic.to_owned(), *partition, Offset::Offset(*offset))).collect();
    let places = list(&places).map_err(|error| failed(&error))?;
    consumer.assign(&places).map_err(|error| failed(&error))?;
    let mut open: BTreeSet<i32> = from.keys().copied().collect();
    while !open.is_empty() {
        match tokio::time::timeout(ANSWER_LIMIT, consumer.recv()).await {
            Ok(Ok(message)) => seen(&message),
            Ok(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
            // It passes by itself; if it does not, the silence is noticed.
            Ok(Err(error)) if is_unreachable(&error) || is_settling(&error) => {}
            Ok(Err(error)) => return Err(failed(&error)),
            Err(_) => return Err(failed(&KafkaError::Global(rdkafka::error::RDKafkaErrorCode::OperationTimedOut))),
        }
    }
    Ok(())
}

/// The places from which on each partition holds its last `count` records: commit markers, and records of aborted
/// transactions, take offsets too, so the window is widened until it holds enough.
///
/// # Errors
/// See [`read`].
pub async fn last(reader: &Reader, endpoint: &Endpoint, topic: &str, count: i64) -> Result<Places, Failure> {
    let mut found = Places::new();
    let mut unsure: BTreeMap<i32, (i64, i64)> = watermarks(reader, topic).await?;
    let mut window = count;
    while !unsure.is_empty() {
        let from: Places = unsure.iter().map(|(id, (low, high))| (*id, (*low).max(high - window))).collect();
        let held = offsets(endpoint, topic, &from, count).await?;
        for (partition, start) in &from {
            let offsets = held.get(partition);
            let held = offsets.map_or(0, VecDeque::len);
            let (low, high) = unsure.get(partition).copied().unwrap_or_default();
            if i64::try_from(held).unwrap_or(i64::MAX) >= count || *start <= low {
                unsure.remove(partition);
                found.insert(*partition, offsets.and_then(VecDeque::front).copied().unwrap_or(high));
            }
        }
        window = window.saturating_mul(WIDER);
    }
    Ok(found)
}

/// Every cycle of a worker writes one marker a partition, so twice the offsets are mostly enough, and four times nearly
/// always.
const WIDER: i64 = 4;

/// The offsets of each partition's last `count` records behind these places.
async fn offsets(
    endpoint: &Endpoint,
    topic: &str,
    from: &Places,
    count: i64,
) -> Result<BTreeMap<i32, VecDeque<i64>>, Failure> {
    let keep = usize::try_from(count).unwrap_or(usize::MAX);
    let mut held: BTreeMap<i32, VecDeque<i64>> = BTreeMap::new();
    read(endpoint, topic, from, |message| {
        let offsets = held.entry(message.partition()).or_default();
        offsets.push_back(message.offset());
        if offsets.len() > keep {
            offsets.pop_front();
        }
    })
    .await?;
    Ok(held)
}

/// The first place of each partition.
///
/// # Errors
/// The broker is unreachable (69) or refuses (1).
pub async fn beginnings(reader: &Reader, topic: &str) -> Result<Places, Failure> {
    Ok(watermarks(reader, topic).await?.into_iter().map(|(partition, (low, _))| (partition, low)).collect())
}

/// Low and high of each partition.
///
/// # Errors
/// The broker is unreachable (69) or refuses (1).
pub async fn watermarks(reader: &Reader, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>, Failure> {
    let partitions = reader.partitions(topic).await?;
    let topic = topic.to_owned();
    reader
        .ask("reading positions", move |consumer| {
            let of = |partition: &i32| Ok((*partition, consumer.fetch_watermarks(&topic, *partition, ANSWER_LIMIT)?));
            partitions.iter().map(of).collect()
        })
        .await
}
