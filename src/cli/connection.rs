//! The connection file: how `publish`, `watch`, `status` and `intake` find the `dev` that runs on this machine. `dev` writes
//! it into its data directory and to one well-known place, readable by its user only, and removes both when it ends. Of two
//! that run side by side the first keeps the well-known place: a second one must not make those who talk to it lose it.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::config::Topics;

/// The file's name in `dev`'s data directory.
const FILE: &str = "connection.json";
/// The file's name in the well-known place.
const WELL_KNOWN_FILE: &str = "dev-connection.json";
/// Held by the `dev` that the well-known place tells of, as long as it lives: a kill lets it go, too.
const WELL_KNOWN_LOCK: &str = "dev-connection.lock";

/// What a running `dev` tells others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// `host:port` of the brokers.
    pub brokers: String,
    /// The topics.
    pub topics: TopicNames,
    /// Base URL of the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// Its admin server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub admin: Option<AdminAddress>,
    /// Its configuration file: what it does not tell here stands there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<PathBuf>,
    /// Process id of `dev`.
    pub pid: u32,
    /// Whether the broker is the embedded one, which cannot answer everything.
    #[serde(default)]
    pub embedded: bool,
}

/// Where `dev`'s admin server is, and what opens it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminAddress {
    /// Its base URL.
    pub url: String,
    /// The token that was made at start; none where one is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

impl fmt::Debug for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminAddress").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The topics as the file spells them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are the configuration's")]
pub struct TopicNames {
    pub created: String,
    pub linked: String,
    pub rejected: String,
    pub dead_letter: String,
}

/// The files of a `dev` that runs; dropped, they are removed.
pub struct Announced {
    files: Vec<PathBuf>,
    /// Of the well-known place, where it is ours.
    lock: Option<File>,
}

impl Announced {
    /// Whether other commands find this `dev` by themselves; `false` where they find another one, that ran before.
    #[must_use]
    pub fn is_found(&self) -> bool {
        self.lock.is_some()
    }
}

impl Drop for Announced {
    /// Before the lock is let go, so that no successor's file is removed.
    fn drop(&mut self) {
        for file in &self.files {
            // A file that stays behind is noticed as stale by its pid.
            let _ = std::fs::remove_file(file);
        }
    }
}

impl Connection {
    /// Writes the file into `data_dir`, and to the well-known place unless a living `dev` has it; each in one step.
    ///
    /// # Errors
    /// A directory cannot be made, or a file not written.
    pub fn announce(&self, data_dir: &Path) -> io::Result<Announced> {
        let json = serde_json::to_string_pretty(self)?;
        let lock = lock()?;
        let places = [Some(data_dir.join(FILE)), lock.is_some().then(well_known)];
        let mut announced = Announced { files: Vec::new(), lock };
        for place in places.into_iter().flatten() {
            put(&place, &json)?;
            announced.files.push(place);
        }
        Ok(announced)
    }

    /// The running `dev`'s connection. A file whose process has ended is told about and not used.
    #[must_use]
    pub fn find() -> Option<Self> {
        let path = well_known();
        let connection = read(&path)?;
        if is_running(connection.pid) {
            return Some(connection);
        }
        tracing::warn!(
            file = %path.display(),
            pid = connection.pid,
            "ignoring the connection file of a `dev` that has ended; start `profile-linker dev`, or name a broker"
        );
        None
    }
}

impl From<&Topics> for TopicNames {
    fn from(topics: &Topics) -> Self {
        let Topics { created, linked, rejected, dead_letter } = topics.clone();
        Self { created, linked, rejected, dead_letter }
    }
}

impl From<TopicNames> for Topics {
    fn from(names: TopicNames) -> Self {
        let TopicNames { created, linked, rejected, dead_letter } = names;
        Self { created, linked, rejected, dead_letter }
    }
}

/// The well-known place: the user's state directory, else the directory for temporary files.
#[must_use]
pub fn well_known() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    state.unwrap_or_else(std::env::temp_dir).join("profile-linker").join(WELL_KNOWN_FILE)
}

/// The well-known place's lock; `None` where another process holds it.
fn lock() -> io::Result<Option<File>> {
    let path = well_known().with_file_name(WELL_KNOWN_LOCK);
    std::fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
    let file = File::create(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn read(path: &Path) -> Option<Connection> {
    let text = std::fs::read_to_string(path).ok()?;
    let parsed = serde_json::from_str(&text);
    if let Err(error) = &parsed {
        tracing::warn!(file = %path.display(), %error, "ignoring a connection file that cannot be read");
    }
    parsed.ok()
}

fn put(path: &Path, json: &str) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(directory)?;
    let draft = path.with_extension(format!("{}.new", std::process::id()));
    let mut options = std::fs::OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600).open(&draft)?.write_all(json.as_bytes())?;
    std::fs::rename(draft, path)
}

/// Whether a process of this id runs. Where the system does not tell by `/proc`, the file is believed: a broker that is
/// gone is then noticed when it is called.
fn is_running(pid: u32) -> bool {
    let proc = Path::new("/proc");
    !proc.join("self").exists() || proc.join(pid.to_string()).exists()
}
