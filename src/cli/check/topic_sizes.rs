//! How large a record our topics take, and what follows for the one who writes to them.

use super::topic_rules::{Role, Topic};
use crate::config::Kafka;
use crate::contract::DeadLetterLimit;

/// Properties of Kafka's client that limit what it sends; each is [`DeadLetterLimit::USUAL`] by default.
const RECORD_LIMIT: &str = "message.max.bytes";
const BATCH_LIMIT: &str = "batch.size";

/// `max.message.bytes` of the topics that we write to, where the broker told it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TopicSizes {
    dead_letter: Option<u64>,
    smallest: Option<u64>,
}

/// The largest record that the client sends, where an operator set it.
pub(super) fn record_limit(kafka: &Kafka) -> Option<u64> {
    kafka.properties.get(RECORD_LIMIT)?.parse().ok()
}

impl TopicSizes {
    pub(super) fn of<'a>(topics: impl Iterator<Item = &'a Topic>) -> Self {
        let mut sizes = Self::default();
        for topic in topics.filter(|topic| topic.role != Role::Created) {
            let Ok(settings) = &topic.settings else { continue };
            let size = settings.max_message_bytes;
            sizes.smallest = Some(sizes.smallest.map_or(size, |smallest| smallest.min(size)));
            if topic.role == Role::DeadLetter {
                sizes.dead_letter = Some(size);
            }
        }
        sizes
    }

    /// The largest dead letter that gets through: what its topic takes, but no more than the client sends.
    #[must_use]
    pub fn dead_letter_limit(self, kafka: &Kafka) -> DeadLetterLimit {
        let sent = record_limit(kafka).map_or(DeadLetterLimit::USUAL, DeadLetterLimit::of_bytes);
        self.dead_letter.map_or(sent, |taken| sent.min(DeadLetterLimit::of_bytes(taken)))
    }

    /// Makes the client's batches no larger than the smallest of the topics takes: a broker measures a batch as it measures a
    /// record, and a cycle sends many small results at once. An operator's own word stays.
    pub fn bound_batches(self, kafka: &mut Kafka) {
        let bound = self.smallest.filter(|size| *size < DeadLetterLimit::USUAL.bytes());
        if let Some(bound) = bound {
            kafka.properties.entry(BATCH_LIMIT.to_owned()).or_insert_with(|| bound.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::topic_rules::Settings;
    use super::*;

    fn topic(role: Role, max_message_bytes: Option<u64>) -> Topic {
        let settings = max_message_bytes.map(|max_message_bytes| Settings {
            cleanup_policy: "delete".to_owned(),
            max_message_bytes,
            retention_ms: 1,
            min_insync_replicas: 1,
        });
        let settings = settings.ok_or_else(|| "not authorised".to_owned());
        Topic { role, name: "t".to_owned(), partitions: 1, copies: 1, settings }
    }

    /// What is sent at most: a dead letter, and a batch if it is bounded.
    fn sent(topics: &[Topic], message_max_bytes: Option<&str>) -> (u64, Option<String>) {
        let set = message_max_bytes
            .map(|bytes| ("PROFILE_LINKER_KAFKA__PROPERTIES__MESSAGE__MAX__BYTES".into(), bytes.into()));
        let mut kafka = crate::config::load(None, set, Vec::new()).unwrap().kafka;
        let sizes = TopicSizes::of(topics.iter());
        sizes.bound_batches(&mut kafka);
        (sizes.dead_letter_limit(&kafka).bytes(), kafka.properties.get(BATCH_LIMIT).cloned())
    }

    #[test]
    fn what_is_sent_is_bounded_by_what_the_topics_take() {
        let of = |linked, dead_letter| {
            [
                topic(Role::Created, Some(10)),
                topic(Role::Linked, linked),
                topic(Role::Rejected, Some(1_048_588)),
                topic(Role::DeadLetter, dead_letter),
            ]
        };
        let usual = Some(1_048_588);
        assert_eq!(sent(&of(usual, usual), None), (1_000_000, None), "the client's own limits count");
        assert_eq!(sent(&of(usual, Some(200_000)), None), (200_000, Some("200000".to_owned())));
        assert_eq!(sent(&of(Some(80_000), usual), None), (1_000_000, Some("80000".to_owned())));
        assert_eq!(sent(&of(usual, Some(5_000_000)), None).0, 1_000_000);
        assert_eq!(sent(&of(usual, Some(5_000_000)), Some("4000000")).0, 4_000_000, "if the client may send so much");
        assert_eq!(sent(&of(usual, Some(200_000)), Some("100000")).0, 100_000);
        assert_eq!(sent(&of(None, None), None), (1_000_000, None), "where nobody may read them");
    }
}
