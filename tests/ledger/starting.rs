//! Starts are counted: of rows that were running when their worker ended uncleanly.

use profile_linker::ledger::{LedgerError, NewRow, RowState, StartedRow};

use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    a_start_is_counted_once_however_often_it_is_written,
    a_start_of_a_lost_lane_is_not_counted,
    a_row_that_ended_or_is_not_there_cannot_be_started,
    waiting_converting_and_a_clean_release_count_no_start,
);

/// A start of a row, this one included.
pub fn start(row: &NewRow, starts: i32) -> StartedRow {
    StartedRow { key: row.key, lane: row.lane, starts }
}

async fn a_start_is_counted_once_however_often_it_is_written(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let claims = raise(ledger, [0, 4]).await;
    let rows = [new_row(claims[0], 0, "a"), new_row(claims[1], 0, "b")];
    for (claim, row) in claims.iter().zip(&rows) {
        accept(ledger, *claim, row).await;
    }
    for starts in [1, 2, 2, 1] {
        let batch = [start(&rows[0], starts), start(&rows[1], 7 * starts)];
        assert!(ledger.started(&claims, &batch).await.unwrap().is_empty());
    }
    let unfinished = ledger.unfinished(&claims, None).await.unwrap();
    assert_eq!(unfinished.iter().map(|row| row.starts).collect::<Vec<_>>(), [2, 14]);
}

async fn a_start_of_a_lost_lane_is_not_counted(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [lost, held] = raise(ledger, [0, 4]).await;
    let rows = [new_row(lost, 0, "lost"), new_row(held, 0, "held")];
    ledger.accept(&[up_to(lost, 1, 1), up_to(held, 1, 1)], &rows).await.unwrap();
    raise(ledger, [0]).await;
    let refused = ledger.started(&[lost, held], &[start(&rows[0], 1), start(&rows[1], 1)]).await.unwrap();
    assert_eq!(refused, lanes(&[0]));
    assert_eq!((stored(ledger, rows[0].key).await.starts, stored(ledger, rows[1].key).await.starts), (0, 1));
}

async fn a_row_that_ended_or_is_not_there_cannot_be_started(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim, other] = raise(ledger, [0, 4]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(ledger, claim, &row, 1).await;
    for wrong in [
        start(&row, 1),
        StartedRow { key: key("none"), ..start(&row, 1) },
        StartedRow { lane: other.lane, ..start(&row, 1) },
    ] {
        let started = ledger.started(&[claim, other], &[wrong]).await;
        assert!(matches!(started, Err(LedgerError::Damaged(_))), "{started:?}");
    }
    assert_eq!(stored(ledger, row.key).await.starts, 0);
}

async fn waiting_converting_and_a_clean_release_count_no_start(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    ledger.started(&[claim], &[start(&row, 1)]).await.unwrap();
    ledger.back_off(&[claim], &[back_off(&row, 0)]).await.unwrap();
    ledger.converted(&[claim], &[converted(&row)]).await.unwrap();
    ledger.release(&[(claim, true)]).await.unwrap();
    let [claim] = raise(ledger, [0]).await;
    let there = &ledger.unfinished(&[claim], None).await.unwrap()[0];
    assert_eq!((there.starts, there.state), (1, RowState::Converted));
}
