//! Acts on dead letters beside other writes, which only PostgreSQL has.

use std::sync::Arc;
use std::time::Duration;

use profile_linker::ledger::{
    DeadLetter, DeadLetterFilter, DeadLetters, Ledger, LedgerError, LetterState, RowState, Serves,
};

use crate::interleavings::{run, waiting};
use crate::purging_beside::rows_read;
use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Postgres:
    a_replay_that_waited_for_a_discarding_replays_nothing,
    a_discarding_that_waited_for_a_replay_discards_nothing,
    what_workers_of_the_version_before_ended_is_listed_after_the_next_start,
    a_page_of_a_table_that_has_just_filled_is_read_along_an_index,
    a_ledger_that_does_not_answer_is_told_of_within_35_seconds,
    what_ends_at_once_is_listed_also_where_a_worker_of_the_version_before_left_its_old_line,
);

/// A ledger by both ports, with one dead letter.
async fn one(stage: &Stage) -> (Arc<dyn Ledger>, Arc<dyn DeadLetters>, profile_linker::ledger::NewRow) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    (ledger, stage.open_with_dead_letters().await.1, row)
}

async fn a_replay_that_waited_for_a_discarding_replays_nothing(stage: &Stage) {
    let (ledger, letters, row) = one(stage).await;
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE").await;
    let asked = reopening(&row, 1);
    let discarded = tokio::spawn(async move { letters.discard(&[asked], &act()).await.unwrap() });
    waiting(stage, 1).await;
    let reopened = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.reopen(&[asked], &act()).await.unwrap() }
    });
    waiting(stage, 2).await;
    run(&mut blocker, "COMMIT").await;
    // Either may have come first, but not both.
    let (discarded, reopened) = (discarded.await.unwrap(), reopened.await.unwrap());
    assert_eq!(discarded.len() + reopened.len(), 1, "{discarded:?} {reopened:?}");
    let expected = if reopened.is_empty() { RowState::DeadLettered } else { RowState::Accepted };
    assert_eq!(stored(&*ledger, row.key).await.state, expected);
    assert_eq!(stage.audit().await.len(), 1);
}

async fn a_discarding_that_waited_for_a_replay_discards_nothing(stage: &Stage) {
    let (ledger, letters, row) = one(stage).await;
    let mut reader = stage.connection().await;
    run(&mut reader, "BEGIN; SELECT 1 FROM event FOR UPDATE").await;
    let asked = reopening(&row, 1);
    let reopened = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.reopen(&[asked], &act()).await.unwrap() }
    });
    waiting(stage, 1).await;
    let discarded = tokio::spawn(async move { letters.discard(&[asked], &act()).await.unwrap() });
    // It waits for the replay's lane.
    waiting(stage, 2).await;
    run(&mut reader, "COMMIT").await;
    assert_eq!(reopened.await.unwrap(), [row.key]);
    assert!(discarded.await.unwrap().is_empty());
    assert_eq!(stage.audit().await.len(), 1);
}

async fn what_workers_of_the_version_before_ended_is_listed_after_the_next_start(stage: &Stage) {
    let (ledger, letters, row) = one(stage).await;
    let [claim] = raise(&*ledger, [0]).await;
    let linked = new_row(claim, 1, "linked");
    dead_letter(&*ledger, claim, &linked, 2).await;
    ledger.reopen(&[reopening(&linked, 1)], &act()).await.unwrap();
    // What such a worker does, who does not know the table: it dead-letters one, and links the other.
    stage.sql("DELETE FROM dead_letter WHERE id = 'a'; UPDATE event SET state = 3 WHERE generation = 2").await;
    let serves = Serves { cluster_id: "c".to_owned(), group: "g".to_owned(), topic: "t".to_owned() };
    let listed = async || {
        let filter = DeadLetterFilter { states: LetterState::ALL.to_vec(), ..DeadLetterFilter::default() };
        let found = letters.page(&filter, None, 10).await.unwrap();
        found.iter().map(|letter| letter.key).collect::<Vec<_>>()
    };
    ledger.bind(&serves).await.unwrap();
    assert_eq!(listed().await, [row.key]);
    stage.sql("DELETE FROM dead_letter").await;
    ledger.adopt(&serves, &act()).await.unwrap();
    assert_eq!(listed().await, [row.key], "also by a start that adopts");
    stage.sql("ALTER TABLE dead_letter RENAME TO elsewhere").await;
    ledger.bind(&serves).await.expect("a list for people keeps no worker from starting");
}

async fn what_ends_at_once_is_listed_also_where_a_worker_of_the_version_before_left_its_old_line(stage: &Stage) {
    let (ledger, letters, row) = one(stage).await;
    let [claim] = raise(&*ledger, [0]).await;
    // What such a worker removes for its age; years later the producer sends it once more.
    stage.sql("DELETE FROM outbox; DELETE FROM sealed_record; DELETE FROM event; DELETE FROM input").await;
    let again = ending(new_row(claim, 7, "a"), RowState::DeadLettered);
    let acceptance = ledger.accept(&[up_to(claim, 8, 2)], &[again]).await.unwrap();
    assert_eq!(said(&acceptance.rows), ["new as 2"]);
    let filter = DeadLetterFilter { states: LetterState::ALL.to_vec(), ..DeadLetterFilter::default() };
    let found = letters.page(&filter, None, 10).await.unwrap();
    assert_eq!(found.iter().map(|letter| (letter.key, letter.offset)).collect::<Vec<_>>(), [(row.key, 7)]);
}

async fn a_page_of_a_table_that_has_just_filled_is_read_along_an_index(stage: &Stage) {
    let ledger = stage.ledger().await;
    stage
        .sql(
            "INSERT INTO dead_letter
            SELECT decode(md5(n::text), 'hex'), 1, 1, now() + n * interval '1 ms', 0, n, n, 'shop', n::text, 'loanpro',
                n::text, 'link_refused', 'link', 0, 1, 0, now() FROM generate_series(1, 20000) n",
        )
        .await;
    let letters = stage.open_with_dead_letters().await.1;
    let filter = DeadLetterFilter {
        states: vec![LetterState::DeadLettered],
        reason: Some("link_refused".to_owned()),
        ..DeadLetterFilter::default()
    };
    let [one_by_one, by_index] = rows_read(stage, async || {
        let first = letters.page(&filter, None, 500).await.unwrap();
        let second = letters.page(&filter, first.last().map(DeadLetter::place), 500).await.unwrap();
        assert_eq!((first.len(), second.len()), (500, 500));
        drop((ledger, letters));
    })
    .await;
    assert_eq!(one_by_one, 0, "rows read one after the other");
    assert!(by_index < 1_100, "{by_index} for two pages of 500");
}

async fn a_ledger_that_does_not_answer_is_told_of_within_35_seconds(stage: &Stage) {
    drop(stage.ledger().await);
    let letters = stage.open_with_dead_letters().await.1;
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; LOCK TABLE dead_letter").await;
    let filter = DeadLetterFilter { states: LetterState::ALL.to_vec(), ..DeadLetterFilter::default() };
    let asked = async { tokio::join!(letters.page(&filter, None, 10), letters.stats(&filter)) };
    let (page, stats) = tokio::time::timeout(Duration::from_secs(35), asked).await.expect("an answer in time");
    for error in [page.unwrap_err(), stats.unwrap_err()] {
        assert!(matches!(error, LedgerError::Unavailable(_)), "{error}");
    }
}
