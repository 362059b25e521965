//! The house's own rules that no compiler checks: the core does no I/O, no file is a monster, no file names a machine.
#![expect(clippy::expect_used, reason = "clippy.toml allows it in test functions only, not in what these share")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// No file of ours is longer; the usual ones have 60 to 250 lines.
const MAX_LINES: usize = 400;

/// What the core must not know: runtimes, clients, clocks, chance.
const FORBIDDEN_IN_THE_CORE: &[&str] = &[
    "tokio",
    "sqlx",
    "rdkafka",
    "hyper",
    "rand::",
    "use rand",
    "SystemTime",
    "Instant::now",
    "jiff",
    "std::fs",
    "std::net",
    "std::env",
    "async fn",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder that can be read") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_under(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            files.push(path);
        }
    }
    files
}

fn our_rust_files() -> Vec<PathBuf> {
    ["src", "tests", "benches"].iter().flat_map(|folder| files_under(&root().join(folder), "rs")).collect()
}

/// The code of a file: without comments and without its own tests.
fn code_of(path: &Path) -> String {
    let text = std::fs::read_to_string(path).expect("a text file");
    let code = text.split("#[cfg(test)]").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_core_does_no_io_and_reads_no_clock_and_draws_no_chance() {
    let files = files_under(&root().join("src/domain"), "rs");
    assert!(files.len() > 5, "the core was not found");
    for path in files {
        let code = code_of(&path);
        for forbidden in FORBIDDEN_IN_THE_CORE {
            assert!(!code.contains(forbidden), "{} uses {forbidden}", path.display());
        }
    }
}

#[test]
fn no_file_is_a_monster() {
    for path in our_rust_files() {
        let lines = std::fs::read_to_string(&path).expect("a text file").lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines", path.display());
    }
}

/// The ledger's cases run from lists: one that is in none would compile and never run.
#[test]
fn every_ledger_case_is_in_a_list_that_runs() {
    let folder = root().join("tests/ledger");
    let runner = std::fs::read_to_string(folder.join("main.rs")).expect("a text file");
    let mut cases = 0;
    for path in files_under(&folder, "rs") {
        let text = std::fs::read_to_string(&path).expect("a text file");
        let module = path.file_stem().expect("a name").to_string_lossy().into_owned();
        for line in text.lines().filter(|line| line.ends_with("(stage: &Stage) {")) {
            let name = line.trim_start_matches("async fn ").split('(').next().unwrap_or_default();
            assert!(text.contains(&format!("\n    {name},\n")), "{module}::{name} is in no list");
            assert!(runner.contains(&format!("{module}::CASES")), "the list of {module} is not run");
            cases += 1;
        }
    }
    assert!(cases > 50, "the cases were not found: {cases}");
}

#[test]
fn nothing_committed_names_a_machine() {
    // Put together here, so that this file does not name it either.
    let forbidden = ["/wo", "rk/"].concat();
    let mut files = committed().unwrap_or_else(our_rust_files);
    files.retain(|path| path.is_file());
    assert!(files.len() > 50, "the tree was not found");
    for path in files {
        let bytes = std::fs::read(&path).expect("a file that can be read");
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&forbidden), "{} names {forbidden}", path.display());
    }
}

/// Everything that git knows; `None` where there is no git, as in an unpacked archive.
fn committed() -> Option<Vec<PathBuf>> {
    let listed = Command::new("git").arg("ls-files").current_dir(root()).output().ok()?;
    let names = String::from_utf8(listed.stdout).ok()?;
    let files: Vec<PathBuf> = names.lines().map(|name| root().join(name)).collect();
    (listed.status.success() && !files.is_empty()).then_some(files)
}
