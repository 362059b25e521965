use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::house::{Answer, House, checking, customer_path, links, open, receive};

pub async fn set(house: &House, rule: Value) -> Value {
    let answer = house.post("sandbox/faults", rule).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["ids"].clone()
}

/// A link of a fresh account to customer 1, which may fail on the wire.
async fn try_link(house: &House, title: &str) -> reqwest::Result<Answer> {
    let token = house.token(json!({ "permanent": true })).await;
    let request = house.request(reqwest::Method::PUT, &customer_path(1));
    receive(request.json(&links(&[checking(&token, title)]))).await
}

async fn faulty(action: Value) -> House {
    let house = open().await;
    house.customer().await;
    let mut rule = json!({ "route": "loanpro.link", "next": 1 });
    rule.as_object_mut().unwrap().extend(action.as_object().unwrap().clone());
    set(&house, rule).await;
    house
}

async fn fault_of_last_call(house: &House) -> (Value, Value) {
    let last = house.state().await["calls"]["recent"].as_array().unwrap().last().unwrap().clone();
    (last["fault"].clone(), last["status"].clone())
}

#[tokio::test]
async fn status_answers_instead_of_applying() {
    let house =
        faulty(json!({ "action": "status", "status": 429, "body": { "a": 1 }, "headers": { "Retry-After": "7" } }))
            .await;
    let response = house.request(reqwest::Method::PUT, &customer_path(1)).json(&json!({})).send().await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(response.text().await.unwrap(), r#"{"a":1}"#);
    assert!(house.profiles(1).await.is_empty());
}

#[tokio::test]
async fn drop_closes_the_connection_before_anything_is_applied() {
    let house = faulty(json!({ "action": "drop" })).await;
    assert!(try_link(&house, "One").await.unwrap_err().is_request());
    assert_eq!(fault_of_last_call(&house).await, (json!("drop"), Value::Null));
    assert!(house.profiles(1).await.is_empty());
    assert_eq!(try_link(&house, "One").await.unwrap().status, 200);
}

#[tokio::test]
async fn apply_drop_applies_and_loses_the_answer() {
    let house = faulty(json!({ "action": "apply_drop" })).await;
    assert!(try_link(&house, "One").await.unwrap_err().is_request());
    assert_eq!(fault_of_last_call(&house).await, (json!("apply_drop"), Value::Null));
    assert_eq!(house.profiles(1).await.len(), 1);
}

#[tokio::test]
async fn delay_applies_late() {
    let house = faulty(json!({ "action": "delay", "delay": { "uniform": [0.2, 0.3] } })).await;
    let begun = Instant::now();
    assert_eq!(try_link(&house, "One").await.unwrap().status, 200);
    assert!(begun.elapsed() >= Duration::from_millis(200));
    assert_eq!(house.profiles(1).await.len(), 1);
}

#[tokio::test]
async fn delay_applies_nothing_if_the_caller_leaves() {
    let house = faulty(json!({ "action": "delay", "delay": 3600 })).await;
    assert!(try_link_briefly(&house).await);
    assert!(house.profiles(1).await.is_empty());
}

#[tokio::test]
async fn apply_delay_applies_before_the_caller_gives_up() {
    let house = faulty(json!({ "action": "apply_delay", "delay": 3600 })).await;
    assert!(try_link_briefly(&house).await);
    assert_eq!(house.profiles(1).await.len(), 1);
}

#[tokio::test]
async fn hang_neither_applies_nor_answers() {
    let house = faulty(json!({ "action": "hang" })).await;
    assert!(try_link_briefly(&house).await);
    assert_eq!(fault_of_last_call(&house).await.0, "hang");
    assert!(house.profiles(1).await.is_empty());
}

#[tokio::test]
async fn a_stop_does_not_wait_for_calls_that_hang() {
    let house = faulty(json!({ "action": "hang" })).await;
    let hanging = tokio::spawn(house.request(reqwest::Method::PUT, &customer_path(1)).json(&json!({})).send());
    let arrived = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        while house.state().await["calls"]["counts"]["loanpro.link"] != 1 {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), arrived).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), house.running.stop()).await.unwrap().unwrap();
    assert!(hanging.await.unwrap().unwrap_err().is_request());
}

/// Whether a link timed out.
async fn try_link_briefly(house: &House) -> bool {
    let token = house.token(json!({ "permanent": true })).await;
    let request = house.request(reqwest::Method::PUT, &customer_path(1)).timeout(Duration::from_millis(300));
    receive(request.json(&links(&[checking(&token, "One")]))).await.unwrap_err().is_timeout()
}

#[tokio::test]
async fn garbage_applies_and_answers_with_nonsense() {
    let house = faulty(json!({ "action": "garbage" })).await;
    let answer = try_link(&house, "One").await.unwrap();
    assert_eq!((answer.status, answer.body), (200, Value::Null));
    assert_eq!(house.profiles(1).await.len(), 1);
}

#[tokio::test]
async fn nothing_says_done_and_writes_nothing() {
    let house = faulty(json!({ "action": "nothing" })).await;
    let answer = try_link(&house, "One").await.unwrap();
    assert_eq!((answer.status, &answer.body["d"]["id"]), (200, &json!(1)));
    assert!(house.profiles(1).await.is_empty());
}

#[tokio::test]
async fn nothing_leaves_a_temporary_token_unused() {
    let house = open().await;
    let (bearer, temporary) = (house.bearer().await, house.token(json!({})).await);
    set(&house, json!({ "route": "payiq.convert", "action": "nothing", "next": 1 })).await;
    assert_eq!(house.convert(&bearer, &temporary).await.body["Success"], true);
    assert_eq!(house.state().await["conversions"], json!([]));
    assert_eq!(house.convert(&bearer, &temporary).await.body["ErrorNum"], 0);
}

#[tokio::test]
async fn a_lost_conversion_uses_the_token_up() {
    let house = open().await;
    let (bearer, temporary) = (house.bearer().await, house.token(json!({})).await);
    set(&house, json!({ "route": "payiq.convert", "action": "apply_drop", "next": 1 })).await;
    assert!(receive(house.conversion(&bearer, &temporary)).await.is_err());
    assert_eq!(house.convert(&bearer, &temporary).await.body["ErrorNum"], 2);
}
