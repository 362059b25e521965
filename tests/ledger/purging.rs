//! Retention: which rows may go, which must stay, and what goes with them.

use std::time::Duration;

use profile_linker::domain::EventKey;
use profile_linker::ledger::{Claim, Ledger, NewRow, NoteKind, Purge, RowState};
use sqlx::Executor;

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
    a_purge_looks_at_no_more_rows_than_it_is_told_to_the_oldest_first,
    rows_that_stay_are_looked_at_once,
    a_record_of_a_removed_row_is_accepted_anew,
    numbers_go_on_after_their_rows_are_removed,
);

/// Everything that has ended and is published, however lately.
const ALL: Purge =
    Purge { ended: Duration::ZERO, dead_lettered: Duration::ZERO, record: Duration::ZERO, after: None, limit: 1000 };
const HOUR: Duration = Duration::from_secs(3600);

async fn purged(ledger: &dyn Ledger, purge: Purge) -> u64 {
    ledger.purge(&purge).await.expect("a purge").removed
}

async fn publish(ledger: &dyn Ledger, claim: Claim, cursor: i64) {
    assert!(ledger.save_cursors(&[(claim, cursor)]).await.expect("saved").is_empty());
}

/// A row that was linked as its lane's result of this number, and published.
async fn linked(ledger: &dyn Ledger, claim: Claim, row: &NewRow, number: i64) {
    accept(ledger, claim, row).await;
    assert!(ledger.converted(&[claim], &[converted(row)]).await.expect("converted").is_empty());
    assert!(ledger.end(&[claim], &[ended(row, RowState::Linked, number)]).await.expect("ended").is_empty());
    publish(ledger, claim, number).await;
}

async fn is_there(ledger: &dyn Ledger, key: EventKey) -> bool {
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
    assert_eq!(removed, [0, 0, 1, 0], "and a full last batch is followed by an empty one");
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

/// Beside other sessions.
pub use beside::CASES as BESIDE_OTHERS;

mod beside {
    use super::*;
    use crate::interleavings::LIMIT;
    use crate::support::patience::eventually;

    crate::ledger_cases!(Postgres:
        a_purge_waits_for_nobody_and_passes_over_a_row_that_is_being_reopened,
        a_purge_holds_no_lane,
        old_rows_are_found_by_an_index_however_many_there_are,
    );

    async fn a_purge_waits_for_nobody_and_passes_over_a_row_that_is_being_reopened(stage: &Stage) {
        let ledger = stage.ledger().await;
        let [claim] = raise(&*ledger, [0]).await;
        let row = new_row(claim, 0, "a");
        dead_letter(&*ledger, claim, &row, 1).await;
        publish(&*ledger, claim, 1).await;
        let mut operator = stage.connection().await;
        operator.execute("BEGIN").await.expect("begun");
        operator.execute("SELECT 1 FROM lane FOR NO KEY UPDATE").await.expect("the lane is locked");
        operator.execute("UPDATE event SET state = 1, generation = 2").await.expect("reopened");
        assert_eq!(purged(&*ledger, ALL).await, 0, "passed over");
        operator.execute("COMMIT").await.expect("committed");
        assert_eq!(purged(&*ledger, ALL).await, 0, "unfinished again");
        assert!(is_there(&*ledger, row.key).await);
    }

    async fn a_purge_holds_no_lane(stage: &Stage) {
        let ledger = stage.ledger().await;
        let [claim] = raise(&*ledger, [0]).await;
        linked(&*ledger, claim, &new_row(claim, 0, "a"), 1).await;
        let mut worker = stage.connection().await;
        worker.execute("BEGIN").await.expect("begun");
        worker.execute("SELECT 1 FROM lane FOR UPDATE").await.expect("the lane is locked");
        assert_eq!(purged(&*ledger, ALL).await, 1, "nor waits for one");
    }

    async fn old_rows_are_found_by_an_index_however_many_there_are(stage: &Stage) {
        let ledger = stage.ledger().await;
        let [claim] = raise(&*ledger, [0]).await;
        linked(&*ledger, claim, &new_row(claim, 0, "a"), 1).await;
        stage
            .sql(
                "INSERT INTO input (key, lane, record_offset, record_timestamp, payload_hash)
                SELECT decode(md5(n::text), 'hex'), 0, n, n, '' FROM generate_series(1, 20000) n;
                INSERT INTO event (key, lane, epoch, state, possibly_sent, generation)
                SELECT key, 0, 1, 1, false, 1 FROM input WHERE key NOT IN (SELECT key FROM event);
                UPDATE input SET accepted_at = accepted_at - interval '1 day' WHERE payload_hash <> '';
                ANALYZE;",
            )
            .await;
        let mut operator = stage.connection().await;
        // Sessions report what they read when they end: only the purge's shall count.
        let others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
            AND application_name <> 'profile-linker' AND pid <> pg_backend_pid()";
        eventually("the other sessions have ended", LIMIT, async || {
            let others: i64 = sqlx::query_scalar(others).fetch_one(&mut operator).await.expect("a read");
            (others == 0).then_some(())
        })
        .await;
        operator.execute("SELECT pg_stat_reset()").await.expect("reset");
        assert_eq!(purged(&*ledger, Purge { limit: 10, ..ALL }).await, 1);
        drop(ledger);
        let read = "SELECT ARRAY[sum(seq_tup_read), sum(idx_tup_fetch)]::bigint[] FROM pg_stat_user_tables
            WHERE relname IN ('input', 'event')";
        let [one_by_one, by_index] = eventually("the server has counted", LIMIT, async || {
            let counts: Vec<i64> = sqlx::query_scalar(read).fetch_one(&mut operator).await.expect("a read");
            counts.try_into().ok().filter(|[_, by_index]: &[i64; 2]| *by_index > 0)
        })
        .await;
        assert!(one_by_one < 100, "{one_by_one} rows read one after the other");
        assert!(by_index < 100, "{by_index} for a batch of ten");
    }
}
