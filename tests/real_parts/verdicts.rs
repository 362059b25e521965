//! What each answer of a vendor means for the event: every ErrorNum, wallets and blocks, a missing customer.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    every_verdict_of_the_converter_ends_the_event_as_the_contract_says needs [Kafka, Postgres];
    what_never_gets_better_ends_when_the_budget_is_spent needs [Kafka, Postgres];
    an_expired_token_is_rejected_without_a_call needs [Kafka, Postgres];
    a_missing_customer_is_believed_only_behind_the_probe needs [Kafka, Postgres];
    a_wrong_tenant_rejects_nothing_and_is_gone_on_with_when_mended needs [Kafka, Postgres];
}

/// Outcome of the token, reason, disposition.
const VERDICTS: [(&str, &str, &str); 13] = [
    ("validation", "token_rejected", "final"),
    ("data_not_found", "token_rejected", "final"),
    ("duplicate_payment", "conversion_unknown", "dead-lettered"),
    ("pre_auth_error", "account_declined", "final"),
    ("declined", "account_declined", "final"),
    ("user_locked", "user_locked", "final"),
    ("blocked", "account_unsupported", "final"),
    ("paypal", "account_unsupported", "final"),
    ("apple_pay", "account_unsupported", "final"),
    ("amazon_pay", "account_unsupported", "final"),
    ("contradictory_kind", "account_unsupported", "final"),
    ("contradictory", "conversion_unknown", "dead-lettered"),
    ("empty_token", "conversion_unknown", "dead-lettered"),
];

/// Transient, as far as anybody can tell.
const FOR_EVER: [&str; 3] = ["system_error", "service_unavailable", "unknown_error"];

async fn every_verdict_of_the_converter_ends_the_event_as_the_contract_says(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let _worker = stand.worker().await;
    for (outcome, ..) in VERDICTS {
        publish(&stand, outcome).await;
    }
    let rejected = rejections(&stand, VERDICTS.len()).await;
    let expected = VERDICTS.iter().map(|(outcome, code, end)| ((*outcome).to_owned(), told(code, "convert", end)));
    assert_eq!(rejected, expected.collect());
    assert!(stand.sandbox.booked("profiles").await.is_empty(), "nothing was linked");
}

async fn what_never_gets_better_ends_when_the_budget_is_spent(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let mut worker = stand.start_worker_with(&[setting("RETRY__BUDGET", "2s")]);
    worker.ready().await;
    for outcome in FOR_EVER {
        publish(&stand, outcome).await;
    }
    let rejected = rejections(&stand, FOR_EVER.len()).await;
    let expected = FOR_EVER.map(|outcome| (outcome.to_owned(), told("retries_exhausted", "convert", "dead-lettered")));
    assert_eq!(rejected, BTreeMap::from(expected));
}

async fn a_missing_customer_is_believed_only_behind_the_probe(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let probe = stand.sandbox.create_customer().await;
    let mut worker = stand.start_worker_with(&[setting("TARGET__LOANPRO__PROBE_CUSTOMER_ID", &probe)]);
    worker.ready().await;
    let token = stand.sandbox.tokenise(json!({})).await;
    stand.publish(&events::temporary("missing", "999999999", &token)).await;
    let expected = told("customer_not_found", "link", "final");
    assert_eq!(rejections(&stand, 1).await, BTreeMap::from([("missing".to_owned(), expected)]));
}

async fn an_expired_token_is_rejected_without_a_call(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let _worker = stand.worker().await;
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.tokenise(json!({})).await;
    let mut event = events::temporary("expired", &customer, &token);
    event["data"]["expiresAt"] = json!("2020-01-01T00:00:00Z");
    stand.publish(&event).await;
    let expected = told("token_expired", "convert", "final");
    assert_eq!(rejections(&stand, 1).await, BTreeMap::from([("expired".to_owned(), expected)]));
    let state = stand.sandbox.state().await;
    assert_eq!(state["calls"]["counts"].get("payiq.convert"), None, "no conversion was tried");
}

/// A wrong tenant answers like a missing customer, to the link, to the look-up and to the probe.
async fn a_wrong_tenant_rejects_nothing_and_is_gone_on_with_when_mended(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let probe = stand.sandbox.create_customer().await;
    let body = json!({"error": {"message": {"lang": "en", "value": "Customer not found"}}});
    let rule = json!({"route": "loanpro.*", "action": "status", "status": 409, "body": body});
    stand.sandbox.fault(rule).await;
    let settings = [
        setting("TARGET__LOANPRO__PROBE_CUSTOMER_ID", &probe),
        setting("RETRY__BUDGET", "3s"),
        setting("BREAKER__PROBE_INTERVAL", "200ms"),
    ];
    let mut worker = stand.start_worker_with(&settings);
    worker.ready().await;
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.tokenise(json!({})).await;
    stand.publish(&events::temporary("waits", &customer, &token)).await;
    let probed = eventually("the probe was asked for longer than the budget", PATIENCE, async || {
        let state = stand.sandbox.state().await;
        state["calls"]["counts"]["loanpro.customer"].as_u64().filter(|count| *count >= 8)
    });
    probed.await;
    stand.sandbox.heal().await;
    let mut reader = stand.reader(&[&stand.topics.linked]);
    reader.read_until("the event is linked", PATIENCE, |seen| !seen.is_empty()).await;
    assert!(stand.all(&stand.topics.rejected).await.is_empty(), "no event pays for a wrong tenant");
}

fn setting(name: &str, value: &str) -> (String, String) {
    (format!("PROFILE_LINKER_{name}"), value.to_owned())
}

fn told(code: &str, stage: &str, disposition: &str) -> Value {
    json!([code, stage, disposition])
}

async fn publish(stand: &Stand<'_>, outcome: &str) {
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.tokenise(json!({"kind": "card", "outcome": outcome})).await;
    stand.publish(&events::temporary(outcome, &customer, &token)).await;
}

/// Code, stage and disposition of so many rejections, by event.
async fn rejections(stand: &Stand<'_>, count: usize) -> BTreeMap<String, Value> {
    let mut reader = stand.reader(&[&stand.topics.rejected]);
    let records = reader.read_until("every event is rejected", PATIENCE, |seen| seen.len() >= count).await;
    let told = |data: &Value| json!([data["reason"]["code"], data["reason"]["stage"], data["disposition"]]);
    records
        .iter()
        .map(|record| record.json()["data"].clone())
        .map(|data| (data["created"]["id"].as_str().unwrap_or_default().to_owned(), told(&data)))
        .collect()
}
