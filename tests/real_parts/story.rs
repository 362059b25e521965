//! The user's whole story, through nothing but what a user has: the program, Kafka records, and HTTP to the vendors.

use serde_json::{Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    a_customers_bank_account_is_linked_and_pays_a_loan needs [Kafka, Postgres];
    a_customers_bank_account_is_linked_without_transactions needs [Kafka, Postgres];
}

async fn a_customers_bank_account_is_linked_and_pays_a_loan(parts: &RealParts) {
    play(parts, Delivery::Transactional).await;
}

async fn a_customers_bank_account_is_linked_without_transactions(parts: &RealParts) {
    play(parts, Delivery::Idempotent).await;
}

async fn play(parts: &RealParts, delivery: Delivery) {
    let stand = Stand::prepare(parts, delivery).await;
    let worker = stand.worker().await;
    let (customer, loan) = borrower(&stand).await;
    let token = stand.sandbox.tokenise(json!({"kind": "checking", "lastFour": "6789"})).await;
    stand.publish(&events::temporary("order-1", &customer, &token)).await;
    let linked = profile_linked(&stand, &customer).await;
    let account = linked["data"]["paymentAccountId"].as_str().expect("a profile id").to_owned();
    pay_twice(&stand, &loan, &account).await;
    assert_books(&stand, &customer, &account).await;
    assert_eq!(worker.terminate(), 0, "a worker that is asked to end does so");
}

/// A customer and a loan of theirs.
async fn borrower(stand: &Stand<'_>) -> (String, String) {
    let (customer, loan) = (stand.sandbox.create_customer().await, stand.sandbox.create_loan().await);
    stand.sandbox.link_customer_to_loan(&customer, &loan).await;
    (customer, loan)
}

/// The one result, checked field by field against the contract.
async fn profile_linked(stand: &Stand<'_>, customer: &str) -> Value {
    let mut reader = stand.reader(&[&stand.topics.linked]);
    let records = reader.read_until("the profile is linked", PATIENCE, |seen| !seen.is_empty()).await;
    assert_eq!(records[0].key.as_deref(), Some(customer.as_bytes()));
    assert_eq!(records[0].header("content-type").as_deref(), Some(events::STRUCTURED));
    let event = records[0].json();
    assert_eq!(event["type"], "payments.profile-linked.v1");
    assert_eq!(event["causationid"], "order-1");
    let data = &event["data"];
    assert_eq!(data["created"], json!({"source": events::SOURCE, "id": "order-1"}));
    assert_eq!(data["customer"], json!({"system": "loanpro", "id": customer}));
    assert_eq!(data["account"]["kind"], "checking");
    assert_eq!(data["account"]["lastFour"], "6789");
    assert_eq!(data["generation"], 1);
    assert_eq!(data["attempts"]["convert"], 1);
    assert_eq!(data["attempts"]["link"], 1);
    event
}

/// One payment is only written down (cash, say), the other pulls money from the account linked.
async fn pay_twice(stand: &Stand<'_>, loan: &str, account: &str) {
    let payment = json!({"amount": 50.25, "date": "2026-06-01", "paymentTypeId": 1, "paymentMethodId": 2});
    let mut logged = payment.clone();
    logged["__logOnly"] = json!(true);
    stand.sandbox.pay(loan, logged).await;
    let mut processed = payment;
    processed["paymentAccountId"] = json!(account.parse::<i64>().expect("LoanPro ids are numbers"));
    stand.sandbox.pay(loan, processed).await;
}

async fn assert_books(stand: &Stand<'_>, customer: &str, account: &str) {
    let profiles = stand.sandbox.booked("profiles").await;
    assert_eq!(profiles.len(), 1, "one profile: {profiles:?}");
    assert_eq!(text(&profiles[0]["id"]), account);
    assert_eq!(text(&profiles[0]["customer"]), customer);
    assert_eq!(stand.sandbox.booked("conversions").await.len(), 1, "one conversion");
    let payments = stand.sandbox.booked("payments").await;
    let kinds: Vec<&str> = payments.iter().filter_map(|payment| payment["kind"].as_str()).collect();
    assert_eq!(kinds, ["log", "process"], "{payments:?}");
    assert_eq!(text(&payments[1]["paymentAccountId"]), account);
    for topic in [&stand.topics.rejected, &stand.topics.dead_letter] {
        assert!(stand.all(topic).await.is_empty(), "{topic} stays empty");
    }
}

/// Ids are numbers or strings, as the vendor likes.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
