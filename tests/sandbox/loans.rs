use serde_json::{Value, json};

use crate::house::{House, customer_path, links, open};

const LOAN: &str = "loanpro/odata.svc/Loans(1)";

/// A loan (1) with a customer (1) that has a profile (1).
async fn borrowed() -> House {
    let house = open().await;
    let customer = house.customer().await;
    house.link(customer, "One").await;
    assert_eq!(house.post("loanpro/odata.svc/Loans", json!({ "displayId": "L-1" })).await.body["d"]["id"], 1);
    let joined =
        json!({ "Customers": { "results": [{ "__id": customer, "__setLoanRole": "loan.customerRole.primary" }] } });
    assert_eq!(house.put(LOAN, joined).await.status, 200);
    house
}

async fn pay(house: &House, payment: Value) -> u16 {
    house.put(LOAN, json!({ "Payments": { "results": [payment] } })).await.status
}

#[tokio::test]
async fn a_payment_is_logged_or_pulled_from_a_linked_profile() {
    let house = borrowed().await;
    assert_eq!(pay(&house, json!({ "amount": 10.5, "__logOnly": true })).await, 200);
    assert_eq!(pay(&house, json!({ "amount": "25.00", "paymentAccountId": "1" })).await, 200);
    let payments = house.state().await["payments"].clone();
    assert_eq!((&payments[0]["kind"], &payments[0]["amount"]), (&json!("log"), &json!(10.5)));
    assert_eq!(payments[0]["paymentAccountId"], Value::Null);
    assert_eq!((&payments[1]["kind"], &payments[1]["paymentAccountId"]), (&json!("process"), &json!("1")));
    assert_eq!(payments[1]["loan"], "1");
}

#[tokio::test]
async fn payments_that_make_no_sense_are_refused() {
    let house = borrowed().await;
    let wrong = [
        json!({ "amount": 0, "__logOnly": true }),
        json!({ "amount": -5, "paymentAccountId": 1 }),
        json!({ "amount": 5 }),
        json!({ "amount": 5, "paymentAccountId": 99 }),
        json!({ "amount": 5, "paymentAccountId": 1, "__logOnly": true }),
    ];
    for payment in wrong {
        assert_eq!(pay(&house, payment.clone()).await, 409, "{payment}");
    }
    assert_eq!(house.state().await["payments"], json!([]));
}

#[tokio::test]
async fn a_profile_is_charged_only_if_active_and_of_a_customer_on_the_loan() {
    let house = borrowed().await;
    let stranger = house.customer().await;
    house.link(stranger, "Two").await;
    assert_eq!(pay(&house, json!({ "amount": 5, "paymentAccountId": 2 })).await, 409);
    house.put(&customer_path(1), links(&[json!({ "__id": 1, "__update": true, "active": 0 })])).await;
    assert_eq!(pay(&house, json!({ "amount": 5, "paymentAccountId": 1 })).await, 409);
}

#[tokio::test]
async fn a_loan_can_be_made_together_with_its_customer() {
    let house = open().await;
    let customer = house.customer().await;
    house.link(customer, "One").await;
    let person = json!({ "__id": customer, "__setLoanRole": "loan.customerRole.primary" });
    let made = house.post("loanpro/odata.svc/Loans", json!({ "Customers": { "results": [person] } })).await;
    assert_eq!(made.status, 200);
    assert_eq!(pay(&house, json!({ "amount": 5, "paymentAccountId": 1 })).await, 200);
}

#[tokio::test]
async fn a_loan_takes_no_customer_that_is_missing_or_has_no_role() {
    let house = borrowed().await;
    for person in [json!({ "__id": 99, "__setLoanRole": "loan.customerRole.primary" }), json!({ "__id": 1 })] {
        let body = json!({ "Customers": { "results": [person] } });
        assert_eq!(house.put(LOAN, body).await.status, 409);
    }
    assert_eq!(house.get("loanpro/odata.svc/Loans(99)").await.status, 409);
    assert_eq!(house.get(LOAN).await.body["d"]["displayId"], "L-1");
}
