//! Our topics as they are on the broker: asked by `check`, and by `run` before it begins.

use std::collections::HashMap;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::consumer::Consumer;

use super::finding::{Finding, Status};
use super::topic_rules::{Role, Settings, Topic, judge};
use super::topic_sizes::TopicSizes;
use crate::cli::broker::{ANSWER_LIMIT, Quiet, Reader, create};
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::{Exit, Failure};

/// How long the broker may take to tell settings; a start that cannot have them goes on with a warning.
const SETTINGS_LIMIT: Duration = Duration::from_secs(5);

/// The lines that a check of them has.
#[must_use]
pub fn lines(endpoint: &Endpoint) -> Vec<String> {
    Role::ALL.iter().map(|role| format!("topic {}", name(endpoint, *role))).collect()
}

/// Everything to say about our topics.
///
/// # Errors
/// The broker is unreachable (69), or refuses our log-in (78).
pub async fn findings(endpoint: &Endpoint, ledger_retention: Duration) -> Result<Vec<Finding>, Failure> {
    Ok(judged(&as_they_are(endpoint).await?, ledger_retention))
}

fn judged(topics: &[Result<Topic, Finding>], ledger_retention: Duration) -> Vec<Finding> {
    let one = |topic: &Result<Topic, Finding>| match topic {
        Ok(topic) => judge(topic, ledger_retention),
        Err(missing) => vec![missing.clone()],
    };
    topics.iter().flat_map(one).collect()
}

/// Each of our topics, or that it is not there.
async fn as_they_are(endpoint: &Endpoint) -> Result<Vec<Result<Topic, Finding>>, Failure> {
    let there = partitions(endpoint).await?;
    let known: Vec<&str> =
        Role::ALL.iter().map(|role| name(endpoint, *role)).filter(|name| there.contains_key(*name)).collect();
    let mut settings = settings(endpoint, &known).await;
    let topic = |role| {
        let name = name(endpoint, role);
        let (partitions, copies) = *there.get(name).ok_or_else(|| missing(role, name))?;
        let settings = settings.remove(name).unwrap_or_else(|| Err("the broker did not tell them".to_owned()));
        Ok(Topic { role, name: name.to_owned(), partitions, copies, settings })
    };
    Ok(Role::ALL.into_iter().map(topic).collect())
}

/// Refuses to start on topics that lose records; what is merely unwise is told. Answers how large records may be.
///
/// # Errors
/// The broker is unreachable (69); a topic must not be used as it is (78), all that are wrong at once.
pub async fn require(endpoint: &Endpoint, ledger_retention: Duration) -> Result<TopicSizes, Failure> {
    let topics = as_they_are(endpoint).await?;
    let mut failure = Failure::new(Exit::BadConfig, "the topics cannot be used as they are");
    let mut failed = false;
    for finding in judged(&topics, ledger_retention) {
        match finding.status {
            Status::Ok => {}
            Status::Warn => tracing::warn!("{}", finding.told()),
            Status::Fail => {
                failed = true;
                failure = failure.at(finding.told());
            }
        }
    }
    if failed {
        return Err(failure.fix("mend each as its line says; `profile-linker check` looks again"));
    }
    Ok(TopicSizes::of(topics.iter().flatten()))
}

fn missing(role: Role, name: &str) -> Finding {
    let fix = format!("`profile-linker migrate --topics` makes missing topics; or correct {}", role.key());
    Finding::fail(format!("topic {name}"), "there is no such topic, or we may not see it", fix)
}

fn name(endpoint: &Endpoint, role: Role) -> &str {
    let topics = &endpoint.topics;
    match role {
        Role::Created => &topics.created,
        Role::Linked => &topics.linked,
        Role::Rejected => &topics.rejected,
        Role::DeadLetter => &topics.dead_letter,
    }
}

/// Each topic's number of partitions, and the fewest copies that one of them has.
async fn partitions(endpoint: &Endpoint) -> Result<HashMap<String, (usize, usize)>, Failure> {
    Reader::new(endpoint)?
        .ask("listing topics", |consumer| {
            let metadata = consumer.fetch_metadata(None, ANSWER_LIMIT)?;
            let counted = |topic: &rdkafka::metadata::MetadataTopic| {
                let copies = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
                (topic.name().to_owned(), (topic.partitions().len(), copies.unwrap_or(0)))
            };
            Ok(metadata.topics().iter().filter(|topic| !topic.partitions().is_empty()).map(counted).collect())
        })
        .await
}

/// Each topic's settings, or why they cannot be read: that is never a failure of its own.
async fn settings(endpoint: &Endpoint, names: &[&str]) -> HashMap<String, Result<Settings, String>> {
    let all_failed = |why: String| names.iter().map(|name| ((*name).to_owned(), Err(why.clone()))).collect();
    let context = Quiet::default();
    let admin: AdminClient<Quiet> = match create(&endpoint.client(), &context) {
        Ok(admin) => admin,
        Err(failure) => return all_failed(failure.to_string()),
    };
    let resources: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(SETTINGS_LIMIT));
    let answers = match admin.describe_configs(&resources, &options).await {
        Ok(answers) => answers,
        Err(error) => return all_failed(error.to_string()),
    };
    // The answers come in the order of the questions; one that is an error does not name its topic.
    let read = |(name, answer): (&&str, rdkafka::admin::ConfigResourceResult)| {
        let settings = answer.map_err(|code| code.to_string()).and_then(|resource| read(name, &resource));
        ((*name).to_owned(), settings)
    };
    names.iter().zip(answers).map(read).collect()
}

fn read(name: &str, resource: &ConfigResource) -> Result<Settings, String> {
    if resource.specifier != OwnedResourceSpecifier::Topic(name.to_owned()) {
        return Err("the broker's answer is about another topic".to_owned());
    }
    let entries = resource.entry_map();
    let text = |name: &str| {
        let value = entries.get(name).and_then(|entry| entry.value.clone());
        value.ok_or_else(|| format!("the broker did not tell {name}"))
    };
    let number = |name: &str| text(name)?.parse::<i64>().map_err(|_| format!("{name} is not a number"));
    Ok(Settings {
        cleanup_policy: text("cleanup.policy")?,
        max_message_bytes: number("max.message.bytes")?.try_into().unwrap_or(0),
        retention_ms: number("retention.ms")?,
        min_insync_replicas: number("min.insync.replicas")?,
    })
}
