//! Several sessions at one PostgreSQL, in orders that are forced: a bare connection holds a lock until the others are seen
//! to wait for it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use profile_linker::domain::Lane;
use profile_linker::ledger::{Acceptance, Accepted, Claim, Ledger, LedgerError, NewRow, NoteKind, RowState};
use sqlx::{Executor, PgConnection, Row};

use crate::correcting::correction;
use crate::rows::*;
use crate::stage::Stage;
use crate::starting::start;
use crate::support::patience::eventually;

crate::ledger_cases!(Postgres:
    a_write_that_waited_for_the_raise_writes_nothing,
    a_raise_that_waited_for_a_write_sees_what_it_wrote,
    a_raise_ends_the_sessions_that_block_it,
    a_raise_is_not_starved_by_overlapping_writes,
    a_repeat_that_waited_for_its_lost_first_run_is_a_success,
    an_acceptance_sees_what_was_inserted_beside_it,
    a_row_accepted_under_a_higher_epoch_is_refused_not_ours,
    batches_of_two_workers_with_the_same_keys_do_not_deadlock,
    a_lost_connection_is_an_outage_and_the_next_write_goes_on,
    a_write_does_not_wait_longer_than_its_time_out,
    no_write_keeps_a_transaction_open,
);

/// How long a state may take to come about.
pub const LIMIT: Duration = Duration::from_secs(10);

/// Until so many sessions wait for a lock.
pub async fn waiting(stage: &Stage, sessions: i64) {
    let mut connection = stage.connection().await;
    eventually("sessions that wait for a lock", LIMIT, async || {
        let query =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let row = connection.fetch_one(query).await.expect("a count");
        (row.get::<i64, _>(0) >= sessions).then_some(())
    })
    .await;
}

pub async fn run(connection: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.expect("a good statement");
}

async fn a_write_that_waited_for_the_raise_writes_nothing(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(&*ledger, claim, &row).await;
    ledger.note_topic(&[claim], "first").await.unwrap();
    ledger.leave_notes(&[(row.key, NoteKind::LinkSent)]).await.unwrap();
    let mut successor = stage.connection().await;
    run(&mut successor, "BEGIN; UPDATE lane SET epoch = epoch + 1 WHERE lane = 0").await;
    let mut writers = tokio::task::JoinSet::new();
    for write in 0..10 {
        let (other, row) = (stage.open().await, row.clone());
        writers.spawn(async move {
            let refused = match write {
                0 => other.accept(&[up_to(claim, 9, 1)], &[new_row(claim, 8, "b")]).await.unwrap().refused,
                1 => other.converted(&[claim], &[converted(&row)]).await.unwrap(),
                2 => other.end(&[claim], &[ended(&row, RowState::Linked, 1)]).await.unwrap(),
                3 => other.back_off(&[claim], &[back_off(&row, 60_000)]).await.unwrap(),
                4 => other.save_cursors(&[(claim, 9)]).await.unwrap(),
                5 => other.release(&[(claim, true)]).await.unwrap(),
                6 => other.started(&[claim], &[start(&row, 9)]).await.unwrap(),
                7 => other.correct_lanes(&[correction(claim, None)]).await.unwrap(),
                8 => other.remove_notes(&[claim], &[1]).await.unwrap(),
                _ => match &other.note_topic(&[claim], "second").await.unwrap()[..] {
                    [] => lanes(&[0]),
                    anew => panic!("{anew:?}"),
                },
            };
            assert_eq!(refused, lanes(&[0]), "write {write}");
        });
    }
    waiting(stage, 10).await;
    run(&mut successor, "COMMIT").await;
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    let there = stored(&*ledger, row.key).await;
    assert_eq!((there.state, there.due_in_ms, there.starts), (RowState::Accepted, 0, 0));
    assert!(ledger.row(key("b")).await.unwrap().is_none());
    let lane = ledger.raise("next", &[Lane(0)]).await.unwrap().remove(0);
    assert_eq!((lane.position, lane.saved_cursor, lane.clean), (Some(1), 0, false));
    assert_eq!(ledger.notes(&[lane.claim]).await.unwrap().len(), 1);
}

async fn a_raise_that_waited_for_a_write_sees_what_it_wrote(stage: &Stage) {
    let ledger = stage.ledger().await;
    raise(&*ledger, [0]).await;
    let mut predecessor = stage.connection().await;
    run(
        &mut predecessor,
        "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE;
         UPDATE lane SET position = 5, clean = true WHERE lane = 0;
         INSERT INTO outbox (lane, publish_seq, n, topic_role, value, headers) VALUES (0, 7, 0, 1, '', '[]')",
    )
    .await;
    let raised = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.raise("successor", &[Lane(0)]).await.unwrap().remove(0) }
    });
    waiting(stage, 1).await;
    run(&mut predecessor, "COMMIT").await;
    let lane = raised.await.unwrap();
    assert_eq!((lane.position, lane.last_seq, lane.clean), (Some(5), 7, true));
}

async fn a_raise_ends_the_sessions_that_block_it(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let mut stuck = stage.connection().await;
    run(&mut stuck, "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE").await;
    let [raised] = raise(&*ledger, [0]).await;
    assert!(raised.epoch > claim.epoch);
    assert!(stuck.execute("COMMIT").await.is_err(), "its session was ended");
}

async fn a_raise_is_not_starved_by_overlapping_writes(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let other = stage.open().await;
        writers.spawn(async move { while other.save_cursors(&[(claim, 0)]).await.unwrap().is_empty() {} });
    }
    // Until they overlap.
    waiting(stage, 2).await;
    let before = Instant::now();
    raise(&*ledger, [0]).await;
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
}

async fn a_repeat_that_waited_for_its_lost_first_run_is_a_success(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = ending(new_row(claim, 0, "a"), RowState::Rejected);
    let there = new_row(claim, 1, "b");
    accept(&*ledger, claim, &there).await;
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE").await;
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (other, row, end) = (stage.open().await, row.clone(), ended(&there, RowState::Linked, 2));
        runs.spawn(async move {
            let acceptance = other.accept(&[up_to(claim, 1, 1)], &[row]).await.unwrap();
            let refused = other.end(&[claim], &[end]).await.unwrap();
            (acceptance.rows, refused)
        });
    }
    waiting(stage, 2).await;
    run(&mut blocker, "COMMIT").await;
    let mut accepted = Vec::new();
    while let Some(done) = runs.join_next().await {
        let (rows, refused) = done.unwrap();
        assert!(refused.is_empty());
        accepted.extend(rows.into_iter().map(|row| match row {
            Accepted::New { publish_seq } => ("new", publish_seq),
            Accepted::Ours(row) => ("ours", row.publish_seq),
            other => panic!("{other:?}"),
        }));
    }
    accepted.sort();
    let number = Some(profile_linker::domain::PublishSeq(1));
    assert_eq!(accepted, [("new", number), ("ours", number)]);
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap().len(), 2);
}

async fn an_acceptance_sees_what_was_inserted_beside_it(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim, other] = raise(&*ledger, [0, 1]).await;
    let row = new_row(claim, 0, "a");
    let beside = NewRow { lane: other.lane, ..row.clone() };
    assert_eq!(said(&accept_beside(stage, &ledger, claim, row, beside, 1).await.rows), ["duplicate"]);
    assert_eq!(position(&*ledger, 0).await, None);
}

async fn a_row_accepted_under_a_higher_epoch_is_refused_not_ours(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    let acceptance = accept_beside(stage, &ledger, claim, row.clone(), row, claim.epoch.0 + 1).await;
    assert_eq!(said(&acceptance.rows), ["refused"]);
    assert_eq!(acceptance.refused, lanes(&[0]));
}

/// Accepts a row while a row of the same key is inserted, under some epoch, by a session that commits only when it is
/// waited for.
async fn accept_beside(
    stage: &Stage,
    ledger: &Arc<dyn Ledger>,
    claim: Claim,
    row: NewRow,
    beside: NewRow,
    epoch: i64,
) -> Acceptance {
    let mut other = stage.connection().await;
    run(&mut other, "BEGIN").await;
    let input =
        "INSERT INTO input (key, lane, record_offset, record_timestamp, payload_hash) VALUES ($1, $2, $3, $4, $5)";
    let input = sqlx::query(input).bind(beside.key.0.to_vec()).bind(beside.lane.0).bind(beside.offset);
    let input = input.bind(beside.timestamp).bind(beside.payload_hash.to_vec());
    input.execute(&mut other).await.expect("an input");
    let event =
        "INSERT INTO event (key, lane, epoch, state, possibly_sent, generation) VALUES ($1, $2, $3, 1, false, 1)";
    let event = sqlx::query(event).bind(beside.key.0.to_vec()).bind(beside.lane.0).bind(epoch);
    event.execute(&mut other).await.expect("an event");
    let accepted = tokio::spawn({
        let ledger = Arc::clone(ledger);
        async move { ledger.accept(&[up_to(claim, 1, 1)], &[row]).await.expect("accepted") }
    });
    waiting(stage, 1).await;
    run(&mut other, "COMMIT").await;
    accepted.await.expect("an answer")
}

async fn batches_of_two_workers_with_the_same_keys_do_not_deadlock(stage: &Stage) {
    let ledger = stage.ledger().await;
    let claims = raise(&*ledger, [0, 1, 2, 3]).await;
    let mut workers = tokio::task::JoinSet::new();
    for (number, claim) in claims.into_iter().enumerate() {
        let other = stage.open().await;
        workers.spawn(async move {
            for round in 0..20 {
                let mut rows: Vec<_> =
                    (0..50).map(|n| new_row(claim, round * 50 + n, &format!("{round} {n}"))).collect();
                rows.rotate_left(number * 12);
                let lane = up_to(claim, (round + 1) * 50, 1);
                let acceptance = other.accept(&[lane], &rows).await.unwrap();
                assert!(said(&acceptance.rows).iter().all(|one| one == "new" || one == "duplicate"));
            }
        });
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    assert_eq!(ledger.unfinished(&claims, None).await.unwrap().len(), 1000);
}

async fn a_lost_connection_is_an_outage_and_the_next_write_goes_on(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    accept(&*ledger, claim, &new_row(claim, 0, "a")).await;
    stage
        .sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE application_name = 'profile-linker' AND datname = current_database()",
        )
        .await;
    let lost = ledger.save_cursors(&[(claim, 1)]).await;
    assert!(matches!(lost, Err(LedgerError::Unavailable(_))), "{lost:?}");
    accept(&*ledger, claim, &new_row(claim, 1, "b")).await;
    assert_eq!(ledger.epochs(&[Lane(0)]).await.unwrap(), [claim]);
}

async fn a_write_does_not_wait_longer_than_its_time_out(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE").await;
    let before = Instant::now();
    let waited = ledger.save_cursors(&[(claim, 1)]).await;
    assert!(matches!(waited, Err(LedgerError::Unavailable(_))), "{waited:?}");
    assert!(before.elapsed() < Duration::from_secs(8), "{:?}", before.elapsed());
}

async fn no_write_keeps_a_transaction_open(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(&*ledger, claim, &row).await;
    ledger.converted(&[claim], &[converted(&row)]).await.unwrap();
    ledger.end(&[claim], &[ended(&row, RowState::Linked, 1)]).await.unwrap();
    ledger.release(&[(claim, true)]).await.unwrap();
    let query = "SELECT count(*) FROM pg_stat_activity
        WHERE application_name = 'profile-linker' AND datname = current_database() AND state <> 'idle'";
    let open: i64 = stage.connection().await.fetch_one(query).await.unwrap().get(0);
    assert_eq!(open, 0);
}
