//! The broker in a container, where an engine runs.

use std::process::{Command, Stdio};

use super::{READY_WITHIN, answers_within};
use crate::support::Absent;
use crate::support::child::Guarded;
use crate::support::ports::free_ports;

/// The version that `docker-compose.yml` and the jars of the Java way have, too.
const IMAGE: &str = "apache/kafka:4.3.1";

/// A broker in a container of ours, removed when dropped.
pub struct ContainerBroker {
    name: String,
    address: String,
    // Does nothing but wait: its last act removes the container if the test process goes first.
    _watch: Guarded,
    _log: tempfile::TempDir,
}

impl ContainerBroker {
    /// Runs a new container and waits until its broker answers.
    pub fn start() -> Result<Self, Absent> {
        let [port] = free_ports();
        let name = format!("profile-linker-kafka-{}-{port}", std::process::id());
        docker(&run_arguments(&name, port))?;
        let log = tempfile::tempdir().map_err(|e| Absent(format!("no folder for its log: {e}")))?;
        let watch = watch(&name, log.path()).map_err(|e| Absent(format!("no watch over its container: {e}")))?;
        let broker = Self { name, address: format!("127.0.0.1:{port}"), _watch: watch, _log: log };
        answers_within(&broker.address, READY_WITHIN, || true)?;
        Ok(broker)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Ends it by `kill -9`.
    pub fn kill(&self) {
        docker(&["kill".to_owned(), self.name.clone()]).unwrap_or_else(|why| panic!("docker kill: {why}"));
    }

    /// `pause` or `unpause`.
    pub fn pause(&self, how: &str) {
        docker(&[how.to_owned(), self.name.clone()]).unwrap_or_else(|why| panic!("docker {how}: {why}"));
    }

    /// Starts the killed container again and waits until its broker answers.
    pub fn start_again(&self) -> Result<(), Absent> {
        docker(&["start".to_owned(), self.name.clone()])?;
        answers_within(&self.address, READY_WITHIN, || true)
    }
}

impl Drop for ContainerBroker {
    fn drop(&mut self) {
        // Nobody depends on it any more; a container left over shows in `docker ps` by its name.
        let _ = docker(&["rm".to_owned(), "-f".to_owned(), self.name.clone()]);
    }
}

fn watch(name: &str, folder: &std::path::Path) -> std::io::Result<Guarded> {
    let program: Vec<String> = ["tail", "-f", "/dev/null"].into_iter().map(str::to_owned).collect();
    Guarded::start_with_last_act(&program, &[], &folder.join("watch.log"), &format!("docker rm -f {name}"))
}

fn run_arguments(name: &str, port: u16) -> Vec<String> {
    let mut arguments: Vec<String> = ["run", "-d", "--name", name, "-p"].into_iter().map(str::to_owned).collect();
    arguments.push(format!("127.0.0.1:{port}:9092"));
    for (property, value) in settings(port) {
        arguments.extend(["-e".to_owned(), format!("KAFKA_{property}={value}")]);
    }
    arguments.push(IMAGE.to_owned());
    arguments
}

/// Broker properties in the image's spelling. One given property switches all of the image's defaults off.
fn settings(port: u16) -> Vec<(&'static str, String)> {
    [
        ("NODE_ID", "1"),
        ("PROCESS_ROLES", "broker,controller"),
        ("CONTROLLER_QUORUM_VOTERS", "1@localhost:9093"),
        ("LISTENERS", "PLAINTEXT://:9092,CONTROLLER://:9093"),
        ("CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
        ("LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        ("OFFSETS_TOPIC_REPLICATION_FACTOR", "1"),
        ("OFFSETS_TOPIC_NUM_PARTITIONS", "4"),
        ("TRANSACTION_STATE_LOG_REPLICATION_FACTOR", "1"),
        ("TRANSACTION_STATE_LOG_MIN_ISR", "1"),
        ("TRANSACTION_STATE_LOG_NUM_PARTITIONS", "4"),
        ("SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", "1"),
        ("SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", "1"),
        ("GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
        ("GROUP_MIN_SESSION_TIMEOUT_MS", "1000"),
        ("TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS", "500"),
        ("AUTO_CREATE_TOPICS_ENABLE", "false"),
    ]
    .into_iter()
    .map(|(property, value)| (property, value.to_owned()))
    .chain([("ADVERTISED_LISTENERS", format!("PLAINTEXT://127.0.0.1:{port}"))])
    .collect()
}

fn docker(arguments: &[String]) -> Result<(), Absent> {
    let output = Command::new("docker")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Absent(format!("docker does not start: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Absent(format!("docker {}: {}", arguments[0], String::from_utf8_lossy(&output.stderr).trim())))
}
