//! Vendors that are away, come and go, throttle, or refuse us, under load. Of each: nothing is rejected because of it though
//! it outlasts the retry budget, nothing is lost, nothing is linked twice, and full speed is back soon.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use serde_json::{Value, json};

use crate::support::admin::Admin;
use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::sandbox::{LOANPRO_TOKEN, Sandbox};
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    a_converter_that_is_down_rejects_nothing_and_is_gone_on_with needs [Kafka, Postgres];
    a_link_target_that_is_down_rejects_nothing_and_is_gone_on_with needs [Kafka, Postgres];
    an_event_that_alone_probes_an_outage_spends_no_budget_on_it needs [Kafka, Postgres];
    a_target_that_hangs_rejects_nothing_and_links_nothing_twice needs [Kafka, Postgres];
    a_target_that_comes_and_goes_rejects_nothing needs [Kafka, Postgres];
    a_target_that_throttles_every_call_rejects_nothing needs [Kafka, Postgres];
    of_two_targets_one_down_the_other_goes_on_at_full_pace needs [Kafka, Postgres];
    a_wrong_credential_rejects_nothing_and_its_mended_file_is_taken_up needs [Kafka, Postgres];
    a_wrong_tenant_without_a_probe_rejects_no_event_of_many_customers needs [Kafka, Postgres];
}

/// What the worker says when a breaker opens, and when it closes.
const OPENED: &str = "its events wait, and it is probed";
const CLOSED: &str = " is well again";
/// Shorter than every outage here: what counted against it would end as a dead letter.
const BUDGET: &str = "2s";
const EVENTS: usize = 300;
/// So many probes last longer than the budget.
const PROBES: u64 = 8;
const PROBE_INTERVAL: &str = "400ms";
/// From the breaker's closing until everything that waited is linked.
const FULL_SPEED_WITHIN: Duration = Duration::from_secs(10);
/// What the sandbox and the broker take at once.
const AT_ONCE: usize = 32;

async fn a_converter_that_is_down_rejects_nothing_and_is_gone_on_with(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[]).await;
    stand.sandbox.fault(down("payiq.*", 503)).await;
    let ids = publish(&stand, "temporary", EVENTS).await;
    outlasts_the_budget(&stand, "payiq.auth").await;
    let admin = Admin::of(&worker);
    let (ready, metrics) = (admin.get("/readyz").await, admin.get("/metrics").await.text);
    assert_eq!(ready.status, 503);
    assert_eq!(ready.json()["checks"]["payiq"]["status"], "down", "{}", ready.text);
    assert_eq!(ready.json()["checks"]["loanpro"]["status"], "ok", "{}", ready.text);
    assert_eq!(admin.get("/healthz").await.status, 200, "the process itself is well");
    let shown = |state: u8| metrics.contains(&format!("profile_linker_breaker_state{{upstream=\"payiq\"}} {state}"));
    assert!(shown(1) || shown(2), "half-open or open: {metrics}");
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "converter down").await;
}

async fn a_link_target_that_is_down_rejects_nothing_and_is_gone_on_with(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[]).await;
    for vendor in ["loanpro", "aloha"] {
        stand.sandbox.fault(down(&format!("{vendor}.*"), 502)).await;
    }
    let mut ids = publish(&stand, "permanent", EVENTS).await;
    ids.extend(publish(&stand, "aloha", EVENTS / 2).await);
    outlasts_the_budget(&stand, "loanpro.link").await;
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "both targets down").await;
}

/// There is no other event to probe with: its own failures would have spent the budget several times.
async fn an_event_that_alone_probes_an_outage_spends_no_budget_on_it(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[setting("BREAKER__FAILURES", "1")]).await;
    stand.sandbox.fault(down("loanpro.*", 503)).await;
    let ids = publish(&stand, "permanent", 1).await;
    eventually("it is probed for longer than the budget", PATIENCE, async || {
        let probes = calls(&stand, "loanpro.link").await + calls(&stand, "loanpro.lookup").await;
        (probes >= 2 * PROBES).then_some(())
    })
    .await;
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "one event alone").await;
}

/// Every answer is lost, and half of the links were applied.
async fn a_target_that_hangs_rejects_nothing_and_links_nothing_twice(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    // One call that is never answered is worth two seconds of it.
    let worker = worker(&stand, &[setting("RETRY__BUDGET", "9s")]).await;
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "apply_drop", "p": 0.5})).await;
    stand.sandbox.fault(json!({"route": "loanpro.*", "action": "hang"})).await;
    let ids = publish(&stand, "permanent", EVENTS).await;
    opened(&worker, 1).await;
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "target hangs").await;
}

async fn a_target_that_comes_and_goes_rejects_nothing(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[]).await;
    let mut ids = publish(&stand, "permanent", EVENTS).await;
    for round in 1..=4 {
        stand.sandbox.fault(down("loanpro.*", 503)).await;
        let more = publish(&stand, &format!("permanent-{round}"), EVENTS / 4).await;
        opened(&worker, round).await;
        stand.sandbox.heal().await;
        // The next blow falls into the recovery.
        says(&worker, CLOSED, round).await;
        ids.extend(more);
    }
    assert_all_linked_soon(&stand, worker, &ids, "target comes and goes").await;
}

async fn a_target_that_throttles_every_call_rejects_nothing(parts: &RealParts) {
    for headers in [json!({}), json!({"Retry-After": "1"})] {
        let stand = Stand::prepare(parts, Delivery::Transactional).await;
        let worker = worker(&stand, &[]).await;
        let rule = json!({"route": "loanpro.*", "action": "status", "status": 429, "headers": headers});
        stand.sandbox.fault(rule).await;
        let ids = publish(&stand, "permanent", EVENTS).await;
        outlasts_the_budget(&stand, "loanpro.link").await;
        let calls = calls(&stand, "loanpro.link").await;
        assert!(calls < 60, "{calls} calls to a vendor that asks for fewer");
        stand.sandbox.heal().await;
        assert_all_linked_soon(&stand, worker, &ids, "all throttled").await;
    }
}

async fn of_two_targets_one_down_the_other_goes_on_at_full_pace(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[]).await;
    let began = Instant::now();
    let alone = publish(&stand, "aloha-alone", EVENTS).await;
    linked(&stand, EVENTS).await;
    let usual = began.elapsed();
    stand.sandbox.fault(down("loanpro.*", 503)).await;
    let waiting = publish(&stand, "permanent", EVENTS).await;
    opened(&worker, 1).await;
    let began = Instant::now();
    let beside = publish(&stand, "aloha-beside", EVENTS).await;
    linked(&stand, 2 * EVENTS).await;
    let took = began.elapsed();
    println!("outages: {EVENTS} events in {usual:?} alone, in {took:?} beside a target that is down");
    assert!(took < usual * 2 + Duration::from_secs(2), "{took:?}, and {usual:?} alone");
    stand.sandbox.heal().await;
    let all = [alone, waiting, beside].into_iter().flatten().collect();
    assert_all_linked_soon(&stand, worker, &all, "one of two targets down").await;
}

async fn a_wrong_credential_rejects_nothing_and_its_mended_file_is_taken_up(parts: &RealParts) {
    let mut stand = Stand::prepare(parts, Delivery::Transactional).await;
    let strict = Sandbox::start_strict(&format!("loanpro_token={LOANPRO_TOKEN}")).await;
    for vendor in ["payiq", "loanpro", "aloha"] {
        stand.amend(&stand.sandbox.vendor(vendor), &strict.vendor(vendor));
    }
    stand.sandbox = strict;
    let file = stand.file("loanpro-token", "the wrong one");
    stand.amend(&format!("token = \"{LOANPRO_TOKEN}\""), &format!("token_file = \"{}\"", file.display()));
    let worker = worker(&stand, &[]).await;
    let ids = publish(&stand, "permanent", EVENTS).await;
    outlasts_the_budget(&stand, "loanpro.link").await;
    let calls = calls(&stand, "loanpro.link").await;
    assert!(calls < 60, "{calls} calls with a credential that is refused");
    let said = worker.log().matches("the event backs off").count();
    assert!(said < 10, "{said} lines: one a change is enough, not one an event");
    std::fs::write(&file, LOANPRO_TOKEN).expect("the file is mended");
    assert_all_linked_soon(&stand, worker, &ids, "wrong credential").await;
}

/// A wrong tenant answers like a missing customer, to everything. There is no probe customer that could tell.
async fn a_wrong_tenant_without_a_probe_rejects_no_event_of_many_customers(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[]).await;
    let body = json!({"error": {"message": {"lang": "en", "value": "Customer not found"}}});
    stand.sandbox.fault(json!({"route": "loanpro.*", "action": "status", "status": 409, "body": body})).await;
    let ids = publish(&stand, "permanent", 500).await;
    outlasts_the_budget(&stand, "loanpro.link").await;
    assert!(stand.all(&stand.topics.rejected).await.is_empty());
    let calls = calls(&stand, "loanpro.link").await;
    assert!(calls < 100, "{calls} links tried at the wrong tenant");
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "wrong tenant").await;
}

fn setting(name: &str, value: &str) -> (String, String) {
    (format!("PROFILE_LINKER_{name}"), value.to_owned())
}

async fn worker(stand: &Stand<'_>, more: &[(String, String)]) -> Worker {
    let mut settings = vec![setting("RETRY__BUDGET", BUDGET), setting("BREAKER__PROBE_INTERVAL", PROBE_INTERVAL)];
    // Of two with one name the later counts.
    settings.extend_from_slice(more);
    let mut worker = stand.start_worker_with(&settings);
    worker.ready().await;
    worker
}

fn down(route: &str, status: u16) -> Value {
    json!({"route": route, "action": "status", "status": status})
}

fn names(kind: &str, count: usize) -> BTreeSet<String> {
    (0..count).map(|number| format!("{kind}-{number}")).collect()
}

/// Publishes events, each of a customer of its own; answers their ids. The kind's first word says which events.
async fn publish(stand: &Stand<'_>, kind: &str, count: usize) -> BTreeSet<String> {
    let ids = names(kind, count);
    let published = ids.iter().map(async |id| {
        let sandbox = &stand.sandbox;
        let event = match kind.split('-').next() {
            Some("aloha") => {
                let token = sandbox.tokenise(json!({"kind": "card"})).await;
                events::aloha(id, &sandbox.create_aloha_customer().await, "connected-payments", &token)
            }
            Some("temporary") => {
                events::temporary(id, &sandbox.create_customer().await, &sandbox.tokenise(json!({})).await)
            }
            _ => events::permanent(id, &sandbox.create_customer().await, &sandbox.permanent_token().await),
        };
        stand.publish(&event).await
    });
    stream::iter(published).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    ids
}

async fn calls(stand: &Stand<'_>, route: &str) -> u64 {
    stand.sandbox.state().await["calls"]["counts"][route].as_u64().unwrap_or(0)
}

/// The breaker is open, and so many probes have gone since that the budget would be spent.
async fn outlasts_the_budget(stand: &Stand<'_>, route: &str) {
    let before = eventually("calls are tried", PATIENCE, async || Some(calls(stand, route).await).filter(|n| *n >= 10));
    let enough = before.await + PROBES;
    eventually("the outage outlasts the budget", PATIENCE, async || {
        (calls(stand, route).await >= enough).then_some(())
    })
    .await;
}

async fn opened(worker: &Worker, times: usize) {
    says(worker, OPENED, times).await;
}

async fn says(worker: &Worker, words: &str, times: usize) {
    let lines = |log: &str| log.lines().filter(|line| line.contains(words)).count();
    eventually(words, PATIENCE, async || (lines(&worker.log()) >= times).then_some(())).await;
}

fn causes(seen: &[Record]) -> BTreeSet<String> {
    seen.iter().filter_map(|record| record.json()["causationid"].as_str().map(str::to_owned)).collect()
}

/// Waits until there are so many results, and asserts that they are the right ones.
async fn linked(stand: &Stand<'_>, count: usize) {
    let complete = |seen: &[Record]| seen.len() >= count;
    let topics = [stand.topics.linked.as_str(), &stand.topics.rejected];
    stand.reader(&topics).read_until("all have a result", PATIENCE, complete).await;
    let rejected = stand.all(&stand.topics.rejected).await;
    assert!(rejected.is_empty(), "{} rejected, such as {}", rejected.len(), rejected[0].json());
}

/// From the moment when the worker says that the vendor is back.
async fn assert_all_linked_soon(stand: &Stand<'_>, worker: Worker, ids: &BTreeSet<String>, story: &str) {
    let is_back = |log: &str| log.rfind(CLOSED) > log.rfind(OPENED);
    eventually("the breaker closes", PATIENCE, async || is_back(&worker.log()).then_some(())).await;
    let back = Instant::now();
    linked(stand, ids.len()).await;
    let took = back.elapsed();
    assert_eq!(worker.terminate(), 0);
    let results = stand.all(&stand.topics.linked).await;
    let rejected = stand.all(&stand.topics.rejected).await;
    let profiles = stand.sandbox.booked("profiles").await.len();
    println!(
        "outages: {story}: {} events, rejected {}, lost {}, profiles too many {}, all linked {took:?} after its end",
        ids.len(),
        rejected.len(),
        ids.difference(&causes(&results)).count(),
        profiles.saturating_sub(ids.len()),
    );
    assert!(rejected.is_empty(), "rejected: {}", rejected[0].json());
    assert_eq!((results.len(), profiles), (ids.len(), ids.len()), "one result and one profile each");
    assert!(took < FULL_SPEED_WITHIN, "{took:?}");
}
