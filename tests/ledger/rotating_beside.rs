//! Rotation and erasure beside workers that write: nobody waits for long, nothing is overwritten, nothing is forgotten.

use std::sync::Arc;

use profile_linker::domain::{Customer, System};
use profile_linker::ledger::{NewRow, RowState};
use sqlx::Executor;

use crate::purging::{ALL, publish, purged};
use crate::rotating::{both, counts, rotate, sealed_row};
use crate::rows::*;
use crate::stage::{Stage, vault};

crate::ledger_cases!(Postgres:
    a_row_that_is_being_written_to_is_passed_over_and_found_by_the_next_run,
    a_rotation_beside_a_worker_that_ends_rows_holds_up_none_of_them,
    an_erasure_waits_for_nobody_and_leaves_a_customer_who_is_being_reopened,
    an_erasure_and_a_purge_beside_a_replay_wait_for_nobody,
);

async fn a_row_that_is_being_written_to_is_passed_over_and_found_by_the_next_run(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let rows = [0, 1].map(|n| sealed_row(&vault(), claim, n, ["held", "free"][usize::try_from(n).unwrap()]));
    ledger.accept(&[up_to(claim, 2, 1)], &rows).await.unwrap();
    let mut worker = stage.connection().await;
    worker.execute("BEGIN").await.unwrap();
    let held = sqlx::query("SELECT 1 FROM sealed_record WHERE key = $1 FOR UPDATE").bind(rows[0].key.0.to_vec());
    held.execute(&mut worker).await.unwrap();
    let rotated = rotate(ledger, &both("k2")).await.unwrap();
    assert_eq!((rotated.records, rotated.left, rotated.unopened), (1, 1, 0), "it waited for nobody");
    assert!(!rotated.hash_key && stage.audit().await.is_empty(), "it did not come to its end");
    worker.execute("COMMIT").await.unwrap();
    let rotated = rotate(ledger, &both("k2")).await.unwrap();
    assert_eq!((rotated.records, rotated.left, rotated.hash_key), (1, 0, true));
    assert_eq!(stage.audit().await.len(), 1);
}

async fn a_rotation_beside_a_worker_that_ends_rows_holds_up_none_of_them(stage: &Stage) {
    const ROWS: i64 = 600;
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let rows: Vec<NewRow> = (0..ROWS).map(|n| sealed_row(&vault(), claim, n, &format!("{n}"))).collect();
    ledger.accept(&[up_to(claim, ROWS, 1)], &rows).await.unwrap();
    // Half of them end while everything is sealed anew.
    let ending = tokio::spawn({
        let (ledger, rows) = (Arc::clone(&ledger), rows.clone());
        async move {
            for (number, row) in rows.iter().step_by(2).enumerate() {
                let state = if number % 2 == 0 { RowState::Linked } else { RowState::DeadLettered };
                let end = ended(row, state, i64::try_from(number).unwrap() + 1);
                assert!(ledger.end(&[claim], &[end]).await.unwrap().is_empty());
            }
        }
    });
    // To and fro, so that there is always something to do.
    for active in ["k2", "k1"].into_iter().cycle() {
        if ending.is_finished() {
            break;
        }
        rotate(&*ledger, &both(active)).await.unwrap();
    }
    ending.await.unwrap();
    let rotated = rotate(&*ledger, &both("k2")).await.unwrap();
    assert_eq!(rotated.left, 0);
    let [sealed] = &counts(&*ledger).await[..] else { panic!("two keys are left") };
    // Of every other one a half was linked, and erased.
    assert_eq!((sealed.key_id.as_str(), sealed.records), ("k2", 450));
    assert_eq!(ledger.unfinished(&[claim], None).await.unwrap().len(), 300);
}

async fn an_erasure_waits_for_nobody_and_leaves_a_customer_who_is_being_reopened(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let rows = [0, 1].map(|n| new_row(claim, n, ["held", "free"][usize::try_from(n).unwrap()]));
    for (number, row) in rows.iter().enumerate() {
        dead_letter(ledger, claim, row, i64::try_from(number).unwrap() + 1).await;
    }
    publish(ledger, claim, 2).await;
    let mut operator = stage.connection().await;
    operator.execute("BEGIN").await.unwrap();
    let held = sqlx::query("UPDATE event SET generation = 2, state = 1 WHERE key = $1").bind(rows[0].key.0.to_vec());
    held.execute(&mut operator).await.unwrap();
    let customer = Customer { system: System::Loanpro, id: "42".to_owned() };
    let custody = ledger.custody().unwrap();
    let erased = custody.erase_customer(&customer, "mark", &act()).await.unwrap();
    assert_eq!((erased.erased, erased.left), (0, 2), "it waited for nobody");
    operator.execute("COMMIT").await.unwrap();
    let again = custody.erase_customer(&customer, "mark", &act()).await.unwrap();
    assert_eq!((again.erased, again.left), (0, 2), "what was reopened is unfinished");
    assert!(!stored(ledger, rows[0].key).await.sealed_record.is_empty());
}

/// A replay locks the line in the list of dead letters first, and then the event.
async fn an_erasure_and_a_purge_beside_a_replay_wait_for_nobody(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    dead_letter(ledger, claim, &new_row(claim, 0, "a"), 1).await;
    publish(ledger, claim, 1).await;
    let mut operator = stage.connection().await;
    operator.execute("BEGIN").await.unwrap();
    operator.execute("SELECT 1 FROM dead_letter FOR UPDATE").await.unwrap();
    let customer = Customer { system: System::Loanpro, id: "42".to_owned() };
    let erased = ledger.custody().unwrap().erase_customer(&customer, "mark", &act()).await.unwrap();
    assert_eq!((erased.erased, erased.left), (0, 1));
    assert_eq!(purged(ledger, ALL).await, 0);
    // Neither of them holds the event's row either.
    assert_eq!(operator.execute("UPDATE event SET state = 1, generation = 2").await.unwrap().rows_affected(), 1);
    operator.execute("ROLLBACK").await.unwrap();
    assert_eq!(purged(ledger, ALL).await, 1);
}
