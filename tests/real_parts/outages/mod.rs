//! Vendors that are away, come and go, throttle, or refuse us, under load. Of each: nothing is rejected because of it though
//! it outlasts the retry budget, nothing is lost, nothing is linked twice, and full speed is back soon. How large they are:
//! `size`.

pub mod certificates;
pub mod misconfigured;
mod size;
pub mod table;

use std::cell::{Cell, RefCell};
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

use size::{Size, time_to_full_speed};

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
    of_two_targets_one_slow_the_other_goes_on_at_full_pace needs [Kafka, Postgres];
}

/// What the worker says when a breaker opens, and when it closes.
const OPENED: &str = "its events wait, and it is probed";
const CLOSED: &str = " is well again";
/// Shorter than every outage here: what counted against it would end as a dead letter.
const BUDGET: &str = "2s";
/// So many probes last longer than the budget.
const PROBES: u64 = 8;
const PROBE_INTERVAL: Duration = Duration::from_millis(400);
/// Customers whom a wrong tenant does not know.
const STRANGERS: usize = 500;
/// From the breaker's closing until results come as fast as they ever do; in the usual size, until all are linked.
const FULL_SPEED_WITHIN: Duration = Duration::from_secs(10);
/// What the sandbox and the broker take at once.
const AT_ONCE: usize = 32;

async fn a_converter_that_is_down_rejects_nothing_and_is_gone_on_with(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[]).await;
    let (size, began) = (Size::wished(), Instant::now());
    stand.sandbox.fault(down("payiq.*", 503)).await;
    let ids = publish(&stand, "temporary", size.events).await;
    outlasts_the_budget(&stand, "payiq.auth").await;
    size.passes(began).await;
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
    let (size, began) = (Size::wished(), Instant::now());
    for vendor in ["loanpro", "aloha"] {
        stand.sandbox.fault(down(&format!("{vendor}.*"), 502)).await;
    }
    let mut ids = publish(&stand, "permanent", size.events).await;
    ids.extend(publish(&stand, "aloha", size.events / 2).await);
    outlasts_the_budget(&stand, "loanpro.link").await;
    size.passes(began).await;
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "both targets down").await;
}

/// There is no other event to probe with: its own failures would have spent the budget several times.
async fn an_event_that_alone_probes_an_outage_spends_no_budget_on_it(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[setting("BREAKER__FAILURES", "1")]).await;
    let began = Instant::now();
    stand.sandbox.fault(down("loanpro.*", 503)).await;
    let ids = publish(&stand, "permanent", 1).await;
    eventually("it is probed for longer than the budget", PATIENCE, async || {
        let probes = calls(&stand, "loanpro.link").await + calls(&stand, "loanpro.lookup").await;
        (probes >= 2 * PROBES).then_some(())
    })
    .await;
    Size::wished().passes(began).await;
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
    let (size, began) = (Size::wished(), Instant::now());
    let ids = publish(&stand, "permanent", size.events).await;
    opened(&worker, 1).await;
    size.passes(began).await;
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "target hangs").await;
}

async fn a_target_that_comes_and_goes_rejects_nothing(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[]).await;
    let (size, began) = (Size::wished(), Instant::now());
    let mut ids = publish(&stand, "permanent", size.events / 2).await;
    let mut round = 0;
    while round < 4 || began.elapsed() < size.lasts {
        round += 1;
        stand.sandbox.fault(down("loanpro.*", 503)).await;
        let more = publish(&stand, &format!("permanent-{round}"), size.events / 10).await;
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
        let (size, began) = (Size::wished(), Instant::now());
        let ids = publish(&stand, "permanent", size.events).await;
        outlasts_the_budget(&stand, "loanpro.link").await;
        size.passes(began).await;
        let calls = calls(&stand, "loanpro.link").await;
        assert!(calls < size.few(60, PROBE_INTERVAL), "{calls} calls to a vendor that asks for fewer");
        stand.sandbox.heal().await;
        assert_all_linked_soon(&stand, worker, &ids, "all throttled").await;
    }
}

async fn of_two_targets_one_down_the_other_goes_on_at_full_pace(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = worker(&stand, &[]).await;
    let size = Size::wished();
    let part = size.events / 2;
    let (alone, usual) = pace(&stand, "aloha-alone", part).await;
    let began = Instant::now();
    stand.sandbox.fault(down("loanpro.*", 503)).await;
    let waiting = publish(&stand, "permanent", part).await;
    opened(&worker, 1).await;
    let (beside, took) = pace(&stand, "aloha-beside", part).await;
    println!("outages: {part} events in {usual:?} alone, in {took:?} beside a target that is down");
    assert!(took < usual * 2 + Duration::from_secs(2), "{took:?}, and {usual:?} alone");
    size.passes(began).await;
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
    let (size, began) = (Size::wished(), Instant::now());
    let ids = publish(&stand, "permanent", size.events).await;
    outlasts_the_budget(&stand, "loanpro.link").await;
    size.passes(began).await;
    let calls = calls(&stand, "loanpro.link").await;
    assert!(calls < size.few(60, PROBE_INTERVAL), "{calls} calls with a credential that is refused");
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
    let (size, began) = (Size::wished(), Instant::now());
    let ids = publish_for(&stand, "permanent", size.events.max(STRANGERS), STRANGERS).await;
    outlasts_the_budget(&stand, "loanpro.link").await;
    size.passes(began).await;
    assert!(stand.all(&stand.topics.rejected).await.is_empty());
    let calls = calls(&stand, "loanpro.link").await;
    assert!(calls < size.few(100, PROBE_INTERVAL), "{calls} links tried at the wrong tenant");
    stand.sandbox.heal().await;
    assert_all_linked_soon(&stand, worker, &ids, "wrong tenant").await;
}

/// Nobody is away: the slow one only has many calls out, of which each takes long.
async fn of_two_targets_one_slow_the_other_goes_on_at_full_pace(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    stand.amend("\ntimeout = \"2s\"", "\ntimeout = \"30s\"");
    let worker = worker(&stand, &[]).await;
    let part = Size::wished().events / 2;
    let (alone, usual) = pace(&stand, "aloha-alone", part).await;
    stand.sandbox.fault(json!({"route": "loanpro.*", "action": "delay", "delay": 3})).await;
    let slow = publish(&stand, "permanent", part).await;
    let (beside, took) = pace(&stand, "aloha-beside", part).await;
    let waiting = alone.len() + slow.len() + beside.len() - stand.all(&stand.topics.linked).await.len();
    println!("outages: {part} events in {usual:?} alone, in {took:?} beside a slow target of which {waiting} wait");
    assert!(waiting > part / 2, "the slow one is still at work: {waiting}");
    assert!(took < usual * 2 + Duration::from_secs(2), "{took:?}, and {usual:?} alone");
    stand.sandbox.heal().await;
    let all: BTreeSet<String> = [alone, slow, beside].into_iter().flatten().collect();
    linked(&stand, all.len()).await;
    assert!(!worker.log().contains(OPENED), "slow is not away");
    assert_eq!(worker.terminate(), 0);
    assert_eq!(stand.sandbox.booked("profiles").await.len(), all.len(), "each once");
}

/// Publishes events of Aloha and waits until each has its result; answers how long it took.
async fn pace(stand: &Stand<'_>, kind: &str, count: usize) -> (BTreeSet<String>, Duration) {
    let began = Instant::now();
    let ids = publish(stand, kind, count).await;
    let (looked_at, found) = (Cell::new(0), Cell::new(0));
    let done = |seen: &[Record]| {
        found.set(found.get() + causes(&seen[looked_at.replace(seen.len())..]).intersection(&ids).count());
        found.get() >= count
    };
    let topics = [stand.topics.linked.as_str(), &stand.topics.rejected];
    stand.reader(&topics).read_until("all of them have a result", PATIENCE, done).await;
    (ids, began.elapsed())
}

fn setting(name: &str, value: &str) -> (String, String) {
    (format!("PROFILE_LINKER_{name}"), value.to_owned())
}

async fn worker(stand: &Stand<'_>, more: &[(String, String)]) -> Worker {
    let probe_interval = format!("{}ms", PROBE_INTERVAL.as_millis());
    let mut settings = vec![setting("RETRY__BUDGET", BUDGET), setting("BREAKER__PROBE_INTERVAL", &probe_interval)];
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

/// Publishes events; answers their ids. The kind's first word says which events.
async fn publish(stand: &Stand<'_>, kind: &str, count: usize) -> BTreeSet<String> {
    publish_for(stand, kind, count, Size::wished().customers).await
}

/// The same of at most so many customers.
async fn publish_for(stand: &Stand<'_>, kind: &str, count: usize, customers: usize) -> BTreeSet<String> {
    let (ids, sandbox, word) = (names(kind, count), &stand.sandbox, kind.split('-').next());
    let created = (0..count.min(customers)).map(async |_| match word {
        Some("aloha") => sandbox.create_aloha_customer().await,
        _ => sandbox.create_customer().await,
    });
    let customers: Vec<String> = stream::iter(created).buffer_unordered(AT_ONCE).collect().await;
    let published = ids.iter().zip(customers.iter().cycle()).map(async |(id, customer)| {
        let event = match word {
            Some("aloha") => {
                let token = sandbox.tokenise(json!({"kind": "card"})).await;
                events::aloha(id, customer, "connected-payments", &token)
            }
            Some("temporary") => events::temporary(id, customer, &sandbox.tokenise(json!({})).await),
            _ => events::permanent(id, customer, &sandbox.permanent_token().await),
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

/// Waits until there are so many results, and asserts that they are the right ones; answers when each came.
async fn linked(stand: &Stand<'_>, count: usize) -> Vec<Instant> {
    let arrivals = RefCell::new(Vec::new());
    let complete = |seen: &[Record]| {
        arrivals.borrow_mut().resize_with(seen.len(), Instant::now);
        seen.len() >= count
    };
    let topics = [stand.topics.linked.as_str(), &stand.topics.rejected];
    stand.reader(&topics).read_until("all have a result", PATIENCE, complete).await;
    let rejected = stand.all(&stand.topics.rejected).await;
    assert!(rejected.is_empty(), "{} rejected, such as {}", rejected.len(), rejected[0].json());
    arrivals.into_inner()
}

/// From the moment when the worker says that the vendor is back.
async fn assert_all_linked_soon(stand: &Stand<'_>, worker: Worker, ids: &BTreeSet<String>, story: &str) {
    let is_back = |log: &str| log.rfind(CLOSED) > log.rfind(OPENED);
    eventually("the breaker closes", PATIENCE, async || is_back(&worker.log()).then_some(())).await;
    let back = Instant::now();
    let before = stand.all(&stand.topics.linked).await.len();
    let arrivals = linked(stand, ids.len()).await;
    let took = back.elapsed();
    let arrivals: Vec<Duration> = arrivals.iter().skip(before).map(|at| at.duration_since(back)).collect();
    let full_speed = time_to_full_speed(&arrivals);
    assert_eq!(worker.terminate(), 0);
    let results = stand.all(&stand.topics.linked).await;
    let rejected = stand.all(&stand.topics.rejected).await;
    let profiles = stand.sandbox.booked("profiles").await.len();
    println!(
        "outages: {story}: {} events, rejected {}, lost {}, profiles too many {}, full speed {full_speed:?} and all linked \
         {took:?} after its end",
        ids.len(),
        rejected.len(),
        ids.difference(&causes(&results)).count(),
        profiles.saturating_sub(ids.len()),
    );
    assert!(rejected.is_empty(), "rejected: {}", rejected[0].json());
    assert_eq!((results.len(), profiles), (ids.len(), ids.len()), "one result and one profile each");
    assert!(full_speed < FULL_SPEED_WITHIN, "{full_speed:?}");
    assert!(took < FULL_SPEED_WITHIN || !Size::wished().is_usual(), "{took:?}");
}
