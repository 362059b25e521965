//! Brokers as plain Java processes.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use tempfile::TempDir;

use super::doors::Doors;
use super::libraries::kafka_libraries;
use super::seat::{Seat, seats};
use super::{READY_WITHIN, answers_within};
use crate::support::Absent;
use crate::support::child::{Guarded, Signal};

/// 22 characters of base64: any will do, every test broker is a cluster of its own folder.
const CLUSTER_ID: &str = "cHJvZmlsZS1saW5rZXItMQ";

/// A broker in a Java process of ours; its data is in a temporary folder.
pub struct JavaBroker {
    folder: TempDir,
    class_path: String,
    seat: Seat,
    address: String,
    doors: Doors,
    process: Mutex<Option<Guarded>>,
}

impl JavaBroker {
    /// Formats a new data folder and runs a broker on it.
    pub fn start() -> Result<Self, Absent> {
        Self::start_at(&seats(1))?.pop().ok_or_else(nobody)
    }

    /// The same, and its controller misses it for so long before it takes its partitions from it.
    pub fn start_missed_after(session: Duration) -> Result<Self, Absent> {
        let mut seats = seats(1);
        seats.iter_mut().for_each(|seat| seat.session = session);
        Self::start_at(&seats)?.pop().ok_or_else(nobody)
    }

    /// The same for brokers that are one cluster.
    pub fn start_cluster(size: usize) -> Result<Vec<Self>, Absent> {
        Self::start_at(&seats(size))
    }

    fn start_at(seats: &[Seat]) -> Result<Vec<Self>, Absent> {
        let class_path = format!("{}/*", kafka_libraries()?.display());
        let brokers: Vec<Self> =
            seats.iter().map(|seat| Self::prepare(seat, seats, &class_path)).collect::<Result<_, _>>()?;
        std::thread::scope(|scope| {
            let formats: Vec<_> = brokers.iter().map(|broker| scope.spawn(|| broker.format_storage())).collect();
            formats.into_iter().try_for_each(|format| format.join().expect("formatting does not panic"))
        })?;
        // None of them answers before most of them run, and they take the processor from each other.
        let limit = READY_WITHIN * u32::try_from(seats.len()).unwrap_or(u32::MAX);
        brokers.iter().try_for_each(Self::launch)?;
        brokers.iter().try_for_each(|broker| broker.ready(limit))?;
        Ok(brokers)
    }

    fn prepare(seat: &Seat, all: &[Seat], class_path: &str) -> Result<Self, Absent> {
        let folder = tempfile::Builder::new()
            .prefix("profile-linker-kafka-")
            .tempdir()
            .map_err(|e| Absent(format!("no folder for its data: {e}")))?;
        let doors = Doors::make(folder.path(), seat.secured).map_err(|e| Absent(format!("its certificates: {e}")))?;
        std::fs::write(folder.path().join("server.properties"), seat.properties(all, folder.path(), &doors))
            .map_err(|e| Absent(format!("its properties file: {e}")))?;
        let address = format!("127.0.0.1:{}", seat.plain);
        Ok(Self { folder, class_path: class_path.to_owned(), seat: *seat, address, doors, process: Mutex::new(None) })
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The folder of its logs.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Its number in the cluster, and its ports.
    pub fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Its listeners with TLS.
    pub fn doors(&self) -> &Doors {
        &self.doors
    }

    /// Lets a user do these operations with a resource, such as `["--topic", NAME]`; from then on nobody may do anything
    /// else with it, those of the plain listener aside.
    pub fn allow_only(&self, user: &str, operations: &[&str], resource: &[&str]) {
        let user = format!("User:{user}");
        let rules = operations.iter().flat_map(|operation| ["--operation", operation]);
        let arguments = ["--add", "--allow-principal", &user].into_iter().chain(rules).chain(resource.iter().copied());
        self.tool("org.apache.kafka.tools.AclCommand", arguments);
    }

    /// Gives a user another password for a SCRAM mechanism. Connections that are open stay open.
    pub fn set_password(&self, user: &str, mechanism: &str, password: &str) {
        let known = format!("{mechanism}=[password={password}]");
        let arguments = ["--alter", "--entity-type", "users", "--entity-name", user, "--add-config", &known];
        self.tool("kafka.admin.ConfigCommand", arguments);
    }

    /// Runs one of Kafka's own tools against it.
    fn tool<'a>(&self, name: &str, arguments: impl IntoIterator<Item = &'a str>) {
        let output = Command::new("java")
            .args(["-cp", &self.class_path, name, "--bootstrap-server", &self.address])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("java starts");
        assert!(output.status.success(), "{name} failed: {}", String::from_utf8_lossy(&output.stdout));
    }

    /// Runs the broker on its folder and waits until it answers.
    pub fn run(&self) -> Result<(), Absent> {
        self.launch()?;
        self.ready(READY_WITHIN)
    }

    fn launch(&self) -> Result<(), Absent> {
        // It lives for a minute or two: the compiler that is quick pays, the thorough one does not.
        let options = ["-Xmx768m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
        let program = ["java"].into_iter().chain(options).chain(["-cp", &self.class_path, "kafka.Kafka"]);
        let mut program: Vec<String> = program.map(str::to_owned).collect();
        program.push(self.folder.path().join("server.properties").display().to_string());
        let log = self.folder.path().join("broker.log");
        let last_act = format!("rm -rf {}", self.folder.path().display());
        let process = Guarded::start_with_last_act(&program, &[], &log, &last_act)
            .map_err(|e| Absent(format!("java does not start: {e}")))?;
        *self.process.lock().expect("no test panics while it holds the broker") = Some(process);
        Ok(())
    }

    fn ready(&self, limit: Duration) -> Result<(), Absent> {
        let mut process = self.process.lock().expect("no test panics while it holds the broker");
        let Some(process) = process.as_mut() else { return Err(Absent("the broker was not started".to_owned())) };
        answers_within(&self.address, limit, || process.is_running())
            .map_err(|Absent(why)| Absent(format!("{why}; its last words: {}", last_lines(&process.output()))))
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

    fn format_storage(&self) -> Result<(), Absent> {
        let output = Command::new("java")
            .args(["-cp", &self.class_path, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"])
            .arg(self.folder.path().join("server.properties"))
            .args(Doors::scram_users())
            .stdin(Stdio::null())
            .output()
            .map_err(|e| Absent(format!("java does not start: {e}")))?;
        if output.status.success() {
            return Ok(());
        }
        let last = last_lines(&String::from_utf8_lossy(&output.stderr));
        Err(Absent(format!("its storage cannot be formatted: {last}")))
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

fn nobody() -> Absent {
    Absent("there is no broker in a cluster of one".to_owned())
}
