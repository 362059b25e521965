//! The broker as a plain Java process.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

use super::doors::Doors;
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
    doors: Doors,
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
        let [port, controller_port, secured_port] = free_ports();
        let doors = Doors::make(folder.path(), secured_port).map_err(|e| Absent(format!("its certificates: {e}")))?;
        write_properties(folder.path(), port, controller_port, &doors)?;
        format_storage(folder.path(), &class_path)?;
        let address = format!("127.0.0.1:{port}");
        let broker = Self { folder, class_path, address, doors, process: Mutex::new(None) };
        broker.run()?;
        Ok(broker)
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its listeners with TLS.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Lets a user do these operations with a resource, such as `["--topic", NAME]`; from then on nobody may do anything
    /// else with it, those of the plain listener aside.
    pub fn allow_only(&self, user: &str, operations: &[&str], resource: &[&str]) {
        let rules = operations.iter().flat_map(|operation| ["--operation", operation]);
        let output = Command::new("java")
            .args(["-cp", &self.class_path, "org.apache.kafka.tools.AclCommand", "--bootstrap-server", &self.address])
            .args(["--add", "--allow-principal", &format!("User:{user}")])
            .args(rules)
            .args(resource)
            .stdin(Stdio::null())
            .output()
            .expect("java starts");
        assert!(output.status.success(), "no rule was made: {}", String::from_utf8_lossy(&output.stdout));
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

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(process) = self.process.lock().expect("no test panics while it holds the broker").as_mut() {
            process.signal(signal);
        }
    }

    /// Ends it by `kill -9` and waits until it is gone.
    pub fn kill(&self) {
        let process = self.process.lock().expect("no test panics while it holds the broker").take();
        if let Some(mut process) = process {
            process.signal(Signal::Kill);
        }
    }
}

fn write_properties(folder: &Path, port: u16, controller_port: u16, doors: &Doors) -> Result<(), Absent> {
    let data = folder.join("data");
    let text = format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},{secured},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},{secured}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL
log.dirs={data}
{SETTINGS}{doors}",
        data = data.display(),
        secured = doors.listener(),
        doors = doors.settings(),
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
        .args(Doors::scram_users())
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
