use serde_json::{Value, json};

use crate::house::{auth, open};

#[tokio::test]
async fn auth_gives_a_bearer_token_with_a_life() {
    let house = open().await;
    let answer = house.post("payiq/Api/Auth", auth()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.body["token_type"], "Bearer");
    assert!(answer.body["expires_in"].as_u64().unwrap() > 0);
}

#[tokio::test]
async fn auth_demands_what_the_document_demands() {
    let house = open().await;
    for (field, wrong) in
        [("APIKey", "no guid"), ("CreationDate", "yesterday"), ("Signature", ""), ("grant_type", "password")]
    {
        let mut body = auth();
        body[field] = wrong.into();
        let answer = house.post("payiq/Api/Auth", body).await;
        assert_eq!((answer.status, &answer.body["ErrorNum"]), (400, &json!(2)), "{field}");
        assert!(answer.text.contains(field), "{field}");
    }
}

#[tokio::test]
async fn a_conversion_needs_a_bearer_token_that_auth_gave() {
    let house = open().await;
    let temporary = house.token(json!({})).await;
    assert_eq!(house.convert("made-up", &temporary).await.status, 401);
    let bearer = house.bearer().await;
    assert_eq!(house.convert(&bearer, &temporary).await.status, 200);
}

#[tokio::test]
async fn a_checking_account_is_converted_into_a_permanent_token() {
    let house = open().await;
    let temporary = house.token(json!({ "lastFour": "6789" })).await;
    let answer = house.convert(&house.bearer().await, &temporary).await.body;
    assert_eq!(
        (&answer["Success"], &answer["ErrorNum"], &answer["ErrorCode"]),
        (&json!(true), &json!(0), &json!("None"))
    );
    let result = &answer["Result"];
    assert!((600..=2048).contains(&result["Token"].as_str().unwrap().len()));
    assert_eq!(result["AccountNumberLastFour"], "6789");
    assert_eq!(result["DisplayAccountNumber"], "*****6789");
    assert_eq!((&result["IsBankAccount"], &result["IsCreditCard"]), (&json!(true), &json!(false)));
    assert_eq!((&result["IsSavingsAccount"], &result["ExternalUserID"]), (&json!(false), &json!("77")));
}

#[tokio::test]
async fn savings_and_cards_say_what_they_are() {
    let house = open().await;
    let bearer = house.bearer().await;
    let savings = house.token(json!({ "kind": "savings" })).await;
    assert_eq!(house.convert(&bearer, &savings).await.body["Result"]["IsSavingsAccount"], true);
    let card = house.token(json!({ "kind": "card", "lastFour": "0005", "brand": "amex" })).await;
    let card = house.convert(&bearer, &card).await.body["Result"].clone();
    assert_eq!((&card["IsCreditCard"], &card["CcCardType"]), (&json!(true), &json!("AmericanExpress")));
    assert!(card["Token"].as_str().unwrap().starts_with("201:"));
}

#[tokio::test]
async fn a_temporary_token_works_once() {
    let house = open().await;
    let (bearer, temporary) = (house.bearer().await, house.token(json!({})).await);
    assert_eq!(house.convert(&bearer, &temporary).await.body["ErrorNum"], 0);
    assert_eq!(house.convert(&bearer, &temporary).await.body["ErrorNum"], 2);
    let conversions = house.state().await["conversions"].clone();
    assert_eq!(conversions.as_array().unwrap().len(), 1);
    assert_eq!((&conversions[0]["times"], &conversions[0]["refused"]), (&json!(1), &json!(1)));
    assert_eq!(conversions[0]["idempotencyKey"], "key-1");
}

#[tokio::test]
async fn unknown_and_expired_tokens_are_told_apart() {
    let house = open().await;
    let bearer = house.bearer().await;
    assert_eq!(house.convert(&bearer, "never given out").await.body["ErrorNum"], 3);
    let dead = house.token(json!({ "expiresIn": 0 })).await;
    assert_eq!(house.convert(&bearer, &dead).await.body["ErrorNum"], 2);
    assert_eq!(house.state().await["conversions"], json!([]));
}

#[tokio::test]
async fn a_token_that_is_too_long_is_refused() {
    let house = open().await;
    let bearer = house.bearer().await;
    for token in ["", &"x".repeat(1025)] {
        let answer = house.convert(&bearer, token).await;
        assert_eq!((answer.status, &answer.body["ErrorNum"]), (400, &json!(2)));
    }
}

#[tokio::test]
async fn every_error_number_can_be_had() {
    let house = open().await;
    let bearer = house.bearer().await;
    let outcomes = [
        ("system_error", 1, 500),
        ("validation", 2, 400),
        ("data_not_found", 3, 200),
        ("duplicate_payment", 4, 200),
        ("pre_auth_error", 5, 200),
        ("declined", 6, 200),
        ("service_unavailable", 7, 503),
        ("user_locked", 8, 200),
        ("unknown_error", 99, 200),
    ];
    for (outcome, number, status) in outcomes {
        let temporary = house.token(json!({ "outcome": outcome })).await;
        for _ in 0..2 {
            let answer = house.convert(&bearer, &temporary).await;
            assert_eq!((answer.status, &answer.body["ErrorNum"]), (status, &json!(number)), "{outcome}");
            assert_eq!((&answer.body["Success"], &answer.body["Result"]), (&json!(false), &Value::Null), "{outcome}");
            assert!(!answer.body["ErrorID"].as_str().unwrap().is_empty(), "{outcome}");
        }
    }
}

#[tokio::test]
async fn accounts_that_cannot_be_linked_say_so_in_their_flags() {
    let house = open().await;
    let bearer = house.bearer().await;
    let flags = [
        ("blocked", vec!["IsBlocked"]),
        ("paypal", vec!["IsPayPal"]),
        ("apple_pay", vec!["IsApplePay"]),
        ("amazon_pay", vec!["IsAmazonPay"]),
        ("contradictory_kind", vec!["IsCreditCard", "IsBankAccount"]),
    ];
    for (outcome, flags) in flags {
        let temporary = house.token(json!({ "outcome": outcome })).await;
        let answer = house.convert(&bearer, &temporary).await.body;
        assert_eq!(answer["Success"], true);
        assert!(flags.iter().all(|flag| answer["Result"][*flag] == true), "{outcome}");
    }
}

#[tokio::test]
async fn answers_that_contradict_themselves_can_be_had() {
    let house = open().await;
    let bearer = house.bearer().await;
    let both = house.token(json!({ "outcome": "contradictory" })).await;
    let both = house.convert(&bearer, &both).await.body;
    assert_eq!((&both["Success"], &both["ErrorNum"]), (&json!(true), &json!(6)));
    let empty = house.token(json!({ "outcome": "empty_token" })).await;
    let empty = house.convert(&bearer, &empty).await.body;
    assert_eq!((&empty["Success"], &empty["Result"]["Token"]), (&json!(true), &json!("")));
}
