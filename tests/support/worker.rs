//! The worker as a process of its own.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::child::{Guarded, Signal};
use super::patience::eventually;

/// A worker that must first take partitions over from a dead one waits for the group's session time-out.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// A running `profile-linker run`; killed when dropped.
pub struct Worker {
    process: Guarded,
}

impl Worker {
    /// Runs the worker; `log` is where its output goes.
    pub fn start(config: &Path, arguments: &[&str], environment: &[(String, String)], log: &Path) -> Self {
        let config = config.display().to_string();
        let words = [env!("CARGO_BIN_EXE_profile-linker"), "run", "--config", &config]
            .into_iter()
            .chain(arguments.iter().copied());
        let program: Vec<String> = words.map(str::to_owned).collect();
        let process = Guarded::start(&program, environment, log).expect("the worker starts");
        Self { process }
    }

    /// Waits for its line `worker ready`.
    pub async fn ready(&mut self) {
        let ready = eventually("the worker says that it is ready", READY_WITHIN, async || {
            assert!(self.process.is_running(), "the worker ended before it was ready");
            self.process.output().contains("worker ready").then_some(())
        });
        ready.await;
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Whether it is frozen, by whomever: state `T` in what the kernel tells of it.
    pub fn is_frozen(&self) -> bool {
        let told = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        told.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        self.process.output()
    }

    /// Where its admin pages are: the field `admin.address` of the line `worker ready`.
    pub fn admin_address(&self) -> String {
        let log = self.log();
        let line = log.lines().find(|line| line.contains("worker ready")).expect("it said that it is ready");
        let line: Value = serde_json::from_str(line).expect("log lines are JSON");
        let address = line.get("admin.address").or_else(|| line["fields"].get("admin.address"));
        address.and_then(Value::as_str).expect("the line has the field admin.address").to_owned()
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        self.process.signal(Signal::Kill);
        assert!(self.process.end_within(Duration::from_secs(10)).is_some(), "a killed worker still runs");
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Asks it to end, and answers its exit code.
    pub fn terminate(mut self) -> i32 {
        self.process.signal(Signal::Terminate);
        self.exit_code()
    }

    /// Its exit code, when it ends by itself.
    pub fn exit_code(&mut self) -> i32 {
        let ended = self.process.end_within(Duration::from_secs(45));
        ended.and_then(|status| status.code()).unwrap_or_else(|| panic!("the worker does not end:\n{}", self.log()))
    }

    /// Freezes it, as a paused machine would.
    pub fn freeze(&mut self) {
        self.process.signal(Signal::Stop);
    }

    /// Ends a freeze.
    pub fn thaw(&mut self) {
        self.process.signal(Signal::Continue);
    }
}
