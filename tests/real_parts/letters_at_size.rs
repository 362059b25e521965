//! Many dead letters, asked for in the ledger and in their topic: how long it takes, and how much memory.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::operator::{beside, lines, started, started_saying, values};
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, Stand};

crate::cases! {
    what_a_ledger_and_a_topic_tell_of_many_dead_letters_fills_no_memory_and_is_replayed_whole needs [Kafka, Postgres];
}

/// What every run can afford.
const USUAL: usize = 1_000;
/// For the full size, in a build for tests, on a busy machine.
const LONG: Duration = Duration::from_secs(900);
const MEBIBYTE: u64 = 1 << 20;
/// A command that reads pages.
const OF_PAGES: u64 = 100 * MEBIBYTE;
/// A command that holds an index of the topic: about half a kilobyte a dead letter, and what the client fetches ahead.
const OF_INDEX: u64 = 300 * MEBIBYTE;

/// No flood stops these.
const UNGUARDED: [(&str, &str); 2] =
    [("DEAD_LETTERS__PAUSE_AFTER_RUN", "1000000"), ("DEAD_LETTERS__PAUSE_MIN", "1000000")];

/// `PROFILE_LINKER_TEST_LETTERS=100000` asks for as many as the promise names.
fn size() -> usize {
    let asked = std::env::var("PROFILE_LINKER_TEST_LETTERS").ok();
    asked.map_or(USUAL, |asked| asked.parse().expect("PROFILE_LINKER_TEST_LETTERS is a number"))
}

async fn what_a_ledger_and_a_topic_tell_of_many_dead_letters_fills_no_memory_and_is_replayed_whole(parts: &RealParts) {
    let size = size();
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = started(&stand, &UNGUARDED).await;
    for from in (0..size).step_by(1_000) {
        join_all((from..size.min(from + 1_000)).map(async |number| publish_bad(&stand, number).await)).await;
    }
    dead_letters(&stand, size, 1).await;
    // With its worker stopped the ledger and the topic tell of the same.
    assert_eq!(worker.terminate(), 0);
    for (words, limit) in [(&[][..], OF_PAGES), (&["--from-topic"], OF_INDEX)] {
        let stats = measured(&stand, &[&["stats"], words].concat(), limit).await;
        assert_eq!((stats.len(), &stats[0]["count"]), (1, &json!(size)), "{stats:?}");
        assert_eq!(measured(&stand, &[&["list"], words].concat(), limit).await.len(), size);
        let dry = measured(&stand, &[&["replay", "--dry-run"], words].concat(), limit).await;
        assert_eq!(dry, [json!({"wouldReplay": {"invalid_event": size}})]);
    }
    let replayed = measured(&stand, &["replay", "--yes"], OF_PAGES).await;
    assert_eq!(replayed.last(), Some(&json!({"replayed": size, "skipped": 0})));
    assert_eq!(measured(&stand, &["audit"], OF_PAGES).await.len(), size);
    // Another ledger: what the topic holds is replayed into it, and each ends again.
    stand.amend(&stand.database, &parts.postgres().create_database().await);
    assert_eq!(stand.command(&["migrate"]).status.code(), Some(0));
    let replayed = measured(&stand, &["replay", "--from-topic", "--yes"], OF_INDEX).await;
    assert_eq!(replayed.last(), Some(&json!({"replayed": size, "skipped": 0})));
    let worker = started_saying(&stand, &["--adopt-ledger"], &UNGUARDED).await;
    dead_letters(&stand, size, 2).await;
    assert_eq!(worker.terminate(), 0);
}

/// An event with a name that ends as it is accepted.
async fn publish_bad(stand: &Stand<'_>, number: usize) {
    let event = json!({
        "specversion": "1.0", "type": "payments.profile-created.v1", "source": "https://shop.example/checkout",
        "id": format!("order-{number}"), "data": {"customer": {"system": "loanpro", "id": number.to_string()}},
    });
    stand.publish(&event).await;
}

/// Waits until the ledger has so many of this generation.
async fn dead_letters(stand: &Stand<'_>, count: usize, generation: i32) {
    eventually("all are dead letters", LONG, async || {
        let stats = stand.command(&["dlq", "stats", "--output", "json"]);
        (lines(&stats).first()?["count"] == count).then_some(())
    })
    .await;
    let one = stand.command(&["dlq", "list", "--limit", "1", "--output", "json"]);
    assert_eq!(lines(&one)[0]["generation"], generation);
}

/// Runs a command that must succeed within this memory, and prints what it took; answers its lines.
async fn measured(stand: &Stand<'_>, words: &[&str], limit: u64) -> Vec<Value> {
    let began = Instant::now();
    let mut command = beside(stand, words);
    let (pid, mut most) = (command.pid(), 0);
    eventually("the command ends", LONG, async || {
        most = resident_at_most(pid).unwrap_or(0).max(most);
        (!command.is_running()).then_some(())
    })
    .await;
    let (took, told) = (began.elapsed(), command.output());
    assert_eq!(command.end_within(LONG).expect("it has ended").code(), Some(0), "{words:?}: {told}");
    println!("dlq {}: {:.2} s, {} MiB", words.join(" "), took.as_secs_f64(), most / MEBIBYTE);
    assert!(most > 0, "{words:?}: it was never seen");
    assert!(most < limit, "{words:?}: {} MiB", most / MEBIBYTE);
    // Logs stand in the same file.
    values(&told).into_iter().filter(|value| value.get("level").is_none()).collect()
}

/// As the kernel counts it; `None` once the process is gone.
fn resident_at_most(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1_024)
}
