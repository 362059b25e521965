//! What stops a worker, as it is seen from outside: by `/readyz`, `/metrics` and the commands, while it stands still and after.

use serde_json::json;

use crate::support::admin::{Admin, sample, with_token};
use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    an_upstream_that_is_away_is_named_until_it_is_back needs [Kafka, Postgres];
    a_flood_is_seen_everywhere_and_resumed_by_the_command needs [Kafka, Postgres];
    a_paused_event_is_begun_when_the_command_resumes needs [Kafka, Postgres];
}

/// More than open a breaker.
const EVENTS: usize = 12;
const PAUSED: &str = "profile_linker_intake_paused";

async fn worker(stand: &Stand<'_>) -> (Worker, Admin) {
    let mut worker = stand.start_worker_with(&with_token());
    worker.ready().await;
    let admin = Admin::of(&worker);
    (worker, admin)
}

async fn publish(stand: &Stand<'_>, id: &str) {
    let customer = stand.sandbox.create_customer().await;
    stand.publish(&events::permanent(id, &customer, &stand.sandbox.permanent_token().await)).await;
}

async fn linked(stand: &Stand<'_>, count: usize) {
    stand.reader(&[&stand.topics.linked]).read_until("results", PATIENCE, |seen| seen.len() >= count).await;
}

/// Waits until a sample has this value.
async fn told(admin: &Admin, name: &str, label: &str, value: f64) {
    let what = format!("{name} of {label} is {value}");
    let is_told = eventually(&what, PATIENCE, async || {
        (sample(&admin.get("/metrics").await.text, name, &[label]) == Some(value)).then_some(())
    });
    is_told.await;
}

/// Of all partitions together, once it is told.
async fn lag(admin: &Admin) -> Option<f64> {
    let metrics = admin.get("/metrics").await.text;
    let samples = metrics.lines().filter(|line| line.starts_with("profile_linker_consumer_lag_records{"));
    let lags: Vec<f64> = samples.filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    (!lags.is_empty()).then(|| lags.iter().sum())
}

/// `profile-linker intake WORD --why "a test"`, as an operator runs it.
fn intake(stand: &Stand<'_>, admin: &Admin, word: &str) {
    let token = stand.file("admin-token", crate::support::admin::TOKEN).display().to_string();
    let asked = stand.command(&["intake", word, "--why", "a test", "--admin", &admin.url, "--token-file", &token]);
    assert_eq!(asked.status.code(), Some(0), "{word}: {}", String::from_utf8_lossy(&asked.stderr));
}

async fn an_upstream_that_is_away_is_named_until_it_is_back(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let (worker, admin) = worker(&stand).await;
    stand.sandbox.fault(json!({"route": "loanpro.*", "action": "status", "status": 503})).await;
    for number in 0..EVENTS {
        publish(&stand, &format!("e{number}")).await;
    }
    let body = admin.until("loanpro", "down").await;
    assert_eq!((&body["ready"], &body["checks"]["payiq"]["status"]), (&json!(false), &json!("ok")), "{body}");
    assert_eq!(body["checks"]["intake"]["status"], "ok", "events are taken and wait: {body}");
    let metrics = admin.get("/metrics").await.text;
    let state = |upstream: &str| sample(&metrics, "profile_linker_breaker_state", &[upstream]);
    assert!(state("upstream=\"loanpro\"") >= Some(1.0), "{metrics}");
    assert_eq!(state("upstream=\"payiq\""), Some(0.0));
    assert!(sample(&metrics, "profile_linker_waiting", &[]) >= Some(1.0), "they wait");
    stand.sandbox.heal().await;
    let body = admin.until("loanpro", "ok").await;
    assert_eq!(body["ready"], true, "{body}");
    linked(&stand, EVENTS).await;
    told(&admin, "profile_linker_breaker_state", "upstream=\"loanpro\"", 0.0).await;
    told(&admin, "profile_linker_oldest_unfinished_seconds", "", 0.0).await;
    assert_eq!(worker.terminate(), 0);
}

async fn a_flood_is_seen_everywhere_and_resumed_by_the_command(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    stand.amend("pause_min = 400", "pause_min = 400\npause_after_run = 5");
    let ((first, one), (second, other)) = (worker(&stand).await, worker(&stand).await);
    // Under one key, so that one worker meets them all.
    for _ in 0..6 {
        stand.publish_bytes("1", b"not an event").await;
    }
    for admin in [&one, &other] {
        let body = admin.until("intake", "paused").await;
        let reason = body["checks"]["intake"]["reason"].as_str().expect("a reason");
        assert!(body["ready"] == false && reason.starts_with("paused by the flood guard: "), "{body}");
        told(admin, PAUSED, "reason=\"flood_guard\"", 1.0).await;
    }
    publish(&stand, "afterwards").await;
    intake(&stand, &other, "resume");
    for admin in [&one, &other] {
        let body = admin.until("intake", "ok").await;
        assert_eq!(body["ready"], true, "{body}");
        told(admin, PAUSED, "reason=\"flood_guard\"", 0.0).await;
    }
    linked(&stand, 1).await;
    assert_eq!((first.terminate(), second.terminate()), (0, 0));
}

async fn a_paused_event_is_begun_when_the_command_resumes(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let (first, admin) = worker(&stand).await;
    intake(&stand, &admin, "pause");
    publish(&stand, "paused").await;
    assert_eq!(first.terminate(), 0);
    let (second, admin) = worker(&stand).await;
    admin.until("intake", "paused").await;
    // Told a second or more after the partitions are owned: the event would have been accepted long before.
    let lag = eventually("the lag is told", PATIENCE, async || lag(&admin).await);
    assert!((lag.await - 1.0).abs() < f64::EPSILON, "it is not even accepted");
    assert!(stand.sandbox.booked("profiles").await.is_empty(), "nothing is begun");
    intake(&stand, &admin, "resume");
    linked(&stand, 1).await;
    assert_eq!(second.terminate(), 0);
}
