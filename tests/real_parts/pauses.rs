//! The flood guard and an operator's pause, as every worker obeys them.

use std::time::{Duration, Instant};

use profile_linker::domain::Secret;
use profile_linker::domain::flow_control::FloodLimits;
use profile_linker::ledger::{self, Act, PauseKind};
use serde_json::json;

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    a_flood_of_dead_letters_pauses_every_worker_until_it_is_resumed needs [Kafka, Postgres];
    a_pause_lets_running_calls_end_and_begins_nothing needs [Kafka, Postgres];
}

const RUN: usize = 20;
const GOOD: usize = 10;
const A_WHILE: Duration = Duration::from_secs(5);

async fn a_flood_of_dead_letters_pauses_every_worker_until_it_is_resumed(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let first = worker(&stand, RUN).await;
    for number in 0..RUN {
        stand.publish_bytes(&format!("key {number}"), b"{\"no event\"").await;
    }
    says(&first, "the flood guard stops all workers").await;
    let ledger = ledger::open(&Secret::from(stand.database.clone())).await.expect("the ledger");
    let pauses = eventually("the pause is in the ledger", PATIENCE, async || {
        Some(ledger.intake().await.expect("the pauses").pauses).filter(|pauses| !pauses.is_empty())
    });
    let pauses = pauses.await;
    assert_eq!(pauses[0].kind, PauseKind::FloodGuard);
    assert_eq!(pauses[0].why.as_deref(), Some("20 dead letters in a row"));
    assert_nothing_goes(&stand, &first).await;
    // A restart does not forget it, and neither is a worker free that never saw the flood.
    assert_eq!(first.terminate(), 0);
    let (second, third) = (worker(&stand, RUN).await, worker(&stand, RUN).await);
    assert_nothing_goes(&stand, &second).await;
    let act = Act { actor: "ada".to_owned(), why: Some("the producer is mended".to_owned()) };
    ledger.resume(None, FloodLimits::default(), &act).await.expect("it is resumed");
    linked(&stand, GOOD).await;
    assert_eq!(stand.all(&stand.topics.dead_letter).await.len(), RUN, "each once");
    for worker in [second, third] {
        assert_eq!(worker.terminate(), 0);
    }
}

async fn a_pause_lets_running_calls_end_and_begins_nothing(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    stand.amend("\ntimeout = \"2s\"", "\ntimeout = \"30s\"");
    let worker = worker(&stand, RUN).await;
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "apply_delay", "delay": 4})).await;
    publish_good(&stand, "running").await;
    eventually("the links are out", PATIENCE, async || {
        (stand.sandbox.booked("profiles").await.len() == GOOD).then_some(())
    })
    .await;
    let ledger = ledger::open(&Secret::from(stand.database.clone())).await.expect("the ledger");
    let act = Act { actor: "ada".to_owned(), why: None };
    ledger.pause(PauseKind::Operator, &act).await.expect("it is paused");
    says(&worker, "paused: nothing is taken in, begun or called").await;
    publish_good(&stand, "later").await;
    a_while().await;
    let counts = stand.sandbox.state().await["calls"]["counts"].clone();
    assert_eq!(counts["loanpro.link"], GOOD, "nothing was begun: {counts}");
    assert_eq!(counts.get("loanpro.lookup"), None, "and what was under way takes no next step: {counts}");
    ledger.resume(Some(PauseKind::Operator), FloodLimits::default(), &act).await.expect("it is resumed");
    linked(&stand, 2 * GOOD).await;
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 2 * GOOD, "each once");
    assert_eq!(worker.terminate(), 0);
}

async fn worker(stand: &Stand<'_>, run: usize) -> Worker {
    let name = "PROFILE_LINKER_DEAD_LETTERS__PAUSE_AFTER_RUN".to_owned();
    let mut worker = stand.start_worker_with(&[(name, run.to_string())]);
    worker.ready().await;
    worker
}

async fn publish_good(stand: &Stand<'_>, name: &str) {
    for number in 0..GOOD {
        let customer = stand.sandbox.create_customer().await;
        let token = stand.sandbox.permanent_token().await;
        stand.publish(&events::permanent(&format!("{name}-{number}"), &customer, &token)).await;
    }
}

/// Good events are published, once, and a while later none has been begun: the worker has read the pauses several times.
async fn assert_nothing_goes(stand: &Stand<'_>, worker: &Worker) {
    if stand.all(&stand.topics.created).await.len() == RUN {
        publish_good(stand, "good").await;
    }
    a_while().await;
    let counts = stand.sandbox.state().await["calls"]["counts"].clone();
    assert_eq!(counts.get("loanpro.link"), None, "nothing is called: {counts}\n{}", worker.log());
}

/// That nothing happens can only be seen by waiting: longer than any call here, and several readings of the pauses.
async fn a_while() {
    let began = Instant::now();
    eventually("a while passes", PATIENCE, async || (began.elapsed() >= A_WHILE).then_some(())).await;
}

async fn linked(stand: &Stand<'_>, count: usize) {
    let mut reader = stand.reader(&[&stand.topics.linked]);
    reader.read_until("all are linked", PATIENCE, |seen| seen.len() >= count).await;
}

async fn says(worker: &Worker, words: &str) {
    eventually(words, PATIENCE, async || worker.log().contains(words).then_some(())).await;
}
