use serde_json::json;

use crate::faults::set;
use crate::house::{customer_path, open};

#[tokio::test]
async fn rules_match_by_route_vendor_or_all() {
    let house = open().await;
    let (customer, aloha) = (house.customer().await, house.aloha_customer().await);
    for (route, loanpro, payments) in
        [("loanpro.customer", 503, 200), ("loanpro.*", 503, 200), ("aloha.*", 200, 503), ("*", 503, 503)]
    {
        set(&house, json!({ "route": route, "action": "status", "status": 503 })).await;
        assert_eq!(house.get(&customer_path(customer)).await.status, loanpro, "{route}");
        assert_eq!(house.get(&format!("aloha/v1/Customers/{aloha}/Payments")).await.status, payments, "{route}");
        house.delete("sandbox/faults").await;
    }
}

#[tokio::test]
async fn the_story_s_set_up_is_never_disturbed() {
    let house = open().await;
    set(&house, json!({ "route": "*", "action": "drop" })).await;
    assert_eq!(house.customer().await, 1);
    assert_eq!(house.post("loanpro/odata.svc/Loans", json!({})).await.status, 200);
    assert!(!house.aloha_customer().await.is_empty());
}

#[tokio::test]
async fn a_rule_can_be_for_some_customers_only() {
    let house = open().await;
    let (first, second) = (house.customer().await, house.customer().await);
    set(&house, json!({ "route": "*", "action": "status", "status": 500, "customers": [first, "77"] })).await;
    assert_eq!(house.link(first, "One").await.status, 500);
    assert_eq!(house.link(second, "One").await.status, 200);
    let (bearer, temporary) = (house.bearer().await, house.token(json!({})).await);
    assert_eq!(house.convert(&bearer, &temporary).await.status, 500);
}

#[tokio::test]
async fn next_counts_down_and_the_rule_goes() {
    let house = open().await;
    let customer = house.customer().await;
    set(&house, json!({ "route": "loanpro.link", "action": "status", "status": 500, "next": 2 })).await;
    assert_eq!(house.link(customer, "One").await.status, 500);
    assert_eq!(house.get("sandbox/faults").await.body[0]["left"], 1);
    assert_eq!(house.link(customer, "One").await.status, 500);
    assert_eq!(house.get("sandbox/faults").await.body, json!([]));
    assert_eq!(house.link(customer, "One").await.status, 200);
}

#[tokio::test]
async fn a_probability_strikes_some_calls() {
    let house = open().await;
    let customer = house.customer().await;
    set(&house, json!({ "route": "*", "action": "status", "status": 500, "p": 0.5 })).await;
    let mut struck = 0;
    for _ in 0..200 {
        struck += u32::from(house.get(&customer_path(customer)).await.status == 500);
    }
    // Fails by chance once in about ten thousand million runs.
    assert!((55..=145).contains(&struck), "{struck}");
}

#[tokio::test]
async fn rules_are_listed_and_taken_away() {
    let house = open().await;
    let drop = json!({ "route": "payiq.auth", "action": "drop" });
    let delay = json!({ "route": "aloha.link", "action": "delay", "delay": 1 });
    assert_eq!(set(&house, json!([drop, delay])).await, json!([1, 2]));
    assert_eq!(house.delete("sandbox/faults/1").await.status, 200);
    assert_eq!(house.delete("sandbox/faults/1").await.status, 404);
    let listed = house.get("sandbox/faults").await.body;
    assert_eq!(listed, json!([{ "route": "aloha.link", "action": "delay", "delay": 1, "id": 2 }]));
    assert_eq!(house.delete("sandbox/faults").await.status, 200);
    assert_eq!(house.get("sandbox/faults").await.body, json!([]));
}

#[tokio::test]
async fn a_bad_rule_is_told_the_field_and_what_is_allowed() {
    let house = open().await;
    let wrong = [
        (json!({ "action": "drop" }), "route must be payiq.auth,"),
        (json!({ "route": "loanpro.lnik", "action": "drop" }), "route must be payiq.auth,"),
        (json!({ "route": "*" }), "action must be status, drop"),
        (json!({ "route": "*", "action": "explode" }), "action must be status, drop"),
        (json!({ "route": "*", "action": "status" }), "status must be given"),
        (json!({ "route": "*", "action": "status", "status": 99 }), "status must be 200 to 599"),
        (json!({ "route": "*", "action": "drop", "status": 500 }), "action must be status"),
        (json!({ "route": "*", "action": "drop", "body": "x" }), "status must be given"),
        (json!({ "route": "*", "action": "delay" }), "delay must be seconds"),
        (json!({ "route": "*", "action": "delay", "delay": -1 }), "delay must be seconds"),
        (json!({ "route": "*", "action": "delay", "delay": { "uniform": [2, 1] } }), "delay must be seconds"),
        (json!({ "route": "*", "action": "drop", "p": 1.5 }), "p must be a number"),
        (json!({ "route": "*", "action": "drop", "next": 0 }), "next must be a whole number from 1"),
        (json!({ "route": "*", "action": "drop", "customers": "1" }), "customers must be a list"),
        (json!({ "route": "*", "action": "drop", "often": true }), "unknown field often, allowed are route, action"),
    ];
    for (rule, message) in wrong {
        let answer = house.post("sandbox/faults", json!([{ "route": "*", "action": "drop" }, rule])).await;
        assert_eq!(answer.status, 400, "{rule}");
        assert!(answer.body["error"].as_str().unwrap().starts_with(message), "{rule}: {}", answer.text);
    }
    assert_eq!(house.get("sandbox/faults").await.body, json!([]));
}
