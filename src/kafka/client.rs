//! How every client of ours is configured, and where librdkafka's log lines go.

use std::sync::Arc;

use rdkafka::client::{Client, ClientContext};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};

use super::KafkaTrouble;
use super::rotation::Rotation;
use crate::config::{Kafka, line_of_file};

/// What all our clients share; the operator's properties first, so that ours win.
#[must_use]
pub fn base(settings: &Kafka) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in &settings.properties {
        config.set(name, value);
    }
    // Whoever makes a client anew means the log-in as it is now.
    if let Some(Ok(password)) = settings.password_file.as_deref().map(line_of_file) {
        config.set("sasl.password", password.as_str());
    }
    config.set("bootstrap.servers", &settings.brokers);
    default(&mut config, settings, "client.id", "profile-linker");
    // So soon partitions that were added are consumed, and a topic that was forbidden or away is written to again: the
    // client believes what it heard last. Its default is five minutes.
    default(&mut config, settings, "topic.metadata.refresh.interval.ms", "10000");
    config
}

/// Sets a property unless the operator did.
pub fn default(config: &mut ClientConfig, settings: &Kafka, name: &str, value: &str) {
    if !settings.properties.contains_key(name) {
        config.set(name, value);
    }
}

/// Every producer of ours: one customer, one partition, whoever publishes; acknowledged by all replicas.
#[must_use]
pub fn producer(settings: &Kafka) -> ClientConfig {
    let mut config = base(settings);
    config.set("partitioner", "murmur2_random");
    config.set("enable.idempotence", "true");
    config.set("acks", "all");
    // A cycle is a batch already; waiting for more only adds to its time.
    default(&mut config, settings, "linger.ms", "0");
    // The default of 100 ms is what back-to-back transactions wait for "concurrent transactions".
    default(&mut config, settings, "retry.backoff.ms", "1");
    // Within a record's time to be delivered there must be the time for one request.
    default(&mut config, settings, "request.timeout.ms", "5000");
    // A record to a topic that is not there is refused after so long, well within a cycle's limit: the default of 30 s
    // would make a time-out of it, which nobody can tell from an outage.
    default(&mut config, settings, "topic.metadata.propagation.max.ms", "3000");
    config
}

/// Keeps a client's password up to date for as long as it is held.
///
/// # Errors
/// See [`Rotation::follow`].
pub(super) fn follow_password<T, C>(
    settings: &Kafka,
    held: &Arc<T>,
    client: fn(&T) -> &Client<C>,
) -> Result<(), KafkaTrouble>
where
    T: Send + Sync + 'static,
    C: ClientContext + 'static,
{
    let rotation = Rotation::of(&settings.properties, settings.password_file.as_deref());
    rotation.map_or(Ok(()), |rotation| rotation.follow(held, client))
}

/// Sends librdkafka's log lines to our own log.
#[derive(Clone, Copy, Default)]
pub struct LoggingContext;

impl ClientContext for LoggingContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: rdkafka::error::KafkaError, reason: &str) {
        tracing::debug!(kafka.error = %error, kafka.reason = reason, "kafka client trouble");
    }
}

/// One log line of librdkafka.
pub fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    if facility == "CONFWARN" {
        // One [kafka.properties] serves consumer and producer: each ignores what is the other's.
        tracing::debug!(kafka.facility = facility, "{message}");
        return;
    }
    match level {
        RDKafkaLogLevel::Emerg | RDKafkaLogLevel::Alert | RDKafkaLogLevel::Critical => {
            tracing::error!(kafka.facility = facility, "{message}");
        }
        RDKafkaLogLevel::Error | RDKafkaLogLevel::Warning => {
            tracing::warn!(kafka.facility = facility, "{message}");
        }
        _ => tracing::debug!(kafka.facility = facility, "{message}"),
    }
}
