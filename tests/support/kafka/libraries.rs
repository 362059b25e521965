//! The broker's jars, fetched once by Maven into the cargo target directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::Absent;

/// The Maven project that names the jars.
const POM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/kafka/pom.xml");

/// The folder with the jars; fetched if it is not there yet. A file lock makes test binaries that run at the same time
/// wait for one fetch.
pub fn kafka_libraries() -> Result<PathBuf, Absent> {
    let cache = cache_folder();
    prepare(&cache).map_err(|e| Absent(format!("the cache folder for its jars: {e}")))?;
    let lock = File::create(cache.join("lock")).map_err(|e| Absent(format!("the lock of its jars: {e}")))?;
    lock.lock().map_err(|e| Absent(format!("the lock of its jars: {e}")))?;
    // The name follows from the pom: other versions get another folder.
    let libraries = cache.join(format!("kafka-libs-{:08x}", fingerprint(&std::fs::read(POM).unwrap_or_default())));
    if !libraries.is_dir() {
        fetch(&cache.join("partial"), &libraries)?;
    }
    Ok(libraries)
}

fn cache_folder() -> PathBuf {
    // `<target>/tmp` is cargo's folder for test binaries; the jars outlive it as a sibling.
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("real-parts")
}

fn prepare(cache: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(cache)
}

/// Fetches beside the place and renames, so that a fetch that was broken off never looks like a whole one.
fn fetch(partial: &Path, libraries: &Path) -> Result<(), Absent> {
    // It is there only after a fetch that was broken off.
    let _ = std::fs::remove_dir_all(partial);
    let output = Command::new("mvn")
        .args(["-B", "-q", "-f", POM, "dependency:copy-dependencies", "-DincludeScope=runtime"])
        .arg(format!("-DoutputDirectory={}", partial.display()))
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Absent(format!("maven does not start: {e}")))?;
    if !output.status.success() {
        return Err(Absent(format!("maven could not fetch its jars: {}", first_lines(&output.stdout))));
    }
    std::fs::rename(partial, libraries).map_err(|e| Absent(format!("its jars cannot be moved into place: {e}")))
}

fn first_lines(output: &[u8]) -> String {
    String::from_utf8_lossy(output)
        .lines()
        .filter(|line| line.contains("ERROR"))
        .take(3)
        .collect::<Vec<_>>()
        .join(" | ")
}

/// FNV-1a, enough to tell one pom from the next.
fn fingerprint(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
