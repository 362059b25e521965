//! An act whose ledger does not answer: a signal ends it all the same, with what is known of it.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    a_discard_whose_write_gets_no_answer_ends_at_a_signal_and_tells_what_is_not_known needs [Kafka, Postgres];
}

async fn a_discard_whose_write_gets_no_answer_ends_at_a_signal_and_tells_what_is_not_known(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    for _ in 0..2 {
        stand.publish_bytes("key", b"{\"no event\"").await;
    }
    let mut letters = stand.reader(&[&stand.topics.dead_letter]);
    letters.read_until("the dead letters", PATIENCE, |seen| seen.len() >= 2).await;
    assert_eq!(worker.terminate(), 0);
    // A transaction sees others' states as they were at its first look.
    let mut watch = PgConnection::connect(&stand.database).await.expect("a connection to the ledger");
    let mut other = PgConnection::connect(&stand.database).await.expect("a connection to the ledger");
    other.execute("BEGIN; LOCK TABLE audit IN ACCESS EXCLUSIVE MODE").await.expect("a lock");
    let child = Command::new(env!("CARGO_BIN_EXE_profile-linker"))
        .args(["dlq", "discard", "--all", "--output", "json", "--config"])
        .arg(stand.config())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    eventually("its write waits", PATIENCE, async || {
        let waits =
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
        let count: i64 = sqlx::query_scalar(waits).fetch_one(&mut watch).await.expect("an answer");
        (count > 0).then_some(())
    })
    .await;
    let signalled = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(signalled.is_ok_and(|status| status.success()));
    let ended = tokio::task::spawn_blocking(|| child.wait_with_output()).await.expect("it is waited for");
    let ended = ended.expect("it ends while the lock is held");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(130), "{said}");
    assert!(said.contains("not counted are 2 more"), "{said}");
    let told: Value = serde_json::from_slice(&ended.stdout).expect("one line");
    assert_eq!(told, json!({"discarded": 0, "skipped": 0}));
    other.execute("ROLLBACK").await.expect("the lock goes");
    let rest = stand.command(&["dlq", "discard", "--all", "--output", "json"]);
    assert_eq!(rest.status.code(), Some(0), "{}", String::from_utf8_lossy(&rest.stderr));
    let audit = stand.command(&["dlq", "audit", "--act", "discard", "--output", "json"]);
    assert_eq!(String::from_utf8_lossy(&audit.stdout).lines().count(), 2, "each once, whichever of the two did it");
}
