//! Operators beside workers and beside each other, in orders that are forced: see `interleavings.rs`.

use std::sync::Arc;

use profile_linker::domain::{EventKey, Lane};
use profile_linker::ledger::{Claim, Ledger, NewRow, NoteKind, RowState, Serves};
use tokio::task::JoinHandle;

use crate::interleavings::{run, waiting};
use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Postgres:
    a_row_reopened_while_its_lane_is_taken_is_the_new_owners,
    a_raise_waits_for_a_reopening_and_its_owner_then_finds_the_row,
    of_two_operators_at_once_one_reopens,
    a_reopening_that_waited_for_the_end_of_the_next_generation_reopens_nothing,
    a_late_repeat_of_the_end_leaves_a_row_reopened_meanwhile_as_it_is,
    an_end_under_an_older_epoch_does_not_end_a_reopened_row,
    reopenings_of_many_lanes_lock_them_in_order,
    a_note_is_left_without_waiting_for_the_lane_and_its_row,
    a_write_that_waited_for_an_adoption_is_refused,
    an_adoption_that_is_cut_short_changes_nothing,
);

/// A ledger with one dead-lettered row, result number 1 of lane 0.
async fn one_dead_letter(stage: &Stage) -> (Arc<dyn Ledger>, Claim, NewRow) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    (ledger, claim, row)
}

/// Another operator reopens, at the same time as what follows.
async fn reopening_beside(stage: &Stage, row: &NewRow) -> JoinHandle<Vec<EventKey>> {
    let (other, asked) = (stage.open().await, reopening(row, 1));
    tokio::spawn(async move { other.reopen(&[asked], &act()).await.expect("an answer") })
}

async fn a_row_reopened_while_its_lane_is_taken_is_the_new_owners(stage: &Stage) {
    let (ledger, claim, row) = one_dead_letter(stage).await;
    let mut successor = stage.connection().await;
    run(&mut successor, "BEGIN; UPDATE lane SET epoch = epoch + 1 WHERE lane = 0").await;
    let reopened = reopening_beside(stage, &row).await;
    waiting(stage, 1).await;
    run(&mut successor, "COMMIT").await;
    assert_eq!(reopened.await.unwrap(), [row.key]);
    assert_eq!(stored(&*ledger, row.key).await.epoch.0, claim.epoch.0 + 1);
}

async fn a_raise_waits_for_a_reopening_and_its_owner_then_finds_the_row(stage: &Stage) {
    let (ledger, _, row) = one_dead_letter(stage).await;
    let mut reader = stage.connection().await;
    run(&mut reader, "BEGIN; SELECT 1 FROM event FOR UPDATE").await;
    let reopened = reopening_beside(stage, &row).await;
    waiting(stage, 1).await;
    let raised = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move {
            let [owner] = raise(&*ledger, [0]).await;
            let notes = ledger.notes(&[owner]).await.unwrap();
            let reopened: Vec<_> = notes.iter().map(|note| note.key).collect();
            ledger.unfinished(&[owner], Some(&reopened)).await.unwrap()
        }
    });
    // The raise waits for the reopening, which waits for the reader.
    waiting(stage, 2).await;
    run(&mut reader, "COMMIT").await;
    assert_eq!(reopened.await.unwrap(), [row.key]);
    let [found] = &raised.await.unwrap()[..] else { panic!("not found") };
    assert_eq!((found.key, found.generation), (row.key, 2));
}

async fn of_two_operators_at_once_one_reopens(stage: &Stage) {
    let (ledger, claim, row) = one_dead_letter(stage).await;
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE").await;
    let operators = [reopening_beside(stage, &row).await, reopening_beside(stage, &row).await];
    waiting(stage, 2).await;
    run(&mut blocker, "COMMIT").await;
    let mut reopened = Vec::new();
    for operator in operators {
        reopened.extend(operator.await.unwrap());
    }
    assert_eq!(reopened, [row.key]);
    assert_eq!(stored(&*ledger, row.key).await.generation, 2);
    assert_eq!((stage.audit().await.len(), ledger.notes(&[claim]).await.unwrap().len()), (1, 1));
}

async fn a_reopening_that_waited_for_the_end_of_the_next_generation_reopens_nothing(stage: &Stage) {
    let (ledger, _, row) = one_dead_letter(stage).await;
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE").await;
    let late = reopening_beside(stage, &row).await;
    waiting(stage, 1).await;
    // It was reopened and dead-lettered again: dead-lettered once more, but not what the operator saw.
    run(&mut blocker, "UPDATE event SET generation = 2, publish_seq = 2; COMMIT").await;
    assert!(late.await.unwrap().is_empty());
    let there = stored(&*ledger, row.key).await;
    assert_eq!((there.state, there.generation), (RowState::DeadLettered, 2));
    assert!(stage.audit().await.is_empty());
}

async fn a_late_repeat_of_the_end_leaves_a_row_reopened_meanwhile_as_it_is(stage: &Stage) {
    let (ledger, claim, row) = one_dead_letter(stage).await;
    let before = ledger.unpublished(&[(claim, 0)]).await.unwrap();
    let mut reader = stage.connection().await;
    run(&mut reader, "BEGIN; SELECT 1 FROM event FOR UPDATE").await;
    let reopened = reopening_beside(stage, &row).await;
    waiting(stage, 1).await;
    // The repeat begins before the reopening is there, and goes on after it.
    let repeat = tokio::spawn({
        let (ledger, end) = (Arc::clone(&ledger), ended(&row, RowState::DeadLettered, 1));
        async move { ledger.end(&[claim], &[end]).await.unwrap() }
    });
    waiting(stage, 2).await;
    run(&mut reader, "COMMIT").await;
    assert_eq!(reopened.await.unwrap(), [row.key]);
    assert!(repeat.await.unwrap().is_empty());
    let there = stored(&*ledger, row.key).await;
    assert_eq!((there.state, there.generation), (RowState::Accepted, 2));
    assert_eq!(ledger.unfinished(&[claim], Some(&[row.key])).await.unwrap().len(), 1);
    let after = ledger.unpublished(&[(claim, 0)]).await.unwrap();
    assert_eq!((after.len(), &after[0].records), (1, &before[0].records));
}

async fn an_end_under_an_older_epoch_does_not_end_a_reopened_row(stage: &Stage) {
    let (ledger, old, row) = one_dead_letter(stage).await;
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE").await;
    let end = tokio::spawn({
        let (other, end) = (stage.open().await, ended(&row, RowState::Linked, 2));
        async move { other.end(&[old], &[end]).await.unwrap() }
    });
    waiting(stage, 1).await;
    // A raise and a reopening, as one step of a session that was first.
    run(
        &mut blocker,
        "UPDATE lane SET epoch = epoch + 1; UPDATE event SET state = 1, generation = 2, epoch = epoch + 1;
         UPDATE sealed_record SET kept = false; COMMIT",
    )
    .await;
    assert_eq!(end.await.unwrap(), lanes(&[0]));
    let there = stored(&*ledger, row.key).await;
    assert_eq!((there.state, there.generation, there.sealed_record), (RowState::Accepted, 2, row.sealed_record));
}

async fn reopenings_of_many_lanes_lock_them_in_order(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [four] = raise(&*ledger, [4]).await;
    let [zero] = raise(&*ledger, [0]).await;
    let rows = [new_row(four, 0, "four"), new_row(zero, 0, "zero")];
    dead_letter(&*ledger, four, &rows[0], 1).await;
    dead_letter(&*ledger, zero, &rows[1], 1).await;
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE").await;
    let asked = rows.each_ref().map(|row| reopening(row, 1));
    let reopened = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.reopen(&asked, &act()).await.unwrap() }
    });
    waiting(stage, 1).await;
    // It waits for lane 0, and so holds no lane behind it.
    run(&mut blocker, "SELECT 1 FROM lane WHERE lane = 4 FOR NO KEY UPDATE NOWAIT; COMMIT").await;
    assert_eq!(reopened.await.unwrap().len(), 2);
}

async fn a_note_is_left_without_waiting_for_the_lane_and_its_row(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [lost] = raise(&*ledger, [0]).await;
    let row = new_row(lost, 0, "a");
    accept(&*ledger, lost, &row).await;
    let [owner] = raise(&*ledger, [0]).await;
    let mut ending = stage.connection().await;
    run(&mut ending, "BEGIN; SELECT 1 FROM lane FOR NO KEY UPDATE; UPDATE event SET state = 3").await;
    // While the owner's end of the row is on its way.
    ledger.leave_notes(&[(row.key, NoteKind::LinkSent)]).await.unwrap();
    run(&mut ending, "COMMIT").await;
    let [note] = ledger.notes(&[owner]).await.unwrap()[..] else { panic!("not one note") };
    assert_eq!((note.key, note.kind), (row.key, NoteKind::LinkSent));
}

async fn a_write_that_waited_for_an_adoption_is_refused(stage: &Stage) {
    let (ledger, claim, _) = one_dead_letter(stage).await;
    let mut reader = stage.connection().await;
    run(&mut reader, "BEGIN; SELECT 1 FROM event FOR UPDATE").await;
    let adopted = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        let serves = Serves { cluster_id: "c".to_owned(), group: "g".to_owned(), topic: "t".to_owned() };
        async move { ledger.adopt(&serves, &act()).await.unwrap() }
    });
    waiting(stage, 1).await;
    let accepted = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.accept(&[up_to(claim, 2, 2)], &[new_row(claim, 1, "b")]).await.unwrap().refused }
    });
    waiting(stage, 2).await;
    run(&mut reader, "COMMIT").await;
    adopted.await.unwrap();
    assert_eq!(accepted.await.unwrap(), lanes(&[0]));
    assert!(ledger.row(key("b")).await.unwrap().is_none(), "no row that the adoption did not mark");
}

async fn an_adoption_that_is_cut_short_changes_nothing(stage: &Stage) {
    let (ledger, claim, row) = one_dead_letter(stage).await;
    stage
        .sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';
             CREATE TRIGGER refuse BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION refuse()",
        )
        .await;
    let serves = Serves { cluster_id: "c".to_owned(), group: "g".to_owned(), topic: "t".to_owned() };
    assert!(ledger.adopt(&serves, &act()).await.is_err());
    assert!(ledger.reopen(&[reopening(&row, 1)], &act()).await.is_err());
    assert_eq!(ledger.epochs(&[Lane(0)]).await.unwrap(), [claim]);
    assert_eq!(ledger.identity().await.unwrap().adopted_at, None);
    let there = stored(&*ledger, row.key).await;
    assert_eq!((there.state, there.generation, there.possibly_sent), (RowState::DeadLettered, 1, false));
}
