use serde_json::json;
use sha2::{Digest, Sha256};

use crate::house::{checking, customer_path, links, open};

#[tokio::test]
async fn bad_token_requests_are_told_the_field_and_what_is_allowed() {
    let house = open().await;
    let wrong = [
        (json!({ "kind": "wallet" }), "kind must be checking, savings or card"),
        (json!({ "lastFour": "12" }), "lastFour must be a text of four digits"),
        (json!({ "expiresIn": -1 }), "expiresIn must be seconds"),
        (json!({ "outcome": "fine" }), "outcome must be ok, system_error"),
        (json!({ "colour": "red" }), "unknown field colour, allowed are kind, lastFour"),
        (json!([]), "expected an object"),
    ];
    for (body, message) in wrong {
        let answer = house.post("sandbox/tokens", body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.body["error"].as_str().unwrap().starts_with(message), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_token_can_be_had_with_no_body_at_all() {
    let house = open().await;
    let url = format!("{}sandbox/tokens", house.running.base_url());
    assert_eq!(house.http.post(url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn secure_payments_tokenises_a_bank_account_that_can_be_linked() {
    let house = open().await;
    let customer = house.customer().await;
    let account = |number: &str| {
        json!({ "checking-account": {
            "accountholder_name": "Sandy Box", "account_number": number, "routing_number": "021000021",
            "account_type": "checking",
        } })
    };
    let answer = house.post("secure-payments/checking-account", account("000123456789")).await;
    let token = answer.body["token"].as_str().unwrap();
    assert!((600..=2048).contains(&token.len()));
    assert_eq!(house.put(&customer_path(customer), links(&[checking(token, "One")])).await.status, 200);
    assert_eq!(house.post("secure-payments/checking-account", account("12")).await.status, 400);
    assert_eq!(house.post("secure-payments/checking-account", json!({})).await.status, 400);
}

#[tokio::test]
async fn the_state_shows_each_profile_with_its_fingerprint_and_key() {
    let house = open().await;
    let customer = house.customer().await;
    let token = house.token(json!({ "permanent": true })).await;
    let request = house.request(reqwest::Method::PUT, &customer_path(customer));
    let request = request.header("Idempotency-Key", "key-7").json(&links(&[checking(&token, "One")]));
    assert_eq!(request.send().await.unwrap().status(), 200);
    let state = house.state().await;
    let profile = &state["profiles"][0];
    let fingerprint = data_encoding::HEXLOWER.encode(&Sha256::digest(token.as_bytes())[..8]);
    assert_eq!((&profile["id"], &profile["customer"]), (&json!("1"), &json!(customer.to_string())));
    assert_eq!((&profile["token"], &profile["idempotencyKey"]), (&json!(fingerprint), &json!("key-7")));
    assert_eq!((&profile["system"], &profile["title"]), (&json!("loanpro"), &json!("One")));
    assert_eq!((&profile["primary"], &profile["secondary"]), (&json!(false), &json!(true)));
    assert!(profile["createdAt"].as_str().unwrap().ends_with('Z'));
}

#[tokio::test]
async fn the_state_counts_calls_and_shows_the_latest() {
    let house = open().await;
    let customer = house.customer().await;
    house.link(customer, "One").await;
    house.link(customer, "One").await;
    let calls = house.state().await["calls"].clone();
    assert_eq!(calls["counts"], json!({ "loanpro.link": 2, "loanpro.setup": 1 }));
    let last = calls["recent"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["route"], &last["status"]), (&json!("loanpro.link"), &json!(409)));
    assert_eq!((&last["customer"], &last["fault"]), (&json!(customer.to_string()), &json!(null)));
}
