//! Whether the broker lets this user do what the worker does.

use std::ffi::CString;
use std::time::Duration;

use rdkafka::admin::AdminClient;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::producer::{BaseProducer, Producer};

use super::authorized::{self, Allowed, READ, WRITE};
use super::finding::Finding;
use crate::cli::broker::{Quiet, create};
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::Failure;
use crate::config::{Delivery, Kafka};
use crate::kafka::client;

/// The line about transactional ids.
const TRANSACTIONS: &str = "acl transactions";
/// How long the broker may take for each question.
const LIMIT: Duration = Duration::from_secs(8);

/// The lines that a check of them has.
#[must_use]
pub fn lines(kafka: &Kafka) -> Vec<String> {
    let topics = &kafka.topics;
    let of_topics = [&topics.created, &topics.linked, &topics.rejected, &topics.dead_letter];
    let mut lines: Vec<String> = of_topics.iter().map(|name| format!("acl topic {name}")).collect();
    lines.push(format!("acl group {}", kafka.group));
    lines.extend((kafka.delivery == Delivery::Transactional).then(|| TRANSACTIONS.to_owned()));
    lines
}

/// What `check` says about rights.
///
/// # Errors
/// librdkafka refuses the configuration (78).
pub async fn findings(kafka: &Kafka) -> Result<Vec<Finding>, Failure> {
    let (for_rights, for_transactions) = (kafka.clone(), kafka.clone());
    let rights = tokio::task::spawn_blocking(move || rights(&for_rights));
    let transactions = tokio::task::spawn_blocking(move || transactions(&for_transactions));
    let (rights, transactions) = tokio::join!(rights, transactions);
    let ended = |error| Failure::new(crate::cli::Exit::Failed, format!("asking for rights: {error}"));
    let mut found = rights.map_err(ended)??;
    found.extend(transactions.map_err(ended)??);
    Ok(found)
}

fn rights(kafka: &Kafka) -> Result<Vec<Finding>, Failure> {
    let endpoint = Endpoint::of_config(kafka.clone());
    let admin: AdminClient<Quiet> = create(&endpoint.client(), &Quiet::default())?;
    let topics = &kafka.topics;
    let wanted = [
        (&topics.created, READ, "Read"),
        (&topics.linked, WRITE, "Write"),
        (&topics.rejected, WRITE, "Write"),
        (&topics.dead_letter, WRITE, "Write"),
    ];
    let names: Vec<CString> = wanted.iter().filter_map(|(name, ..)| CString::new(name.as_str()).ok()).collect();
    let Some(told) = authorized::topics(admin.inner(), &names, LIMIT) else {
        return Ok(vec![no_answer()]);
    };
    let of = |name: &str| told.iter().find(|(topic, _)| topic == name).map_or(Allowed::Untold, |(_, one)| one.clone());
    let topic = |(name, code, operation): &(&String, u32, &str)| judge("topic", name, &of(name), *code, operation);
    let mut found: Vec<Finding> = wanted.iter().map(topic).collect();
    let group = CString::new(kafka.group.as_str()).ok().and_then(|name| authorized::group(admin.inner(), &name, LIMIT));
    found.push(judge("group", &kafka.group, &group.unwrap_or(Allowed::Untold), READ, "Read"));
    Ok(found)
}

fn judge(kind: &str, name: &str, allowed: &Allowed, code: u32, operation: &str) -> Finding {
    let check = format!("acl {kind} {name}");
    let fix = format!("allow {operation} on the {kind} {name} to this client's user");
    match allowed {
        Allowed::Operations(codes) if codes.contains(&code) => Finding::ok(check, format!("{operation} is allowed")),
        Allowed::Operations(_) => Finding::fail(check, format!("{operation} is not allowed"), fix),
        Allowed::Refused(
            error @ (RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed),
        ) => Finding::fail(check, error.to_string(), fix),
        // A broker that is away, a topic that is not there: either has a line of its own.
        Allowed::Refused(error) => Finding::warn(check, format!("it cannot be told: {error}"), "see the other lines"),
        Allowed::Untold => {
            Finding::warn(check, format!("the broker does not tell whether {operation} is allowed"), fix)
        }
    }
}

/// Opens a producer under an id of our own prefix and ends it: nothing is written. The broker forgets the id after a week.
fn transactions(kafka: &Kafka) -> Result<Option<Finding>, Failure> {
    if kafka.delivery == Delivery::Idempotent {
        return Ok(None);
    }
    let check = TRANSACTIONS;
    let id = format!("{}-check-{}", kafka.group, uuid::Uuid::new_v4().simple());
    let mut config = client::producer(kafka);
    config.set("transactional.id", &id);
    let context = Quiet::default();
    let producer: BaseProducer<Quiet> = create(&config, &context)?;
    let Err(error) = producer.init_transactions(LIMIT) else {
        return Ok(Some(Finding::ok(check, format!("transactional ids {}-* are allowed", kafka.group))));
    };
    // The code is of the failed look-up of a coordinator; only the text tells why.
    let refused = error.to_string().contains("authorization failed");
    let fix = match refused {
        true => format!("allow Write and Describe on transactional ids with the prefix {}-", kafka.group),
        false => {
            "see the line of the broker; a broker without transactions needs kafka.delivery = \"idempotent\"".to_owned()
        }
    };
    Ok(Some(Finding::fail(check, format!("no transaction can be opened: {error}"), fix)))
}

fn no_answer() -> Finding {
    let detail = format!("the broker did not tell our rights within {} s", LIMIT.as_secs());
    Finding::warn("acl", detail, "see the line of the broker")
}
