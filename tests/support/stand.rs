//! A test stand: topics, a database, a sandbox and a configuration of one test's own.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use data_encoding::BASE64;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;
use tempfile::TempDir;
use uuid::Uuid;

use super::events::STRUCTURED;
use super::kafka::Kafka;
use super::parts::RealParts;
use super::records::{Publisher, Reader, Record};
use super::sandbox::{LOANPRO_INSTANCE, LOANPRO_TOKEN, PAYIQ_API_KEY, Sandbox};
use super::worker::Worker;

/// Enough for a few hundred events on a loaded machine, a take-over included.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How results and positions are made one.
#[derive(Debug, Clone, Copy)]
pub enum Delivery {
    /// In one transaction.
    Transactional,
    /// For brokers without transactions.
    Idempotent,
}

/// The topics' names.
pub struct Topics {
    pub created: String,
    pub linked: String,
    pub rejected: String,
    pub dead_letter: String,
}

/// Lines of each worker's log that a failed test shows.
const LAST_WORDS: usize = 60;
/// So many of the latest workers: a test may have had dozens.
const LAST_WORKERS: u32 = 4;

/// Everything one test needs around the workers it starts.
pub struct Stand<'a> {
    /// The shared broker, or the test's own.
    pub kafka: &'a Kafka,
    /// The test's topics.
    pub topics: Topics,
    /// The consumer group of its workers.
    pub group: String,
    /// URL of its ledger's database.
    pub database: String,
    /// The test's vendors.
    pub sandbox: Sandbox,
    publisher: Publisher,
    folder: TempDir,
    workers: std::cell::Cell<u32>,
}

impl<'a> Stand<'a> {
    /// A stand whose ledger is migrated and whose topics are there, made by `profile-linker migrate --topics`.
    pub async fn prepare(parts: &'a RealParts, delivery: Delivery) -> Self {
        Self::prepare_at(parts.kafka(), parts, delivery).await
    }

    /// The same at a broker, or a cluster, of the test's own.
    pub async fn prepare_at(kafka: &'a Kafka, parts: &RealParts, delivery: Delivery) -> Self {
        let stand = Self::unmigrated_at(kafka, parts, delivery).await;
        let migrated = stand.command(&["migrate", "--topics"]);
        assert!(migrated.status.success(), "migrate: {}", String::from_utf8_lossy(&migrated.stderr));
        stand
    }

    /// A stand with an empty database and no topics.
    pub async fn unmigrated(parts: &'a RealParts, delivery: Delivery) -> Self {
        Self::unmigrated_at(parts.kafka(), parts, delivery).await
    }

    async fn unmigrated_at(kafka: &'a Kafka, parts: &RealParts, delivery: Delivery) -> Self {
        let (database, sandbox) = (parts.postgres().create_database().await, Sandbox::start().await);
        let folder = tempfile::tempdir().expect("a temporary folder");
        let name = Uuid::new_v4().simple().to_string();
        let topics = Topics {
            created: format!("created-{name}"),
            linked: format!("linked-{name}"),
            rejected: format!("rejected-{name}"),
            dead_letter: format!("created-{name}.dlq"),
        };
        let key: [u8; 32] = rand::random();
        std::fs::write(folder.path().join("k1"), BASE64.encode(&key)).expect("a key file");
        let publisher = Publisher::new(kafka.brokers());
        let group = format!("group-{name}");
        let workers = std::cell::Cell::new(0);
        let stand = Self { kafka, topics, group, database, sandbox, publisher, folder, workers };
        std::fs::write(stand.config(), stand.configuration(delivery)).expect("a configuration file");
        stand
    }

    /// Changes the configuration, wherever it has these words, for the workers that start from now on.
    pub fn amend(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.config()).expect("the configuration");
        assert!(text.contains(from), "the configuration has no {from}");
        std::fs::write(self.config(), text.replace(from, to)).expect("a configuration file");
    }

    /// A folder of the test's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the configuration is.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("profile-linker.toml")
    }

    /// Runs a command of the binary to its end.
    pub fn command(&self, arguments: &[&str]) -> Output {
        self.command_with(arguments, &[])
    }

    /// The same, with settings from the environment.
    pub fn command_with(&self, arguments: &[&str], environment: &[(String, String)]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_profile-linker"))
            .args(arguments)
            .arg("--config")
            .arg(self.config())
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .output()
            .expect("the command starts")
    }

    /// Writes a file beside the configuration.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// The ledger's address.
    pub fn ledger_url(&self) -> String {
        let text = std::fs::read_to_string(self.config()).expect("the configuration");
        let line = text.lines().find_map(|line| line.strip_prefix("url = \"")).expect("the ledger's line");
        line.trim_end_matches('"').to_owned()
    }

    /// Starts a worker and does not wait.
    pub fn start_worker(&self) -> Worker {
        self.start_worker_with(&[])
    }

    /// The same, with settings from the environment.
    pub fn start_worker_with(&self, environment: &[(String, String)]) -> Worker {
        self.start_worker_saying(&[], environment)
    }

    /// The same, with more words on its command line.
    pub fn start_worker_saying(&self, arguments: &[&str], environment: &[(String, String)]) -> Worker {
        let number = self.workers.get() + 1;
        self.workers.set(number);
        Worker::start(&self.config(), arguments, environment, &self.worker_log(number))
    }

    /// Starts a worker and waits until it is ready.
    pub async fn worker(&self) -> Worker {
        let mut worker = self.start_worker();
        worker.ready().await;
        worker
    }

    /// Publishes an event under its customer's key.
    pub async fn publish(&self, event: &Value) -> (i32, i64) {
        let key = event["data"]["customer"]["id"].as_str().expect("the event has a customer");
        self.publish_bytes(key, event.to_string().as_bytes()).await
    }

    /// Publishes any bytes as an event.
    pub async fn publish_bytes(&self, key: &str, value: &[u8]) -> (i32, i64) {
        self.publisher.publish(&self.topics.created, key, STRUCTURED, value).await
    }

    /// Sets the group's position, as an operator's tool does; the group must be empty.
    pub fn commit_by_hand(&self, partition: i32, offset: i64) {
        self.commit_by_hand_saying(partition, offset, "");
    }

    /// The same, with this text in the commit's metadata.
    pub fn commit_by_hand_saying(&self, partition: i32, offset: i64, metadata: &str) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.kafka.brokers()).set("group.id", &self.group);
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let mut positions = TopicPartitionList::new();
        let mut position = positions.add_partition(&self.topics.created, partition);
        position.set_offset(Offset::Offset(offset)).expect("an offset");
        position.set_metadata(metadata);
        consumer.commit(&positions, CommitMode::Sync).expect("the position is set");
    }

    /// Publishes a record as it stands.
    pub async fn publish_record(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(String, Option<Vec<u8>>)],
    ) -> (i32, i64) {
        self.publisher.publish_record(&self.topics.created, key, value, headers).await
    }

    /// A reader of some of the topics.
    pub fn reader(&self, topics: &[&str]) -> Reader {
        Reader::new(self.kafka.brokers(), topics)
    }

    /// Everything that one of the topics holds now.
    pub async fn all(&self, topic: &str) -> Vec<Record> {
        Reader::all(self.kafka.brokers(), topic).await
    }

    fn worker_log(&self, number: u32) -> PathBuf {
        self.folder.path().join(format!("worker-{number}.log"))
    }

    fn configuration(&self, delivery: Delivery) -> String {
        let Topics { created, linked, rejected, dead_letter } = &self.topics;
        let delivery = match delivery {
            Delivery::Transactional => "transactional",
            Delivery::Idempotent => "idempotent",
        };
        let folder = self.folder.path().display();
        let [payiq, loanpro, aloha] = ["payiq", "loanpro", "aloha"].map(|name| self.sandbox.vendor(name));
        format!(
            r#"[kafka]
brokers = "{brokers}"
group = "{group}"
delivery = "{delivery}"
topics.created = "{created}"
topics.linked = "{linked}"
topics.rejected = "{rejected}"
topics.dead_letter = "{dead_letter}"
[kafka.properties]
# The least that a broker allows by default: a killed worker is then missed soon.
"session.timeout.ms" = 6000
"heartbeat.interval.ms" = 1000
[ledger]
url = "{database}"
[worker]
# Calls that a kill can cut off stay below the flood guard's limits.
max_in_flight = 40
shutdown_timeout = "10s"
[converter.payiq]
base_url = "{payiq}"
api_key = "{PAYIQ_API_KEY}"
signing_key = "sandbox-signing-key"
timeout = "2s"
[target.loanpro]
base_url = "{loanpro}"
token = "{LOANPRO_TOKEN}"
instance_id = "{LOANPRO_INSTANCE}"
timeout = "2s"
settle = "200ms"
[target.aloha]
base_url = "{aloha}"
user = "sandbox"
password = "sandbox-aloha-password"
company_code = "SANDBOX"
timeout = "2s"
settle = "200ms"
[retry]
initial = "50ms"
max_interval = "1s"
[dead_letters]
# Conversions that a kill cut off end as dead letters in a bunch; the flood guard has tests of its own.
pause_min = 400
[keys]
active = "k1"
k1 = {{ file = "{folder}/k1" }}
[admin]
listen = "127.0.0.1:0"
[telemetry]
log_format = "json"
"#,
            brokers = self.kafka.brokers(),
            group = self.group,
            database = self.database,
        )
    }
}

/// A failed test shows what its workers said last: their logs go with the stand.
impl Drop for Stand<'_> {
    fn drop(&mut self) {
        let latest = self.workers.get().saturating_sub(LAST_WORKERS) + 1..=self.workers.get();
        for number in latest.filter(|_| std::thread::panicking()) {
            let log = std::fs::read(self.worker_log(number)).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("--- worker {number} said last:");
            lines[lines.len().saturating_sub(LAST_WORDS)..].iter().for_each(|line| eprintln!("{line}"));
        }
    }
}
