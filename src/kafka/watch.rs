//! Notices a topic that is made anew while it is consumed.
//!
//! The client does not: it goes on at the old offset of the new topic (seen on librdkafka 2.12.1), which passes over the
//! new records below it without a word if the new topic is the longer one.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use tokio::sync::mpsc::UnboundedSender;

use super::polling::{Common, Handover};
use super::topic_id::known_topic;
use super::{KafkaTrouble, KnownTopic, SourceEvent};

/// How often the id is asked for: a topic is made anew by a person, who takes longer than this.
const EVERY: Duration = Duration::from_secs(2);
/// Limit of one question.
const LIMIT: Duration = Duration::from_secs(10);

/// Compares the input topic's id with the one that the worker knows.
pub(super) struct TopicWatch {
    pub topic: String,
    pub consumer: Arc<BaseConsumer<Handover>>,
    pub events: UnboundedSender<SourceEvent>,
    pub common: Arc<Common>,
    pub known: Arc<Mutex<Known>>,
}

/// The topic's id that the worker's lanes were opened under, as far as it heard.
#[derive(Debug, Default)]
pub(super) struct Known(Option<String>);

impl Known {
    /// A take-over is told the topic's id. A new one is news all the same: lanes that were opened before know the old one.
    fn tell(&mut self, id: Option<&String>) {
        if self.0.is_none() {
            self.0 = id.cloned();
        }
    }

    /// Whether the worker is to hear that the topic is another.
    fn is_news(&mut self, id: String) -> bool {
        self.0.replace(id.clone()).is_some_and(|known| known != id)
    }
}

impl TopicWatch {
    /// Runs until the consumer is closed.
    pub fn run(&self) {
        while !self.common.stop.load(Ordering::SeqCst) {
            std::thread::park_timeout(EVERY);
            if self.is_another() && self.events.send(SourceEvent::Remade).is_err() {
                return;
            }
        }
    }

    /// Whether the topic is another than the worker knows. A topic that is away for now is none; nor is a broker.
    fn is_another(&self) -> bool {
        if lock(&self.known).0.is_none() {
            return false;
        }
        let Ok(Some(now)) = known_topic(&self.consumer, &self.topic, LIMIT) else { return false };
        lock(&self.known).is_news(now.id)
    }
}

fn lock(known: &Mutex<Known>) -> MutexGuard<'_, Known> {
    known.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Asks which topic it is.
pub(super) fn tell(
    consumer: &BaseConsumer<Handover>,
    topic: &str,
    known: &Mutex<Known>,
) -> Result<Option<KnownTopic>, KafkaTrouble> {
    let told = known_topic(consumer, topic, LIMIT)?;
    lock(known).tell(told.as_ref().map(|topic| &topic.id));
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(id: &str) -> Known {
        let mut known = Known::default();
        known.tell(Some(&id.to_owned()));
        known
    }

    #[test]
    fn another_topic_is_news_once() {
        let mut known = told("one");
        assert!(!known.is_news("one".to_owned()));
        assert!(known.is_news("two".to_owned()));
        assert!(!known.is_news("two".to_owned()));
        assert!(known.is_news("three".to_owned()));
    }

    #[test]
    fn what_a_take_over_found_first_is_news_for_the_lanes_that_were_opened_before() {
        let mut known = told("one");
        known.tell(Some(&"two".to_owned()));
        assert!(known.is_news("two".to_owned()));
    }

    #[test]
    fn the_first_topic_is_no_news() {
        assert!(!Known::default().is_news("one".to_owned()));
    }
}
