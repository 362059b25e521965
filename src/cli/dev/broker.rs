//! The embedded broker: librdkafka's own, reachable by any process of this machine, in memory.

use std::sync::mpsc::{Sender, channel};

use rdkafka::mocking::MockCluster;

use crate::cli::exit::{Exit, Failure};
use crate::contract::{PROFILE_CREATED, PROFILE_LINKED, PROFILE_REJECTED};

/// Partitions of each topic.
const PARTITIONS: i32 = 4;

/// The topics' default names.
const TOPICS: [&str; 4] = [PROFILE_CREATED, PROFILE_LINKED, PROFILE_REJECTED, "payments.profile-created.v1.dlq"];

/// A running broker. It belongs to one thread, which ends when this is dropped.
pub(super) struct EmbeddedBroker {
    address: String,
    _alive: Sender<()>,
}

impl EmbeddedBroker {
    /// Starts it with our topics.
    pub fn start() -> Result<Self, Failure> {
        let (started, is_started) = channel();
        let (alive, until_dropped) = channel::<()>();
        let thread = std::thread::Builder::new().name("embedded-broker".to_owned()).spawn(move || {
            let cluster = make();
            let address = cluster.as_ref().map(MockCluster::bootstrap_servers).map_err(ToString::to_string);
            let _ = started.send(address);
            // Fails when the other end is dropped, which is what is waited for.
            let _ = until_dropped.recv();
        });
        let failed = |why: String| Failure::new(Exit::Failed, format!("the embedded broker did not start: {why}"));
        thread.map_err(|error| failed(error.to_string()))?;
        let address = is_started.recv().map_err(|error| failed(error.to_string()))?.map_err(failed)?;
        Ok(Self { address, _alive: alive })
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

fn make() -> Result<MockCluster<'static, rdkafka::producer::DefaultProducerContext>, rdkafka::error::KafkaError> {
    let cluster = MockCluster::new(1)?;
    for topic in TOPICS {
        cluster.create_topic(topic, PARTITIONS, 1)?;
    }
    Ok(cluster)
}
