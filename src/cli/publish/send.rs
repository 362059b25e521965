//! Sending the checked events, in their order, each acknowledged.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};

use super::input::{Draft, count};
use crate::cli::broker::{Quiet, Reader, create};
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::{Exit, Failure};
use crate::cli::records::{Record, without_tokens};
use crate::cli::shell::Shell;

/// How long to let a full queue drain before the next try.
const DRAIN: Duration = Duration::from_millis(10);
/// How often the bar is drawn though nothing is acknowledged, so that the time is seen to go on.
const TICK: Duration = Duration::from_millis(200);

/// Where an event was written.
pub struct Sent {
    partition: i32,
    offset: i64,
}

/// Sends all events.
///
/// # Errors
/// The broker is unreachable (69), has no such topic or refuses a record (1). What was acknowledged before stays.
pub async fn all(drafts: &[Draft], endpoint: &Endpoint, shell: &Shell) -> Result<Vec<Sent>, Failure> {
    ensure_topic(endpoint).await?;
    let context = Quiet::default();
    let producer: FutureProducer<Quiet> = create(&endpoint.producer(), &context)?;
    let told = |error: &KafkaError| context.failure(&endpoint.brokers, "publishing", error);
    let bar = progress(drafts.len(), shell);
    let mut deliveries = Vec::with_capacity(drafts.len());
    for draft in drafts {
        deliveries.push(enqueue(&producer, &endpoint.topics.created, draft).await.map_err(|error| told(&error))?);
    }
    let mut sent = Vec::with_capacity(drafts.len());
    for delivery in deliveries {
        let delivered =
            delivery.await.map_err(|_| Failure::new(Exit::Failed, "the producer ended before its records"))?;
        let delivered = delivered.map_err(|(error, _)| told(&error).at(progress_so_far(sent.len(), drafts.len())))?;
        sent.push(Sent { partition: delivered.partition, offset: delivered.offset });
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(sent)
}

/// A producer would make a missing topic by itself, with as many partitions as the broker likes.
async fn ensure_topic(endpoint: &Endpoint) -> Result<(), Failure> {
    let topic = &endpoint.topics.created;
    if Reader::new(endpoint)?.partitions(topic).await?.is_empty() {
        return Err(Failure::new(Exit::Failed, format!("there is no topic {topic}; nothing was published"))
            .at(endpoint.brokers.clone())
            .fix("`profile-linker migrate --topics` makes missing topics"));
    }
    Ok(())
}

fn progress_so_far(sent: usize, all: usize) -> String {
    let all = count(all);
    format!("acknowledged were {sent} of {all}; publishing all again is harmless, a duplicate changes nothing")
}

async fn enqueue(producer: &FutureProducer<Quiet>, topic: &str, draft: &Draft) -> Result<DeliveryFuture, KafkaError> {
    loop {
        let headers = OwnedHeaders::new()
            .insert(Header { key: "content-type", value: Some("application/cloudevents+json; charset=utf-8") });
        let key = draft.key().unwrap_or_default();
        let record = FutureRecord::to(topic).key(&key).payload(&draft.text).headers(headers);
        match producer.send_result(record) {
            Ok(delivery) => return Ok(delivery),
            Err((error, _)) if error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull) => {
                tokio::time::sleep(DRAIN).await;
            }
            Err((error, _)) => return Err(error),
        }
    }
}

fn progress(length: usize, shell: &Shell) -> ProgressBar {
    if !shell.shows_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(length as u64);
    // No rate and no estimate: acknowledgements come in bursts, behind a queue that is filled first, so either would be wild
    // until the end. A template that is wrong leaves the bar as it is by default.
    if let Ok(style) = ProgressStyle::with_template("publishing {bar:40} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(TICK);
    bar
}

/// Prints where each event was written, without its tokens; text mode has said how many, which is enough.
///
/// # Errors
/// The output is closed.
pub fn print(drafts: &[Draft], sent: &[Sent], topic: &str, shell: &Shell) -> anyhow::Result<Exit> {
    if shell.is_json() {
        for (draft, sent) in drafts.iter().zip(sent) {
            let record = Record {
                topic: topic.to_owned(),
                partition: sent.partition,
                offset: sent.offset,
                key: draft.key(),
                event: without_tokens(draft.event.clone()),
                timestamp: None,
            };
            shell.line(&record, String::new)?;
        }
    }
    Ok(Exit::Done)
}
