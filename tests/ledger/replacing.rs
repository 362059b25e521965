//! An edited event takes a dead letter's place.

use std::sync::Arc;

use profile_linker::domain::{Customer, System};
use profile_linker::ledger::{
    AuditFilter, AuditFrom, Claim, DeadLetterFilter, DeadLetters, Ledger, LetterState, NewRow, NoteKind, Replacement,
    RowState,
};

use crate::purging::{ALL, publish, purged};
use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    an_edited_event_is_accepted_in_the_place_of_the_dead_letter_which_is_discarded,
    an_edited_event_keeps_the_permanent_token_that_is_known,
    only_a_dead_letter_of_the_generation_that_was_seen_is_replaced_and_once,
    a_replaced_dead_letter_is_neither_restored_nor_replayed,
    the_audit_and_both_stories_tell_of_an_edit,
    an_edited_event_is_a_replay_and_knows_whether_it_was_overtaken,
    an_edited_event_is_overtaken_by_a_later_one_in_the_partition_of_the_customer_that_it_names,
    an_edited_event_that_is_dead_lettered_is_listed_and_can_be_edited_again,
    a_replacement_goes_with_its_rows,
);

/// A ledger by both ports, with one dead letter `a`.
async fn one(stage: &Stage) -> (Arc<dyn Ledger>, Arc<dyn DeadLetters>, Claim, NewRow) {
    drop(stage.ledger().await);
    let (ledger, letters) = stage.open_with_dead_letters().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 5, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    (ledger, letters, claim, row)
}

pub fn replacement(row: &NewRow, generation: i32, id: &str) -> Replacement {
    Replacement {
        replaced: reopening(row, generation),
        identity: identity(id),
        customer: Customer { system: System::Loanpro, id: "43".to_owned() },
        payload_hash: [9; 32],
        sealed_record: format!("sealed record {id}").into_bytes(),
        sealed_token: None,
        possibly_sent: false,
        markers: vec![identity("a").title_marker()],
    }
}

/// The edited event's row is purged.
const GONE: &str = "
DELETE FROM replacement WHERE key IN (SELECT replaced_by FROM dead_letter);
DELETE FROM note WHERE key IN (SELECT replaced_by FROM dead_letter);
DELETE FROM sealed_record WHERE key IN (SELECT replaced_by FROM dead_letter);
DELETE FROM event WHERE key IN (SELECT replaced_by FROM dead_letter);
DELETE FROM input WHERE key IN (SELECT replaced_by FROM dead_letter);";

fn any() -> DeadLetterFilter {
    DeadLetterFilter { states: LetterState::ALL.to_vec(), ..DeadLetterFilter::default() }
}

async fn an_edited_event_is_accepted_in_the_place_of_the_dead_letter_which_is_discarded(stage: &Stage) {
    let (ledger, letters, _, row) = one(stage).await;
    let [owner] = raise(&*ledger, [0]).await;
    assert!(letters.replace(&replacement(&row, 1, "b"), &act()).await.unwrap());
    assert!(ledger.unfinished(&[owner], None).await.unwrap().is_empty(), "it is left to its note");
    let [there] = &ledger.unfinished(&[owner], Some(&[key("b")])).await.unwrap()[..] else { panic!("not unfinished") };
    assert_eq!((there.key, there.state, there.generation), (key("b"), RowState::Accepted, 1));
    assert_eq!((there.lane, there.offset, there.timestamp), (row.lane, row.offset, row.timestamp));
    assert_eq!((there.epoch, there.due_in_ms, there.possibly_sent), (owner.epoch, 0, false));
    assert_eq!(there.sealed_record, b"sealed record b");
    assert_eq!(there.replaced_markers, [identity("a").title_marker()]);
    let notes = ledger.notes(&[owner]).await.unwrap();
    let [note] = &notes[..] else { panic!("{notes:?}") };
    assert_eq!((note.key, note.kind), (key("b"), NoteKind::Reopened));
    let found = ledger.find("b").await.unwrap();
    assert_eq!(found[0].customer.as_ref().unwrap().id, "43");
    let [old] = &letters.page(&any(), None, 10).await.unwrap()[..] else { panic!("not one") };
    assert_eq!((old.key, old.state, old.generation), (row.key, LetterState::Discarded, 1));
}

async fn an_edited_event_keeps_the_permanent_token_that_is_known(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(&*ledger, claim, &row).await;
    ledger.converted(&[claim], &[converted(&row)]).await.unwrap();
    ledger.end(&[claim], &[ended(&row, RowState::DeadLettered, 1)]).await.unwrap();
    drop(ledger);
    let (ledger, letters) = stage.open_with_dead_letters().await;
    let token = Some(b"sealed anew".to_vec());
    let asked = Replacement { sealed_token: token.clone(), possibly_sent: true, ..replacement(&row, 1, "b") };
    assert!(letters.replace(&asked, &act()).await.unwrap());
    let there = stored(&*ledger, key("b")).await;
    assert_eq!((there.state, &there.sealed_token, there.possibly_sent), (RowState::Converted, &token, true));
    assert_eq!(there.account, Some(converted(&row).account));
    assert_eq!(
        stored(&*ledger, row.key).await.sealed_token,
        Some(converted(&row).sealed_token),
        "the old one keeps its"
    );
}

async fn only_a_dead_letter_of_the_generation_that_was_seen_is_replaced_and_once(stage: &Stage) {
    let (ledger, letters, claim, row) = one(stage).await;
    let usual = new_row(claim, 6, "usual");
    accept(&*ledger, claim, &usual).await;
    for asked in
        [replacement(&row, 2, "b"), replacement(&usual, 1, "b"), replacement(&new_row(claim, 9, "none"), 1, "b")]
    {
        assert!(!letters.replace(&asked, &act()).await.unwrap());
    }
    // An id that is taken belongs to another event.
    assert!(!letters.replace(&replacement(&row, 1, "usual"), &act()).await.unwrap());
    letters.discard(&[reopening(&row, 1)], &act()).await.unwrap();
    assert!(!letters.replace(&replacement(&row, 1, "b"), &act()).await.unwrap(), "it is set aside");
    letters.restore(&[reopening(&row, 1)], &act()).await.unwrap();
    ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap();
    assert!(!letters.replace(&replacement(&row, 2, "b"), &act()).await.unwrap(), "it is being replayed");
    ledger.end(&[claim], &[ended(&row, RowState::DeadLettered, 2)]).await.unwrap();
    assert!(ledger.row(key("b")).await.unwrap().is_none());
    assert!(letters.replace(&replacement(&row, 2, "b"), &act()).await.unwrap());
    assert!(!letters.replace(&replacement(&row, 2, "c"), &act()).await.unwrap(), "once");
    drop((ledger, letters));
    let edits = stage.audit().await.into_iter().filter(|line| line.contains("| edit |")).count();
    assert_eq!(edits, 1, "what was not done is not in the audit");
}

async fn a_replaced_dead_letter_is_neither_restored_nor_replayed(stage: &Stage) {
    let (ledger, letters, _, row) = one(stage).await;
    assert!(letters.replace(&replacement(&row, 1, "b"), &act()).await.unwrap());
    assert!(letters.restore(&[reopening(&row, 1)], &act()).await.unwrap().is_empty());
    assert!(ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap().is_empty());
    assert_eq!(stored(&*ledger, row.key).await.state, RowState::DeadLettered);
}

async fn the_audit_and_both_stories_tell_of_an_edit(stage: &Stage) {
    let (ledger, letters, _, row) = one(stage).await;
    drop(ledger);
    assert!(letters.replace(&replacement(&row, 1, "b"), &act()).await.unwrap());
    let lines = letters.audit(&AuditFilter::default(), AuditFrom::Latest, 10).await.unwrap();
    let [line] = &lines[..] else { panic!("{lines:?}") };
    assert_eq!((line.actor.as_str(), line.act.as_str(), line.why.as_deref()), ("ada", "edit", Some("it's fixed")));
    assert_eq!((line.event_id.as_deref(), line.target.clone()), (Some("a"), format!("{:?}", row.key)));
    let [old, new] = [letters.story(row.key).await.unwrap().unwrap(), letters.story(key("b")).await.unwrap().unwrap()];
    assert_eq!((old.replaces.as_deref(), old.replaced_by.as_deref(), old.is_replaced), (None, Some("b"), true));
    assert_eq!((new.replaces.as_deref(), new.replaced_by.as_deref(), new.is_replaced), (Some("a"), None, false));
    // The edited event's row may go first: the first one is replaced all the same.
    drop(letters);
    stage.sql(GONE).await;
    let (_, letters) = stage.open_with_dead_letters().await;
    let left = letters.story(row.key).await.unwrap().unwrap();
    assert_eq!((left.replaced_by, left.is_replaced), (None, true));
}

async fn an_edited_event_is_a_replay_and_knows_whether_it_was_overtaken(stage: &Stage) {
    let (ledger, letters, claim, row) = one(stage).await;
    let customer = Some(Customer { system: System::Loanpro, id: "43".to_owned() });
    let later = NewRow { customer, ..new_row(claim, 6, "later") };
    accept(&*ledger, claim, &later).await;
    assert!(letters.replace(&replacement(&row, 1, "b"), &act()).await.unwrap());
    let told = async || ledger.unfinished(&[claim], Some(&[key("b")])).await.unwrap()[0].clone();
    assert!(told().await.is_replay() && !told().await.overtaken);
    ledger.end(&[claim], &[ended(&later, RowState::Linked, 2)]).await.unwrap();
    assert!(told().await.overtaken, "it was linked to the customer that the edited event names");
    let usual = new_row(claim, 7, "usual");
    accept(&*ledger, claim, &usual).await;
    assert!(!stored(&*ledger, usual.key).await.is_replay());
}

async fn an_edited_event_is_overtaken_by_a_later_one_in_the_partition_of_the_customer_that_it_names(stage: &Stage) {
    let (ledger, letters, _, row) = one(stage).await;
    let [own, other] = raise(&*ledger, [0, 1]).await;
    let customer = replacement(&row, 1, "b").customer;
    // Of a smaller offset than the dead letter's, since it stands in another partition.
    for (number, id) in (1..).zip(["before", "after"]) {
        let there = NewRow { customer: Some(customer.clone()), ..new_row(other, number, id) };
        accept(&*ledger, other, &there).await;
        ledger.end(&[other], &[ended(&there, RowState::Linked, number)]).await.unwrap();
    }
    let an_hour_before = match stage.is_sqlite() {
        true => "UPDATE input SET accepted_at = accepted_at - 3600000 WHERE id IN ('before', 'after')",
        false => "UPDATE input SET accepted_at = accepted_at - interval '1 hour' WHERE id IN ('before', 'after')",
    };
    stage.sql(an_hour_before).await;
    assert!(letters.replace(&replacement(&row, 1, "b"), &act()).await.unwrap());
    let told = async || ledger.unfinished(&[own], Some(&[key("b")])).await.unwrap()[0].clone();
    assert!(!told().await.overtaken, "both were accepted before it");
    stage.sql("UPDATE input SET accepted_at = (SELECT max(accepted_at) FROM input) WHERE id = 'after'").await;
    assert!(told().await.overtaken);
}

async fn an_edited_event_that_is_dead_lettered_is_listed_and_can_be_edited_again(stage: &Stage) {
    let (ledger, letters, claim, row) = one(stage).await;
    assert!(letters.replace(&replacement(&row, 1, "b"), &act()).await.unwrap());
    let edited = NewRow { customer: replacement(&row, 1, "b").customer.into(), ..new_row(claim, 5, "b") };
    assert!(ledger.end(&[claim], &[ended(&edited, RowState::DeadLettered, 2)]).await.unwrap().is_empty());
    let open = DeadLetterFilter { states: vec![LetterState::DeadLettered], ..DeadLetterFilter::default() };
    let [there] = &letters.page(&open, None, 10).await.unwrap()[..] else { panic!("not one") };
    assert_eq!((there.key, there.generation, there.lane, there.offset), (key("b"), 1, row.lane, row.offset));
    let markers = vec![identity("b").title_marker(), identity("a").title_marker()];
    let again = Replacement { markers: markers.clone(), ..replacement(&edited, 1, "c") };
    assert!(letters.replace(&again, &act()).await.unwrap());
    assert_eq!(stored(&*ledger, key("c")).await.replaced_markers, markers, "of all that it replaced");
    // A replay of an edited event knows them still.
    let last = new_row(claim, 5, "c");
    ledger.end(&[claim], &[ended(&last, RowState::DeadLettered, 3)]).await.unwrap();
    ledger.reopen(&[reopening(&last, 1)], &act()).await.unwrap();
    let [there] = &ledger.unfinished(&[claim], Some(&[key("c")])).await.unwrap()[..] else { panic!("not unfinished") };
    assert_eq!((there.generation, &there.replaced_markers), (2, &markers));
}

async fn a_replacement_goes_with_its_rows(stage: &Stage) {
    let (ledger, letters, claim, row) = one(stage).await;
    assert!(letters.replace(&replacement(&row, 1, "b"), &act()).await.unwrap());
    let edited = new_row(claim, 5, "b");
    ledger.end(&[claim], &[ended(&edited, RowState::Linked, 2)]).await.unwrap();
    publish(&*ledger, claim, 2).await;
    assert_eq!(purged(&*ledger, ALL).await, 2);
    drop((ledger, letters));
    let left = "SELECT CAST((SELECT count(*) FROM replacement) + (SELECT count(*) FROM dead_letter)
        + (SELECT count(*) FROM note) + (SELECT count(*) FROM event) AS TEXT)";
    assert_eq!(stage.lines(left).await, ["0"]);
}
