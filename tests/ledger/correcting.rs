//! What Kafka says about a lane just taken over corrects the lane.

use profile_linker::domain::Lane;
use profile_linker::ledger::{Claim, LaneCorrection, LaneRow, Ledger, RowState};

use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    a_corrected_position_is_stored_as_it_is,
    a_corrected_cursor_only_grows_and_removes_what_was_published,
    a_suspect_offset_only_grows,
    a_restored_lanes_unfinished_and_dead_lettered_rows_become_possibly_sent,
    a_lane_that_was_not_restored_keeps_what_it_knows,
    corrections_of_a_lost_lane_are_refused,
    a_topic_made_anew_forgets_its_suspect_offset,
    only_the_rows_asked_for_are_told_as_unfinished,
    a_row_of_a_higher_epoch_than_the_lanes_is_not_told_as_unfinished,
);

/// A correction that changes nothing but a position.
pub fn correction(claim: Claim, position: Option<i64>) -> LaneCorrection {
    LaneCorrection { claim, position, cursor: 0, suspect_below: 0, restored: false }
}

/// The lane as its next owner finds it.
async fn found(ledger: &dyn Ledger, lane: i32) -> LaneRow {
    ledger.raise("next", &[Lane(lane)]).await.expect("a raise").remove(0)
}

async fn a_corrected_position_is_stored_as_it_is(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [one, two] = raise(ledger, [0, 1]).await;
    ledger.accept(&[up_to(one, 10, 1), up_to(two, 10, 1)], &[]).await.unwrap();
    let refused = ledger.correct_lanes(&[correction(two, None), correction(one, Some(4))]).await.unwrap();
    assert!(refused.is_empty());
    assert_eq!(position(ledger, 0).await, Some(4));
    assert_eq!(position(ledger, 1).await, None);
}

async fn a_corrected_cursor_only_grows_and_removes_what_was_published(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    for (offset, id) in [(0, "a"), (1, "b"), (2, "c")] {
        let row = new_row(claim, offset, id);
        accept(ledger, claim, &row).await;
        ledger.end(&[claim], &[ended(&row, RowState::Linked, offset + 1)]).await.unwrap();
    }
    for cursor in [2, 1] {
        ledger.correct_lanes(&[LaneCorrection { cursor, ..correction(claim, Some(3)) }]).await.unwrap();
    }
    let left: Vec<_> = ledger.unpublished(&[(claim, 0)]).await.unwrap().iter().map(|one| one.publish_seq.0).collect();
    assert_eq!(left, [3]);
    let lane = found(ledger, 0).await;
    assert_eq!((lane.saved_cursor, lane.last_seq, lane.position), (2, 3, Some(3)));
    // A cursor beyond everything known: numbers go on from there.
    ledger.correct_lanes(&[LaneCorrection { cursor: 70, ..correction(lane.claim, Some(3)) }]).await.unwrap();
    let lane = found(ledger, 0).await;
    assert_eq!((lane.saved_cursor, lane.last_seq), (70, 70));
    assert!(ledger.unpublished(&[(lane.claim, 0)]).await.unwrap().is_empty());
}

async fn a_suspect_offset_only_grows(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    for suspect_below in [50, 0, 20] {
        let correction = LaneCorrection { suspect_below, ..correction(claim, Some(1)) };
        ledger.correct_lanes(&[correction]).await.unwrap();
    }
    assert_eq!(found(ledger, 0).await.suspect_below, 50);
}

/// A lane with a row accepted, one converted, one dead-lettered, one linked, one rejected; `name` before each id.
async fn a_row_of_each_kind(ledger: &dyn Ledger, claim: Claim, name: &str) -> Vec<profile_linker::ledger::NewRow> {
    let rows: Vec<_> = (0..5).map(|offset| new_row(claim, offset, &format!("{name} {offset}"))).collect();
    ledger.accept(&[up_to(claim, 5, 1)], &rows).await.expect("accepted");
    ledger.converted(&[claim], &[converted(&rows[1])]).await.expect("converted");
    let ends = [
        ended(&rows[2], RowState::DeadLettered, 1),
        ended(&rows[3], RowState::Linked, 2),
        ended(&rows[4], RowState::Rejected, 3),
    ];
    ledger.end(&[claim], &ends).await.expect("ended");
    rows
}

/// Which of these rows are possibly sent.
pub async fn suspected(ledger: &dyn Ledger, rows: &[profile_linker::ledger::NewRow]) -> Vec<bool> {
    let mut suspected = Vec::new();
    for row in rows {
        suspected.push(stored(ledger, row.key).await.possibly_sent);
    }
    suspected
}

async fn a_restored_lanes_unfinished_and_dead_lettered_rows_become_possibly_sent(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [restored, sound] = raise(ledger, [0, 1]).await;
    let (rows, others) =
        (a_row_of_each_kind(ledger, restored, "a").await, a_row_of_each_kind(ledger, sound, "b").await);
    let corrections = [
        LaneCorrection { restored: true, suspect_below: 9, ..correction(restored, Some(5)) },
        correction(sound, Some(5)),
    ];
    assert!(ledger.correct_lanes(&corrections).await.unwrap().is_empty());
    assert_eq!(suspected(ledger, &rows).await, [true, true, true, false, false]);
    assert_eq!(suspected(ledger, &others).await, [false; 5]);
    let states: Vec<_> = ledger.unfinished(&[restored], None).await.unwrap().iter().map(|row| row.state).collect();
    assert_eq!(states, [RowState::Accepted, RowState::Converted]);
}

async fn a_lane_that_was_not_restored_keeps_what_it_knows(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let rows = a_row_of_each_kind(ledger, claim, "a").await;
    let corrections = |restored| [LaneCorrection { restored, ..correction(claim, Some(5)) }];
    ledger.correct_lanes(&corrections(true)).await.unwrap();
    ledger.correct_lanes(&corrections(false)).await.unwrap();
    assert_eq!(suspected(ledger, &rows).await, [true, true, true, false, false], "once suspected, always suspected");
}

async fn corrections_of_a_lost_lane_are_refused(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [lost, held] = raise(ledger, [0, 1]).await;
    let (rows, others) = (a_row_of_each_kind(ledger, lost, "a").await, a_row_of_each_kind(ledger, held, "b").await);
    let [owner] = raise(ledger, [0]).await;
    let all = |claim| LaneCorrection { claim, position: Some(2), cursor: 9, suspect_below: 9, restored: true };
    assert_eq!(ledger.correct_lanes(&[all(lost), all(held)]).await.unwrap(), lanes(&[0]));
    assert_eq!(suspected(ledger, &rows).await, [false; 5]);
    assert_eq!(suspected(ledger, &others).await, [true, true, true, false, false]);
    assert_eq!(ledger.unpublished(&[(owner, 0)]).await.unwrap().len(), 3);
    let lane = found(ledger, 0).await;
    assert_eq!((lane.position, lane.saved_cursor, lane.suspect_below), (Some(5), 0, 0));
    let lane = found(ledger, 1).await;
    assert_eq!((lane.position, lane.saved_cursor, lane.suspect_below), (Some(2), 9, 9));
}

async fn a_topic_made_anew_forgets_its_suspect_offset(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    ledger.note_topic(&[claim], "first").await.unwrap();
    let suspicious = LaneCorrection { suspect_below: 5, ..correction(claim, Some(1)) };
    ledger.correct_lanes(&[suspicious]).await.unwrap();
    ledger.note_topic(&[claim], "first").await.unwrap();
    let lane = found(ledger, 0).await;
    assert_eq!(lane.suspect_below, 5);
    ledger.note_topic(&[lane.claim], "second").await.unwrap();
    assert_eq!(found(ledger, 0).await.suspect_below, 0);
}

async fn only_the_rows_asked_for_are_told_as_unfinished(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim, other] = raise(ledger, [0, 1]).await;
    let rows = a_row_of_each_kind(ledger, claim, "a").await;
    a_row_of_each_kind(ledger, other, "b").await;
    let told = async |claims: &[Claim], only: &[_]| {
        let rows = ledger.unfinished(claims, Some(only)).await.unwrap();
        rows.iter().map(|row| row.key).collect::<Vec<_>>()
    };
    assert_eq!(told(&[claim], &[rows[1].key, rows[2].key, key("b 0"), key("none")]).await, [rows[1].key]);
    assert_eq!(
        told(&[other, claim], &[key("b 0"), rows[1].key, rows[0].key]).await,
        [rows[0].key, rows[1].key, key("b 0")]
    );
    assert!(told(&[claim], &[]).await.is_empty());
}

async fn a_row_of_a_higher_epoch_than_the_lanes_is_not_told_as_unfinished(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let rows = [new_row(claim, 0, "a"), new_row(claim, 1, "b")];
    ledger.accept(&[up_to(claim, 2, 1)], &rows).await.unwrap();
    stage.sql("UPDATE event SET epoch = 2 WHERE key IN (SELECT key FROM input WHERE id = 'b')").await;
    let unfinished = ledger.unfinished(&[claim], None).await.unwrap();
    assert_eq!(unfinished.iter().map(|row| row.offset).collect::<Vec<_>>(), [0]);
    let [claim] = raise(&*ledger, [0]).await;
    assert_eq!(ledger.unfinished(&[claim], None).await.unwrap().len(), 2);
}
