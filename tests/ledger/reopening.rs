//! An operator reopens dead-lettered rows.

use profile_linker::domain::{Epoch, System};
use profile_linker::ledger::{Act, NewRow, NoteKind, Reopening, RowState};

use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    a_reopened_row_is_accepted_again_as_the_next_generation_and_due_at_once,
    a_reopened_row_whose_token_is_known_is_converted,
    what_was_published_and_what_was_called_stays_with_a_reopened_row,
    only_a_dead_lettered_row_of_the_generation_that_was_seen_is_reopened,
    a_row_is_reopened_once_however_often_it_is_asked_for,
    each_reopened_row_has_a_note_and_an_audit_line,
    a_reopened_row_ends_again_under_a_new_number,
    a_repeated_end_of_before_does_not_end_a_reopened_row,
    a_row_whose_record_is_gone_is_not_reopened,
    a_replay_knows_whether_a_later_event_of_its_customer_was_linked,
);

async fn a_reopened_row_is_accepted_again_as_the_next_generation_and_due_at_once(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 5, "a");
    accept(ledger, claim, &row).await;
    ledger.back_off(&[claim], &[back_off(&row, 60_000)]).await.unwrap();
    ledger.started(&[claim], &[crate::starting::start(&row, 3)]).await.unwrap();
    ledger.end(&[claim], &[ended(&row, RowState::DeadLettered, 1)]).await.unwrap();
    let [owner] = raise(ledger, [0]).await;
    assert_eq!(ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap(), [row.key]);
    let [there] = &ledger.unfinished(&[owner], Some(&[row.key])).await.unwrap()[..] else { panic!("not unfinished") };
    assert_eq!((there.key, there.state, there.generation), (row.key, RowState::Accepted, 2));
    assert_eq!((there.due_in_ms, there.spent_ms, there.starts, there.publish_seq), (0, 0, 0, None));
    assert_eq!((there.epoch, owner.epoch), (Epoch(2), Epoch(2)));
    assert_eq!((&there.sealed_record, &there.sealed_token), (&row.sealed_record, &None));
}

async fn a_reopened_row_whose_token_is_known_is_converted(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    ledger.converted(&[claim], &[converted(&row)]).await.unwrap();
    ledger.end(&[claim], &[ended(&row, RowState::DeadLettered, 1)]).await.unwrap();
    ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap();
    let [there] = &ledger.unfinished(&[claim], Some(&[row.key])).await.unwrap()[..] else { panic!("not unfinished") };
    assert_eq!((there.state, there.generation), (RowState::Converted, 2));
    assert_eq!(there.sealed_token.as_deref(), Some(&b"sealed token"[..]));
    assert!(there.account.is_some());
    // The late repeat of the conversion finds itself.
    assert!(ledger.converted(&[claim], &[converted(&row)]).await.unwrap().is_empty());
}

async fn what_was_published_and_what_was_called_stays_with_a_reopened_row(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = profile_linker::ledger::NewRow { possibly_sent: true, ..new_row(claim, 0, "a") };
    accept(ledger, claim, &row).await;
    let mut wait = back_off(&row, 0);
    wait.timeline = "waits\n".to_owned();
    ledger.back_off(&[claim], &[wait]).await.unwrap();
    let end = ended(&row, RowState::DeadLettered, 1);
    ledger.end(&[claim], std::slice::from_ref(&end)).await.unwrap();
    let before = stored(ledger, row.key).await;
    ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap();
    let after = stored(ledger, row.key).await;
    assert_eq!((after.attempts, after.first_failed_at), (ATTEMPTS, before.first_failed_at));
    assert!(after.possibly_sent && after.first_failed_at.is_some());
    assert_eq!(ledger.find("a").await.unwrap()[0].timeline, "waits\n");
    let waiting = ledger.unpublished(&[(claim, 0)]).await.unwrap();
    assert_eq!((waiting.len(), &waiting[0].records), (1, &end.records));
    assert_eq!(stage.lines("SELECT CAST(publish_seq AS TEXT) FROM event").await, ["1"]);
    // No reason and no time of an end is told of what has not ended.
    let left = "SELECT key_of FROM (SELECT 'left' AS key_of FROM event
        WHERE ended_at IS NOT NULL OR reason_code IS NOT NULL OR reason_stage IS NOT NULL) AS found";
    assert!(stage.lines(left).await.is_empty());
}

async fn only_a_dead_lettered_row_of_the_generation_that_was_seen_is_reopened(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let rows: Vec<_> = (0..4).map(|offset| new_row(claim, offset, &format!("event {offset}"))).collect();
    ledger.accept(&[up_to(claim, 4, 1)], &rows).await.unwrap();
    let ends = [
        ended(&rows[0], RowState::Linked, 1),
        ended(&rows[1], RowState::Rejected, 2),
        ended(&rows[2], RowState::DeadLettered, 3),
    ];
    ledger.end(&[claim], &ends).await.unwrap();
    let mut asked: Vec<_> = [0, 1, 3].map(|n: usize| reopening(&rows[n], 1)).into();
    asked.extend([reopening(&rows[2], 0), reopening(&rows[2], 2), Reopening { key: key("none"), generation: 1 }]);
    assert!(ledger.reopen(&asked, &act()).await.unwrap().is_empty());
    for (row, state) in
        rows.iter().zip([RowState::Linked, RowState::Rejected, RowState::DeadLettered, RowState::Accepted])
    {
        let there = stored(ledger, row.key).await;
        assert_eq!((there.state, there.generation), (state, 1));
    }
    assert!(stage.audit().await.is_empty() && ledger.notes(&[claim]).await.unwrap().is_empty());
}

async fn a_row_is_reopened_once_however_often_it_is_asked_for(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(ledger, claim, &row, 1).await;
    let twice = [reopening(&row, 1), reopening(&row, 1)];
    assert_eq!(ledger.reopen(&twice, &act()).await.unwrap(), [row.key]);
    assert!(ledger.reopen(&twice, &act()).await.unwrap().is_empty(), "the repeat reopens nothing");
    assert_eq!(stored(ledger, row.key).await.generation, 2);
    assert_eq!((stage.audit().await.len(), ledger.notes(&[claim]).await.unwrap().len()), (1, 1));
}

async fn each_reopened_row_has_a_note_and_an_audit_line(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let claims = raise(ledger, [0, 1]).await;
    let rows = [new_row(claims[0], 0, "a"), new_row(claims[1], 0, "b")];
    for (claim, row) in claims.iter().zip(&rows) {
        dead_letter(ledger, *claim, row, 1).await;
    }
    ledger.reopen(&[reopening(&rows[0], 1)], &act()).await.unwrap();
    ledger.reopen(&[reopening(&rows[1], 1)], &Act { actor: "grace".to_owned(), why: None }).await.unwrap();
    let told = ledger.notes(&claims).await.unwrap();
    let told: Vec<_> = told.iter().map(|note| (note.lane, note.key, note.kind)).collect();
    let expected = [0, 1].map(|n: usize| (rows[n].lane, rows[n].key, NoteKind::Reopened));
    assert_eq!(told, expected);
    let lines =
        [format!("ada | replay | {:?} | it's fixed", rows[0].key), format!("grace | replay | {:?} | -", rows[1].key)];
    assert_eq!(stage.audit().await, lines);
}

async fn a_reopened_row_ends_again_under_a_new_number(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(ledger, claim, &row, 1).await;
    ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap();
    for _ in 0..2 {
        assert!(ledger.end(&[claim], &[ended(&row, RowState::Linked, 2)]).await.unwrap().is_empty());
    }
    let there = stored(ledger, row.key).await;
    assert_eq!((there.state, there.generation, there.sealed_record.len()), (RowState::Linked, 2, 0));
    let numbers: Vec<_> =
        ledger.unpublished(&[(claim, 0)]).await.unwrap().iter().map(|one| one.publish_seq.0).collect();
    assert_eq!(numbers, [1, 2]);
}

async fn a_repeated_end_of_before_does_not_end_a_reopened_row(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(ledger, claim, &row, 1).await;
    ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap();
    let end = ended(&row, RowState::DeadLettered, 1);
    assert!(ledger.end(&[claim], &[end]).await.unwrap().is_empty(), "it was applied, so its repeat is a success");
    let there = stored(ledger, row.key).await;
    assert_eq!((there.state, there.generation), (RowState::Accepted, 2));
    assert_eq!(ledger.unfinished(&[claim], Some(&[row.key])).await.unwrap().len(), 1);
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap().len(), 1);
}

async fn a_row_whose_record_is_gone_is_not_reopened(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    stage.sql("DELETE FROM sealed_record").await;
    assert!(ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap().is_empty());
    assert_eq!(stored(&*ledger, row.key).await.state, RowState::DeadLettered);
}

async fn a_replay_knows_whether_a_later_event_of_its_customer_was_linked(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let of = |customer: &str, offset: i64, id: &str| {
        let customer = Some(profile_linker::domain::Customer { system: System::Loanpro, id: customer.to_owned() });
        NewRow { customer, ..new_row(claim, offset, id) }
    };
    // Each customer by what became of another event: linked after it, linked before it, rejected after it, not ended.
    let rows = [of("2", 0, "earlier"), of("1", 1, "a"), of("2", 2, "b"), of("3", 3, "c"), of("4", 4, "d")];
    let others = [of("1", 5, "linked"), of("3", 6, "rejected"), of("4", 7, "unfinished")];
    for row in rows.iter().chain(&others) {
        accept(ledger, claim, row).await;
    }
    ledger.end(&[claim], &[ended(&rows[0], RowState::Linked, 1)]).await.unwrap();
    for (number, row) in (2..).zip(&rows[1..]) {
        ledger.end(&[claim], &[ended(row, RowState::DeadLettered, number)]).await.unwrap();
    }
    ledger
        .end(&[claim], &[ended(&others[0], RowState::Linked, 6), ended(&others[1], RowState::Rejected, 7)])
        .await
        .unwrap();
    let asked: Vec<_> = rows[1..].iter().map(|row| reopening(row, 1)).collect();
    assert_eq!(ledger.reopen(&asked, &act()).await.unwrap().len(), 4);
    let numbers: Vec<_> = ledger.notes(&[claim]).await.unwrap().iter().map(|note| note.number).collect();
    ledger.remove_notes(&[claim], &numbers).await.unwrap();
    let unfinished = ledger.unfinished(&[claim], None).await.unwrap();
    let overtaken: Vec<_> = unfinished.iter().filter(|row| row.overtaken).map(|row| row.key).collect();
    assert_eq!((unfinished.len(), overtaken), (5, vec![key("a")]));
    let [one] = &ledger.unfinished(&[claim], Some(&[key("a")])).await.unwrap()[..] else { panic!("not one") };
    assert!(one.overtaken, "also when it is asked for by its key");
}
