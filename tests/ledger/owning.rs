//! Lanes: taken over, given up, and what their next owner finds.

use profile_linker::domain::{Epoch, Lane};
use profile_linker::ledger::{Claim, RowState};

use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    a_new_lane_is_clean_and_empty,
    a_lane_is_clean_for_its_next_owner_only_if_it_was_released_so,
    the_next_owner_finds_position_cursor_and_last_number,
    the_next_owner_finds_unfinished_rows_in_input_order,
    lanes_taken_together_come_back_together,
    a_topic_made_anew_is_read_from_its_start_and_its_numbers_go_on,
    epochs_are_told_for_the_lanes_that_there_are,
);

async fn a_new_lane_is_clean_and_empty(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let lane = ledger.raise("worker", &[Lane(3)]).await.unwrap().remove(0);
    assert_eq!(lane.claim, Claim { lane: Lane(3), epoch: Epoch(1) });
    assert!(lane.clean);
    assert_eq!((lane.position, lane.saved_cursor, lane.last_seq, lane.suspect_below), (None, 0, 0, 0));
}

async fn a_lane_is_clean_for_its_next_owner_only_if_it_was_released_so(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let next = async || ledger.raise("next", &[Lane(0)]).await.unwrap().remove(0);
    next().await;
    let taken = next().await;
    assert!(!taken.clean, "it was not released");
    assert!(ledger.release(&[(taken.claim, true)]).await.unwrap().is_empty());
    let taken = next().await;
    assert!(taken.clean, "it was released clean");
    assert!(ledger.release(&[(taken.claim, false)]).await.unwrap().is_empty());
    assert!(!next().await.clean, "it was released with a call on the wire");
}

async fn the_next_owner_finds_position_cursor_and_last_number(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [5]).await;
    let rows: Vec<_> = (0..3).map(|offset| new_row(claim, offset, &offset.to_string())).collect();
    ledger.accept(&[up_to(claim, 3, 1)], &rows).await.unwrap();
    ledger.end(&[claim], &[ended(&rows[2], RowState::Linked, 1), ended(&rows[0], RowState::Linked, 2)]).await.unwrap();
    let lane = ledger.raise("next", &[Lane(5)]).await.unwrap().remove(0);
    assert_eq!((lane.claim.epoch, lane.position, lane.saved_cursor, lane.last_seq), (Epoch(2), Some(3), 0, 2));
    ledger.save_cursors(&[(lane.claim, 2)]).await.unwrap();
    let lane = ledger.raise("next", &[Lane(5)]).await.unwrap().remove(0);
    assert_eq!((lane.saved_cursor, lane.last_seq), (2, 2));
}

async fn the_next_owner_finds_unfinished_rows_in_input_order(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [one, two] = raise(ledger, [0, 1]).await;
    let rows: Vec<_> = (0..6).rev().map(|offset| new_row(one, offset, &offset.to_string())).collect();
    ledger.accept(&[up_to(one, 6, 1)], &rows).await.unwrap();
    accept(ledger, two, &new_row(two, 0, "other lane")).await;
    ledger.converted(&[one], &[converted(&rows[1])]).await.unwrap();
    ledger.end(&[one], &[ended(&rows[0], RowState::Linked, 1), ended(&rows[2], RowState::Rejected, 2)]).await.unwrap();
    let [one, two] = raise(ledger, [0, 1]).await;
    let unfinished = ledger.unfinished(&[two, one], None).await.unwrap();
    let places: Vec<_> = unfinished.iter().map(|row| (row.lane.0, row.offset)).collect();
    assert_eq!(places, [(0, 0), (0, 1), (0, 2), (0, 4), (1, 0)]);
    assert!(unfinished[3].sealed_token.is_some() && !unfinished[0].sealed_record.is_empty());
    assert_eq!(unfinished[0].epoch, Epoch(1));
}

async fn lanes_taken_together_come_back_together(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    raise(ledger, [1]).await;
    let mut rows = ledger.raise("worker", &[Lane(2), Lane(0), Lane(1)]).await.unwrap();
    rows.sort_by_key(|row| row.claim);
    let epochs: Vec<_> = rows.iter().map(|row| (row.claim.lane.0, row.claim.epoch.0)).collect();
    assert_eq!(epochs, [(0, 1), (1, 2), (2, 1)]);
}

async fn a_topic_made_anew_is_read_from_its_start_and_its_numbers_go_on(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim, other] = raise(ledger, [0, 1]).await;
    let row = new_row(claim, 7, "a");
    accept(ledger, claim, &row).await;
    ledger.end(&[claim], &[ended(&row, RowState::Linked, 1)]).await.unwrap();
    for topic_id in ["first", "first"] {
        let stands = ledger.note_topic(&[claim, other], topic_id).await.unwrap();
        assert_eq!(stands.into_iter().find(|(lane, _)| *lane == claim.lane), Some((claim.lane, Some(8))));
    }
    assert_eq!(position(ledger, 0).await, Some(8));
    let found = ledger.raise("next", &[Lane(0)]).await.unwrap().remove(0);
    assert_eq!(found.topic_id.as_deref(), Some("first"), "what the position is of");
    let claim = found.claim;
    for _ in 0..2 {
        // The repeat after a lost answer says the same.
        assert_eq!(ledger.note_topic(&[claim], "second").await.unwrap(), [(Lane(0), None)]);
    }
    let lane = ledger.raise("next", &[Lane(0)]).await.unwrap().remove(0);
    assert_eq!((lane.position, lane.last_seq, lane.topic_id.as_deref()), (None, 1, Some("second")));
}

async fn epochs_are_told_for_the_lanes_that_there_are(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    raise(ledger, [0]).await;
    let claims = raise(ledger, [0, 1]).await;
    assert_eq!(ledger.epochs(&[Lane(0), Lane(1), Lane(2)]).await.unwrap(), claims);
}
