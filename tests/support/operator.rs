//! The one who replays dead letters: the commands, and workers that make dead letters soon.

use std::process::Output;

use serde_json::Value;
use uuid::Uuid;

use super::child::Guarded;
use super::stand::Stand;
use super::worker::Worker;

/// A short budget, and nothing that stops the events from spending it.
pub const WIDE: [(&str, &str); 5] = [
    ("RETRY__BUDGET", "2s"),
    ("BREAKER__FAILURES", "10000"),
    ("BREAKER__FAILURE_RATE", "1.0"),
    ("DEAD_LETTERS__PAUSE_AFTER_RUN", "10000"),
    ("DEAD_LETTERS__PAUSE_MIN", "1000000"),
];

/// A worker that is ready, with these settings.
pub async fn started(stand: &Stand<'_>, settings: &[(&str, &str)]) -> Worker {
    started_saying(stand, &[], settings).await
}

/// The same, with more words on its command line.
pub async fn started_saying(stand: &Stand<'_>, words: &[&str], settings: &[(&str, &str)]) -> Worker {
    let setting = |(name, value): &(&str, &str)| (format!("PROFILE_LINKER_{name}"), (*value).to_owned());
    let mut worker = stand.start_worker_saying(words, &settings.iter().map(setting).collect::<Vec<_>>());
    worker.ready().await;
    worker
}

/// A replay that runs beside the test.
pub fn replay(stand: &Stand<'_>, arguments: &[&str]) -> Guarded {
    let config = stand.config().display().to_string();
    let words = [env!("CARGO_BIN_EXE_profile-linker"), "dlq", "replay", "--yes", "--output", "json"];
    let words = words.into_iter().chain(["--config", &config]).chain(arguments.iter().copied());
    let program: Vec<String> = words.map(str::to_owned).collect();
    let log = stand.folder().join(format!("replay-{}.log", Uuid::new_v4().simple()));
    Guarded::start(&program, &[], &log).expect("the replay starts")
}

/// Runs a `dlq` command that must succeed; answers its lines.
pub fn dlq(stand: &Stand<'_>, arguments: &[&str]) -> Vec<Value> {
    let words = [&["dlq"], arguments, &["--output", "json"]].concat();
    let output = stand.command(&words);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}");
    lines(&output)
}

/// What a command printed, a line of JSON each.
pub fn lines(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}
