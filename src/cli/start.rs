//! Where to start following: `--from start|end|-N|@TIME`.

use std::str::FromStr;

use jiff::Timestamp;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::broker::{ANSWER_LIMIT, Quiet};
use super::follow::list;
use crate::config::parse_duration;

/// Where to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the oldest record.
    Beginning,
    /// With the next record.
    End,
    /// So many records back in each partition.
    Back(i64),
    /// With the first record at or after this time, in milliseconds since 1970.
    Time(i64),
}

impl FromStr for Start {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{text:?} is not start, end, -N (records back in each partition), @TIME (RFC 3339) or @15m (ago), \
                 not before 1970"
            )
        };
        match text {
            "start" => Ok(Self::Beginning),
            "end" => Ok(Self::End),
            _ => back(text).or_else(|| text.strip_prefix('@').and_then(time)).ok_or_else(bad),
        }
    }
}

fn back(text: &str) -> Option<Start> {
    let number = text.strip_prefix('-')?.parse::<u32>().ok()?;
    Some(Start::Back(i64::from(number)))
}

fn time(text: &str) -> Option<Start> {
    let ago = parse_duration(text).and_then(|ago| i64::try_from(ago.as_millis()).ok());
    let at = match ago {
        Some(ago) => Timestamp::now().as_millisecond().saturating_sub(ago),
        None => text.parse::<Timestamp>().ok()?.as_millisecond(),
    };
    // Below zero Kafka's own words begin: -1 is the end, -2 the start.
    (at >= 0).then_some(Start::Time(at))
}

impl Start {
    /// The time, if it is one.
    #[must_use]
    pub fn time(self) -> Option<i64> {
        if let Self::Time(time) = self { Some(time) } else { None }
    }

    /// The offset in each partition, asked of the broker. Ends are taken as numbers, not as "the end", so that nothing
    /// between this moment and the first fetch is missed.
    ///
    /// # Errors
    /// The broker's.
    pub fn places(
        self,
        consumer: &StreamConsumer<Quiet>,
        partitions: &[(String, i32)],
    ) -> Result<TopicPartitionList, KafkaError> {
        let mut places = Vec::with_capacity(partitions.len());
        let times = self.time().map(|time| offsets_for(consumer, partitions, time)).transpose()?;
        for (topic, partition) in partitions {
            if self == Self::Beginning {
                // The fetcher finds the start itself; asking for it first is one more answer that can go astray while
                // leaders are elected.
                places.push((topic.clone(), *partition, Offset::Beginning));
                continue;
            }
            let (_, high) = consumer.fetch_watermarks(topic, *partition, ANSWER_LIMIT)?;
            let offset = match self {
                // Records back are counted by `backlog`: offsets count commit markers too.
                Self::Beginning | Self::End | Self::Back(_) => high,
                Self::Time(_) => times.as_ref().and_then(|list| offset_of(list, topic, *partition)).unwrap_or(high),
            };
            places.push((topic.clone(), *partition, Offset::Offset(offset)));
        }
        list(&places)
    }
}

fn offsets_for(
    consumer: &StreamConsumer<Quiet>,
    partitions: &[(String, i32)],
    time: i64,
) -> Result<TopicPartitionList, KafkaError> {
    let places: Vec<_> =
        partitions.iter().map(|(topic, partition)| (topic.clone(), *partition, Offset::Offset(time))).collect();
    consumer.offsets_for_times(list(&places)?, ANSWER_LIMIT)
}

fn offset_of(list: &TopicPartitionList, topic: &str, partition: i32) -> Option<i64> {
    match list.find_partition(topic, partition)?.offset() {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_ways_to_say_where_to_start_are_read() {
        assert_eq!("start".parse(), Ok(Start::Beginning));
        assert_eq!("end".parse(), Ok(Start::End));
        assert_eq!("-10".parse(), Ok(Start::Back(10)));
        assert_eq!("@1970-01-01T00:00:01Z".parse(), Ok(Start::Time(1000)));
        assert!(matches!("@15m".parse(), Ok(Start::Time(_))));
        for text in ["", "now", "10", "-x", "--1", "@", "@yesterday"] {
            assert!(text.parse::<Start>().is_err(), "{text}");
        }
    }
}
