//! The broker as a plain Java process.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

use super::libraries::kafka_libraries;
use super::{READY_WITHIN, answers_within};
use crate::support::Absent;
use crate::support::child::{Guarded, Signal};
use crate::support::ports::free_ports;

/// 22 characters of base64: any will do, every test broker is a cluster of its own folder.
const CLUSTER_ID: &str = "cHJvZmlsZS1saW5rZXItMQ";

/// A broker in a Java process of ours; its data is in a temporary folder.
pub struct JavaBroker {
    folder: TempDir,
    class_path: String,
    address: String,
    process: Mutex<Option<Guarded>>,
}

impl JavaBroker {
    /// Formats a new data folder and runs a broker on it.
    pub fn start() -> Result<Self, Absent> {
        let class_path = format!("{}/*", kafka_libraries()?.display());
        let folder = tempfile::Builder::new()
            .prefix("profile-linker-kafka-")
            .tempdir()
            .map_err(|e| Absent(format!("no folder for its data: {e}")))?;
        let [port, controller_port] = free_ports();
        write_properties(folder.path(), port, controller_port)?;
        format_storage(folder.path(), &class_path)?;
        let broker = Self { folder, class_path, address: format!("127.0.0.1:{port}"), process: Mutex::new(None) };
        broker.run()?;
        Ok(broker)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Runs the broker on its folder and waits until it answers.
    pub fn run(&self) -> Result<(), Absent> {
        let program = ["java", "-Xmx768m", "-XX:+UseSerialGC", "-cp", &self.class_path, "kafka.Kafka"];
        let mut program: Vec<String> = program.into_iter().map(str::to_owned).collect();
        program.push(self.folder.path().join("server.properties").display().to_string());
        let log = self.folder.path().join("broker.log");
        let last_act = format!("rm -rf {}", self.folder.path().display());
        let mut process = Guarded::start_with_last_act(&program, &[], &log, &last_act)
            .map_err(|e| Absent(format!("java does not start: {e}")))?;
        answers_within(&self.address, READY_WITHIN, || process.is_running())
            .map_err(|Absent(why)| Absent(format!("{why}; its last words: {}", last_lines(&process.output()))))?;
        *self.process.lock().expect("no test panics while it holds the broker") = Some(process);
        Ok(())
    }

    /// Ends it by `kill -9` and waits until it is gone.
    pub fn kill(&self) {
        let process = self.process.lock().expect("no test panics while it holds the broker").take();
        if let Some(mut process) = process {
            process.signal(Signal::Kill);
        }
    }
}

fn write_properties(folder: &Path, port: u16, controller_port: u16) -> Result<(), Absent> {
    let data = folder.join("data");
    let text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
{SETTINGS}",
        data = data.display()
    );
    std::fs::write(folder.join("server.properties"), text).map_err(|e| Absent(format!("its properties file: {e}")))
}

/// What one broker alone needs, and small internal topics, which start faster. A group may miss a dead member soon, and a
/// dead producer's transaction is looked for often: both make tests that kill workers shorter.
const SETTINGS: &str = "offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
auto.create.topics.enable=false
";

fn format_storage(folder: &Path, class_path: &str) -> Result<(), Absent> {
    let output = Command::new("java")
        .args(["-cp", class_path, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
        .arg(folder.join("server.properties"))
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Absent(format!("java does not start: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Absent(format!("its storage cannot be formatted: {}", last_lines(&String::from_utf8_lossy(&output.stderr)))))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}
