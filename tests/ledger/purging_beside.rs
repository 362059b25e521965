//! Retention beside other sessions, which only PostgreSQL has.

use profile_linker::ledger::Purge;
use sqlx::Executor;

use crate::interleavings::LIMIT;
use crate::purging::{ALL, is_there, linked, publish, purged};
use crate::rows::{dead_letter, new_row, raise};
use crate::stage::Stage;
use crate::support::patience::eventually;

crate::ledger_cases!(Postgres:
    a_purge_waits_for_nobody_and_passes_over_a_row_that_is_being_reopened,
    a_purge_holds_no_lane,
    old_rows_are_found_by_an_index_however_many_there_are,
);

async fn a_purge_waits_for_nobody_and_passes_over_a_row_that_is_being_reopened(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    publish(&*ledger, claim, 1).await;
    let mut operator = stage.connection().await;
    operator.execute("BEGIN").await.expect("begun");
    operator.execute("SELECT 1 FROM lane FOR NO KEY UPDATE").await.expect("the lane is locked");
    operator.execute("UPDATE event SET state = 1, generation = 2").await.expect("reopened");
    assert_eq!(purged(&*ledger, ALL).await, 0, "passed over");
    operator.execute("COMMIT").await.expect("committed");
    assert_eq!(purged(&*ledger, ALL).await, 0, "unfinished again");
    assert!(is_there(&*ledger, row.key).await);
}

async fn a_purge_holds_no_lane(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    linked(&*ledger, claim, &new_row(claim, 0, "a"), 1).await;
    let mut worker = stage.connection().await;
    worker.execute("BEGIN").await.expect("begun");
    worker.execute("SELECT 1 FROM lane FOR UPDATE").await.expect("the lane is locked");
    assert_eq!(purged(&*ledger, ALL).await, 1, "nor waits for one");
}

async fn old_rows_are_found_by_an_index_however_many_there_are(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    linked(&*ledger, claim, &new_row(claim, 0, "a"), 1).await;
    stage
        .sql(
            "INSERT INTO input (key, lane, record_offset, record_timestamp, payload_hash, accepted_at)
            SELECT decode(md5(n::text), 'hex'), 0, n, n, '', now() - n * interval '1 ms' FROM generate_series(1, 20000) n;
            INSERT INTO event (key, lane, epoch, state, possibly_sent, generation)
            SELECT key, 0, 1, 1, false, 1 FROM input WHERE key NOT IN (SELECT key FROM event);
            UPDATE input SET accepted_at = accepted_at - interval '1 day' WHERE payload_hash <> '';
            ANALYZE;",
        )
        .await;
    let [one_by_one, by_index] = rows_read(stage, async || {
        assert_eq!(purged(&*ledger, Purge { limit: 10, ..ALL }).await, 1);
        drop(ledger);
    })
    .await;
    assert!(one_by_one < 100, "{one_by_one} rows read one after the other");
    assert!(by_index < 100, "{by_index} for a batch of ten");
}

/// How many rows are read one after the other, and by an index, of what grows with the events. What reads them ends its sessions.
pub async fn rows_read(stage: &Stage, read: impl AsyncFnOnce()) -> [i64; 2] {
    let mut operator = stage.connection().await;
    // Sessions report what they read when they end: only these shall count.
    let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name <> 'profile-linker' AND pid <> pg_backend_pid()";
    eventually("the other sessions have ended", LIMIT, async || {
        let others: i64 = sqlx::query_scalar(others).fetch_one(&mut operator).await.expect("a read");
        (others == 0).then_some(())
    })
    .await;
    operator.execute("SELECT pg_stat_reset()").await.expect("reset");
    read().await;
    let counts = "SELECT ARRAY[sum(seq_tup_read), sum(idx_tup_fetch)]::bigint[] FROM pg_stat_user_tables
        WHERE relname IN ('input', 'event', 'dead_letter')";
    eventually("the server has counted", LIMIT, async || {
        let counts: Vec<i64> = sqlx::query_scalar(counts).fetch_one(&mut operator).await.expect("a read");
        counts.try_into().ok().filter(|counts: &[i64; 2]| counts.iter().sum::<i64>() > 0)
    })
    .await
}
