//! `dev`'s data directory: ledger, key, the sandbox's books, the connection file.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::cli::connection;
use crate::cli::exit::{Exit, Failure};
use crate::cli::keys;
use crate::sandbox;

/// Held by the `dev` that uses the directory.
const LOCK: &str = "lock";

/// The data directory, locked.
pub(super) struct Home {
    directory: PathBuf,
    _lock: File,
}

impl Home {
    /// Opens and locks it; without a name, the fixed folder, emptied.
    pub fn open(named: Option<PathBuf>) -> Result<Self, Failure> {
        let emptied = named.is_none();
        let directory = named.unwrap_or_else(|| connection::well_known().with_file_name("dev"));
        let failed = |error: io::Error| {
            Failure::new(Exit::Failed, format!("the data directory cannot be used: {error}"))
                .at(directory.display().to_string())
                .fix("name another one by --data-dir")
        };
        fs::create_dir_all(&directory).map_err(failed)?;
        let lock = File::create(directory.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::Error(error)) => return Err(failed(error)),
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(Exit::Failed, "another `profile-linker dev` uses the data directory")
                    .at(directory.display().to_string())
                    .fix("end it, or name another directory by --data-dir"));
            }
        }
        if emptied {
            empty(&directory).map_err(failed)?;
        }
        let directory = directory.canonicalize().map_err(failed)?;
        Ok(Self { directory, _lock: lock })
    }

    /// The directory, absolute.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// The file of the key that seals, made at first use.
    pub fn key_file(&self) -> anyhow::Result<PathBuf> {
        let path = self.path("k1.key");
        if !path.exists() {
            keys::write_new(&path)?;
        }
        Ok(path)
    }

    /// The customer that proves the tenant, made at first use.
    pub fn probe_customer(&self, sandbox: &sandbox::Running) -> anyhow::Result<i64> {
        let path = self.path("probe-customer");
        if let Ok(text) = fs::read_to_string(&path) {
            return Ok(text.trim().parse()?);
        }
        let id = sandbox.create_loanpro_customer("Probe", "Customer");
        fs::write(path, id.to_string())?;
        Ok(id)
    }
}

/// Removes all but the lock.
fn empty(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
