//! How a worker ends that is asked to: SIGTERM and SIGINT, once and twice.

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::json;

use crate::support::child::Signal;
use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    a_worker_that_gets_sigterm_lets_calls_end_publishes_and_leaves_the_group needs [Kafka, Postgres];
    a_worker_that_gets_sigint_lets_calls_end_publishes_and_leaves_the_group needs [Kafka, Postgres];
    a_call_that_hangs_holds_an_end_up_no_longer_than_the_time_allowed needs [Kafka, Postgres];
    a_second_sigterm_ends_the_worker_at_once needs [Kafka, Postgres];
    a_second_sigint_ends_the_worker_at_once needs [Kafka, Postgres];
    a_worker_that_is_asked_to_end_while_it_starts_ends needs [Kafka];
}

/// Links that are on the wire when the signal comes.
const EVENTS: usize = 5;
/// Far above what an end takes that waits for nothing, far below the calls' and the stop's own limits in these tests.
const AT_ONCE: Duration = Duration::from_secs(20);

async fn a_worker_that_gets_sigterm_lets_calls_end_publishes_and_leaves_the_group(parts: &RealParts) {
    drains(parts, Signal::Terminate, 0).await;
}

async fn a_worker_that_gets_sigint_lets_calls_end_publishes_and_leaves_the_group(parts: &RealParts) {
    drains(parts, Signal::Interrupt, 130).await;
}

async fn drains(parts: &RealParts, signal: Signal, code: i32) {
    let stand = patient(parts).await;
    let mut worker = stand.worker().await;
    links_are_out(&stand, json!({"action": "delay", "delay": 1.5})).await;
    worker.signal(signal);
    assert_eq!(worker.exit_code(), code);
    assert_eq!(members(&stand), 0, "it left the group, whose session time-out is far away");
    let linked = stand.all(&stand.topics.linked).await;
    assert_eq!(linked.len(), EVENTS, "what was on the wire is linked and published");
    assert!(linked.iter().all(|record| record.json()["data"]["resolvedBy"] == "response"), "by the answer itself");
}

async fn a_call_that_hangs_holds_an_end_up_no_longer_than_the_time_allowed(parts: &RealParts) {
    let stand = patient(parts).await;
    stand.amend("shutdown_timeout = \"60s\"", "shutdown_timeout = \"2s\"");
    let mut worker = stand.worker().await;
    links_are_out(&stand, json!({"action": "hang"})).await;
    let asked = Instant::now();
    worker.signal(Signal::Terminate);
    assert_eq!(worker.exit_code(), 0);
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    assert_eq!(members(&stand), 0, "it left the group");
    assert_the_next_worker_ends_what_was_left(&stand).await;
}

async fn a_second_sigterm_ends_the_worker_at_once(parts: &RealParts) {
    ends_at_once(parts, Signal::Terminate, 0).await;
}

async fn a_second_sigint_ends_the_worker_at_once(parts: &RealParts) {
    ends_at_once(parts, Signal::Interrupt, 130).await;
}

async fn ends_at_once(parts: &RealParts, signal: Signal, code: i32) {
    let stand = patient(parts).await;
    let mut worker = stand.worker().await;
    links_are_out(&stand, json!({"action": "hang"})).await;
    worker.signal(signal);
    eventually("the worker drains", PATIENCE, async || worker.log().contains("stopping").then_some(())).await;
    assert!(worker.is_running(), "one signal lets calls end");
    let asked = Instant::now();
    worker.signal(signal);
    assert_eq!(worker.exit_code(), code);
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    assert!(worker.log().contains("stopped at once"), "{}", worker.log());
    assert_the_next_worker_ends_what_was_left(&stand).await;
}

/// Before it is ready there is nothing to drain: its ledger does not answer, and it waits for it.
async fn a_worker_that_is_asked_to_end_while_it_starts_ends(parts: &RealParts) {
    // A door that nobody answers.
    let door = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let address = door.local_addr().expect("its address");
    let config = starting_config(parts.kafka().brokers(), &format!("postgres://nobody@{address}/none"), folder.path());
    let mut worker = Worker::start(&config, &[], &[], &folder.path().join("worker.log"));
    let asks = tokio::time::timeout(PATIENCE, door.accept()).await;
    let (_held, _) = asks.unwrap_or_else(|_| panic!("it never asks: {}", worker.log())).expect("for its ledger");
    worker.signal(Signal::Terminate);
    assert_eq!(worker.exit_code(), 0);
}

fn starting_config(brokers: &str, ledger: &str, folder: &std::path::Path) -> std::path::PathBuf {
    std::fs::write(folder.join("k1"), data_encoding::BASE64.encode(&[7; 32])).expect("a key");
    let text = format!(
        "[kafka]\nbrokers = \"{brokers}\"\n[ledger]\nurl = \"{ledger}\"\n[converter.payiq]\nbase_url = \"http://127.0.0.1:9/\"\n\
         api_key = \"7b0f6a9e-51c4-4c8e-9d1a-2f6f3c1d9b42\"\nsigning_key = \"x\"\n[target.loanpro]\n\
         base_url = \"http://127.0.0.1:9/\"\ntoken = \"x\"\ninstance_id = \"1\"\n[keys]\nactive = \"k1\"\n\
         k1 = {{ file = \"{}/k1\" }}\n[admin]\nlisten = \"127.0.0.1:0\"\n",
        folder.display()
    );
    let config = folder.join("worker.toml");
    std::fs::write(&config, text).expect("a configuration");
    config
}

/// Calls may take long, and so may a stop and a member's silence: what ends sooner was not waited for.
async fn patient(parts: &RealParts) -> Stand<'_> {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    stand.amend("\ntimeout = \"2s\"", "\ntimeout = \"40s\"");
    stand.amend("shutdown_timeout = \"10s\"", "shutdown_timeout = \"60s\"");
    stand.amend("\"session.timeout.ms\" = 6000", "\"session.timeout.ms\" = 45000");
    stand
}

/// Publishes events whose links are then on the wire. Aloha's answer names the profile: nothing is called after it.
async fn links_are_out(stand: &Stand<'_>, mut fault: serde_json::Value) {
    fault["route"] = json!("aloha.link");
    stand.sandbox.fault(fault).await;
    for number in 0..EVENTS {
        let customer = stand.sandbox.create_aloha_customer().await;
        let token = stand.sandbox.tokenise(json!({"kind": "card"})).await;
        stand.publish(&events::aloha(&format!("event-{number}"), &customer, "connected-payments", &token)).await;
    }
    let out = eventually("all links are on the wire", PATIENCE, async || {
        let state = stand.sandbox.state().await;
        let recent = state["calls"]["recent"].as_array().cloned().expect("the latest calls");
        (recent.iter().filter(|call| call["route"] == "aloha.link").count() == EVENTS).then_some(())
    });
    out.await;
}

fn members(stand: &Stand<'_>) -> usize {
    let mut config = ClientConfig::new();
    let asking: BaseConsumer = config.set("bootstrap.servers", stand.kafka.brokers()).create().expect("a client");
    let groups = asking.fetch_group_list(Some(&stand.group), PATIENCE).expect("the group");
    groups.groups().iter().map(|group| group.members().len()).sum()
}

async fn assert_the_next_worker_ends_what_was_left(stand: &Stand<'_>) {
    stand.sandbox.heal().await;
    stand.amend("\ntimeout = \"40s\"", "\ntimeout = \"2s\"");
    let next = stand.start_worker();
    let mut reader = stand.reader(&[&stand.topics.linked]);
    let enough = |seen: &[Record]| seen.len() >= EVENTS;
    reader.read_until("each event is linked", PATIENCE, enough).await;
    next.kill();
    assert_eq!(stand.all(&stand.topics.linked).await.len(), EVENTS, "each once");
}
