//! An event's way through the ledger: converted, waiting, ended; and each write once more.

use profile_linker::domain::PublishSeq;
use profile_linker::ledger::{BackOffRow, ConvertedRow, EndedRow, LedgerError, RowState};

use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    a_converted_row_holds_its_token_and_account,
    a_linked_row_has_its_result_in_the_outbox_and_its_secrets_erased,
    a_dead_lettered_row_keeps_its_secrets,
    repeating_a_write_is_a_success_and_adds_nothing,
    a_row_that_ended_otherwise_is_damage,
    a_row_that_is_not_there_is_damage,
    a_number_that_would_never_be_published_is_damage,
    a_number_given_twice_is_damage_and_nothing_of_its_write_stands,
    a_waiting_row_knows_when_it_is_due_and_when_it_first_failed,
    a_row_that_ends_without_a_wait_knows_when_it_first_failed,
    a_row_that_waits_was_first_known_to_fail_when_it_failed,
    a_timeline_grows_with_each_write_and_has_a_limit,
    published_results_leave_the_outbox_and_the_cursor_only_grows,
    a_large_batch_is_one_write,
);

async fn a_converted_row_holds_its_token_and_account(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    assert!(ledger.converted(&[claim], &[converted(&row)]).await.unwrap().is_empty());
    let there = stored(ledger, row.key).await;
    assert_eq!((there.state, there.attempts), (RowState::Converted, ATTEMPTS));
    assert_eq!(there.sealed_token.as_deref(), Some(&b"sealed token"[..]));
    assert_eq!(there.account.as_deref(), Some(r#"{"kind":"card"}"#));
    assert_eq!(there.sealed_record, row.sealed_record);
}

async fn a_linked_row_has_its_result_in_the_outbox_and_its_secrets_erased(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    ledger.converted(&[claim], &[converted(&row)]).await.unwrap();
    let end = ended(&row, RowState::Linked, 1);
    assert!(ledger.end(&[claim], std::slice::from_ref(&end)).await.unwrap().is_empty());
    let there = stored(ledger, row.key).await;
    assert_eq!((there.state, there.publish_seq, there.attempts), (RowState::Linked, Some(PublishSeq(1)), ATTEMPTS));
    assert_eq!((there.sealed_record.len(), there.sealed_token, there.account), (0, None, None));
    let waiting = ledger.unpublished(&[(claim, 0)]).await.unwrap();
    assert_eq!((waiting.len(), waiting[0].lane, waiting[0].publish_seq), (1, claim.lane, PublishSeq(1)));
    assert_eq!(waiting[0].records, end.records);
}

async fn a_dead_lettered_row_keeps_its_secrets(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    ledger.converted(&[claim], &[converted(&row)]).await.unwrap();
    let end = ended(&row, RowState::DeadLettered, 1);
    ledger.end(&[claim], std::slice::from_ref(&end)).await.unwrap();
    let there = stored(ledger, row.key).await;
    assert_eq!(there.state, RowState::DeadLettered);
    assert_eq!(there.sealed_record, row.sealed_record);
    assert!(there.sealed_token.is_some() && there.account.is_some());
    assert!(ledger.unfinished(&[claim], None).await.unwrap().is_empty());
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap()[0].records, end.records);
}

async fn repeating_a_write_is_a_success_and_adds_nothing(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    for _ in 0..2 {
        assert!(ledger.back_off(&[claim], &[back_off(&row, 0)]).await.unwrap().is_empty());
    }
    for _ in 0..2 {
        assert!(ledger.converted(&[claim], &[converted(&row)]).await.unwrap().is_empty());
    }
    for _ in 0..2 {
        assert!(ledger.end(&[claim], &[ended(&row, RowState::Linked, 1)]).await.unwrap().is_empty());
    }
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap().len(), 1);
    ledger.save_cursors(&[(claim, 1)]).await.unwrap();
    assert!(ledger.end(&[claim], &[ended(&row, RowState::Linked, 1)]).await.unwrap().is_empty());
    assert!(ledger.unpublished(&[(claim, 0)]).await.unwrap().is_empty());
}

async fn a_row_that_ended_otherwise_is_damage(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    ledger.end(&[claim], &[ended(&row, RowState::Rejected, 1)]).await.unwrap();
    let end = ledger.end(&[claim], &[ended(&row, RowState::Linked, 2)]).await;
    assert!(matches!(end, Err(LedgerError::Damaged(_))), "{end:?}");
    let convert = ledger.converted(&[claim], &[converted(&row)]).await;
    assert!(matches!(convert, Err(LedgerError::Damaged(_))), "{convert:?}");
    let wait = ledger.back_off(&[claim], &[back_off(&row, 1)]).await;
    assert!(matches!(wait, Err(LedgerError::Damaged(_))), "{wait:?}");
    assert_eq!(stored(ledger, row.key).await.state, RowState::Rejected);
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap().len(), 1);
}

async fn a_row_that_is_not_there_is_damage(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [one, two] = raise(ledger, [0, 1]).await;
    let row = new_row(one, 0, "a");
    accept(ledger, one, &row).await;
    let elsewhere = EndedRow { lane: two.lane, ..ended(&row, RowState::Linked, 1) };
    assert!(matches!(ledger.end(&[two], &[elsewhere]).await, Err(LedgerError::Damaged(_))));
    let nowhere = ConvertedRow { key: key("none"), ..converted(&row) };
    assert!(matches!(ledger.converted(&[one], &[nowhere]).await, Err(LedgerError::Damaged(_))));
}

async fn a_number_that_would_never_be_published_is_damage(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    ledger.save_cursors(&[(claim, 5)]).await.unwrap();
    assert!(matches!(ledger.end(&[claim], &[ended(&row, RowState::Linked, 5)]).await, Err(LedgerError::Damaged(_))));
    ledger.end(&[claim], &[ended(&row, RowState::Linked, 6)]).await.unwrap();
}

async fn a_number_given_twice_is_damage_and_nothing_of_its_write_stands(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let rows: Vec<_> = (0..3).map(|offset| new_row(claim, offset, &offset.to_string())).collect();
    ledger.accept(&[up_to(claim, 3, 1)], &rows).await.unwrap();
    ledger.end(&[claim], &[ended(&rows[0], RowState::Linked, 1)]).await.unwrap();
    let end = ledger.end(&[claim], &[ended(&rows[1], RowState::Linked, 2), ended(&rows[2], RowState::Linked, 1)]).await;
    assert!(matches!(end, Err(LedgerError::Damaged(_))), "{end:?}");
    assert_eq!(ledger.unfinished(&[claim], None).await.unwrap().len(), 2);
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap().len(), 1);
}

async fn a_waiting_row_knows_when_it_is_due_and_when_it_first_failed(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    ledger.back_off(&[claim], &[back_off(&row, 60_000)]).await.unwrap();
    let first = stored(ledger, row.key).await;
    assert!((30_000..=60_000).contains(&first.due_in_ms), "{}", first.due_in_ms);
    assert_eq!((first.spent_ms, first.attempts, first.state), (1234, ATTEMPTS, RowState::Accepted));
    assert!(first.first_failed_at.unwrap() > 1_700_000_000_000);
    ledger.back_off(&[claim], &[back_off(&row, 0)]).await.unwrap();
    let second = stored(ledger, row.key).await;
    assert_eq!((second.due_in_ms, second.first_failed_at), (0, first.first_failed_at));
    assert_eq!(ledger.unfinished(&[claim], None).await.unwrap()[0].first_failed_at, first.first_failed_at);
    let end = EndedRow { failed_ms_ago: Some(0), ..ended(&row, RowState::DeadLettered, 1) };
    ledger.end(&[claim], &[end]).await.unwrap();
    assert_eq!(stored(ledger, row.key).await.first_failed_at, first.first_failed_at);
}

async fn a_row_that_ends_without_a_wait_knows_when_it_first_failed(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let [failed, well] = [new_row(claim, 0, "a"), new_row(claim, 1, "b")];
    accept(ledger, claim, &failed).await;
    accept(ledger, claim, &well).await;
    let end = EndedRow { failed_ms_ago: Some(3_600_000), ..ended(&failed, RowState::DeadLettered, 1) };
    ledger.end(&[claim], &[end, ended(&well, RowState::Linked, 2)]).await.unwrap();
    let at = stored(ledger, failed.key).await.first_failed_at.unwrap();
    let ago = jiff::Timestamp::now().as_millisecond() - at;
    assert!((3_500_000..3_700_000).contains(&ago), "{ago} ms ago");
    assert_eq!(stored(ledger, well.key).await.first_failed_at, None);
}

/// Not when that was written: what is published tells the failure's own time.
async fn a_row_that_waits_was_first_known_to_fail_when_it_failed(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let [failed, well] = [new_row(claim, 0, "a"), new_row(claim, 1, "b")];
    accept(ledger, claim, &failed).await;
    accept(ledger, claim, &well).await;
    let waits = |row, failed_ms_ago| BackOffRow { failed_ms_ago, ..back_off(row, 0) };
    ledger.back_off(&[claim], &[waits(&failed, Some(3_600_000)), waits(&well, None)]).await.unwrap();
    let at = stored(ledger, failed.key).await.first_failed_at.unwrap();
    let ago = jiff::Timestamp::now().as_millisecond() - at;
    assert!((3_500_000..3_700_000).contains(&ago), "{ago} ms ago");
    assert_eq!(stored(ledger, well.key).await.first_failed_at, None, "it only waits");
    ledger.back_off(&[claim], &[waits(&failed, Some(7_200_000)), waits(&well, Some(0))]).await.unwrap();
    assert_eq!(stored(ledger, failed.key).await.first_failed_at, Some(at), "what was written first stays");
    assert!(stored(ledger, well.key).await.first_failed_at.is_some());
}

async fn published_results_leave_the_outbox_and_the_cursor_only_grows(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim, other] = raise(ledger, [0, 1]).await;
    for (claim, offset, id) in [(claim, 0, "a"), (claim, 1, "b"), (claim, 2, "c"), (other, 0, "d")] {
        let row = new_row(claim, offset, id);
        accept(ledger, claim, &row).await;
        ledger.end(&[claim], &[ended(&row, RowState::Linked, offset + 1)]).await.unwrap();
    }
    let numbers = async |beyond| {
        let waiting = ledger.unpublished(&[(claim, beyond), (other, beyond)]).await.unwrap();
        waiting.iter().map(|one| (one.lane.0, one.publish_seq.0)).collect::<Vec<_>>()
    };
    assert_eq!(numbers(0).await, [(0, 1), (0, 2), (0, 3), (1, 1)]);
    assert_eq!(numbers(1).await, [(0, 2), (0, 3)]);
    ledger.save_cursors(&[(claim, 2)]).await.unwrap();
    ledger.save_cursors(&[(claim, 1)]).await.unwrap();
    assert_eq!(numbers(0).await, [(0, 3), (1, 1)]);
    let lane = &ledger.raise("next", &[claim.lane]).await.unwrap()[0];
    assert_eq!((lane.saved_cursor, lane.last_seq), (2, 3));
}

async fn a_timeline_grows_with_each_write_and_has_a_limit(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    let timeline = async || ledger.find("a").await.unwrap().remove(0).timeline;
    assert_eq!(timeline().await, "");
    let waits = BackOffRow { timeline: "waits\n".to_owned(), ..back_off(&row, 10) };
    ledger.back_off(&[claim], &[waits]).await.unwrap();
    let converts = ConvertedRow { timeline: "converts\n".to_owned(), ..converted(&row) };
    ledger.converted(&[claim], &[converts]).await.unwrap();
    let ends = EndedRow { timeline: "x".repeat(20_000), ..ended(&row, RowState::Linked, 1) };
    for _ in 0..2 {
        // The repeat adds nothing.
        ledger.end(&[claim], std::slice::from_ref(&ends)).await.unwrap();
    }
    assert!(timeline().await.starts_with("waits\nconverts\nxxx"));
    assert_eq!(timeline().await.len(), 16_384);
}

async fn a_large_batch_is_one_write(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let rows: Vec<_> = (0..500).map(|offset| new_row(claim, offset, &format!("event {offset}"))).collect();
    let acceptance = ledger.accept(&[up_to(claim, 500, 1)], &rows).await.unwrap();
    assert!(said(&acceptance.rows).iter().all(|one| one == "new"));
    ledger.converted(&[claim], &rows.iter().map(converted).collect::<Vec<_>>()).await.unwrap();
    let unfinished = ledger.unfinished(&[claim], None).await.unwrap();
    assert_eq!(unfinished.iter().map(|row| row.offset).collect::<Vec<_>>(), (0..500).collect::<Vec<_>>());
    let ends: Vec<_> = rows.iter().map(|row| ended(row, RowState::Linked, row.offset + 1)).collect();
    ledger.end(&[claim], &ends).await.unwrap();
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap().len(), 500);
    assert!(ledger.unfinished(&[claim], None).await.unwrap().is_empty());
}
