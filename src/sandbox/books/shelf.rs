//! The file that keeps the books across runs: written whole beside itself and renamed, so that it is never half written.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::{File, rename};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::Books;
use crate::sandbox::SandboxError;
use crate::sandbox::stage::Stage;

/// How often a change is looked for; the most that a kill of the process can lose.
const INTERVAL: Duration = Duration::from_secs(1);
/// Rest after a write as a multiple of what it took, so that large books do not take all the time there is.
const REST: u32 = 10;

/// Reads the books; a missing file is an empty book.
///
/// # Errors
/// The file cannot be read, or is something else.
pub fn read(path: &Path) -> Result<Books, SandboxError> {
    match std::fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map_err(|source| SandboxError::ForeignBooks { path: path.to_owned(), source }),
        Err(source) if source.kind() == ErrorKind::NotFound => Ok(Books::default()),
        Err(source) => Err(SandboxError::Books { path: path.to_owned(), source }),
    }
}

/// The books as the bytes of the file. Empty only if they cannot be serialised, which is logged.
#[must_use]
pub fn pages(stage: &Stage) -> Vec<u8> {
    serde_json::to_vec(&stage.world().books).unwrap_or_else(|error| {
        tracing::error!(%error, "the sandbox's books cannot be written down");
        Vec::new()
    })
}

/// Writes the file.
///
/// # Errors
/// It cannot be written; the old one is then still there.
pub async fn write(path: &Path, pages: &[u8]) -> Result<(), SandboxError> {
    if pages.is_empty() {
        return Ok(());
    }
    let failed = |source| SandboxError::Books { path: path.to_owned(), source };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside).await.map_err(failed)?;
    file.write_all(pages).await.map_err(failed)?;
    file.sync_all().await.map_err(failed)?;
    rename(&beside, path).await.map_err(failed)
}

/// Writes the file after changes until told to stop. The last write is the stopper's.
pub async fn keep(stage: Stage, path: PathBuf, stopping: CancellationToken) {
    let mut written = stage.world().books.changes;
    let mut rest = INTERVAL;
    while stopping.run_until_cancelled(sleep(rest)).await.is_some() {
        let changes = stage.world().books.changes;
        if changes == written {
            continue;
        }
        let begun = Instant::now();
        match write(&path, &pages(&stage)).await {
            Ok(()) => written = changes,
            Err(error) => tracing::warn!(%error, "the sandbox's books were not kept; trying again"),
        }
        rest = INTERVAL.max(begun.elapsed() * REST);
    }
}
