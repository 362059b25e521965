//! A wall clock of a process's own, to be stepped while it runs: `wall_clock.c`, compiled with the compiler that the build needs,
//! and put into the process by `LD_PRELOAD`.

use std::fs::Permissions;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::Command;

use tempfile::TempDir;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real_parts/clocks/wall_clock.c");

/// The clock; gone when dropped, so it must outlive the process.
pub struct WallClock {
    folder: TempDir,
}

impl WallClock {
    /// One that goes right but for so many seconds.
    pub fn wrong_by(seconds: i64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let compiled = Command::new("cc")
            .args(["-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", SOURCE, "-lpthread", "-o"])
            .arg(folder.path().join("wall_clock.so"))
            .output()
            .expect("cc is there, as the build needs it");
        assert!(compiled.status.success(), "wall_clock.c: {}", String::from_utf8_lossy(&compiled.stderr));
        std::fs::write(folder.path().join("step"), seconds.to_ne_bytes()).expect("a file");
        // A server that does not run as this user shall find it.
        std::fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).expect("the folder is ours");
        Self { folder }
    }

    /// Steps it: from now on it is wrong by so many seconds.
    pub fn step(&self, wrong_by: i64) {
        let file = std::fs::File::options().write(true).open(self.folder.path().join("step")).expect("its file");
        file.write_all_at(&wrong_by.to_ne_bytes(), 0).expect("it is stepped");
    }

    /// The environment of a process that has it.
    pub fn environment(&self) -> [(String, String); 2] {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        [("LD_PRELOAD".to_owned(), path("wall_clock.so")), ("WALL_CLOCK_STEP".to_owned(), path("step"))]
    }
}
