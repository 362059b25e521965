//! A worker that lost a lane writes nothing to it, and the rows of its other lanes are written.

use profile_linker::domain::Epoch;
use profile_linker::ledger::{Claim, Ledger, NewRow, RowState};

use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    records_of_a_lost_lane_are_not_accepted,
    a_conversion_of_a_lost_lane_is_not_stored,
    an_end_of_a_lost_lane_is_not_stored,
    a_wait_of_a_lost_lane_is_not_stored,
    a_cursor_of_a_lost_lane_is_not_saved,
    a_lost_lane_cannot_be_released,
    a_lost_lane_forgets_nothing_of_its_topic,
    what_is_unfinished_or_unpublished_is_told_to_the_owner_only,
    a_claim_from_the_future_is_refused_as_well,
);

/// Two lanes with a row each, of which the first was lost.
async fn two_lanes(ledger: &dyn Ledger) -> ([Claim; 2], [NewRow; 2]) {
    let [lost, held] = raise(ledger, [0, 1]).await;
    let rows = [new_row(lost, 0, "lost"), new_row(held, 0, "held")];
    ledger.accept(&[up_to(lost, 1, 1), up_to(held, 1, 1)], &rows).await.expect("accepted");
    raise(ledger, [0]).await;
    ([lost, held], rows)
}

async fn records_of_a_lost_lane_are_not_accepted(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let ([lost, held], _) = two_lanes(ledger).await;
    let rows = [new_row(lost, 1, "b"), ending(new_row(held, 1, "c"), RowState::Rejected), new_row(lost, 0, "lost")];
    let acceptance = ledger.accept(&[up_to(lost, 2, 1), up_to(held, 2, 1)], &rows).await.unwrap();
    assert_eq!(said(&acceptance.rows), ["refused", "new as 1", "refused"]);
    assert_eq!(acceptance.refused, lanes(&[0]));
    assert!(ledger.row(key("b")).await.unwrap().is_none());
    assert_eq!(position(ledger, 0).await, Some(1));
    assert_eq!(position(ledger, 1).await, Some(2));
}

async fn a_conversion_of_a_lost_lane_is_not_stored(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (claims, rows) = two_lanes(ledger).await;
    let refused = ledger.converted(&claims, &[converted(&rows[0]), converted(&rows[1])]).await.unwrap();
    assert_eq!(refused, lanes(&[0]));
    let there = stored(ledger, rows[0].key).await;
    assert_eq!((there.state, there.sealed_token), (RowState::Accepted, None));
    assert_eq!(stored(ledger, rows[1].key).await.state, RowState::Converted);
}

async fn an_end_of_a_lost_lane_is_not_stored(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (claims, rows) = two_lanes(ledger).await;
    let ends = [ended(&rows[0], RowState::Linked, 1), ended(&rows[1], RowState::Linked, 1)];
    assert_eq!(ledger.end(&claims, &ends).await.unwrap(), lanes(&[0]));
    let there = stored(ledger, rows[0].key).await;
    assert_eq!((there.state, there.sealed_record), (RowState::Accepted, rows[0].sealed_record.clone()));
    assert_eq!(stored(ledger, rows[1].key).await.state, RowState::Linked);
    let [lost] = raise(ledger, [0]).await;
    assert!(ledger.unpublished(&[(lost, 0)]).await.unwrap().is_empty());
}

async fn a_wait_of_a_lost_lane_is_not_stored(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let (claims, rows) = two_lanes(ledger).await;
    let waits = [back_off(&rows[0], 60_000), back_off(&rows[1], 60_000)];
    assert_eq!(ledger.back_off(&claims, &waits).await.unwrap(), lanes(&[0]));
    assert_eq!(stored(ledger, rows[0].key).await.due_in_ms, 0);
    assert!(stored(ledger, rows[1].key).await.due_in_ms > 0);
}

async fn a_cursor_of_a_lost_lane_is_not_saved(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let ([lost, held], _) = two_lanes(ledger).await;
    assert_eq!(ledger.save_cursors(&[(lost, 9), (held, 9)]).await.unwrap(), lanes(&[0]));
    let rows = ledger.raise("next", &[lost.lane, held.lane]).await.unwrap();
    for row in rows {
        assert_eq!(row.saved_cursor, if row.claim.lane == lost.lane { 0 } else { 9 });
    }
}

async fn a_lost_lane_cannot_be_released(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let ([lost, held], _) = two_lanes(ledger).await;
    assert_eq!(ledger.release(&[(lost, true), (held, true)]).await.unwrap(), lanes(&[0]));
    let rows = ledger.raise("next", &[lost.lane, held.lane]).await.unwrap();
    for row in rows {
        assert_eq!(row.clean, row.claim.lane == held.lane);
    }
}

async fn a_lost_lane_forgets_nothing_of_its_topic(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let ([lost, held], _) = two_lanes(ledger).await;
    ledger.note_topic(&raise(ledger, [0]).await, "first").await.unwrap();
    ledger.note_topic(&[held], "first").await.unwrap();
    let told = ledger.note_topic(&[lost, held], "second").await.unwrap();
    assert_eq!(told.iter().map(|(lane, _)| *lane).collect::<Vec<_>>(), [held.lane]);
    assert_eq!(position(ledger, 0).await, Some(1));
}

async fn what_is_unfinished_or_unpublished_is_told_to_the_owner_only(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [lost, held] = raise(ledger, [0, 1]).await;
    for claim in [lost, held] {
        let rows = [new_row(claim, 0, &format!("{claim:?}")), new_row(claim, 1, &format!("{claim:?} done"))];
        ledger.accept(&[up_to(claim, 2, 1)], &rows).await.unwrap();
        ledger.end(&[claim], &[ended(&rows[1], RowState::Linked, 1)]).await.unwrap();
    }
    raise(ledger, [0]).await;
    let unfinished = ledger.unfinished(&[lost, held], None).await.unwrap();
    assert_eq!(unfinished.iter().map(|row| row.lane).collect::<Vec<_>>(), [held.lane]);
    let unpublished = ledger.unpublished(&[(lost, 0), (held, 0)]).await.unwrap();
    assert_eq!(unpublished.iter().map(|row| row.lane).collect::<Vec<_>>(), [held.lane]);
}

async fn a_claim_from_the_future_is_refused_as_well(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let future = Claim { epoch: Epoch(claim.epoch.0 + 1), ..claim };
    let acceptance = ledger.accept(&[up_to(future, 1, 1)], &[new_row(future, 0, "a")]).await.unwrap();
    assert_eq!(acceptance.refused, lanes(&[0]));
}
