//! Notes: left by anyone, read and removed by the lane's owner only.

use profile_linker::domain::EventKey;
use profile_linker::ledger::{Claim, Ledger, NewRow, NoteKind, RowState};

use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    a_worker_that_lost_the_lane_leaves_a_note_and_the_owner_reads_it,
    notes_are_told_by_number_to_the_owners_of_their_rows_lanes,
    a_note_for_a_key_without_a_row_is_left_out,
    a_note_outlives_the_end_of_its_row,
    at_most_a_thousand_notes_are_told_at_once_the_oldest_first,
    notes_that_were_acted_on_are_removed_and_only_those,
    notes_of_a_lost_lane_are_not_removed,
    a_note_that_says_the_same_again_is_another_note,
);

async fn numbers(ledger: &dyn Ledger, claims: &[Claim]) -> Vec<i64> {
    ledger.notes(claims).await.expect("notes").iter().map(|note| note.number).collect()
}

/// Two lanes with a row each.
async fn two_lanes(ledger: &dyn Ledger) -> ([Claim; 2], [NewRow; 2]) {
    let claims = raise(ledger, [0, 1]).await;
    let rows = [new_row(claims[0], 0, "a"), new_row(claims[1], 0, "b")];
    for (claim, row) in claims.iter().zip(&rows) {
        accept(ledger, *claim, row).await;
    }
    (claims, rows)
}

async fn a_worker_that_lost_the_lane_leaves_a_note_and_the_owner_reads_it(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let ([lost, _], [row, _]) = two_lanes(ledger).await;
    let [owner] = raise(ledger, [0]).await;
    assert_eq!(ledger.converted(&[lost], &[converted(&row)]).await.unwrap(), lanes(&[0]));
    ledger.leave_notes(&[(row.key, NoteKind::LinkSent)]).await.unwrap();
    let [note] = ledger.notes(&[owner]).await.unwrap()[..] else { panic!("not one note") };
    assert_eq!((note.lane, note.key, note.kind), (row.lane, row.key, NoteKind::LinkSent));
    assert!(ledger.notes(&[lost]).await.unwrap().is_empty(), "the note is the owner's");
}

async fn notes_are_told_by_number_to_the_owners_of_their_rows_lanes(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (claims, [a, b]) = two_lanes(ledger).await;
    for (key, kind) in [(b.key, NoteKind::LinkSent), (a.key, NoteKind::Reopened), (b.key, NoteKind::Reopened)] {
        ledger.leave_notes(&[(key, kind)]).await.unwrap();
    }
    let told = ledger.notes(&claims).await.unwrap();
    assert!(told.is_sorted_by_key(|note| note.number));
    let said: Vec<_> = told.iter().map(|note| (note.lane.0, note.key, note.kind)).collect();
    assert_eq!(said, [(1, b.key, NoteKind::LinkSent), (0, a.key, NoteKind::Reopened), (1, b.key, NoteKind::Reopened)]);
    assert_eq!(ledger.notes(&claims[..1]).await.unwrap(), told[1..2]);
    raise(ledger, [1]).await;
    assert_eq!(ledger.notes(&claims).await.unwrap(), told[1..2]);
}

async fn a_note_for_a_key_without_a_row_is_left_out(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (claims, [a, _]) = two_lanes(ledger).await;
    let notes = [(key("none"), NoteKind::LinkSent), (a.key, NoteKind::LinkSent)];
    ledger.leave_notes(&notes).await.unwrap();
    assert_eq!(numbers(ledger, &claims).await.len(), 1);
    assert_eq!(stage.lines("SELECT CAST(count(*) AS TEXT) FROM note").await, ["1"]);
    ledger.leave_notes(&[]).await.unwrap();
}

async fn a_note_outlives_the_end_of_its_row(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let ([claim, _], [row, _]) = two_lanes(ledger).await;
    ledger.leave_notes(&[(row.key, NoteKind::LinkSent)]).await.unwrap();
    ledger.end(&[claim], &[ended(&row, RowState::Linked, 1)]).await.unwrap();
    ledger.leave_notes(&[(row.key, NoteKind::LinkSent)]).await.unwrap();
    assert_eq!(numbers(ledger, &[claim]).await.len(), 2);
}

async fn at_most_a_thousand_notes_are_told_at_once_the_oldest_first(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (claims, [a, b]) = two_lanes(ledger).await;
    let many = |key: EventKey, count| vec![(key, NoteKind::LinkSent); count];
    ledger.leave_notes(&many(b.key, 600)).await.unwrap();
    ledger.leave_notes(&many(a.key, 600)).await.unwrap();
    let told = ledger.notes(&claims).await.unwrap();
    assert_eq!(told.len(), 1000);
    assert_eq!(told.iter().filter(|note| note.key == b.key).count(), 600);
    let read: Vec<_> = told.iter().map(|note| note.number).collect();
    ledger.remove_notes(&claims, &read).await.unwrap();
    assert_eq!(numbers(ledger, &claims).await.len(), 200);
}

async fn notes_that_were_acted_on_are_removed_and_only_those(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (claims, [a, b]) = two_lanes(ledger).await;
    ledger.leave_notes(&[(a.key, NoteKind::LinkSent), (b.key, NoteKind::LinkSent)]).await.unwrap();
    ledger.leave_notes(&[(a.key, NoteKind::Reopened)]).await.unwrap();
    let all = numbers(ledger, &claims).await;
    for _ in 0..2 {
        // The repeat after a lost answer removes nothing more, and is a success.
        assert!(ledger.remove_notes(&claims, &all[..1]).await.unwrap().is_empty());
    }
    assert_eq!(numbers(ledger, &claims).await, all[1..]);
    assert!(ledger.remove_notes(&claims, &all).await.unwrap().is_empty());
    assert!(numbers(ledger, &claims).await.is_empty());
}

async fn notes_of_a_lost_lane_are_not_removed(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let ([lost, held], [a, b]) = two_lanes(ledger).await;
    ledger.leave_notes(&[(a.key, NoteKind::LinkSent), (b.key, NoteKind::LinkSent)]).await.unwrap();
    let all = numbers(ledger, &[lost, held]).await;
    let [owner] = raise(ledger, [0]).await;
    assert_eq!(ledger.remove_notes(&[lost, held], &all).await.unwrap(), lanes(&[0]));
    let [left] = ledger.notes(&[owner, held]).await.unwrap()[..] else { panic!("not one note") };
    assert_eq!(left.key, a.key);
    // Nor is a note of a lane that is not claimed at all.
    assert!(ledger.remove_notes(&[held], &[left.number]).await.unwrap().is_empty());
    assert_eq!(numbers(ledger, &[owner]).await, [left.number]);
}

async fn a_note_that_says_the_same_again_is_another_note(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let ([claim, _], [row, _]) = two_lanes(ledger).await;
    ledger.leave_notes(&[(row.key, NoteKind::LinkSent)]).await.unwrap();
    let read = numbers(ledger, &[claim]).await;
    // Left while the first one is acted on: it must not go with it, nor come back under its number.
    ledger.leave_notes(&[(row.key, NoteKind::LinkSent)]).await.unwrap();
    ledger.remove_notes(&[claim], &read).await.unwrap();
    let second = numbers(ledger, &[claim]).await;
    assert!(second.len() == 1 && second[0] > read[0], "{second:?} after {read:?}");
    ledger.remove_notes(&[claim], &second).await.unwrap();
    ledger.leave_notes(&[(row.key, NoteKind::LinkSent)]).await.unwrap();
    assert!(numbers(ledger, &[claim]).await[0] > second[0]);
}
