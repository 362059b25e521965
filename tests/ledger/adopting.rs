//! `--adopt-ledger`: the ledger serves something else from now on, or was restored from the past.

use profile_linker::domain::Lane;
use profile_linker::ledger::{Act, LaneCorrection, LedgerError, RowState, Serves};

use crate::correcting::{correction, suspected};
use crate::rows::*;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    an_adopted_ledger_serves_the_new_and_refuses_the_old,
    an_adopted_ledger_remembers_when_and_who_said_so,
    an_adopted_ledgers_unfinished_and_dead_lettered_rows_become_possibly_sent,
    an_adopted_ledger_forgets_positions_only_if_cluster_or_topic_is_another,
    numbers_and_results_outlive_an_adoption,
    a_claim_that_a_restored_ledger_does_not_remember_is_never_given_again_after_an_adoption,
    claims_from_before_an_adoption_are_refused_and_no_lane_counts_as_clean,
);

fn serves(cluster: &str, group: &str, topic: &str) -> Serves {
    Serves { cluster_id: cluster.to_owned(), group: group.to_owned(), topic: topic.to_owned() }
}

async fn an_adopted_ledger_serves_the_new_and_refuses_the_old(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    ledger.bind(&serves("one", "group", "topic")).await.unwrap();
    ledger.adopt(&serves("two", "group", "other"), &act()).await.unwrap();
    ledger.bind(&serves("two", "group", "other")).await.unwrap();
    let old = ledger.bind(&serves("one", "group", "topic")).await;
    assert!(matches!(old, Err(LedgerError::ServesAnother { .. })), "{old:?}");
}

async fn an_adopted_ledger_remembers_when_and_who_said_so(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    assert_eq!(ledger.identity().await.unwrap().adopted_at, None);
    // Also one that never served anything.
    ledger.adopt(&serves("one", "group", "topic"), &act()).await.unwrap();
    let first = ledger.identity().await.unwrap().adopted_at.unwrap();
    assert!(first > 1_700_000_000_000, "{first}");
    let nobody = Act { actor: "nobody".to_owned(), why: None };
    ledger.adopt(&serves("two", "group", "topic"), &nobody).await.unwrap();
    assert!(ledger.identity().await.unwrap().adopted_at.unwrap() >= first);
    let lines = stage.audit().await;
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[0], r#"ada | adopt-ledger | cluster "one", group "group", topic "topic" | it's fixed"#);
    assert_eq!(lines[1], r#"nobody | adopt-ledger | cluster "two", group "group", topic "topic" | -"#);
}

async fn an_adopted_ledgers_unfinished_and_dead_lettered_rows_become_possibly_sent(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    ledger.bind(&serves("one", "group", "topic")).await.unwrap();
    let claims = raise(ledger, [0, 1]).await;
    let rows: Vec<_> = (0..5).map(|n| new_row(claims[n % 2], n as i64, &format!("event {n}"))).collect();
    ledger.accept(&claims.map(|claim| up_to(claim, 5, 1)), &rows).await.unwrap();
    ledger.converted(&claims, &[converted(&rows[1])]).await.unwrap();
    let ends = [
        ended(&rows[2], RowState::DeadLettered, 1),
        ended(&rows[3], RowState::Linked, 1),
        ended(&rows[4], RowState::Rejected, 2),
    ];
    ledger.end(&claims, &ends).await.unwrap();
    // The same as ever: it was restored from the past.
    ledger.adopt(&serves("one", "group", "topic"), &act()).await.unwrap();
    assert_eq!(suspected(ledger, &rows).await, [true, true, true, false, false]);
}

async fn an_adopted_ledger_forgets_positions_only_if_cluster_or_topic_is_another(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    ledger.bind(&serves("one", "group", "topic")).await.unwrap();
    for (adopted, forgotten) in [
        (serves("one", "group", "topic"), false),
        (serves("one", "other", "topic"), false),
        (serves("two", "other", "topic"), true),
        (serves("two", "other", "another"), true),
    ] {
        let [claim] = raise(ledger, [0]).await;
        ledger.note_topic(&[claim], "topic id").await.unwrap();
        let known = LaneCorrection { suspect_below: 4, ..correction(claim, Some(7)) };
        ledger.correct_lanes(&[known]).await.unwrap();
        ledger.adopt(&adopted, &act()).await.unwrap();
        let lane = ledger.raise("next", &[Lane(0)]).await.unwrap().remove(0);
        let known = if forgotten { (None, 0) } else { (Some(7), 4) };
        assert_eq!((lane.position, lane.suspect_below), known, "{adopted:?}");
        let kept = stage.lines("SELECT topic_id FROM lane WHERE topic_id IS NOT NULL").await;
        assert_eq!(kept.is_empty(), forgotten, "{adopted:?}");
    }
}

async fn numbers_and_results_outlive_an_adoption(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    ledger.bind(&serves("one", "group", "topic")).await.unwrap();
    let [claim] = raise(ledger, [0]).await;
    let rows = [new_row(claim, 0, "a"), new_row(claim, 1, "b")];
    ledger.accept(&[up_to(claim, 2, 1)], &rows).await.unwrap();
    ledger.end(&[claim], &[ended(&rows[0], RowState::Linked, 5), ended(&rows[1], RowState::Linked, 6)]).await.unwrap();
    ledger.save_cursors(&[(claim, 5)]).await.unwrap();
    ledger.adopt(&serves("two", "group", "topic"), &act()).await.unwrap();
    let lane = ledger.raise("next", &[Lane(0)]).await.unwrap().remove(0);
    assert_eq!((lane.saved_cursor, lane.last_seq), (5, 6));
    assert_eq!(ledger.unpublished(&[(lane.claim, 5)]).await.unwrap().len(), 1);
}

async fn a_claim_that_a_restored_ledger_does_not_remember_is_never_given_again_after_an_adoption(stage: &Stage) {
    let ledger = stage.ledger().await;
    ledger.bind(&serves("one", "group", "topic")).await.unwrap();
    let [first] = raise(&*ledger, [0]).await;
    let forgotten = [raise(&*ledger, [0]).await, raise(&*ledger, [0]).await, raise(&*ledger, [0]).await];
    stage.sql("UPDATE lane SET epoch = 1").await;
    ledger.adopt(&serves("one", "group", "topic"), &act()).await.unwrap();
    for _ in 0..3 {
        let [claim] = raise(&*ledger, [0]).await;
        for old in forgotten.iter().flatten().chain([&first]) {
            assert_ne!(claim, *old);
            assert_eq!(ledger.save_cursors(&[(*old, 9)]).await.unwrap(), lanes(&[0]));
        }
    }
}

async fn claims_from_before_an_adoption_are_refused_and_no_lane_counts_as_clean(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    ledger.bind(&serves("one", "group", "topic")).await.unwrap();
    let [held, released] = raise(ledger, [0, 1]).await;
    ledger.release(&[(released, true)]).await.unwrap();
    ledger.adopt(&serves("one", "group", "topic"), &act()).await.unwrap();
    let acceptance = ledger.accept(&[up_to(held, 1, 1)], &[new_row(held, 0, "a")]).await.unwrap();
    assert_eq!(acceptance.refused, lanes(&[0]));
    let taken = ledger.raise("next", &[Lane(0), Lane(1)]).await.unwrap();
    assert!(taken.iter().all(|lane| !lane.clean), "{taken:?}");
}
