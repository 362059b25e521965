mod replays;
mod stage;

use std::sync::atomic::Ordering;

use stage::{Stage, event, identity};

use super::*;
use crate::ledger::RowState;

/// What was reported, in words.
fn said(reports: &[Written]) -> Vec<String> {
    reports.iter().map(say).collect()
}

fn say(written: &Written) -> String {
    match written {
        Written::Accepted { position, outcomes, ended, .. } => {
            let outcomes: Vec<_> = outcomes.iter().map(|(_, outcome)| word(outcome)).collect();
            let ended: Vec<_> = ended.iter().map(|result| result.seq.0).collect();
            format!("up to {position}: {} ended as {ended:?}", outcomes.join(" "))
        }
        Written::Converted(..) => "converted".to_owned(),
        Written::Ended(claim, _, result) => format!("lane {} ended {}", claim.lane.0, result.seq.0),
        Written::Started(claim, keys) => format!("lane {} counted {}", claim.lane.0, keys.len()),
        Written::LinkRefused(_) => "its link is noted".to_owned(),
        Written::Barrier(claim) => format!("barrier of epoch {}", claim.epoch.0),
        Written::Fenced(claim) => format!("lane {} fenced", claim.lane.0),
        Written::Damaged(why) => panic!("damaged: {why}"),
    }
}

fn word(outcome: &Accepted) -> &'static str {
    match outcome {
        Accepted::New { .. } => "new",
        Accepted::Ours(_) => "ours",
        Accepted::Replays => "replays",
        Accepted::Duplicate => "duplicate",
        Accepted::Conflict => "conflict",
        Accepted::Refused => "refused",
    }
}

fn unreadable(text: &str) -> String {
    format!("{text} is no json")
}

#[tokio::test]
async fn a_lanes_results_are_numbered_without_gaps_whoever_ends_them() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    stage.accept(claim, 0, &[unreadable("a"), event("e", "x"), unreadable("b")]);
    stage.accept(claim, 3, &[unreadable("c")]);
    stage.end(claim, "e");
    stage.ask(Job::Barrier(claim));
    let reports = stage.flush().await;
    let expected = ["up to 3: new new new ended as [1, 2]", "up to 4: new ended as [3]", "lane 0 ended 4"];
    assert_eq!(said(&reports)[..3], expected);
    assert_eq!(said(&reports)[3], format!("barrier of epoch {}", claim.epoch.0), "only after all before it");
    stage.accept(claim, 4, &[unreadable("d")]);
    assert_eq!(said(&stage.flush().await), ["up to 5: new ended as [5]"]);
    let numbers = stage.outbox(claim).await;
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_whose_answer_is_lost_is_repeated_with_the_same_rows_and_numbers() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    stage.accept(claim, 0, &[unreadable("a"), event("e", "x"), unreadable("b")]);
    stage.ledger.lost.store(2, Ordering::SeqCst);
    // The repeat finds its own rows; the second answer lost is that of the repeat's own.
    assert_eq!(said(&stage.flush().await), ["up to 3: ours ours ours ended as [1, 2]"]);
    stage.end(claim, "e");
    stage.accept(claim, 3, &[unreadable("c")]);
    stage.ledger.lost.store(1, Ordering::SeqCst);
    assert_eq!(said(&stage.flush().await), ["up to 4: ours ended as [3]", "lane 0 ended 4"]);
    stage.ask(Job::Cursor(claim, 1));
    stage.ledger.lost.store(1, Ordering::SeqCst);
    stage.flush().await;
    let numbers = stage.outbox(claim).await;
    assert_eq!(numbers, [2, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn an_end_whose_answer_is_lost_keeps_its_number() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    stage.accept(claim, 0, &[event("a", "x"), event("b", "x")]);
    stage.flush().await;
    stage.end(claim, "a");
    stage.ledger.lost.store(3, Ordering::SeqCst);
    assert_eq!(said(&stage.flush().await), ["lane 0 ended 1"]);
    stage.end(claim, "b");
    assert_eq!(said(&stage.flush().await), ["lane 0 ended 2"]);
    assert_eq!(stage.outbox(claim).await, [1, 2]);
}

#[tokio::test]
async fn a_conflict_gets_a_row_of_its_own_and_a_duplicate_none() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    stage.accept(claim, 0, &[event("e", "x"), event("e", "x"), event("e", "y"), unreadable("a")]);
    assert_eq!(said(&stage.flush().await), ["up to 4: new duplicate conflict new ended as [1, 2]"]);
    assert_eq!(stage.ledger.row(identity("e").key()).await.unwrap().unwrap().state, RowState::Accepted);
    let [next] = stage.ledger.raise("next", &[Lane(0)]).await.unwrap().try_into().unwrap();
    assert_eq!((next.position, next.last_seq), (Some(4), 2), "the position passes conflicts and duplicates");
}

#[tokio::test]
async fn records_that_are_read_again_change_nothing_and_are_not_published_again() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    let values = [unreadable("a"), event("e", "x"), event("e", "y")];
    stage.accept(claim, 0, &values);
    stage.end(claim, "e");
    stage.flush().await;
    stage.accept(claim, 0, &values);
    assert_eq!(said(&stage.flush().await), ["up to 3: ours ours conflict ended as []"]);
    let numbers = stage.outbox(claim).await;
    assert_eq!(numbers, [1, 2, 3]);
}

#[tokio::test]
async fn a_conflict_that_is_read_again_does_not_hold_back_the_position() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    stage.accept(claim, 0, &[event("e", "x"), event("e", "y")]);
    stage.flush().await;
    // As after a take-over from a worker that died before its position was committed.
    stage.accept(claim, 0, &[event("e", "x"), event("e", "y"), event("e", "x"), event("f", "x")]);
    assert_eq!(said(&stage.flush().await), ["up to 4: ours conflict duplicate new ended as []"]);
    let [next] = stage.ledger.raise("next", &[Lane(0)]).await.unwrap().try_into().unwrap();
    assert_eq!(next.position, Some(4), "Kafka's position says what the ledger has accepted, so the ledger's does, too");
}

#[tokio::test]
async fn a_fenced_lane_is_reported_and_the_others_are_written() {
    let mut stage = Stage::set().await;
    let [lost, kept] = stage.open([0, 1]).await;
    stage.accept(lost, 0, &[event("a", "x")]);
    stage.accept(kept, 0, &[event("b", "x")]);
    stage.flush().await;
    stage.raise([0]).await;
    stage.end(lost, "a");
    stage.end(kept, "b");
    assert_eq!(said(&stage.flush().await), ["lane 0 fenced", "its link is noted", "lane 1 ended 1"]);
    stage.accept(lost, 1, &[unreadable("c")]);
    stage.accept(kept, 1, &[unreadable("d")]);
    let reports = stage.flush().await;
    assert_eq!(said(&reports), ["lane 0 fenced", "up to 2: new ended as [2]"]);
    assert_eq!(stage.ledger.row(identity("a").key()).await.unwrap().unwrap().state, RowState::Accepted);
}

#[tokio::test]
async fn what_was_asked_under_an_older_claim_uses_no_number_of_the_new_one() {
    let mut stage = Stage::set().await;
    let [old] = stage.open([0]).await;
    stage.accept(old, 0, &[event("a", "x"), event("b", "x")]);
    stage.flush().await;
    stage.end(old, "a");
    stage.ask(Job::Barrier(old));
    let [new] = stage.raise([0]).await;
    stage.ask(Job::Open { claim: new, next_seq: 1 });
    let barrier = format!("barrier of epoch {}", old.epoch.0);
    assert_eq!(said(&stage.flush().await), [barrier], "whoever waits for a barrier hears of it");
    stage.end(new, "b");
    assert_eq!(said(&stage.flush().await), ["lane 0 ended 1"]);
}

#[tokio::test]
async fn of_many_waits_of_one_event_the_newest_is_written() {
    let mut stage = Stage::set().await;
    let [claim] = stage.open([0]).await;
    stage.accept(claim, 0, &[event("e", "x")]);
    let key = identity("e").key();
    for spent_ms in [1, 2, 3] {
        let attempts = Attempts { convert: 1, ..Attempts::default() };
        stage.ask(Job::BackOff(
            claim,
            BackOffRow {
                key,
                lane: claim.lane,
                due_in_ms: 60_000,
                spent_ms,
                failed_ms_ago: None,
                attempts,
                timeline: String::new(),
            },
        ));
    }
    stage.flush().await;
    assert_eq!(stage.ledger.row(key).await.unwrap().unwrap().spent_ms, 3);
}
