//! A small disk of a test's own, to be filled.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::Absent;

/// A file system in memory, mounted; gone when dropped.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one of so many megabytes. Only root may.
    pub fn mount(megabytes: usize) -> Result<Self, Absent> {
        let folder = tempfile::tempdir().map_err(|e| Absent(format!("no folder to mount at: {e}")))?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={megabytes}m,mode=777"), "none"])
            .arg(folder.path())
            .output()
            .map_err(|e| Absent(format!("mount does not start: {e}")))?;
        if output.status.success() {
            return Ok(Self { folder });
        }
        Err(Absent(format!("a small disk cannot be mounted: {}", String::from_utf8_lossy(&output.stderr).trim())))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Takes all that is left of it.
    pub fn fill(&self) {
        let filler = std::fs::File::create(self.filler()).expect("a file");
        let mut chunk = 1 << 20;
        while chunk > 0 {
            match std::io::Write::write(&mut &filler, &vec![0; chunk]) {
                Ok(written) if written > 0 => {}
                _ => chunk /= 2,
            }
        }
    }

    /// Gives it back.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).expect("it was filled");
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what still has a file open there ends by itself.
        let _ = Command::new("umount").arg("--lazy").arg(self.path()).status();
    }
}
