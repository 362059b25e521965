//! What an owner takes up of reopened rows: at a take-over only what was taken up before, and all else by the notes.

use profile_linker::ledger::NoteKind;

use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    a_reopened_row_that_nobody_took_up_is_left_to_its_note_at_a_take_over,
    without_an_answer_every_replay_is_overtaken_and_the_rows_are_told_all_the_same,
);

async fn a_reopened_row_that_nobody_took_up_is_left_to_its_note_at_a_take_over(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let rows: Vec<_> = (0..3).map(|offset| new_row(claim, offset, &format!("event {offset}"))).collect();
    for (number, row) in (1..).zip(&rows[..2]) {
        dead_letter(ledger, claim, row, number).await;
    }
    accept(ledger, claim, &rows[2]).await;
    let asked: Vec<_> = rows[..2].iter().map(|row| reopening(row, 1)).collect();
    assert_eq!(ledger.reopen(&asked, &act()).await.unwrap().len(), 2);
    // A worker's note hides nothing.
    ledger.leave_notes(&[(rows[2].key, NoteKind::LinkSent)]).await.unwrap();
    let [owner] = raise(ledger, [0]).await;
    let told = async |only: Option<&[_]>| {
        let told = ledger.unfinished(&[owner], only).await.unwrap();
        told.iter().map(|row| row.offset).collect::<Vec<_>>()
    };
    assert_eq!(told(None).await, [2]);
    assert_eq!(told(Some(&[rows[0].key, rows[1].key])).await, [0, 1], "asked for by their notes they are told");
    let notes = ledger.notes(&[owner]).await.unwrap();
    let taken_up = notes.iter().find(|note| note.key == rows[1].key).unwrap();
    ledger.remove_notes(&[owner], &[taken_up.number]).await.unwrap();
    assert_eq!(told(None).await, [1, 2], "what was taken up goes on with the next owner");
}

async fn without_an_answer_every_replay_is_overtaken_and_the_rows_are_told_all_the_same(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let rows = [new_row(claim, 0, "a"), new_row(claim, 1, "b")];
    dead_letter(ledger, claim, &rows[0], 1).await;
    accept(ledger, claim, &rows[1]).await;
    ledger.reopen(&[reopening(&rows[0], 1)], &act()).await.unwrap();
    let keys = rows.each_ref().map(|row| row.key);
    let overtaken = async || {
        let told = ledger.unfinished(&[claim], Some(&keys)).await.unwrap();
        told.iter().map(|row| row.overtaken).collect::<Vec<_>>()
    };
    assert_eq!(overtaken().await, [false, false]);
    stage.sql("ALTER TABLE input RENAME COLUMN customer_id TO elsewhere").await;
    assert_eq!(overtaken().await, [true, false]);
}
