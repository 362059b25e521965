//! How writes lock and what their sessions are: orders that are forced, see `interleavings.rs`.

use std::sync::Arc;
use std::time::Duration;

use profile_linker::domain::{Lane, PublishSeq};
use profile_linker::ledger::{Claim, Gathering, Ledger, LedgerError, NewRow, RowState};
use tokio::task::JoinSet;

use crate::correcting::correction;
use crate::interleavings::{run, waiting};
use crate::rows::*;
use crate::stage::Stage;
use crate::starting::start;
use crate::support::patience::eventually;

crate::ledger_cases!(Postgres:
    every_write_of_several_lanes_locks_them_in_order,
    the_rows_of_an_acceptance_are_inserted_in_the_order_of_their_keys,
    a_write_that_lost_a_deadlock_is_sent_again,
    a_write_that_met_a_serialization_failure_is_sent_again,
    a_lanes_writes_use_one_connection_with_time_outs,
    of_two_accepting_beside_each_other_one_inserts_and_neither_fails,
    who_raises_lost_lanes_waits_for_their_gathering_and_who_is_to_gather_them_does_not,
);

/// Lanes 4 and 0, which share a connection, taken in this order, with a row each.
async fn two_lanes(ledger: &dyn Ledger) -> ([Claim; 2], [NewRow; 2]) {
    let [four] = raise(ledger, [4]).await;
    let [zero] = raise(ledger, [0]).await;
    let rows = [new_row(four, 0, "four"), new_row(zero, 0, "zero")];
    accept(ledger, four, &rows[0]).await;
    accept(ledger, zero, &rows[1]).await;
    ([four, zero], rows)
}

async fn every_write_of_several_lanes_locks_them_in_order(stage: &Stage) {
    let ledger = stage.ledger().await;
    let (claims, rows) = two_lanes(&*ledger).await;
    let mut disorderly = Vec::new();
    for write in 0..11 {
        let mut blocker = stage.connection().await;
        run(&mut blocker, "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE").await;
        let (other, rows) = (stage.open().await, rows.clone());
        let written = tokio::spawn(async move {
            // What becomes of it is not the question here.
            let _ = match write {
                0 => other.accept(&claims.map(|claim| up_to(claim, 1, 1)), &[]).await.map(|done| done.refused),
                1 => other.started(&claims, &rows.each_ref().map(|row| start(row, 1))).await,
                2 => other.back_off(&claims, &rows.each_ref().map(|row| back_off(row, 0))).await,
                3 => other.converted(&claims, &rows.each_ref().map(converted)).await,
                4 => other.end(&claims, &rows.each_ref().map(|row| ended(row, RowState::Linked, 1))).await,
                5 => other.save_cursors(&claims.map(|claim| (claim, 0))).await,
                6 => other.correct_lanes(&claims.map(|claim| correction(claim, Some(1)))).await,
                7 => other.remove_notes(&claims, &[1]).await,
                8 => other.note_topic(&claims, "topic").await.map(|_| lanes(&[])),
                9 => other.release(&claims.map(|claim| (claim, true))).await,
                _ => other.raise("next", &claims.map(|claim| claim.lane)).await.map(|_| lanes(&[])),
            };
        });
        waiting(stage, 1).await;
        // It waits for lane 0, and so holds no lane behind it.
        let behind = "SELECT 1 FROM lane WHERE lane = 4 FOR NO KEY UPDATE NOWAIT";
        if sqlx::raw_sql(behind).execute(&mut blocker).await.is_err() {
            disorderly.push(write);
        }
        run(&mut blocker, "COMMIT").await;
        written.await.unwrap();
    }
    assert!(disorderly.is_empty(), "writes {disorderly:?}");
}

async fn the_rows_of_an_acceptance_are_inserted_in_the_order_of_their_keys(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let mut rows: Vec<_> = (0..20).map(|offset| new_row(claim, offset, &format!("event {offset}"))).collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.key));
    let (last, first) = (rows[0].key, rows[19].key);
    let insert =
        "INSERT INTO input (key, lane, record_offset, record_timestamp, payload_hash) VALUES ($1, 9, 0, 0, '')";
    let mut beside = stage.connection().await;
    run(&mut beside, "BEGIN; SET LOCAL lock_timeout = '500ms'").await;
    sqlx::query(insert).bind(first.0.to_vec()).execute(&mut beside).await.unwrap();
    let accepted = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.accept(&[up_to(claim, 20, 1)], &rows).await.unwrap() }
    });
    waiting(stage, 1).await;
    // It waits for the first key, and so has inserted none behind it.
    sqlx::query(insert).bind(last.0.to_vec()).execute(&mut beside).await.expect("the last key is free");
    run(&mut beside, "ROLLBACK").await;
    assert!(said(&accepted.await.unwrap().rows).iter().all(|one| one == "new"));
}

async fn a_write_that_lost_a_deadlock_is_sent_again(stage: &Stage) {
    let ledger = stage.ledger().await;
    let (claims, _) = two_lanes(&*ledger).await;
    let mut disorderly = stage.connection().await;
    // The server ends the one who looks first: not this session.
    run(&mut disorderly, "SET deadlock_timeout = '20s'; BEGIN; SELECT 1 FROM lane WHERE lane = 4 FOR NO KEY UPDATE")
        .await;
    let written = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.save_cursors(&claims.map(|claim| (claim, 1))).await }
    });
    waiting(stage, 1).await;
    run(&mut disorderly, "SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE; COMMIT").await;
    assert!(written.await.unwrap().unwrap().is_empty());
    let deadlocks = "SELECT 'a deadlock' FROM pg_stat_database WHERE datname = current_database() AND deadlocks > 0";
    crate::support::patience::eventually("the deadlock is counted", crate::interleavings::LIMIT, async || {
        (!stage.lines(deadlocks).await.is_empty()).then_some(())
    })
    .await;
}

async fn a_write_that_met_a_serialization_failure_is_sent_again(stage: &Stage) {
    drop(stage.ledger().await);
    stage
        .sql(
            "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''repeatable read''',
             current_database()); END $$",
        )
        .await;
    let ledger = stage.open().await;
    let [claim] = raise(&*ledger, [0]).await;
    let mut beside = stage.connection().await;
    run(&mut beside, "BEGIN; UPDATE lane SET position = 5 WHERE lane = 0").await;
    let mut writes = JoinSet::new();
    for write in 0..2 {
        let ledger = Arc::clone(&ledger);
        writes.spawn(async move {
            match write {
                0 => ledger.save_cursors(&[(claim, 3)]).await,
                _ => ledger.remove_notes(&[claim], &[1]).await,
            }
        });
    }
    waiting(stage, 2).await;
    run(&mut beside, "COMMIT").await;
    while let Some(written) = writes.join_next().await {
        assert!(written.unwrap().unwrap().is_empty());
    }
    let lane = ledger.raise("next", &[claim.lane]).await.unwrap().remove(0);
    assert_eq!((lane.position, lane.saved_cursor), (Some(5), 3));
}

async fn a_lanes_writes_use_one_connection_with_time_outs(stage: &Stage) {
    let ledger = stage.ledger().await;
    let claims = raise(&*ledger, [0, 1]).await;
    stage
        .sql(
            "CREATE TABLE seen (lane integer, pid integer, settings text);
             CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
                 INSERT INTO seen VALUES (NEW.lane, pg_backend_pid(), current_setting(''statement_timeout'') || '' '' ||
                     current_setting(''idle_in_transaction_session_timeout''));
                 RETURN NEW;
             END';
             CREATE TRIGGER see AFTER UPDATE ON lane FOR EACH ROW EXECUTE FUNCTION see();
             CREATE TRIGGER see AFTER INSERT OR UPDATE ON event FOR EACH ROW EXECUTE FUNCTION see()",
        )
        .await;
    for round in 0..3 {
        for claim in claims {
            let row = new_row(claim, round, &format!("{claim:?} {round}"));
            accept(&*ledger, claim, &row).await;
            ledger.started(&[claim], &[start(&row, 1)]).await.unwrap();
            ledger.back_off(&[claim], &[back_off(&row, 0)]).await.unwrap();
            ledger.converted(&[claim], &[converted(&row)]).await.unwrap();
            ledger.end(&[claim], &[ended(&row, RowState::Linked, round + 1)]).await.unwrap();
            ledger.save_cursors(&[(claim, round)]).await.unwrap();
        }
    }
    ledger.release(&claims[..1].iter().map(|claim| (*claim, true)).collect::<Vec<_>>()).await.unwrap();
    let connections = "SELECT lane || ': ' || count(DISTINCT pid) FROM seen GROUP BY lane ORDER BY lane";
    assert_eq!(stage.lines(connections).await, ["0: 1", "1: 1"]);
    assert_eq!(stage.lines("SELECT DISTINCT settings FROM seen").await, ["5s 5s"]);
}

async fn of_two_accepting_beside_each_other_one_inserts_and_neither_fails(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE").await;
    let mut runs = JoinSet::new();
    for _ in 0..2 {
        let (other, row) = (stage.open().await, row.clone());
        runs.spawn(async move { said(&other.accept(&[up_to(claim, 1, 1)], &[row]).await.unwrap().rows) });
    }
    waiting(stage, 2).await;
    run(&mut blocker, "COMMIT").await;
    let mut became = Vec::new();
    while let Some(said) = runs.join_next().await {
        became.extend(said.unwrap());
    }
    became.sort();
    assert_eq!(became, ["new", "ours"]);
    assert_eq!(ledger.unfinished(&[claim], None).await.unwrap().len(), 1);
}

async fn who_raises_lost_lanes_waits_for_their_gathering_and_who_is_to_gather_them_does_not(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [first, second] = raise(&*ledger, [0, 1]).await;
    let row = new_row(second, 5, "a");
    accept(&*ledger, second, &row).await;
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; SELECT 1 FROM sealed_record FOR UPDATE").await;
    let gathering =
        |into| Gathering { into, first_seq: PublishSeq(1), partitions: 1, topic_id: "new".to_owned(), restored: false };
    let gatherer = stage.open().await;
    let gathered = tokio::spawn(async move { gatherer.gather(&gathering(first)).await });
    waiting(stage, 1).await;
    let other = stage.open().await;
    let raised = tokio::spawn(async move { other.raise("next", &[Lane(1)]).await });
    // Past the moment at which any other session that holds its lane is ended.
    eventually("a raise that has waited for long", Duration::from_secs(60), async || {
        let waits = "SELECT 'waits' FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%owner = $2%'
            AND now() - query_start > interval '7 seconds' AND datname = current_database()";
        (stage.lines(waits).await.len() == 1).then_some(())
    })
    .await;
    assert!(!gathered.is_finished(), "the gathering was ended");
    // Whoever takes the first lane does not wait for one who may be frozen.
    let [anew] = raise(&*ledger, [0]).await;
    assert!(matches!(gathered.await.unwrap(), Err(LedgerError::Unavailable(_))));
    raised.await.unwrap().unwrap();
    run(&mut blocker, "ROLLBACK").await;
    assert_eq!(ledger.gather(&gathering(anew)).await.unwrap().rows, 1);
}
