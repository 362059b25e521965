//! The one who replays dead letters: the commands, and workers that make dead letters soon.

use std::process::Output;

use serde_json::Value;
use uuid::Uuid;

use super::child::Guarded;
use super::records::Reader;
use super::stand::{PATIENCE, Stand};
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
    beside(stand, &[&["replay", "--yes"], arguments].concat())
}

/// A `dlq` command that runs beside the test.
pub fn beside(stand: &Stand<'_>, arguments: &[&str]) -> Guarded {
    let config = stand.config().display().to_string();
    let words = [&[env!("CARGO_BIN_EXE_profile-linker"), "dlq"], arguments, &["--output", "json", "--config", &config]];
    let program: Vec<String> = words.concat().into_iter().map(str::to_owned).collect();
    let log = stand.folder().join(format!("dlq-{}.log", Uuid::new_v4().simple()));
    Guarded::start(&program, &[], &log).expect("the command starts")
}

/// Runs a `dlq` command that must succeed; answers its lines.
pub fn dlq(stand: &Stand<'_>, arguments: &[&str]) -> Vec<Value> {
    let words = [&["dlq"], arguments, &["--output", "json"]].concat();
    let output = stand.command(&words);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {told}");
    lines(&output)
}

/// Publishes so many records that are no event, and waits until a worker has made dead letters of them and has stopped; answers
/// the reader of these.
pub async fn unreadable(stand: &Stand<'_>, count: usize) -> Reader {
    let worker = started(stand, &WIDE).await;
    for number in 0..count {
        stand.publish_bytes(&format!("key {number}"), b"{\"no event\"").await;
    }
    let mut letters = stand.reader(&[&stand.topics.dead_letter]);
    letters.read_until("all are dead letters", PATIENCE, |seen| seen.len() >= count).await;
    assert_eq!(worker.terminate(), 0);
    letters
}

/// What a command printed, a line of JSON each.
pub fn lines(output: &Output) -> Vec<Value> {
    values(&String::from_utf8_lossy(&output.stdout))
}

/// Lines of JSON.
pub fn values(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}
