//! An edit beside other acts on the same dead letter, which only PostgreSQL has.

use std::sync::Arc;

use profile_linker::ledger::RowState;

use crate::interleavings::{run, waiting};
use crate::replacing::replacement;
use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Postgres:
    of_a_replay_and_an_edit_at_once_one_is_done,
    of_two_edits_at_once_one_is_done,
);

async fn of_a_replay_and_an_edit_at_once_one_is_done(stage: &Stage) {
    let ledger = stage.ledger().await;
    let letters = stage.open_with_dead_letters().await.1;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; SELECT 1 FROM event FOR UPDATE").await;
    let asked = reopening(&row, 1);
    let reopened = tokio::spawn({
        let ledger = Arc::clone(&ledger);
        async move { ledger.reopen(&[asked], &act()).await.unwrap() }
    });
    waiting(stage, 1).await;
    let edit = replacement(&row, 1, "b");
    let replaced = tokio::spawn(async move { letters.replace(&edit, &act()).await.unwrap() });
    // It waits for the replay's lane.
    waiting(stage, 2).await;
    run(&mut blocker, "COMMIT").await;
    assert_eq!(reopened.await.unwrap(), [row.key]);
    assert!(!replaced.await.unwrap(), "it finds what the replay left, not what it saw when it began");
    assert_eq!(stored(&*ledger, row.key).await.state, RowState::Accepted);
    assert!(ledger.row(key("b")).await.unwrap().is_none());
    assert_eq!(stage.audit().await.len(), 1);
}

async fn of_two_edits_at_once_one_is_done(stage: &Stage) {
    let ledger = stage.ledger().await;
    let letters = stage.open_with_dead_letters().await.1;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(&*ledger, claim, &row, 1).await;
    let mut blocker = stage.connection().await;
    run(&mut blocker, "BEGIN; SELECT 1 FROM lane WHERE lane = 0 FOR NO KEY UPDATE").await;
    let edits = ["b", "c"].map(|id| {
        let (letters, edit) = (Arc::clone(&letters), replacement(&row, 1, id));
        tokio::spawn(async move { letters.replace(&edit, &act()).await.unwrap() })
    });
    waiting(stage, 2).await;
    run(&mut blocker, "COMMIT").await;
    let mut done = 0;
    for edit in edits {
        done += usize::from(edit.await.unwrap());
    }
    let rows = [ledger.row(key("b")).await.unwrap(), ledger.row(key("c")).await.unwrap()];
    assert_eq!((done, rows.iter().flatten().count(), stage.audit().await.len()), (1, 1, 1));
}
