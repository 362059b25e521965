//! A real Apache Kafka: KRaft, one broker.
//!
//! Chosen in this order, and said at the start: the broker named by `PROFILE_LINKER_TEST_KAFKA`, a container if an engine
//! runs, a plain Java process if Java and Maven are there. Otherwise it is absent.

mod admin;
pub mod cluster;
mod container;
pub mod doors;
mod java;
mod libraries;
mod seat;

use std::process::{Command, Stdio};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};

use super::Absent;
use super::child::Signal;
use super::patience::within;
use container::ContainerBroker;
pub use java::JavaBroker;

/// A broker answers about 4 s after its start; this allows for a loaded machine.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A port found free may be taken by another process before the broker binds it; three in a row is another trouble.
const START_ATTEMPTS: u32 = 3;

/// A running broker; stopped when dropped.
pub struct Kafka {
    broker: Broker,
}

enum Broker {
    Given(String),
    Container(ContainerBroker),
    Java(JavaBroker),
}

impl Kafka {
    /// Starts a broker and waits until it answers.
    pub fn start() -> Result<Self, Absent> {
        let mut broker = Broker::choose();
        for _ in 1..START_ATTEMPTS {
            if broker.is_ok() {
                break;
            }
            broker = Broker::choose();
        }
        let kafka = Self { broker: broker? };
        eprintln!("real parts: kafka is {} at {}", kafka.kind(), kafka.brokers());
        Ok(kafka)
    }

    /// `host:port`.
    pub fn brokers(&self) -> &str {
        match &self.broker {
            Broker::Given(address) => address,
            Broker::Container(broker) => broker.address(),
            Broker::Java(broker) => broker.address(),
        }
    }

    /// The same broker with its listener for TLS; only the Java process has one.
    pub fn as_java(&self) -> Option<&JavaBroker> {
        if let Broker::Java(broker) = &self.broker { Some(broker) } else { None }
    }

    /// Starts a Java process, whatever else could be had.
    pub fn start_java() -> Result<JavaBroker, Absent> {
        java_is_there()?;
        JavaBroker::start()
    }

    /// The same, to be frozen for less than this: see [`JavaBroker::start_missed_after`].
    pub fn start_java_missed_after(session: Duration) -> Result<JavaBroker, Absent> {
        java_is_there()?;
        JavaBroker::start_missed_after(session)
    }

    /// A broker of the test's own, to be killed or frozen.
    pub fn of_java(broker: JavaBroker) -> Self {
        Self { broker: Broker::Java(broker) }
    }

    fn kind(&self) -> &'static str {
        match &self.broker {
            Broker::Given(_) => "the one given",
            Broker::Container(_) => "a container",
            Broker::Java(_) => "a Java process",
        }
    }

    /// Makes a topic and waits until the broker knows a leader for each of its partitions.
    pub async fn create_topic(&self, name: &str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]).await;
    }

    /// The same, with settings of its own.
    pub async fn create_topic_with(&self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let admin: AdminClient<DefaultClientContext> = self.client().create().expect("an admin client");
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let topic = settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value));
        let made = admin.create_topics([&topic], &AdminOptions::new()).await.expect("topics are created");
        assert!(made.iter().all(Result::is_ok), "topic {name}: {made:?}");
    }

    /// Ends the broker without warning; `start_again` brings it back with its data.
    pub fn kill(&self) {
        match &self.broker {
            Broker::Given(_) => panic!("a broker that was given is not ours to kill"),
            Broker::Container(broker) => broker.kill(),
            Broker::Java(broker) => broker.kill(),
        }
    }

    /// Freezes the broker: connections stay, and nothing is answered.
    pub fn freeze(&self) {
        match &self.broker {
            Broker::Given(_) => panic!("a broker that was given is not ours to freeze"),
            Broker::Container(broker) => broker.pause("pause"),
            Broker::Java(broker) => broker.signal(Signal::Stop),
        }
    }

    /// Ends a freeze.
    pub fn thaw(&self) {
        match &self.broker {
            Broker::Given(_) => panic!("a broker that was given is not ours to thaw"),
            Broker::Container(broker) => broker.pause("unpause"),
            Broker::Java(broker) => broker.signal(Signal::Continue),
        }
    }

    /// Starts the broker again on the same data and ports, and waits until it answers.
    pub fn start_again(&self) {
        match &self.broker {
            Broker::Given(_) => panic!("a broker that was given is not ours to start"),
            Broker::Container(broker) => broker.start_again(),
            Broker::Java(broker) => broker.run(),
        }
        .unwrap_or_else(|why| panic!("kafka does not start again: {why}"));
    }

    fn client(&self) -> ClientConfig {
        client(self.brokers())
    }
}

impl Broker {
    fn choose() -> Result<Self, Absent> {
        if let Ok(address) = std::env::var("PROFILE_LINKER_TEST_KAFKA") {
            return answers_within(&address, READY_WITHIN, || true).map(|()| Self::Given(address));
        }
        if succeeds("docker", &["info"]) {
            return ContainerBroker::start().map(Self::Container);
        }
        if java_is_there().is_ok() {
            return JavaBroker::start().map(Self::Java);
        }
        Err(Absent("there is neither a running container engine nor Java and Maven".to_owned()))
    }
}

/// Whether brokers can be Java processes of ours.
pub fn java_is_there() -> Result<(), Absent> {
    if succeeds("java", &["-version"]) && succeeds("mvn", &["--version"]) {
        return Ok(());
    }
    Err(Absent("it wants Java processes of its own, and there is no Java or no Maven".to_owned()))
}

/// Waits until the broker answers a question for metadata, as long as `alive`.
fn answers_within(address: &str, limit: Duration, mut alive: impl FnMut() -> bool) -> Result<(), Absent> {
    let consumer: BaseConsumer = client(address).create().map_err(|e| Absent(format!("no client: {e}")))?;
    let answered = within(limit, || {
        if !alive() {
            return Some(false);
        }
        let metadata = consumer.fetch_metadata(None, Duration::from_secs(1)).ok()?;
        (!metadata.brokers().is_empty()).then_some(true)
    });
    match answered {
        Some(true) => Ok(()),
        Some(false) => Err(Absent("the broker ended right after its start".to_owned())),
        None => Err(Absent(format!("the broker at {address} does not answer within {limit:?}"))),
    }
}

fn client(address: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    // Log level 2 (critical): a broker that is still starting refuses connections, which is what we wait for.
    config.set("bootstrap.servers", address).set("log_level", "2").set("reconnect.backoff.max.ms", "500");
    config
}

fn succeeds(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
