//! Retention: which rows may go, which must stay, and what goes with them.

use std::time::Duration;

use profile_linker::domain::EventKey;
use profile_linker::ledger::{Claim, Ledger, NewRow, NoteKind, Purge, RowState};

use super::rows::{
    accept, act, converted, dead_letter, ended, ending, key, new_row, raise, reopening, said, stored, up_to,
};
use super::stage::Stage;

crate::ledger_cases!(Both:
    an_old_row_goes_with_all_that_belongs_to_it,
    an_unfinished_row_stays_however_old_it_is,
    an_unpublished_row_stays_until_the_cursor_has_passed_it,
    a_row_stays_until_it_ended_long_enough_ago,
    a_dead_letter_stays_until_its_own_time_and_then_goes_with_its_secrets,
    a_reopened_row_stays,
    a_row_whose_record_is_young_stays,
    nothing_is_older_than_by_the_time_that_the_worker_believes_in,
    a_purge_looks_at_no_more_rows_than_it_is_told_to_the_oldest_first,
    rows_that_stay_are_looked_at_once,
    a_record_of_a_removed_row_is_accepted_anew,
    numbers_go_on_after_their_rows_are_removed,
);

/// Everything that has ended and is published, however lately.
pub const ALL: Purge =
    Purge { now_ms: i64::MAX, ended: NONE, dead_lettered: NONE, record: NONE, after: None, limit: 1000 };
const NONE: Duration = Duration::ZERO;
const HOUR: Duration = Duration::from_secs(3600);

pub async fn purged(ledger: &dyn Ledger, purge: Purge) -> u64 {
    ledger.purge(&purge).await.expect("a purge").removed
}

pub async fn publish(ledger: &dyn Ledger, claim: Claim, cursor: i64) {
    assert!(ledger.save_cursors(&[(claim, cursor)]).await.expect("saved").is_empty());
}

/// A row that was linked as its lane's result of this number, and published.
pub async fn linked(ledger: &dyn Ledger, claim: Claim, row: &NewRow, number: i64) {
    accept(ledger, claim, row).await;
    assert!(ledger.converted(&[claim], &[converted(row)]).await.expect("converted").is_empty());
    assert!(ledger.end(&[claim], &[ended(row, RowState::Linked, number)]).await.expect("ended").is_empty());
    publish(ledger, claim, number).await;
}

pub async fn is_there(ledger: &dyn Ledger, key: EventKey) -> bool {
    ledger.row(key).await.expect("a read").is_some()
}

/// How many rows there are of anything that belongs to an event.
async fn traces(stage: &Stage) -> Vec<String> {
    stage
        .lines(
            "SELECT CAST((SELECT count(*) FROM input) AS TEXT) || ' ' || (SELECT count(*) FROM event)
                || ' ' || (SELECT count(*) FROM sealed_record) || ' ' || (SELECT count(*) FROM sealed_token)
                || ' ' || (SELECT count(*) FROM note)",
        )
        .await
}

async fn an_old_row_goes_with_all_that_belongs_to_it(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    linked(&*ledger, claim, &row, 1).await;
    ledger.leave_notes(&[(row.key, NoteKind::LinkSent)]).await.expect("noted");
    assert_eq!(purged(&*ledger, ALL).await, 1);
    assert_eq!(traces(stage).await, ["0 0 0 0 0"]);
    assert_eq!(purged(&*ledger, ALL).await, 0, "once");
}

async fn an_unfinished_row_stays_however_old_it_is(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let (waiting, half) = (new_row(claim, 0, "a"), new_row(claim, 1, "b"));
    accept(&*ledger, claim, &waiting).await;
    accept(&*ledger, claim, &half).await;
    ledger.converted(&[claim], &[converted(&half)]).await.expect("converted");
    publish(&*ledger, claim, 9).await;
    assert_eq!(purged(&*ledger, ALL).await, 0);
    assert_eq!(ledger.unfinished(&[claim], None).await.expect("a read").len(), 2);
}

async fn an_unpublished_row_stays_until_the_cursor_has_passed_it(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim, other] = raise(&*ledger, [0, 1]).await;
    let row = new_row(claim, 0, "a");
    accept(&*ledger, claim, &row).await;
    ledger.end(&[claim], &[ended(&row, RowState::Linked, 2)]).await.expect("ended");
    publish(&*ledger, claim, 1).await;
    publish(&*ledger, other, 2).await;
    assert_eq!(purged(&*ledger, ALL).await, 0, "the cursor is below it");
    publish(&*ledger, claim, 2).await;
    assert_eq!(purged(&*ledger, ALL).await, 1);
}

async fn a_row_stays_until_it_ended_long_enough_ago(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    linked(&*ledger, claim, &row, 1).await;
    let hour = Purge { ended: HOUR, ..ALL };
    assert_eq!(purged(&*ledger, hour.clone()).await, 0, "just ended");
    // It waited for long and ended just now.
    age(stage, "input", "accepted_at").await;
    assert_eq!(purged(&*ledger, hour.clone()).await, 0, "the end counts, not the acceptance");
    age(stage, "event", "ended_at").await;
    assert_eq!(purged(&*ledger, Purge { ended: 3 * HOUR, ..hour.clone() }).await, 0, "two hours are not three");
    assert_eq!(purged(&*ledger, hour).await, 1);
}

/// Moves a time of all rows two hours back.
async fn age(stage: &Stage, table: &str, column: &str) {
    let sql = match (stage.is_sqlite(), table, column) {
        (true, "input", "accepted_at") => "UPDATE input SET accepted_at = accepted_at - 7200000",
        (true, "event", "ended_at") => "UPDATE event SET ended_at = ended_at - 7200000",
        (false, "input", "accepted_at") => "UPDATE input SET accepted_at = accepted_at - interval '2 hours'",
        (false, "event", "ended_at") => "UPDATE event SET ended_at = ended_at - interval '2 hours'",
        other => panic!("no such time: {other:?}"),
    };
    stage.sql(sql).await;
}

async fn a_dead_letter_stays_until_its_own_time_and_then_goes_with_its_secrets(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(&*ledger, claim, &row).await;
    ledger.converted(&[claim], &[converted(&row)]).await.expect("converted");
    ledger.end(&[claim], &[ended(&row, RowState::DeadLettered, 1)]).await.expect("ended");
    let at_once = ending(new_row(claim, 1, "b"), RowState::DeadLettered);
    ledger.accept(&[up_to(claim, 2, 2)], &[at_once]).await.expect("accepted");
    publish(&*ledger, claim, 2).await;
    assert_eq!(purged(&*ledger, Purge { dead_lettered: HOUR, ..ALL }).await, 0);
    assert_eq!(traces(stage).await, ["2 2 2 1 0"]);
    assert_eq!(purged(&*ledger, Purge { ended: HOUR, ..ALL }).await, 2, "its own time alone counts");
    assert_eq!(traces(stage).await, ["0 0 0 0 0"]);
}

async fn a_reopened_row_stays(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    publish(&*ledger, claim, 1).await;
    assert_eq!(ledger.reopen(&[reopening(&row, 1)], &act()).await.expect("reopened"), [row.key]);
    assert_eq!(purged(&*ledger, ALL).await, 0);
    assert_eq!(stored(&*ledger, row.key).await.generation, 2);
}

async fn a_row_whose_record_is_young_stays(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let now = jiff::Timestamp::now().as_millisecond();
    let (young, timeless) = (new_row(claim, 0, "young"), new_row(claim, 1, "timeless"));
    linked(&*ledger, claim, &NewRow { timestamp: now, ..young }, 1).await;
    linked(&*ledger, claim, &NewRow { timestamp: -1, ..timeless }, 2).await;
    assert_eq!(purged(&*ledger, Purge { record: HOUR, ..ALL }).await, 1);
    assert!(is_there(&*ledger, key("young")).await, "read again, it would not count as possibly sent");
    assert!(!is_there(&*ledger, key("timeless")).await, "a record without a time counts as old");
}

/// The database's clock may have been put forward: here all is two hours old by it, and an hour by what the worker believes.
async fn nothing_is_older_than_by_the_time_that_the_worker_believes_in(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let now = jiff::Timestamp::now().as_millisecond();
    let two_hours_ago = |row: NewRow| NewRow { timestamp: now - 7_200_000, ..row };
    let (row, letter) = (two_hours_ago(new_row(claim, 0, "a")), two_hours_ago(new_row(claim, 1, "b")));
    linked(&*ledger, claim, &row, 1).await;
    dead_letter(&*ledger, claim, &letter, 2).await;
    publish(&*ledger, claim, 2).await;
    age(stage, "input", "accepted_at").await;
    age(stage, "event", "ended_at").await;
    let believed = Purge { now_ms: now - 3_600_000, ..ALL };
    let long = 3 * HOUR / 2;
    for not_yet in [
        Purge { ended: long, dead_lettered: long, ..believed.clone() },
        Purge { record: long, ..believed.clone() },
        Purge { now_ms: 0, ..ALL },
        Purge { now_ms: i64::MIN, ..ALL },
    ] {
        assert_eq!(purged(&*ledger, not_yet.clone()).await, 0, "{not_yet:?}");
    }
    assert_eq!(purged(&*ledger, Purge { ended: long, ..believed.clone() }).await, 1, "the dead letter");
    assert_eq!(purged(&*ledger, Purge { ended: long, now_ms: now, ..ALL }).await, 1, "the other one");
}

async fn a_purge_looks_at_no_more_rows_than_it_is_told_to_the_oldest_first(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    for number in 1..=5 {
        linked(&*ledger, claim, &new_row(claim, number, &format!("{number}")), number).await;
        // A clock of milliseconds must move on, or the keys decide what is oldest.
        age(stage, "input", "accepted_at").await;
    }
    let two = Purge { limit: 2, ..ALL };
    for (left, removed) in [(3, 2), (1, 2), (0, 1), (0, 0)] {
        assert_eq!(purged(&*ledger, two.clone()).await, removed);
        let mut there = Vec::new();
        for number in 1..=5 {
            if is_there(&*ledger, key(&format!("{number}"))).await {
                there.push(number);
            }
        }
        assert_eq!(there, Vec::from_iter(6 - left..=5), "the oldest went first");
    }
}

async fn rows_that_stay_are_looked_at_once(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    // Of one time: the key tells them apart.
    let rows: Vec<NewRow> = (0..5).map(|offset| new_row(claim, offset, &format!("{offset}"))).collect();
    ledger.accept(&[up_to(claim, 5, 1)], &rows).await.expect("accepted");
    linked(&*ledger, claim, &new_row(claim, 5, "last"), 1).await;
    let mut purge = Purge { limit: 2, ..ALL };
    let mut removed = Vec::new();
    loop {
        let purged = ledger.purge(&purge).await.expect("a purge");
        removed.push(purged.removed);
        purge.after = purged.next;
        if purged.next.is_none() {
            break;
        }
        assert!(removed.len() < 9, "it goes round in circles");
    }
    // In which batch the one goes is the keys' to say, where all were accepted within a millisecond.
    assert_eq!(
        (removed.len(), removed.iter().sum::<u64>()),
        (4, 1),
        "three full batches and an empty one: {removed:?}"
    );
}

async fn a_record_of_a_removed_row_is_accepted_anew(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    linked(&*ledger, claim, &row, 1).await;
    let again = |row: &NewRow| [NewRow { possibly_sent: true, ..row.clone() }];
    let known = ledger.accept(&[up_to(claim, 1, 2)], &again(&row)).await.expect("accepted");
    assert_eq!(said(&known.rows), ["ours"]);
    assert_eq!(purged(&*ledger, ALL).await, 1);
    let anew = ledger.accept(&[up_to(claim, 1, 2)], &again(&row)).await.expect("accepted");
    assert_eq!(said(&anew.rows), ["new"]);
    assert!(stored(&*ledger, row.key).await.possibly_sent);
    assert_eq!(purged(&*ledger, ALL).await, 0, "it is unfinished");
}

async fn numbers_go_on_after_their_rows_are_removed(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    linked(&*ledger, claim, &new_row(claim, 0, "a"), 7).await;
    assert_eq!(purged(&*ledger, ALL).await, 1);
    let lane = ledger.raise("next", &[claim.lane]).await.expect("a raise").remove(0);
    assert_eq!((lane.position, lane.saved_cursor, lane.last_seq), (Some(1), 7, 7));
}
