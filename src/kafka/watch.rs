//! Notices a topic that is made anew while it is consumed.
//!
//! The client does not: it goes on at the old offset of the new topic (seen on librdkafka 2.12.1), which passes over the
//! new records below it without a word if the new topic is the longer one.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::BaseConsumer;
use tokio::sync::mpsc::UnboundedSender;

use super::polling::{Common, Handover};
use super::topic_id::topic_id;
use super::{KafkaTrouble, SourceEvent};

/// How often the id is asked for: a topic is made anew by a person, who takes longer than this.
const EVERY: Duration = Duration::from_secs(2);
/// Limit of one question.
const LIMIT: Duration = Duration::from_secs(10);

/// The id of the input topic, as it was last told to the worker.
pub(super) struct TopicWatch {
    pub topic: String,
    pub consumer: Arc<BaseConsumer<Handover>>,
    pub events: UnboundedSender<SourceEvent>,
    pub common: Arc<Common>,
    pub known: Arc<Mutex<Option<String>>>,
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
        let Some(known) = self.known.lock().unwrap_or_else(PoisonError::into_inner).clone() else { return false };
        let Ok(Some(now)) = topic_id(&self.consumer, &self.topic, LIMIT) else { return false };
        let mut told = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // A take-over may have told it meanwhile.
        now != known && told.replace(now) == Some(known)
    }
}

/// Asks for the topic's id, which counts as told to the worker from here on.
pub(super) fn tell(
    consumer: &BaseConsumer<Handover>,
    topic: &str,
    known: &Mutex<Option<String>>,
) -> Result<Option<String>, KafkaTrouble> {
    let id = topic_id(consumer, topic, LIMIT)?;
    known.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&id);
    Ok(id)
}
