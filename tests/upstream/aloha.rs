//! Aloha: the table of its answers, what is sent, and the read-back.

use std::sync::Arc;

use profile_linker::config::SecretSource;
use profile_linker::contract::{Account, AccountKind, Brand, Provider};
use profile_linker::domain::{Customer, System};
use profile_linker::upstream::aloha::{Aloha, classify_link, classify_payments};
use profile_linker::upstream::http::{Exchange, TransportErrorKind};
use profile_linker::upstream::{CustomerCheck, Link, LinkTarget, LookOutcome, LookUp, OpenGate};
use serde_json::json;
use uuid::{Uuid, uuid};

use super::exchange::{
    Played, answer, answer_with, broken_exchanges, check_word, detail, look_word, named, secret, sent, word,
};

const CUSTOMER: &str = "82c6fdcb-534f-415a-9e28-87be989e461f";
const ACCOUNT: &str = "\"93f5f620-ec93-47dd-ab24-c07bbf0b16bf\"";
const KEY: Uuid = uuid!("f81d4fae-7dec-41d0-a765-00a0c91e6bf6");

fn aloha(played: &Arc<Played>) -> Aloha {
    Aloha::new(played.clone(), "shop", SecretSource::Value(secret("pass:word")), "ACME1").unwrap()
}

fn customer() -> Customer {
    Customer { system: System::Aloha, id: CUSTOMER.to_owned() }
}

pub fn link() -> Link {
    let account = Account {
        kind: AccountKind::Card,
        last_four: Some("1111".to_owned()),
        brand: Some(Brand::Visa),
        expiration: Some("01/30".to_owned()),
        masked_number: Some("411111******1111".to_owned()),
        holder_name: None,
    };
    Link {
        customer: customer(),
        token: secret("201:token-1"),
        account,
        provider: Some(Provider::ConnectedPayments),
        title: "unused".to_owned(),
        secondary: false,
        idempotency_key: KEY,
    }
}

fn changed(change: impl FnOnce(&mut Link)) -> Link {
    let mut link = link();
    change(&mut link);
    link
}

#[test]
fn a_link_is_done_only_with_the_guid_of_an_account() {
    let id = named(classify_link(answer(200, ACCOUNT), &[]));
    assert_eq!(id.as_deref(), Some("93f5f620-ec93-47dd-ab24-c07bbf0b16bf"));
    for body in [
        "",
        "\"\"",
        "\"done\"",
        "{}",
        "null",
        "[\"93f5f620-ec93-47dd-ab24-c07bbf0b16bf\"]",
        "\"93f5f620-ec93",
        "\"00000000-0000-0000-0000-000000000000\"",
        "93f5f620-ec93-47dd-ab24-c07bbf0b16bf",
        "<guid/>",
        "true",
    ] {
        assert_eq!(word(&classify_link(answer(200, body), &[])), "unknown", "{body}");
    }
    assert_eq!(word(&classify_link(answer(500, ACCOUNT), &[])), "unknown");
}

#[test]
fn every_answer_to_a_link_has_its_class() {
    let rows = [
        (400, "", "link_refused"),
        (400, "\"BadRequest\"", "link_refused"),
        (400, r#"{"Message":"The card token is wrong"}"#, "link_refused"),
        (400, r#"{"ErrorCode":"x","Message":"NotFound"}"#, "customer_not_found"),
        (400, "InternalServerError", "unknown"),
        (404, "", "customer_not_found"),
        (404, r#"{"Message":"NotFound"}"#, "customer_not_found"),
        (404, r#"{"Message":"No HTTP resource was found that matches the request URI"}"#, "misconfigured"),
        (404, "\"NotFound\"", "customer_not_found"),
        (404, "NotFound", "customer_not_found"),
        (404, " \n", "customer_not_found"),
        (404, r#"{"ErrorCode":"NotFound","Detail":"customer"}"#, "customer_not_found"),
        (404, "<html><body>404</body></html>", "misconfigured"),
        (404, "404 page not found\n", "misconfigured"),
        (404, "Not Found", "customer_not_found"),
        (404, "There is no such customer", "customer_not_found"),
        (404, "404: Not Found", "misconfigured"),
        (404, "NotFound: 3f404a1c-0b5e-4d3e-9a55-404404404404", "customer_not_found"),
        (404, "default backend - 404", "misconfigured"),
        (404, r#"{"detail":"Not Found"}"#, "misconfigured"),
        (404, r#"{"message":"no Route matched with those values"}"#, "misconfigured"),
        (404, r#"{"message":"Cannot PUT /v1/Customers/Payment/Token","statusCode":404}"#, "misconfigured"),
        (404, r#"{"timestamp":"2026-01-15","status":404,"error":"Not Found","path":"/v1/x"}"#, "misconfigured"),
        (401, "", "misconfigured"),
        (403, "", "misconfigured"),
        (302, "", "misconfigured"),
        (409, "", "unknown"),
        (422, "", "unknown"),
        (408, "", "unknown"),
        (429, "", "not applied"),
        (500, "\"InternalServerError\"", "unknown"),
        (503, "", "unknown"),
    ];
    for (status, body, expected) in rows {
        assert_eq!(word(&classify_link(answer(status, body), &[])), expected, "{status} {body}");
    }
    let wait = classify_link(answer_with(429, &[("retry-after", "3")], ""), &[]);
    assert_eq!(word(&wait), "not applied, wait 3");
    for (exchange, expected) in broken_exchanges() {
        assert_eq!(word(&classify_link(exchange, &[])), expected);
    }
}

#[tokio::test]
async fn a_link_is_sent_as_documented() {
    let played = Played::new([answer(200, ACCOUNT)]);
    assert_eq!(word(&aloha(&played).link(&link(), &OpenGate).await), "done");
    let call = played.seen().remove(0);
    assert_eq!((call.method.as_str(), call.target.as_str()), ("PUT", "v1/Customers/Payment/Token"));
    assert_eq!(call.header("authorization"), "Basic c2hvcDpwYXNzOndvcmQ=");
    assert_eq!(call.header("x-api-companycode"), "ACME1");
    assert_eq!(call.header("idempotency-key"), KEY.to_string());
    let expected = json!({"CustomerId": CUSTOMER, "ProviderType": 2, "MaskedCardNumber": "411111******1111",
        "ExpirationDate": "01/30", "CardToken": "201:token-1", "CardType": 7, "CardHolderName": null});
    assert_eq!(call.json(), expected);
}

#[tokio::test]
async fn brands_and_providers_have_the_vendors_numbers() {
    let brands = [(Brand::Amex, 0), (Brand::Discover, 3), (Brand::Jcb, 5), (Brand::Mastercard, 6), (Brand::Visa, 7)];
    let providers = [(Provider::ConnectedPayments, 2), (Provider::CreditCall, 4), (Provider::FreedomPay, 6)];
    for (brand, card_type) in brands {
        for (provider, provider_type) in providers {
            let played = Played::new([answer(200, ACCOUNT)]);
            let link = changed(|link| {
                link.account.brand = Some(brand);
                link.account.holder_name = Some("A Holder".to_owned());
                link.provider = Some(provider);
            });
            aloha(&played).link(&link, &OpenGate).await;
            let body = played.seen().remove(0).json();
            assert_eq!((&body["CardType"], &body["ProviderType"]), (&json!(card_type), &json!(provider_type)));
            assert_eq!(body["CardHolderName"], "A Holder");
        }
    }
}

#[tokio::test]
async fn what_aloha_cannot_take_is_refused_without_a_call() {
    let rows = [
        changed(|link| link.account.kind = AccountKind::Checking),
        changed(|link| link.account.kind = AccountKind::Savings),
        changed(|link| link.account.brand = None),
        changed(|link| link.account.expiration = None),
        changed(|link| link.account.masked_number = None),
        changed(|link| link.account.masked_number = Some("4111111111111111".to_owned())),
        changed(|link| link.provider = None),
        changed(|link| link.provider = Some(Provider::FreedomPay)),
    ];
    for link in rows {
        let played = Played::new([]);
        assert_eq!(word(&aloha(&played).link(&link, &OpenGate).await), "account_unsupported");
    }
    for id in ["", "42", "82c6fdcb-534f-415a-9e28-87be989e461f/../x"] {
        let played = Played::new([]);
        let link = changed(|link| link.customer.id = id.to_owned());
        assert_eq!(word(&aloha(&played).link(&link, &OpenGate).await), "link_refused");
    }
}

fn payments(entries: &serde_json::Value) -> String {
    look_word(&classify_payments(answer(200, &entries.to_string()), &secret("201:token-1"), &[]))
}

#[test]
fn a_profile_is_found_by_its_card_token() {
    let ours = json!({"AccountId": "a-1", "MethodType": 7, "AccountNumber": "201:token-1", "ProviderType": 2});
    let other = json!({"AccountId": "a-2", "AccountNumber": "201:token-2"});
    let cash = json!({"AccountId": "a-3", "AccountNumber": null});
    assert_eq!(payments(&json!([other, ours, cash])), "found a-1");
    assert_eq!(payments(&json!([other, cash])), "absent");
    assert_eq!(payments(&json!([])), "absent");
    assert_eq!(payments(&json!([{"AccountNumber": "201:token-1"}])), "failed", "ours, without an id");
    for odd in [json!([7]), json!({}), json!(null), json!({"Message": "x"})] {
        assert_eq!(payments(&odd), "failed", "{odd}");
    }
}

fn question() -> LookUp {
    LookUp { customer: customer(), markers: vec!["ABCD2345".to_owned()], token: Some(secret("201:token-1")) }
}

#[tokio::test]
async fn look_up_and_customer_check_read_the_payments() {
    let rows: [(Exchange, Exchange, &str, &str); 6] = [
        (answer(200, "[]"), answer(200, "[]"), "absent", "exists"),
        (answer(404, ""), answer(404, ""), "customer missing", "missing"),
        (answer(400, "\"NotFound\""), answer(400, "\"NotFound\""), "customer missing", "missing"),
        (answer(401, ""), answer(404, "<html>"), "misconfigured", "misconfigured"),
        (answer(500, ""), answer(200, ""), "failed", "unclear"),
        (sent(TransportErrorKind::Timeout), sent(TransportErrorKind::Reset), "failed", "unclear"),
    ];
    for (first, second, looked, checked) in rows {
        let played = Played::new([first, second]);
        let client = aloha(&played);
        assert_eq!(look_word(&client.look_up(&question()).await), looked);
        assert_eq!(check_word(&client.check_customer(&customer()).await), checked);
        let path = format!("v1/Customers/{CUSTOMER}/Payments");
        assert!(played.seen().iter().all(|call| call.method == "GET" && call.target == path));
    }
}

#[tokio::test]
async fn an_existing_customer_with_a_blank_account_number_exists() {
    let played = Played::new([answer(200, r#"[{"AccountNumber":""}]"#)]);
    assert_eq!(check_word(&aloha(&played).check_customer(&customer()).await), "exists");
}

#[test]
fn texts_hold_no_card_token() {
    let token = secret("201:1234567890123456");
    let body = r#"{"Message":"CardToken 201:1234567890123456 is invalid"}"#;
    let outcome = classify_link(answer(400, body), &[&token]);
    assert!(!detail(&outcome).contains("1234567890123456"));
}

#[tokio::test]
async fn texts_hold_no_credential_as_it_was_sent() {
    // `shop:pass:word`, as the header carries it; the password itself stands nowhere in it.
    let sent = "bad header Basic c2hvcDpwYXNzOndvcmQ=";
    let played = Played::new([answer(400, sent), answer(500, sent), answer(401, sent)]);
    let client = aloha(&played);
    let link = client.link(&link(), &OpenGate).await;
    let LookOutcome::Failed { detail: looked, .. } = client.look_up(&question()).await else { panic!("not failed") };
    let CustomerCheck::Misconfigured { detail: checked } = client.check_customer(&customer()).await else {
        panic!("not misconfigured")
    };
    for said in [detail(&link), looked, checked] {
        assert!(said.contains("bad header Basic") && !said.contains("c2hvcD"), "{said}");
    }
}

#[test]
fn a_user_with_a_colon_is_refused_at_the_start() {
    let password = || SecretSource::Value(secret("x"));
    assert!(Aloha::new(Played::new([]), "a:b", password(), "c").is_err());
    assert!(Aloha::new(Played::new([]), "a", password(), "c\n").is_err());
}
