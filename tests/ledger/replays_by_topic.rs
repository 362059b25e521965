//! Acceptance of dead letters that were published to the input topic once more: as the next generation of a dead letter, or over
//! nothing at all.

use profile_linker::ledger::{Ledger, NewRow, RowState};

use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    a_replay_over_no_row_is_new_and_of_its_generation,
    a_replay_is_told_where_its_event_is_dead_lettered_with_the_generation_before,
    a_replay_whose_generation_is_there_already_is_no_second_one,
    a_replay_of_what_has_not_failed_is_a_duplicate,
    a_replay_with_another_payload_is_a_conflict_whatever_its_origin,
    a_replay_of_a_dead_letter_that_ends_at_once_waits_for_its_reopening,
);

/// The same record as this generation.
fn as_generation(row: &NewRow, generation: i32) -> NewRow {
    NewRow { generation, possibly_sent: true, ..row.clone() }
}

/// What one record comes to that is fetched again.
async fn comes_to(ledger: &dyn Ledger, row: &NewRow) -> String {
    let [claim] = raise(ledger, [row.lane.0]).await;
    let acceptance = ledger.accept(&[up_to(claim, 100, 50)], std::slice::from_ref(row)).await.unwrap();
    said(&acceptance.rows).remove(0)
}

async fn a_replay_over_no_row_is_new_and_of_its_generation(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let replay = as_generation(&new_row(claim, 5, "a"), 4);
    assert_eq!(comes_to(ledger, &replay).await, "new");
    let there = stored(ledger, replay.key).await;
    assert_eq!((there.state, there.generation, there.possibly_sent), (RowState::Accepted, 4, true));
    assert_eq!((there.offset, there.timestamp), (replay.offset, replay.timestamp), "the origin of the first time");
    assert_eq!(position(ledger, 0).await, Some(100), "the position is that of the fetched record");
    assert_eq!(comes_to(ledger, &replay).await, "ours", "and it is known when it is read again");
}

async fn a_replay_is_told_where_its_event_is_dead_lettered_with_the_generation_before(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 5, "a");
    dead_letter(ledger, claim, &row, 1).await;
    let elsewhere = NewRow { offset: 9, ..as_generation(&row, 2) };
    for replay in [as_generation(&row, 2), elsewhere] {
        assert_eq!(comes_to(ledger, &replay).await, "replays");
    }
    assert_eq!(position(ledger, 0).await, Some(6), "not passed before it is reopened");
    let there = stored(ledger, row.key).await;
    assert_eq!((there.state, there.generation), (RowState::DeadLettered, 1), "nothing is written here");
    assert_eq!(comes_to(ledger, &as_generation(&row, 3)).await, "ours", "the one between is missing");
}

async fn a_replay_whose_generation_is_there_already_is_no_second_one(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 5, "a");
    dead_letter(ledger, claim, &row, 1).await;
    assert_eq!(ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap(), [row.key]);
    let replay = as_generation(&row, 2);
    assert_eq!(comes_to(ledger, &replay).await, "ours", "under way");
    let [claim] = raise(ledger, [0]).await;
    ledger.end(&[claim], &[ended(&row, RowState::DeadLettered, 2)]).await.unwrap();
    assert_eq!(comes_to(ledger, &replay).await, "ours", "failed again as that generation");
    let there = stored(ledger, row.key).await;
    assert_eq!((there.state, there.generation), (RowState::DeadLettered, 2));
    assert_eq!(comes_to(ledger, &as_generation(&row, 3)).await, "replays", "the next one goes on");
}

async fn a_replay_of_what_has_not_failed_is_a_duplicate(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    for (number, state) in (0..).zip([None, Some(RowState::Linked), Some(RowState::Rejected)]) {
        let [claim] = raise(ledger, [0]).await;
        let row = new_row(claim, number, &format!("event {number}"));
        accept(ledger, claim, &row).await;
        if let Some(state) = state {
            ledger.end(&[claim], &[ended(&row, state, number + 1)]).await.unwrap();
        }
        let elsewhere = NewRow { offset: 50 + number, ..as_generation(&row, 2) };
        assert_eq!(comes_to(ledger, &elsewhere).await, "duplicate", "{state:?}");
        let there = stored(ledger, row.key).await;
        assert_eq!((there.state, there.generation), (state.unwrap_or(RowState::Accepted), 1));
    }
}

async fn a_replay_with_another_payload_is_a_conflict_whatever_its_origin(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 5, "a");
    dead_letter(ledger, claim, &row, 1).await;
    let forged = conflicting(as_generation(&row, 2));
    for forged in [NewRow { offset: 9, ..forged.clone() }, forged] {
        assert_eq!(comes_to(ledger, &forged).await, "conflict");
    }
    let there = stored(ledger, row.key).await;
    assert_eq!((there.state, there.generation), (RowState::DeadLettered, 1));
}

async fn a_replay_of_a_dead_letter_that_ends_at_once_waits_for_its_reopening(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = ending(NewRow { identity: None, ..new_row(claim, 5, "bad") }, RowState::DeadLettered);
    let rows = [row.clone(), as_generation(&row, 2)];
    let acceptance = ledger.accept(&[up_to(claim, 7, 1)], &rows).await.unwrap();
    assert_eq!(said(&acceptance.rows), ["new as 1", "replays"], "also where both come in one batch");
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap().len(), 1, "its end is not written yet");
}
