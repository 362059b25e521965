//! Reading: the dead-letter topic into an index, then what the result topics tell of it.

use std::sync::Arc;

use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::Offset;
use rdkafka::consumer::Consumer;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::topic_partition_list::TopicPartitionListElem;

use crate::cli::backlog::{self, Places};
use crate::cli::broker::{ANSWER_LIMIT, Reader};
use crate::cli::dlq::selection::Selection;
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::{Exit, Failure};
use crate::cli::follow::list;
use crate::cli::records::Record;
use crate::cli::shell::Shell;
use crate::cli::system;
use crate::config::Config;
use crate::dead_letters::topic::{Fault, Index, IndexFull, MAX_LETTERS, Place};
use crate::ledger::Vault;

/// Clocks of workers, brokers and this machine differ by less; results are read from so long before the first dead letter on.
const SKEW_MS: i64 = 10 * 60 * 1000;
/// The bar is drawn anew after so many records.
const STEP: u64 = 256;

/// What was read, and what to read more with.
pub struct Reading {
    /// The dead letters.
    pub index: Arc<Index>,
    /// Opens what is sealed.
    pub vault: Vault,
    /// Where Kafka is.
    pub endpoint: Endpoint,
}

impl Reading {
    /// Reads all that a selection may be about.
    ///
    /// # Errors
    /// The broker is unreachable (69), a topic is missing or holds too many dead letters (1), a key file cannot be used (78).
    pub async fn of(selection: &Selection, config: &Config, shell: &Shell) -> Result<Self, Failure> {
        let vault = system::vault(config)?;
        let endpoint = Endpoint::of_config(config.kafka.clone());
        let reader = Reader::new(&endpoint)?;
        let now = jiff::Timestamp::now().as_millisecond();
        let mut index = Index::new(&endpoint.topics.created, selection.since(now), now);
        dead_letters(&mut index, &reader, &endpoint, &vault, shell).await?;
        index.expect_results();
        results(&mut index, &reader, &endpoint, shell).await?;
        index.complete();
        Ok(Self { index: Arc::new(index), vault, endpoint })
    }
}

async fn dead_letters(
    index: &mut Index,
    reader: &Reader,
    endpoint: &Endpoint,
    vault: &Vault,
    shell: &Shell,
) -> Result<(), Failure> {
    let topic = &endpoint.topics.dead_letter;
    let from = beginnings(reader, topic).await?;
    let bar = bar(reader, topic, &from, shell).await?;
    let mut full = None;
    backlog::read(endpoint, topic, &from, |message| {
        bar.one();
        if full.is_none() {
            full = add(index, message, vault).err();
        }
    })
    .await?;
    bar.end();
    full.map_or(Ok(()), |error| {
        Err(Failure::new(Exit::Failed, error.to_string())
            .at(topic.clone())
            .fix(format!("ask for a part of them by --since; {MAX_LETTERS} are read at once")))
    })
}

fn add(index: &mut Index, message: &BorrowedMessage<'_>, vault: &Vault) -> Result<(), IndexFull> {
    let record = event(message);
    let event = record.as_ref().map(|record| &record.event).map_err(|fault| *fault);
    index.add(place(message), message.timestamp().to_millis(), event, vault)
}

/// Where a record stands.
pub fn place(message: &BorrowedMessage<'_>) -> Place {
    Place { partition: message.partition(), offset: message.offset() }
}

/// A record's event in structured form.
pub fn event(message: &BorrowedMessage<'_>) -> Result<Record, Fault> {
    Record::read(message).ok_or_else(|| {
        let json = message.payload().map(serde_json::from_slice::<serde::de::IgnoredAny>);
        if json.is_some_and(|parsed| parsed.is_ok()) { Fault::NotADeadLetter } else { Fault::NotJson }
    })
}

/// What was replayed and has ended since is no dead letter any more; only results tell.
async fn results(index: &mut Index, reader: &Reader, endpoint: &Endpoint, shell: &Shell) -> Result<(), Failure> {
    let Some(first) = index.first_dead_lettered_at() else { return Ok(()) };
    let time = (first - SKEW_MS).max(0);
    let mut rejected = since(reader, &endpoint.topics.rejected, time).await?;
    let mut linked = since(reader, &endpoint.topics.linked, time).await?;
    if rejected.is_empty() {
        // Each dead letter has its rejection, so this broker has no offsets for times; or they are gone.
        rejected = beginnings(reader, &endpoint.topics.rejected).await?;
        linked = beginnings(reader, &endpoint.topics.linked).await?;
    }
    for (topic, from) in [(&endpoint.topics.linked, linked), (&endpoint.topics.rejected, rejected)] {
        let bar = bar(reader, topic, &from, shell).await?;
        backlog::read(endpoint, topic, &from, |message| {
            bar.one();
            if let Some(record) = Record::read(message) {
                index.hear(&record.event);
            }
        })
        .await?;
        bar.end();
    }
    Ok(())
}

/// Where a topic's records begin that are no older, in the partitions that have such.
async fn since(reader: &Reader, topic: &str, time: i64) -> Result<Places, Failure> {
    let at = |partition: &i32| (topic.to_owned(), *partition, Offset::Offset(time));
    let asked: Vec<_> = beginnings(reader, topic).await?.keys().map(at).collect();
    let found = reader
        .ask("reading positions", move |consumer| consumer.offsets_for_times(list(&asked)?, ANSWER_LIMIT))
        .await?;
    let place = |one: &TopicPartitionListElem<'_>| match one.offset() {
        Offset::Offset(offset) => Some((one.partition(), offset)),
        _ => None,
    };
    Ok(found.elements().iter().filter_map(place).collect())
}

/// Where a topic that must be there begins.
pub async fn beginnings(reader: &Reader, topic: &str) -> Result<Places, Failure> {
    let places = backlog::beginnings(reader, topic).await?;
    if places.is_empty() {
        return Err(Failure::new(Exit::Failed, format!("there is no topic {topic}"))
            .at(reader.brokers.clone())
            .fix("correct [kafka.topics]; `profile-linker migrate --topics` makes missing topics"));
    }
    Ok(places)
}

/// How far a reading is; nothing where nobody looks.
struct Bar {
    bar: ProgressBar,
    seen: std::cell::Cell<u64>,
}

async fn bar(reader: &Reader, topic: &str, from: &Places, shell: &Shell) -> Result<Bar, Failure> {
    let seen = std::cell::Cell::new(0);
    if !shell.shows_progress() || shell.is_json() {
        return Ok(Bar { bar: ProgressBar::hidden(), seen });
    }
    let extent = backlog::watermarks(reader, topic).await?;
    let left = |(partition, start): (&i32, &i64)| extent.get(partition).map_or(0, |(_, high)| high - start);
    let bar = ProgressBar::new(from.iter().map(left).sum::<i64>().unsigned_abs());
    // A template that is wrong leaves the bar as it is by default.
    if let Ok(style) = ProgressStyle::with_template("reading {msg} {bar:40} {pos}/{len} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(topic.to_owned());
    Ok(Bar { bar, seen })
}

impl Bar {
    fn one(&self) {
        self.seen.set(self.seen.get() + 1);
        if self.seen.get().is_multiple_of(STEP) {
            self.bar.set_position(self.seen.get());
        }
    }

    fn end(&self) {
        self.bar.finish_and_clear();
    }
}
