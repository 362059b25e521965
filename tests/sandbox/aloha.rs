use serde_json::{Value, json};
use uuid::Uuid;

use crate::house::{open, text};

const LINK: &str = "aloha/v1/Customers/Payment/Token";

fn header(customer: &str) -> Value {
    json!({
        "CustomerId": customer, "ProviderType": 2, "MaskedCardNumber": "411111******1111", "ExpirationDate": "12/39",
        "CardToken": "201:4111111111111111", "CardType": 7, "CardHolderName": null,
    })
}

#[tokio::test]
async fn a_link_answers_a_bare_guid_that_the_list_then_shows() {
    let house = open().await;
    let customer = house.aloha_customer().await;
    let answer = house.put(LINK, header(&customer)).await;
    assert_eq!(answer.status, 200);
    let id = text(&answer.body);
    assert!(Uuid::parse_str(&id).is_ok());
    let methods = house.get(&format!("aloha/v1/Customers/{customer}/Payments")).await.body;
    let expected = json!([{
        "AccountId": id, "MethodType": 7, "AccountNumber": "201:4111111111111111", "ExpirationDate": "12/39",
        "MaskedAccountNumber": "411111******1111", "ProviderType": 2,
    }]);
    assert_eq!(methods, expected);
    let profile = house.state().await["profiles"][0].clone();
    assert_eq!((&profile["id"], &profile["customer"]), (&json!(id), &json!(customer)));
    assert_eq!((&profile["system"], &profile["kind"]), (&json!("aloha"), &json!("card")));
}

#[tokio::test]
async fn the_page_s_rules_hold() {
    let house = open().await;
    let customer = house.aloha_customer().await;
    let wrong = [
        ("CustomerId", json!("no guid")),
        ("ProviderType", json!(3)),
        ("MaskedCardNumber", json!("4111111111111111")),
        ("MaskedCardNumber", json!("*****1234")),
        ("ExpirationDate", json!("2039-12-01")),
        ("ExpirationDate", json!("13/39")),
        ("CardToken", json!("no type")),
        ("CardToken", json!("x:1234")),
        ("CardToken", json!("201:")),
        ("CardToken", json!("")),
        ("CardToken", json!(format!("201:{}", "x".repeat(8192)))),
        ("CardType", json!(1)),
    ];
    for (member, value) in wrong {
        let mut body = header(&customer);
        body[member] = value.clone();
        let answer = house.put(LINK, body).await;
        assert_eq!((answer.status, &answer.body["ErrorCode"]), (400, &json!("BadRequest")), "{member} {value}");
    }
    assert_eq!(house.state().await["profiles"], json!([]));
}

#[tokio::test]
async fn freedom_pay_demands_a_holder_and_only_connected_payments_a_token_type() {
    let house = open().await;
    let customer = house.aloha_customer().await;
    let mut body = header(&customer);
    (body["ProviderType"], body["CardToken"]) = (json!(6), json!("opaque"));
    assert_eq!(house.put(LINK, body.clone()).await.status, 400);
    body["CardHolderName"] = json!("Sandy Box");
    assert_eq!(house.put(LINK, body).await.status, 200);
}

#[tokio::test]
async fn a_converted_card_fits() {
    let house = open().await;
    let customer = house.aloha_customer().await;
    let temporary = house.token(json!({ "kind": "card" })).await;
    let mut body = header(&customer);
    body["CardToken"] = house.convert(&house.bearer().await, &temporary).await.body["Result"]["Token"].clone();
    assert_eq!(house.put(LINK, body).await.status, 200);
}

#[tokio::test]
async fn a_missing_customer_is_not_found() {
    let house = open().await;
    let nobody = Uuid::from_u128(7).to_string();
    let answers =
        [house.put(LINK, header(&nobody)).await, house.get(&format!("aloha/v1/Customers/{nobody}/Payments")).await];
    for answer in answers {
        assert_eq!((answer.status, &answer.body["ErrorCode"]), (404, &json!("NotFound")));
    }
}
