//! What the tests stand on: the binary in an empty environment, and a broker of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Topics as configured by default.
pub const CREATED: &str = "payments.profile-created.v1";
pub const LINKED: &str = "payments.profile-linked.v1";
pub const REJECTED: &str = "payments.profile-rejected.v1";

/// A directory of its own, with an environment in which nothing of the machine is found.
pub struct Bench {
    pub directory: TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_profile-linker"));
        command.args(arguments).env_clear().current_dir(self.directory.path());
        command.env("XDG_STATE_HOME", self.directory.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
        Ended::of(self.command(arguments).envs(variables.iter().copied()).output().unwrap())
    }

    pub fn run_fed(&self, arguments: &[&str], input: &str) -> Ended {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        Ended::of(child.wait_with_output().unwrap())
    }

    /// Leaves the connection file of a `dev`.
    pub fn leave_connection(&self, brokers: &str, pid: u32) {
        let topics = json!({"created": CREATED, "linked": LINKED, "rejected": REJECTED, "dead_letter": "dlq"});
        let file = json!({"brokers": brokers, "topics": topics, "pid": pid, "embedded": true});
        self.file("profile-linker/dev-connection.json", &file.to_string());
    }
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// A valid input event.
pub fn created(id: &str, customer: &str) -> Value {
    json!({
        "specversion": "1.0", "type": CREATED, "source": "urn:test", "id": id,
        "data": {
            "customer": {"system": "loanpro", "id": customer},
            "token": {"kind": "temporary", "value": "opaque-token-of-the-test"},
        },
    })
}

/// A result about that event, with what `watch` and `--wait` look at.
pub fn linked(id: &str, customer: &str) -> Value {
    json!({
        "specversion": "1.0", "type": "payments.profile-linked.v1", "source": "urn:profile-linker", "id": format!("r-{id}"),
        "time": "2026-01-02T03:04:05Z", "causationid": id,
        "data": {"created": {"source": "urn:test", "id": id}, "customer": {"system": "loanpro", "id": customer}, "paymentAccountId": "991"},
    })
}

/// Likewise a rejection.
pub fn rejected(id: &str, customer: &str, code: &str) -> Value {
    let mut event = linked(id, customer);
    event["type"] = "payments.profile-rejected.v1".into();
    event["data"]["reason"] = json!({"code": code, "stage": "convert", "detail": "no"});
    event["data"]["disposition"] = "final".into();
    event
}

/// A broker in this process with our topics.
pub struct Broker {
    cluster: MockCluster<'static, DefaultProducerContext>,
    pub address: String,
}

impl Broker {
    pub fn new(partitions: i32) -> Self {
        let cluster = MockCluster::new(1).unwrap();
        for topic in [CREATED, LINKED, REJECTED] {
            cluster.create_topic(topic, partitions, 1).unwrap();
        }
        let address = cluster.bootstrap_servers();
        Self { cluster, address }
    }

    /// The same without topics.
    pub fn empty() -> Self {
        let cluster = MockCluster::new(1).unwrap();
        let address = cluster.bootstrap_servers();
        Self { cluster, address }
    }

    /// The next answers about offsets say that the leader is not there yet, as after a topic was made.
    pub fn elect_leaders(&self) {
        let not_leader = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION;
        self.cluster.request_errors(rdkafka::types::RDKafkaApiKey::ListOffsets, &[not_leader; 3]);
    }

    /// Of the next two requests to publish the second one is refused for good.
    pub fn refuse_the_second_publication(&self) {
        use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
        let answers =
            [RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR, RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED];
        self.cluster.request_errors(RDKafkaApiKey::Produce, &answers);
    }

    /// What is asked from now on is answered too late for anybody to wait for.
    pub fn fall_silent(&self) {
        self.cluster.broker_round_trip_time(1, Duration::from_secs(120)).unwrap();
    }

    pub fn add_topic(&self, name: &str) {
        self.cluster.create_topic(name, 1, 1).unwrap();
    }

    pub fn variables(&self) -> [(&str, &str); 1] {
        [("PROFILE_LINKER_KAFKA__BROKERS", &self.address)]
    }

    pub fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", &self.address);
        config
    }

    /// Publishes a structured event.
    pub async fn publish(&self, topic: &str, key: &str, event: &Value) {
        let headers = OwnedHeaders::new();
        self.send(topic, key, &event.to_string(), headers, None).await;
    }

    /// Publishes an event with a record timestamp in milliseconds.
    pub async fn publish_at(&self, topic: &str, key: &str, event: &Value, timestamp: i64) {
        self.send(topic, key, &event.to_string(), OwnedHeaders::new(), Some(timestamp)).await;
    }

    /// Publishes an event in binary mode.
    pub async fn publish_binary(&self, topic: &str, key: &str, event: &Value) {
        let mut headers = OwnedHeaders::new().insert(Header { key: "content-type", value: Some("application/json") });
        for (name, value) in event.as_object().unwrap().iter().filter(|(name, _)| *name != "data") {
            let name = format!("ce_{name}");
            headers = headers.insert(Header { key: &name, value: value.as_str() });
        }
        self.send(topic, key, &event["data"].to_string(), headers, None).await;
    }

    async fn send(&self, topic: &str, key: &str, value: &str, headers: OwnedHeaders, timestamp: Option<i64>) {
        let producer: FutureProducer = self.client().create().unwrap();
        let mut record = FutureRecord::to(topic).key(key).payload(value).headers(headers);
        record.timestamp = timestamp;
        producer.send(record, Duration::from_secs(10)).await.unwrap();
    }

    /// A consumer of a topic from its start.
    pub fn consumer(&self, topic: &str) -> StreamConsumer {
        let mut config = self.client();
        config.set("group.id", "test").set("auto.offset.reset", "earliest").set("fetch.wait.max.ms", "10");
        let consumer: StreamConsumer = config.create().unwrap();
        let mut list = rdkafka::TopicPartitionList::new();
        let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
        for partition in metadata.topics()[0].partitions() {
            list.add_partition_offset(topic, partition.id(), rdkafka::Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        consumer
    }
}

/// Runs a command beside the test's own tasks.
pub async fn beside(mut command: Command) -> Ended {
    Ended::of(tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap())
}

/// The text of a path.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
