//! Making topics that are missing.

use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::Consumer;
use rdkafka::error::RDKafkaErrorCode;

use super::broker::{ANSWER_LIMIT, Quiet, Reader, create};
use super::endpoint::Endpoint;
use super::exit::{Exit, Failure};

/// Means "the broker's default" to brokers since 2.4.
const BROKERS_DEFAULT: i32 = -1;

/// How long a topic that was made may take to be known everywhere, and how often that is looked at.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);
const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// How a new topic looks.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Partitions.
    pub partitions: i32,
    /// Copies; `None`: the broker's default.
    pub replication_factor: Option<i32>,
}

/// Makes those of our topics that are missing; answers each with whether it was made.
///
/// # Errors
/// The broker is unreachable (69) or refuses (1).
pub async fn create_missing(endpoint: &Endpoint, shape: Shape) -> Result<Vec<(String, bool)>, Failure> {
    let names = &endpoint.topics;
    let wanted = [&names.created, &names.linked, &names.rejected, &names.dead_letter];
    let missing = missing(endpoint).await?;
    let mut made = Vec::new();
    if !missing.is_empty() {
        made = make(endpoint, &missing.iter().collect::<Vec<_>>(), shape).await?;
        missing_after_a_while(endpoint).await?;
    }
    Ok(wanted.into_iter().map(|name| (name.clone(), made.contains(name))).collect())
}

/// Those of our topics that are not there.
///
/// # Errors
/// The broker is unreachable (69).
pub async fn missing(endpoint: &Endpoint) -> Result<Vec<String>, Failure> {
    let names = &endpoint.topics;
    let there = existing(endpoint).await?;
    let wanted = [&names.created, &names.linked, &names.rejected, &names.dead_letter];
    Ok(wanted.into_iter().filter(|name| !there.contains(name)).cloned().collect())
}

/// The same; topics that were just made are waited for, since brokers hear of them one after the other.
///
/// # Errors
/// The broker is unreachable (69).
pub async fn missing_after_a_while(endpoint: &Endpoint) -> Result<Vec<String>, Failure> {
    let deadline = tokio::time::Instant::now() + SETTLE_LIMIT;
    loop {
        let missing = missing(endpoint).await?;
        if missing.is_empty() || tokio::time::Instant::now() >= deadline {
            return Ok(missing);
        }
        tokio::time::sleep(SETTLE_PAUSE).await;
    }
}

async fn existing(endpoint: &Endpoint) -> Result<Vec<String>, Failure> {
    let names = |consumer: &rdkafka::consumer::StreamConsumer<Quiet>| {
        let metadata = consumer.fetch_metadata(None, ANSWER_LIMIT)?;
        Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
    };
    Reader::new(endpoint)?.ask("listing topics", names).await
}

async fn make<'a>(endpoint: &Endpoint, names: &[&'a String], shape: Shape) -> Result<Vec<String>, Failure> {
    let context = Quiet::default();
    let admin: AdminClient<Quiet> = create(&endpoint.client(), &context)?;
    let copies = shape.replication_factor.unwrap_or(BROKERS_DEFAULT);
    let new = |name: &&'a String| NewTopic::new(name, shape.partitions, TopicReplication::Fixed(copies));
    let topics: Vec<NewTopic<'a>> = names.iter().map(new).collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER_LIMIT)).operation_timeout(Some(ANSWER_LIMIT));
    let answers = admin
        .create_topics(&topics, &options)
        .await
        .map_err(|error| context.failure(&endpoint.brokers, "creating topics", &error))?;
    let mut made = Vec::new();
    for answer in answers {
        match answer {
            Ok(name) => made.push(name),
            // Somebody else was quicker.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(refused(&endpoint.brokers, &name, code)),
        }
    }
    Ok(made)
}

fn refused(brokers: &str, topic: &str, code: RDKafkaErrorCode) -> Failure {
    Failure::new(Exit::Failed, format!("the topic {topic} was not created: {code}")).at(brokers.to_owned()).fix(
        "give this client the right to create topics, or create it by hand; see --partitions and --replication-factor",
    )
}
