//! Each kind of account to each target, through nothing but what a user has.

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    checking_savings_and_card_each_pay_a_loan needs [Kafka, Postgres];
    a_new_primary_profile_replaces_the_old_one needs [Kafka, Postgres];
    a_primary_whose_promotion_was_not_seen_is_looked_up needs [Kafka, Postgres];
    a_card_is_linked_at_aloha_for_each_provider needs [Kafka, Postgres];
    a_permanent_token_is_linked_without_a_conversion needs [Kafka, Postgres];
    retries_carry_the_same_idempotency_key_and_the_ledger_tells_them needs [Kafka, Postgres];
}

async fn checking_savings_and_card_each_pay_a_loan(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let _worker = stand.worker().await;
    for kind in ["checking", "savings", "card"] {
        let (customer, loan) = (stand.sandbox.create_customer().await, stand.sandbox.create_loan().await);
        stand.sandbox.link_customer_to_loan(&customer, &loan).await;
        let token = stand.sandbox.tokenise(json!({"kind": kind, "lastFour": "6789"})).await;
        stand.publish(&events::temporary(kind, &customer, &token)).await;
        let linked = linked(&stand, kind).await;
        assert_eq!(linked["account"]["kind"], kind);
        assert_eq!(linked["account"]["lastFour"], "6789");
        let account: i64 = linked["paymentAccountId"].as_str().and_then(|id| id.parse().ok()).expect("a number");
        let payment = json!({"amount": 10.5, "date": "2026-06-01", "paymentTypeId": 1, "paymentMethodId": 2, "paymentAccountId": account});
        stand.sandbox.pay(&loan, payment).await;
    }
    let payments = stand.sandbox.booked("payments").await;
    assert_eq!(payments.iter().filter(|payment| payment["kind"] == "process").count(), 3, "{payments:?}");
}

async fn a_new_primary_profile_replaces_the_old_one(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let _worker = stand.worker().await;
    let customer = stand.sandbox.create_customer().await;
    for id in ["first", "second"] {
        primary(&stand, id, &customer).await;
        let linked = linked(&stand, id).await;
        assert_eq!((&linked["primary"], &linked["secondary"]), (&json!(true), &json!(false)), "{linked}");
    }
    assert_eq!(primaries(&stand).await, [("first", false, true), ("second", true, false)].map(own));
}

async fn a_primary_whose_promotion_was_not_seen_is_looked_up(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let customer = stand.sandbox.create_customer().await;
    // Of link and promotion, each a PUT on the customer, every answer is lost four times.
    let rule = json!({"route": "loanpro.link", "action": "apply_drop", "next": 4, "customers": [customer]});
    stand.sandbox.fault(rule).await;
    let _worker = stand.worker().await;
    primary(&stand, "unseen", &customer).await;
    assert_eq!(linked(&stand, "unseen").await["primary"], true);
    assert_eq!(primaries(&stand).await, [("unseen", true, false)].map(own));
}

async fn primary(stand: &Stand<'_>, id: &str, customer: &str) {
    let token = stand.sandbox.tokenise(json!({})).await;
    let mut event = events::temporary(id, customer, &token);
    event["data"]["primary"] = json!(true);
    stand.publish(&event).await;
}

fn own((id, primary, secondary): (&str, bool, bool)) -> (String, bool, bool) {
    (id.to_owned(), primary, secondary)
}

/// The books' profiles: the event that titled each, primary, secondary.
async fn primaries(stand: &Stand<'_>) -> Vec<(String, bool, bool)> {
    let flag = |value: &Value| value.as_bool().unwrap_or_else(|| value == &json!(1));
    let profiles = stand.sandbox.booked("profiles").await;
    let told = |profile: &Value| {
        let title = profile["title"].as_str().unwrap_or_default();
        let event = title.split(" #").next().unwrap_or_default().to_owned();
        (event, flag(&profile["primary"]), flag(&profile["secondary"]))
    };
    profiles.iter().map(told).collect()
}

async fn a_card_is_linked_at_aloha_for_each_provider(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let _worker = stand.worker().await;
    for (provider, number) in [("connected-payments", 2), ("credit-call", 4), ("freedom-pay", 6)] {
        let customer = stand.sandbox.create_aloha_customer().await;
        let token = stand.sandbox.tokenise(json!({"kind": "card", "lastFour": "1111"})).await;
        stand.publish(&events::aloha(provider, &customer, provider, &token)).await;
        let linked = linked(&stand, provider).await;
        assert_eq!(linked["customer"], json!({"system": "aloha", "id": customer}));
        let payments = stand.sandbox.aloha_payments(&customer).await;
        assert_eq!(payments.len(), 1, "{payments:?}");
        assert_eq!(payments[0]["AccountId"], linked["paymentAccountId"]);
        assert_eq!(payments[0]["ProviderType"], number);
    }
}

async fn a_permanent_token_is_linked_without_a_conversion(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let _worker = stand.worker().await;
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.permanent_token().await;
    stand.publish(&events::permanent("permanent", &customer, &token)).await;
    assert_eq!(linked(&stand, "permanent").await["attempts"]["convert"], 0);
    assert!(stand.sandbox.booked("conversions").await.is_empty());
}

async fn retries_carry_the_same_idempotency_key_and_the_ledger_tells_them(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let customer = stand.sandbox.create_customer().await;
    let rule = json!({"route": "loanpro.link", "action": "status", "status": 503, "next": 2, "customers": [customer]});
    stand.sandbox.fault(rule).await;
    let _worker = stand.worker().await;
    let token = stand.sandbox.tokenise(json!({})).await;
    stand.publish(&events::temporary("retried", &customer, &token)).await;
    assert_eq!(linked(&stand, "retried").await["attempts"]["link"], 3);
    let state = stand.sandbox.state().await;
    let calls = state["calls"]["recent"].as_array().cloned().unwrap_or_default();
    let keys: Vec<&Value> =
        calls.iter().filter(|call| call["route"] == "loanpro.link").map(|call| &call["idempotencyKey"]).collect();
    // UUIDv5 over source, id and step, worked out by hand with Python's uuid module.
    assert_eq!(keys, [&json!("7b7fd216-2626-53a2-9e51-19a18f608870"); 3], "{calls:?}");
    let shown = stand.command(&["ledger", "show", "retried", "--output", "json"]);
    let shown: Value = serde_json::from_slice(&shown.stdout).expect("one JSON object");
    assert_eq!((&shown["eventId"], &shown["state"]), (&json!("retried"), &json!("linked")));
    let links: Vec<(&Value, &Value)> = shown["timeline"]
        .as_array()
        .expect("a timeline")
        .iter()
        .filter(|entry| entry["step"] == "loanpro.link")
        .map(|entry| (&entry["status"], &entry["outcome"]))
        .collect();
    let unknown = (&json!(503), &json!("unknown"));
    assert_eq!(links, [unknown, unknown, (&json!(200), &json!("done"))], "{shown}");
}

/// The data of the event's `ProfileLinked`.
async fn linked(stand: &Stand<'_>, id: &str) -> Value {
    let mut reader = stand.reader(&[&stand.topics.linked]);
    let of = |record: &crate::support::records::Record| record.json()["data"]["created"]["id"] == id;
    let records = reader.read_until("the profile is linked", PATIENCE, |seen| seen.iter().any(of)).await;
    records.iter().find(|record| of(record)).map(|record| record.json()["data"].clone()).expect("it was seen")
}
