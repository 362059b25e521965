//! The small library that is put into a worker to stop it at one call: `stop_at.c`, compiled with the compiler that the
//! build needs anyway.

use std::path::PathBuf;
use std::process::Command;

use sqlx::postgres::PgConnectOptions;
use tempfile::TempDir;

use super::plan::{Blow, Side, Stop, Way};
use crate::support::patience::eventually;
use crate::support::stand::{PATIENCE, Stand};
use crate::support::worker::Worker;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real_parts/stops/stop_at.c");

/// The compiled library.
pub struct Shim {
    folder: TempDir,
}

/// Where a stop came to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Between the gate and the kernel's send of a link: the residue that the README names.
    Inside,
    /// Anywhere else.
    Outside,
}

impl Shim {
    /// Compiles it.
    pub fn compile() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let compiled = Command::new("cc")
            .args(["-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", SOURCE, "-ldl", "-o"])
            .arg(folder.path().join("stop_at.so"))
            .output()
            .expect("cc is there, as the build needs it");
        assert!(compiled.status.success(), "stop_at.c: {}", String::from_utf8_lossy(&compiled.stderr));
        Self { folder }
    }

    /// Starts a worker that will stop there.
    pub fn start(&self, stand: &Stand<'_>, stop: &Stop, number: usize) -> Armed {
        let report = stand.folder().join(format!("stop-{number}"));
        let way = if stop.class.way == Way::In { "in" } else { "out" };
        let side = if stop.class.side == Side::After { "after" } else { "before" };
        let signal = if stop.class.blow == Blow::Kill { "KILL" } else { "STOP" };
        let orders = [
            ("LD_PRELOAD", self.folder.path().join("stop_at.so").display().to_string()),
            ("STOP_AT_PORTS", ports(stand)),
            ("STOP_AT_REPORT", report.display().to_string()),
            ("STOP_AT_PEER", (stop.class.peer as i32).to_string()),
            ("STOP_AT_WAY", way.to_owned()),
            ("STOP_AT_SIDE", side.to_owned()),
            ("STOP_AT_CALL", stop.call.to_string()),
            ("STOP_AT_SIGNAL", signal.to_owned()),
            ("STOP_AT_BEGINS", stop.begins.to_owned()),
        ];
        let orders = orders.map(|(name, value)| (name.to_owned(), value));
        let report = Report { file: report, blow: stop.class.blow };
        Armed { worker: stand.start_worker_with(&orders), report }
    }
}

/// A worker that stops at its call.
pub struct Armed {
    pub worker: Worker,
    pub report: Report,
}

/// What the shim tells.
pub struct Report {
    file: PathBuf,
    blow: Blow,
}

impl Armed {
    /// Where it stopped, once it has. Panics if it ended otherwise.
    pub fn struck(&mut self) -> Option<Place> {
        let running = self.worker.is_running();
        let down = match self.report.blow {
            Blow::Kill => !running,
            Blow::Freeze => !running || self.worker.is_frozen(),
        };
        let place = self.report.place();
        assert!(running || place.is_some(), "the worker ended by itself");
        place.filter(|_| down)
    }

    /// Waits until it stops.
    pub async fn stops(&mut self) -> Place {
        eventually("the worker stops at its call", PATIENCE, async || self.struck()).await
    }
}

impl Report {
    /// `stop <call> inside|outside <key>`.
    fn place(&self) -> Option<Place> {
        let lines = self.lines();
        let line = lines.iter().find(|line| line.starts_with("stop "))?;
        let inside = line.split(' ').nth(2) == Some("inside");
        Some(if inside { Place::Inside } else { Place::Outside })
    }

    /// `late <key>`: the keys of the links that left after a freeze before the ledger answered anew.
    pub fn late_links(&self) -> Vec<String> {
        self.lines().iter().filter_map(|line| line.strip_prefix("late ")).map(str::to_owned).collect()
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

/// Ledger, broker, vendors: the order of [`super::plan::Peer`].
fn ports(stand: &Stand<'_>) -> String {
    let ledger: PgConnectOptions = stand.database.parse().expect("a database's URL");
    let vendors = stand.sandbox.vendor("loanpro");
    let vendors = vendors.trim_start_matches("http://").split('/').next().unwrap_or_default();
    let port = |address: &str| address.rsplit_once(':').map_or(0, |(_, port)| port.parse().unwrap_or(0_u16));
    format!("{},{},{}", ledger.get_port(), port(stand.kafka.brokers()), port(vendors))
}
