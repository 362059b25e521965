//! A standby of a PostgreSQL server, to be promoted when the first one is gone.

use std::process::{Command, Stdio};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use sqlx::PgConnection;

use super::{Absent, Postgres, Signal, binaries, free_ports, own, run, unprivileged};
use crate::support::patience::eventually;

/// A copy of a small database, and its first seconds.
const PATIENCE: Duration = Duration::from_secs(30);

impl Postgres {
    /// The port that it listens at.
    pub fn port(&self) -> u16 {
        self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// A server that follows this one.
    pub fn follow(&self) -> Result<Self, Absent> {
        let binaries = binaries().ok_or_else(|| Absent("there is no PostgreSQL server".to_owned()))?;
        let folder = tempfile::tempdir().map_err(|e| Absent(format!("no folder for its data: {e}")))?;
        own(folder.path())?;
        let words = unprivileged(binaries.join("pg_basebackup"));
        let port = self.port().to_string();
        let output = Command::new(&words[0])
            .args(&words[1..])
            .args(["-h", "127.0.0.1", "-p", &port, "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "-D"])
            .arg(folder.path().join("data"))
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .map_err(|e| Absent(format!("pg_basebackup does not start: {e}")))?;
        if !output.status.success() {
            return Err(Absent(format!("pg_basebackup: {}", String::from_utf8_lossy(&output.stderr).trim())));
        }
        let [port] = free_ports();
        let server = run(&binaries, folder.path(), port, Vec::new(), &[])?;
        let url = format!("postgres://postgres@127.0.0.1:{port}");
        Ok(Self { url, databases: AtomicU32::new(0), server: Some((server, folder)) })
    }

    /// From now on a commit is answered when the standby has it, too.
    pub async fn commit_at_standby(&self) {
        self.say("alter system set synchronous_standby_names = '*'").await;
        self.say("select pg_reload_conf()").await;
        eventually("the standby is a synchronous one", PATIENCE, async || {
            let mut connection: PgConnection = self.connection().await;
            let state = "select sync_state from pg_stat_replication";
            let state: Option<String> = sqlx::query_scalar(state).fetch_optional(&mut connection).await.ok()?;
            (state.as_deref() == Some("sync")).then_some(())
        })
        .await;
    }

    /// The standby follows nobody any more, and takes writes.
    pub async fn promote(&self) {
        self.say("select pg_promote()").await;
    }

    /// Kills it for good.
    pub fn kill(&mut self) {
        if let Some((server, _)) = &mut self.server {
            server.signal(Signal::Kill);
            server.end_within(Duration::from_secs(5));
        }
    }
}
