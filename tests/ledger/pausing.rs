//! Pauses of the intake: rows that every worker reads, each with its audit line.

use profile_linker::domain::flow_control::FloodLimits;
use profile_linker::ledger::{Act, Ledger, NamedLimits, Pause, PauseKind};

use crate::rows::act;
use crate::stage::Stage;

crate::ledger_cases!(Both:
    a_new_ledger_is_not_paused,
    the_orders_come_with_the_ledgers_clock,
    a_pause_outlives_the_process_that_wrote_it,
    a_pause_that_is_written_twice_keeps_its_first_time,
    the_repeat_of_a_guards_pause_undoes_no_resumption,
    an_operators_pause_holds_again_after_a_resumption,
    a_later_pause_without_a_reason_keeps_the_earlier_one,
    one_kind_is_resumed_without_the_other,
    everything_is_resumed_at_once,
    to_resume_what_is_not_paused_is_audited_too,
    a_pause_is_not_there_without_its_audit_line,
    limits_that_were_named_hold_until_the_next_resumption,
    a_pause_leaves_the_limits_that_were_named,
);

async fn pauses(ledger: &dyn Ledger) -> Vec<Pause> {
    ledger.intake().await.expect("the orders").pauses
}

fn kinds(pauses: &[Pause]) -> Vec<PauseKind> {
    pauses.iter().map(|pause| pause.kind).collect()
}

fn guard() -> Act {
    Act { actor: "worker-1".to_owned(), why: Some("100 dead letters in a row".to_owned()) }
}

async fn a_new_ledger_is_not_paused(stage: &Stage) {
    assert_eq!(pauses(&*stage.ledger().await).await, []);
}

/// The database runs on this machine, so the two clocks are one. Two milliseconds: what it shows is rounded.
async fn the_orders_come_with_the_ledgers_clock(stage: &Stage) {
    let ledger = stage.ledger().await;
    for kind in [None, Some(PauseKind::Operator), Some(PauseKind::FloodGuard)] {
        if let Some(kind) = kind {
            ledger.pause(kind, &act()).await.unwrap();
        }
        let before = jiff::Timestamp::now().as_millisecond();
        let at = ledger.intake().await.unwrap().at;
        let after = jiff::Timestamp::now().as_millisecond();
        assert!((before - 2..=after + 2).contains(&at), "{at} is not between {before} and {after}, {kind:?}");
    }
}

async fn a_pause_outlives_the_process_that_wrote_it(stage: &Stage) {
    let ledger = stage.ledger().await;
    let before = jiff::Timestamp::now().as_millisecond();
    ledger.pause(PauseKind::Operator, &act()).await.unwrap();
    drop(ledger);
    let [pause] = &pauses(&*stage.open().await).await[..] else { panic!("not one pause") };
    assert_eq!((pause.kind, pause.by.as_str(), pause.why.as_deref()), (PauseKind::Operator, "ada", Some("it's fixed")));
    // The database runs on this machine.
    assert!((before..before + 60_000).contains(&pause.since), "{} is not a time of now", pause.since);
    assert_eq!(stage.audit().await, ["ada | intake-pause | operator | it's fixed"]);
}

async fn a_pause_that_is_written_twice_keeps_its_first_time(stage: &Stage) {
    let ledger = stage.ledger().await;
    ledger.pause(PauseKind::FloodGuard, &guard()).await.unwrap();
    let [first] = &pauses(&*ledger).await[..] else { panic!("not one pause") };
    let again = Act { actor: "worker-2".to_owned(), why: Some("60 % of 80 are dead letters".to_owned()) };
    // A time later than the first one, however coarse the clock is.
    while jiff::Timestamp::now().as_millisecond() <= first.since {
        tokio::task::yield_now().await;
    }
    ledger.pause(PauseKind::FloodGuard, &again).await.unwrap();
    let [pause] = &pauses(&*ledger).await[..] else { panic!("not one pause") };
    assert_eq!(pause, &Pause { by: again.actor, why: again.why, ..first.clone() });
    drop(ledger);
    assert_eq!(stage.audit().await.len(), 2, "each was asked for");
}

/// The answer to the first write was lost, and an operator resumed before it was repeated.
async fn the_repeat_of_a_guards_pause_undoes_no_resumption(stage: &Stage) {
    let ledger = stage.ledger().await;
    ledger.pause(PauseKind::FloodGuard, &guard()).await.unwrap();
    ledger.resume(None, FloodLimits::default(), &act()).await.unwrap();
    ledger.pause(PauseKind::FloodGuard, &guard()).await.unwrap();
    assert_eq!(pauses(&*ledger).await, [], "it is the same act");
    let later = Act { actor: "worker-1 again".to_owned(), ..guard() };
    ledger.pause(PauseKind::FloodGuard, &later).await.unwrap();
    assert_eq!(kinds(&pauses(&*ledger).await), [PauseKind::FloodGuard], "another one holds");
    drop(ledger);
    assert_eq!(stage.audit().await.len(), 3, "each act has its line");
}

async fn an_operators_pause_holds_again_after_a_resumption(stage: &Stage) {
    let ledger = stage.ledger().await;
    ledger.pause(PauseKind::Operator, &act()).await.unwrap();
    ledger.resume(None, FloodLimits::default(), &act()).await.unwrap();
    ledger.pause(PauseKind::Operator, &act()).await.unwrap();
    assert_eq!(kinds(&pauses(&*ledger).await), [PauseKind::Operator]);
}

async fn a_later_pause_without_a_reason_keeps_the_earlier_one(stage: &Stage) {
    let ledger = stage.ledger().await;
    ledger.pause(PauseKind::Operator, &act()).await.unwrap();
    ledger.pause(PauseKind::Operator, &Act { why: None, ..act() }).await.unwrap();
    assert_eq!(pauses(&*ledger).await[0].why.as_deref(), Some("it's fixed"));
}

async fn one_kind_is_resumed_without_the_other(stage: &Stage) {
    let ledger = stage.ledger().await;
    ledger.pause(PauseKind::FloodGuard, &guard()).await.unwrap();
    ledger.pause(PauseKind::Operator, &act()).await.unwrap();
    assert_eq!(
        ledger.resume(Some(PauseKind::Operator), FloodLimits::default(), &act()).await.unwrap(),
        [PauseKind::Operator]
    );
    assert_eq!(kinds(&pauses(&*ledger).await), [PauseKind::FloodGuard]);
    drop(ledger);
    assert_eq!(stage.audit().await.last().map(String::as_str), Some("ada | intake-resume | operator | it's fixed"));
}

async fn everything_is_resumed_at_once(stage: &Stage) {
    let ledger = stage.ledger().await;
    for kind in PauseKind::ALL {
        ledger.pause(kind, &act()).await.unwrap();
    }
    assert_eq!(ledger.resume(None, FloodLimits::default(), &act()).await.unwrap(), PauseKind::ALL);
    assert_eq!(pauses(&*ledger).await, []);
    drop(ledger);
    assert_eq!(stage.audit().await.last().map(String::as_str), Some("ada | intake-resume | all | it's fixed"));
}

async fn to_resume_what_is_not_paused_is_audited_too(stage: &Stage) {
    let ledger = stage.ledger().await;
    assert_eq!(ledger.resume(None, FloodLimits::default(), &Act { why: None, ..act() }).await.unwrap(), []);
    drop(ledger);
    assert_eq!(stage.audit().await, ["ada | intake-resume | all | -"]);
}

async fn a_pause_is_not_there_without_its_audit_line(stage: &Stage) {
    let ledger = stage.ledger().await;
    ledger.pause(PauseKind::FloodGuard, &guard()).await.unwrap();
    drop(ledger);
    stage.sql("DROP TABLE audit").await;
    let ledger = stage.open().await;
    assert!(ledger.pause(PauseKind::Operator, &act()).await.is_err());
    assert!(ledger.resume(None, FloodLimits::default(), &act()).await.is_err());
    assert_eq!(kinds(&pauses(&*ledger).await), [PauseKind::FloodGuard]);
}

async fn limits(ledger: &dyn Ledger) -> Option<NamedLimits> {
    ledger.intake().await.expect("the orders").limits
}

async fn limits_that_were_named_hold_until_the_next_resumption(stage: &Stage) {
    let ledger = stage.ledger().await;
    assert_eq!(limits(&*ledger).await, None);
    ledger.pause(PauseKind::FloodGuard, &guard()).await.unwrap();
    let named = FloodLimits { run: Some(5000), share: None };
    ledger.resume(None, named, &act()).await.unwrap();
    drop(ledger);
    let ledger = stage.open().await;
    let there = limits(&*ledger).await.expect("they outlive the process that named them");
    assert_eq!((there.limits, there.by.as_str(), there.why.as_deref()), (named, "ada", Some("it's fixed")));
    assert!(jiff::Timestamp::now().as_millisecond() - there.since < 60_000, "{} is not a time of now", there.since);
    assert_eq!(pauses(&*ledger).await, [], "and they are no pause");
    let others = FloodLimits { run: None, share: Some(0.9) };
    ledger.resume(None, others, &Act { why: None, ..act() }).await.unwrap();
    let there = limits(&*ledger).await.expect("the later ones");
    assert_eq!((there.limits, there.why), (others, None), "in the place of the earlier ones");
    ledger.resume(None, FloodLimits::default(), &act()).await.unwrap();
    assert_eq!(limits(&*ledger).await, None, "the configured ones count again");
    drop(ledger);
    let audit = stage.audit().await;
    let of_resumptions = [
        "ada | intake-resume | all, limit 5000 | it's fixed",
        "ada | intake-resume | all, share 0.9 | -",
        "ada | intake-resume | all | it's fixed",
    ];
    assert_eq!(audit[1..], of_resumptions);
}

async fn a_pause_leaves_the_limits_that_were_named(stage: &Stage) {
    let ledger = stage.ledger().await;
    let named = FloodLimits { run: Some(5000), share: Some(1.0) };
    ledger.resume(None, named, &act()).await.unwrap();
    ledger.pause(PauseKind::FloodGuard, &guard()).await.unwrap();
    let orders = ledger.intake().await.unwrap();
    assert_eq!(kinds(&orders.pauses), [PauseKind::FloodGuard]);
    assert_eq!(orders.limits.map(|there| there.limits), Some(named), "a restart while it is paused finds them");
}
