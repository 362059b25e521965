//! Acceptance: what is new, what stands there, which positions are stored, how results are numbered.

use profile_linker::domain::{EventKey, PublishSeq};
use profile_linker::ledger::{Accepted, LedgerError, NewRow, RowState};

use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    a_new_record_is_stored_and_moves_the_position,
    the_same_record_again_is_ours_with_its_sealed_bytes,
    the_same_event_at_another_place_is_a_duplicate_or_a_conflict,
    the_same_offset_of_a_topic_made_anew_is_not_ours,
    a_position_is_stored_only_where_all_rows_of_the_lane_were_inserted,
    a_batch_without_rows_stores_positions_and_they_never_go_back,
    two_records_of_one_key_in_one_batch_are_told_apart,
    rows_that_end_at_once_are_numbered_without_a_gap_in_the_order_given,
    a_row_that_ends_at_once_keeps_its_secrets_only_as_a_dead_letter,
    a_repeated_acceptance_finds_its_rows_with_their_numbers,
    records_without_identity_are_stored_and_never_found_by_name,
    a_row_without_a_claim_to_its_lane_is_an_error,
    an_event_is_found_by_its_id_whatever_its_source,
    identities_of_the_longest_and_oddest_kind_are_stored,
);

async fn a_new_record_is_stored_and_moves_the_position(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let new = NewRow { possibly_sent: true, generation: 3, ..new_row(claim, 10, "a") };
    accept(ledger, claim, &new).await;
    let row = stored(ledger, new.key).await;
    assert_eq!((row.key, row.lane, row.epoch), (new.key, claim.lane, claim.epoch));
    assert_eq!((row.offset, row.timestamp), (new.offset, new.timestamp));
    assert_eq!((row.state, row.generation, row.possibly_sent), (RowState::Accepted, 3, true));
    assert_eq!((row.due_in_ms, row.spent_ms, row.first_failed_at, row.publish_seq), (0, 0, None, None));
    assert_eq!((row.sealed_record, row.sealed_token, row.account), (new.sealed_record, None, None));
    assert_eq!(row.attempts, Default::default());
    assert_eq!(position(ledger, 0).await, Some(11));
}

async fn the_same_record_again_is_ours_with_its_sealed_bytes(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    ledger.converted(&[claim], &[converted(&row)]).await.unwrap();
    let again = ledger.accept(&[up_to(claim, 1, 1)], std::slice::from_ref(&row)).await.unwrap();
    let [Accepted::Ours(ours)] = &again.rows[..] else { panic!("{:?}", again.rows) };
    assert_eq!(ours.state, RowState::Converted);
    assert_eq!(ours.sealed_record, row.sealed_record);
    assert_eq!(ours.sealed_token.as_deref(), Some(&b"sealed token"[..]));
}

async fn the_same_event_at_another_place_is_a_duplicate_or_a_conflict(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [one, two] = raise(ledger, [0, 1]).await;
    accept(ledger, one, &new_row(one, 0, "a")).await;
    let rows = [new_row(one, 1, "a"), conflicting(new_row(one, 2, "a")), new_row(two, 0, "a")];
    let acceptance = ledger.accept(&[up_to(one, 3, 1), up_to(two, 1, 1)], &rows).await.unwrap();
    assert_eq!(said(&acceptance.rows), ["duplicate", "conflict", "duplicate"]);
}

async fn the_same_offset_of_a_topic_made_anew_is_not_ours(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(ledger, claim, &row).await;
    let later = NewRow { timestamp: row.timestamp + 1, ..row };
    let acceptance = ledger.accept(&[up_to(claim, 1, 1)], &[later]).await.unwrap();
    assert_eq!(said(&acceptance.rows), ["duplicate"]);
}

async fn a_position_is_stored_only_where_all_rows_of_the_lane_were_inserted(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [one, two] = raise(ledger, [0, 1]).await;
    accept(ledger, one, &new_row(one, 0, "a")).await;
    let rows = [new_row(one, 1, "b"), conflicting(new_row(one, 2, "a")), new_row(two, 0, "c")];
    let acceptance = ledger.accept(&[up_to(one, 3, 1), up_to(two, 1, 1)], &rows).await.unwrap();
    assert_eq!(said(&acceptance.rows), ["new", "conflict", "new"]);
    assert_eq!(position(ledger, 0).await, Some(1));
    assert_eq!(position(ledger, 1).await, Some(1));
    let [one] = raise(ledger, [0]).await;
    let conflict =
        ending(NewRow { key: EventKey([9; 16]), identity: None, ..new_row(one, 2, "a") }, RowState::Rejected);
    let acceptance = ledger.accept(&[up_to(one, 3, 1)], &[conflict]).await.unwrap();
    assert_eq!(said(&acceptance.rows), ["new as 1"]);
    assert_eq!(position(ledger, 0).await, Some(3));
}

async fn a_batch_without_rows_stores_positions_and_they_never_go_back(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [one, two] = raise(ledger, [0, 1]).await;
    for (first, second) in [(5, 7), (4, 8)] {
        let acceptance = ledger.accept(&[up_to(one, first, 1), up_to(two, second, 1)], &[]).await.unwrap();
        assert!(acceptance.rows.is_empty() && acceptance.refused.is_empty());
    }
    assert_eq!(position(ledger, 0).await, Some(5));
    assert_eq!(position(ledger, 1).await, Some(8));
}

async fn two_records_of_one_key_in_one_batch_are_told_apart(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let rows = [new_row(claim, 0, "a"), new_row(claim, 1, "a"), conflicting(new_row(claim, 2, "a"))];
    let acceptance = ledger.accept(&[up_to(claim, 3, 1)], &rows).await.unwrap();
    assert_eq!(said(&acceptance.rows), ["new", "duplicate", "conflict"]);
    assert_eq!(stored(ledger, rows[0].key).await.offset, 0);
    assert_eq!(position(ledger, 0).await, None);
}

async fn rows_that_end_at_once_are_numbered_without_a_gap_in_the_order_given(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [one, two] = raise(ledger, [0, 1]).await;
    accept(ledger, one, &new_row(one, 0, "there")).await;
    let mut rows: Vec<_> =
        (1..=20).map(|offset| ending(new_row(one, offset, &format!("bad {offset}")), RowState::Rejected)).collect();
    rows[4] = new_row(one, 5, "good");
    rows[9] = ending(new_row(one, 10, "there"), RowState::Rejected);
    rows.push(ending(new_row(two, 0, "other"), RowState::DeadLettered));
    let acceptance = ledger.accept(&[up_to(one, 21, 40), up_to(two, 1, 7)], &rows).await.unwrap();
    let mut expected: Vec<_> = (40..=43).map(|number| format!("new as {number}")).collect();
    expected.push("new".to_owned());
    expected.extend((44..=47).map(|number| format!("new as {number}")));
    expected.push("duplicate".to_owned());
    expected.extend((48..=57).map(|number| format!("new as {number}")));
    expected.push("new as 7".to_owned());
    assert_eq!(said(&acceptance.rows), expected);
    let waiting = ledger.unpublished(&[(one, 0)]).await.unwrap();
    assert_eq!(waiting.iter().map(|one| one.publish_seq.0).collect::<Vec<_>>(), (40..=57).collect::<Vec<_>>());
    assert_eq!(waiting[4].records[0].value, b"result of bad 6");
    assert_eq!(stored(ledger, key("bad 6")).await.publish_seq, Some(PublishSeq(44)));
}

async fn a_row_that_ends_at_once_keeps_its_secrets_only_as_a_dead_letter(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let rows = [
        ending(new_row(claim, 0, "rejected"), RowState::Rejected),
        ending(new_row(claim, 1, "dead"), RowState::DeadLettered),
    ];
    ledger.accept(&[up_to(claim, 2, 1)], &rows).await.unwrap();
    let (rejected, dead) = (stored(ledger, rows[0].key).await, stored(ledger, rows[1].key).await);
    assert_eq!((rejected.state, rejected.sealed_record.len()), (RowState::Rejected, 0));
    assert_eq!((dead.state, dead.sealed_record), (RowState::DeadLettered, rows[1].sealed_record.clone()));
    assert!(ledger.unfinished(&[claim], None).await.unwrap().is_empty());
}

async fn a_repeated_acceptance_finds_its_rows_with_their_numbers(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let rows = [ending(new_row(claim, 0, "a"), RowState::Rejected), new_row(claim, 1, "b")];
    for _ in 0..2 {
        ledger.accept(&[up_to(claim, 2, 1)], &rows).await.unwrap();
    }
    let again = ledger.accept(&[up_to(claim, 2, 1)], &rows).await.unwrap();
    let [Accepted::Ours(first), Accepted::Ours(second)] = &again.rows[..] else { panic!("{:?}", again.rows) };
    assert_eq!((first.publish_seq, second.publish_seq), (Some(PublishSeq(1)), None));
    assert_eq!(ledger.unpublished(&[(claim, 0)]).await.unwrap().len(), 1);
}

async fn records_without_identity_are_stored_and_never_found_by_name(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let nameless = |offset, key| NewRow { key: EventKey([key; 16]), identity: None, ..new_row(claim, offset, "a") };
    let rows = [nameless(0, 1), nameless(1, 2)].map(|row| ending(row, RowState::DeadLettered));
    let acceptance = ledger.accept(&[up_to(claim, 2, 1)], &rows).await.unwrap();
    assert_eq!(said(&acceptance.rows), ["new as 1", "new as 2"]);
    assert!(ledger.find("a").await.unwrap().is_empty());
}

async fn a_row_without_a_claim_to_its_lane_is_an_error(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [one, two] = raise(ledger, [0, 1]).await;
    let accepted = ledger.accept(&[up_to(one, 1, 1)], &[new_row(two, 0, "a")]).await.map(drop);
    assert!(matches!(accepted, Err(LedgerError::Damaged(_))));
    assert!(ledger.row(key("a")).await.unwrap().is_none());
}

async fn an_event_is_found_by_its_id_whatever_its_source(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let mut other = new_row(claim, 1, "a");
    other.identity = Some(profile_linker::domain::EventIdentity { source: "other".to_owned(), ..identity("a") });
    other.key = other.identity.as_ref().unwrap().key();
    other.customer = None;
    let rows = [new_row(claim, 0, "a"), other, ending(new_row(claim, 2, "b"), RowState::DeadLettered)];
    ledger.accept(&[up_to(claim, 3, 1)], &rows).await.unwrap();
    let ended = ledger.find("b").await.unwrap().remove(0);
    assert!(ended.ended_at.is_some_and(|at| at >= ended.accepted_at), "{ended:?}");
    assert_eq!(ended.reason.as_deref(), Some("invalid_event"));
    let found = ledger.find("a").await.unwrap();
    assert_eq!((found[0].ended_at, &found[0].reason), (None, &None));
    assert_eq!(found.iter().map(|one| one.key).collect::<Vec<_>>(), [rows[0].key, rows[1].key]);
    assert_eq!((&found[0].customer, &found[0].identity), (&rows[0].customer, &identity("a")));
    assert_eq!((&found[1].customer, found[1].state, found[1].generation), (&None, RowState::Accepted, 1));
    assert!(ledger.find("none\0such").await.unwrap().is_empty());
}

async fn identities_of_the_longest_and_oddest_kind_are_stored(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let odd = ["x".repeat(512), "ÿ".repeat(256), "'; --\"{},\\".to_owned(), "NULL".to_owned()];
    let rows: Vec<_> = (0..).zip(&odd).map(|(offset, id)| new_row(claim, offset, id)).collect();
    ledger.accept(&[up_to(claim, 4, 1)], &rows).await.unwrap();
    for id in &odd {
        assert_eq!(ledger.find(id).await.unwrap()[0].identity, identity(id));
    }
}
