//! A replay, or another act, whose ledger leaves it half-way: it says what it did before it ends, and a signal ends it whatever the ledger does.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use super::replaying::{actions, dead_letters_of_an_outage};
use crate::support::child::{Guarded, Signal};
use crate::support::operator::{WIDE, beside, dlq, replay, started, unreadable};
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    a_replay_whose_ledger_does_not_answer_ends_at_a_signal_with_its_tally needs [Kafka, Postgres];
    a_discard_whose_write_gets_no_answer_ends_at_a_signal_and_tells_what_is_not_known needs [Kafka, Postgres];
    a_replay_whose_ledger_goes_away_tells_its_tally_and_ends_with_69 needs [Kafka, Postgres];
}

const LETTERS: usize = 10;
/// A write that does not answer is waited for a few seconds; far less than a ledger's own limits.
const SOON: Duration = Duration::from_secs(10);

async fn a_replay_whose_ledger_does_not_answer_ends_at_a_signal_with_its_tally(parts: &RealParts) {
    let stand = stocked(parts).await;
    for signals in 1..=2 {
        let mut slow = slow_replay(&stand).await;
        let mut holder = PgConnection::connect(&stand.database).await.expect("a connection");
        let mut lock = holder.begin().await.expect("a transaction");
        lock.execute("lock table event in access exclusive mode").await.expect("the lock");
        eventually("it waits for its ledger", PATIENCE, async || waits_for_a_lock(&stand).await.then_some(())).await;
        for _ in 0..signals {
            slow.signal(Signal::Interrupt);
        }
        let end = slow.end_within(SOON).unwrap_or_else(|| panic!("it does not end: {}", slow.output()));
        assert_eq!(end.code(), Some(130), "{}", slow.output());
        lock.rollback().await.expect("the lock is released");
        assert_tally(&slow);
    }
    // Nothing is lost by it: the next one goes on.
    dlq(&stand, &["replay"]);
    assert!(dlq(&stand, &["list", "--state", "dead-lettered"]).is_empty());
}

async fn a_discard_whose_write_gets_no_answer_ends_at_a_signal_and_tells_what_is_not_known(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    unreadable(&stand, 2).await;
    let mut holder = PgConnection::connect(&stand.database).await.expect("a connection");
    let mut lock = holder.begin().await.expect("a transaction");
    lock.execute("lock table audit in access exclusive mode").await.expect("the lock");
    let mut discard = beside(&stand, &["discard", "--all"]);
    eventually("its write waits", PATIENCE, async || waits_for_a_lock(&stand).await.then_some(())).await;
    discard.signal(Signal::Interrupt);
    let end = discard.end_within(SOON).unwrap_or_else(|| panic!("it does not end: {}", discard.output()));
    let said = discard.output();
    assert_eq!(end.code(), Some(130), "{said}");
    assert!(said.contains("not counted are 2 more"), "{said}");
    let told: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(told, [json!({"discarded": 0, "skipped": 0})], "one line: {said}");
    lock.rollback().await.expect("the lock is released");
    dlq(&stand, &["discard", "--all"]);
    assert_eq!(dlq(&stand, &["audit", "--act", "discard"]).len(), 2, "each once, whichever of the two did it");
}

async fn a_replay_whose_ledger_goes_away_tells_its_tally_and_ends_with_69(parts: &RealParts) {
    let stand = stocked(parts).await;
    let mut slow = slow_replay(&stand).await;
    on_server(&stand, "alter database {} allow_connections false").await;
    on_server(&stand, "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'").await;
    let end = slow.end_within(PATIENCE).unwrap_or_else(|| panic!("it does not end: {}", slow.output()));
    on_server(&stand, "alter database {} allow_connections true").await;
    assert_eq!(end.code(), Some(69), "{}", slow.output());
    assert!(slow.output().contains("start the same command again"), "{}", slow.output());
    assert_tally(&slow);
}

/// Dead letters, and no worker any more.
async fn stocked(parts: &RealParts) -> Stand<'_> {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = started(&stand, &WIDE).await;
    dead_letters_of_an_outage(&stand, LETTERS).await;
    assert_eq!(worker.terminate(), 0);
    stand
}

/// One that has replayed something, and has more to do.
async fn slow_replay(stand: &Stand<'_>) -> Guarded {
    let slow = replay(stand, &["--rate", "1/s"]);
    eventually("one is replayed", PATIENCE, async || (actions(&slow, "replayed") >= 1).then_some(())).await;
    slow
}

/// It is the last line of JSON, and tells of as many as were told of.
fn assert_tally(replay: &Guarded) {
    let tally = format!("{{\"replayed\":{},\"skipped\":0}}", actions(replay, "replayed"));
    assert!(replay.output().contains(&tally), "{tally} is not in\n{}", replay.output());
}

async fn waits_for_a_lock(stand: &Stand<'_>) -> bool {
    let (server, name) = stand.database.rsplit_once('/').expect("a server and a name");
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.expect("a connection");
    let waiting = "select count(*) > 0 from pg_stat_activity where datname = $1 and wait_event_type = 'Lock'";
    sqlx::query_scalar(waiting).bind(name).fetch_one(&mut connection).await.expect("an answer")
}

/// A statement about the database, from outside of it.
async fn on_server(stand: &Stand<'_>, statement: &str) {
    let (server, name) = stand.database.rsplit_once('/').expect("a server and a name");
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.expect("a connection");
    let statement = sqlx::AssertSqlSafe(statement.replace("{}", name));
    connection.execute(statement).await.expect("the statement");
}
