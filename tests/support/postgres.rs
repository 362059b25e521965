//! A real PostgreSQL server in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

use super::Absent;
use super::authority::ServerPem;
use super::child::{Guarded, Signal};
use super::patience::within;
use super::ports::free_ports;

mod standby;

/// A running server; stopped when dropped.
pub struct Postgres {
    url: String,
    databases: AtomicU32,
    server: Option<(Guarded, TempDir)>,
}

impl Postgres {
    /// Starts a server, or takes the one named by `PROFILE_LINKER_TEST_POSTGRES_URL`.
    pub fn start() -> Result<Self, Absent> {
        if let Ok(url) = std::env::var("PROFILE_LINKER_TEST_POSTGRES_URL") {
            return Ok(Self { url: url.trim_end_matches('/').to_owned(), databases: AtomicU32::new(0), server: None });
        }
        Self::launch(None, &[], &[])
    }

    /// A server of one's own that speaks TLS with this certificate.
    pub fn start_with_tls(pem: &ServerPem) -> Result<Self, Absent> {
        Self::launch(Some(pem), &[], &[])
    }

    /// A server of one's own whose log tells every statement with its values.
    pub fn start_talkative() -> Result<Self, Absent> {
        Self::launch(None, &["log_min_duration_statement=0", "log_parameter_max_length_on_error=-1"], &[])
    }

    /// A server of one's own with this added to its environment.
    pub fn start_with(environment: &[(String, String)]) -> Result<Self, Absent> {
        Self::launch(None, &[], environment)
    }

    fn launch(tls: Option<&ServerPem>, further: &[&str], environment: &[(String, String)]) -> Result<Self, Absent> {
        let binaries =
            binaries().ok_or_else(|| Absent("there is no PostgreSQL server (initdb, postgres)".to_owned()))?;
        let folder = tempfile::tempdir().map_err(|e| Absent(format!("no folder for its data: {e}")))?;
        own(folder.path())?;
        initialise(&binaries, folder.path())?;
        let mut settings = tls.map(|pem| tls_settings(pem, folder.path())).transpose()?.unwrap_or_default();
        settings.extend(further.iter().map(|setting| (*setting).to_owned()));
        let [port] = free_ports();
        let server = run(&binaries, folder.path(), port, settings, environment)?;
        let url = format!("postgres://postgres@127.0.0.1:{port}");
        Ok(Self { url, databases: AtomicU32::new(0), server: Some((server, folder)) })
    }

    /// A server of one's own, to be restarted.
    pub fn start_own() -> Result<Self, Absent> {
        Self::launch(None, &[], &[])
    }

    /// The folder of a server of one's own: its data and its log.
    pub fn folder(&self) -> Option<&Path> {
        self.server.as_ref().map(|(_, folder)| folder.path())
    }

    /// Everything that a database holds, as `pg_dump` writes it.
    pub fn dump(&self, url: &str) -> Vec<u8> {
        let program = binaries().expect("a server that runs").join("pg_dump");
        let dumped = Command::new(program).arg(url).stdin(Stdio::null()).output().expect("pg_dump starts");
        assert!(dumped.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dumped.stderr));
        dumped.stdout
    }

    /// Writes what is in the server's memory only into its files.
    pub async fn checkpoint(&self) {
        let url = format!("{}/postgres", self.url);
        let mut connection = PgConnection::connect(&url).await.expect("a connection to the server");
        connection.execute("CHECKPOINT").await.expect("a checkpoint");
    }

    /// Kills it, as a power cut would, and starts it again at its port with its data.
    pub fn crash_and_restart(&mut self) {
        let Some((server, folder)) = &mut self.server else { return };
        server.signal(Signal::Kill);
        server.end_within(Duration::from_secs(5));
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let binaries = binaries().expect("it ran before");
        // What it wrote before would be taken for its readiness.
        std::fs::write(folder.path().join("server.log"), "").expect("its log");
        let again = within(Duration::from_secs(30), || run(&binaries, folder.path(), port, Vec::new(), &[]).ok());
        *server = again.expect("it runs again");
    }

    /// A new, empty database; answers its URL.
    pub async fn create_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{number}", std::process::id());
        self.say(&format!("create database {name}")).await;
        format!("{}/{name}", self.url)
    }

    /// A new, empty database whose tables are in this folder, which becomes the server's; answers its URL.
    pub async fn create_database_in(&self, folder: &Path) -> String {
        own(folder).expect("a folder that can be given away");
        self.say(&format!("create tablespace small location '{}'", folder.display())).await;
        self.say("create database small tablespace small").await;
        format!("{}/small", self.url)
    }

    async fn say(&self, statement: &str) {
        let statement = sqlx::AssertSqlSafe(statement.to_owned());
        self.connection().await.execute(statement).await.expect("the statement");
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect(&format!("{}/postgres", self.url)).await.expect("a connection to the server")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Some((server, _)) = &mut self.server {
            server.signal(Signal::Terminate);
            server.end_within(Duration::from_secs(5));
        }
    }
}

fn binaries() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    versions.flatten().map(|version| version.path().join("bin")).find(|bin| bin.join("postgres").is_file())
}

/// The server refuses to run as root: then it runs as the user `postgres`, who must own the folder.
fn own(folder: &Path) -> Result<(), Absent> {
    let script = "if [ \"$(id -u)\" = 0 ]; then chown postgres \"$0\"; fi";
    let status = Command::new("sh").args(["-c", script]).arg(folder).status();
    status.ok().filter(|s| s.success()).map(drop).ok_or_else(|| Absent("its folder cannot be given away".to_owned()))
}

fn unprivileged(program: PathBuf) -> Vec<String> {
    let id = Command::new("id").arg("-u").output().map(|out| out.stdout).unwrap_or_default();
    let mut words: Vec<String> = Vec::new();
    if id.trim_ascii() == b"0" {
        words.extend(["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"].map(str::to_owned));
    }
    words.push(program.display().to_string());
    words
}

fn initialise(binaries: &Path, folder: &Path) -> Result<(), Absent> {
    let words = unprivileged(binaries.join("initdb"));
    let output = Command::new(&words[0])
        .args(&words[1..])
        .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-D"])
        .arg(folder.join("data"))
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Absent(format!("initdb does not start: {e}")))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Absent(format!("initdb failed: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// Writes the files into the data folder, whose owner alone may read the key: the server insists on it.
fn tls_settings(pem: &ServerPem, folder: &Path) -> Result<Vec<String>, Absent> {
    let data = folder.join("data");
    let written = std::fs::write(data.join("server.crt"), &pem.certificate)
        .and_then(|()| std::fs::write(data.join("server.key"), &pem.key));
    written.map_err(|e| Absent(format!("its certificate: {e}")))?;
    let script = "chmod 600 \"$0\"/server.key && chown --reference=\"$0\" \"$0\"/server.key \"$0\"/server.crt";
    let status = Command::new("sh").args(["-c", script]).arg(&data).status();
    status.ok().filter(|s| s.success()).ok_or_else(|| Absent("its key cannot be given away".to_owned()))?;
    Ok(vec!["ssl=on".to_owned()])
}

fn run(
    binaries: &Path,
    folder: &Path,
    port: u16,
    further: Vec<String>,
    environment: &[(String, String)],
) -> Result<Guarded, Absent> {
    let mut words = unprivileged(binaries.join("postgres"));
    words.extend(["-D".to_owned(), folder.join("data").display().to_string()]);
    // A worker takes up to nine connections, and a campaign runs dozens of workers side by side.
    let settings = [format!("port={port}"), "listen_addresses=127.0.0.1".to_owned(), "max_connections=600".to_owned()];
    for setting in settings.into_iter().chain([socket_setting(folder)]).chain(further) {
        words.extend(["-c".to_owned(), setting]);
    }
    let mut server = Guarded::start(&words, environment, &folder.join("server.log"))
        .map_err(|e| Absent(format!("the server does not start: {e}")))?;
    let ready = within(Duration::from_secs(30), || {
        (server.output().contains("ready to accept") || !server.is_running()).then_some(())
    });
    match ready {
        Some(()) if server.is_running() => Ok(server),
        _ => Err(Absent(format!("the server does not start: {}", server.output()))),
    }
}

fn socket_setting(folder: &Path) -> String {
    format!("unix_socket_directories={}", folder.display())
}
