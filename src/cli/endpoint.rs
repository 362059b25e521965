//! Where Kafka is, and what our short-lived clients of it are made of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::connection::Connection;
use crate::config::{Kafka, Topics};

/// Where Kafka is.
#[derive(Clone)]
pub struct Endpoint {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// Our topics.
    pub topics: Topics,
    /// Further librdkafka properties. May hold a password.
    pub properties: BTreeMap<String, String>,
    /// Where the password comes from, if from a file.
    pub password_file: Option<PathBuf>,
    /// Whether it is the embedded broker, which has no offsets for times.
    pub embedded: bool,
    /// Base URL of `dev`'s sandbox.
    pub sandbox: Option<String>,
}

impl Endpoint {
    /// As configured.
    #[must_use]
    pub fn of_config(kafka: Kafka) -> Self {
        let Kafka { brokers, topics, properties, password_file, .. } = kafka;
        Self { brokers, topics, properties, password_file, embedded: false, sandbox: None }
    }

    /// The `dev` that runs on this machine.
    #[must_use]
    pub fn of_dev(connection: Connection) -> Self {
        let Connection { brokers, topics, sandbox, embedded, .. } = connection;
        Self { brokers, topics: topics.into(), properties: BTreeMap::new(), password_file: None, embedded, sandbox }
    }

    /// Properties of any client.
    #[must_use]
    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config.set("bootstrap.servers", &self.brokers).set("client.id", "profile-linker-cli");
        // Otherwise rdkafka asks the `log` crate, which nobody listens to, and we never learn why a connect failed.
        config.set_log_level(RDKafkaLogLevel::Info);
        config
    }

    /// Properties of a producer. The partitioner is the Java clients', so that one customer has one partition, whoever
    /// publishes.
    #[must_use]
    pub fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("partitioner", "murmur2_random")
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "30000");
        if !self.properties.contains_key("message.max.bytes") {
            // The broker's limit is the one that counts; the client's own default is below what a topic takes.
            config.set("message.max.bytes", "10485760");
        }
        config
    }

    /// Properties of a reader that is assigned its partitions and belongs to no group: it commits nothing and takes no
    /// part in rebalances; the id is there because librdkafka assigns nothing without one.
    #[must_use]
    pub fn reader(&self) -> ClientConfig {
        let mut config = self.client();
        config
            .set("group.id", "profile-linker-watch")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("isolation.level", "read_committed")
            // A result topic that was made anew while we read is read from its start.
            .set("auto.offset.reset", "earliest")
            .set("allow.auto.create.topics", "false")
            // The embedded broker does not wake a waiting fetch.
            .set("fetch.wait.max.ms", "10");
        config
    }
}
