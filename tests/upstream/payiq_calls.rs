//! PayIQ's calls: what is sent, and how the access token is kept.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use profile_linker::config::SecretSource;
use profile_linker::upstream::http::{Exchange, TransportErrorKind};
use profile_linker::upstream::payiq::PayIq;
use profile_linker::upstream::{Conversion, Converter, OpenGate};
use serde_json::json;
use uuid::{Uuid, uuid};

use super::exchange::{Played, answer, detail, secret, sent, unsent, word};
use super::payiq_answers::success;

const KEY: Uuid = uuid!("f81d4fae-7dec-41d0-a765-00a0c91e6bf6");

fn payiq(played: &Arc<Played>) -> PayIq {
    let value = |text: &str| SecretSource::Value(secret(text));
    PayIq::new(played.clone(), value("5b6a1c9e-9d1e-4c39-8d0b-0d7e0d2f8a11"), value("signing-key"))
}

fn conversion() -> Conversion {
    Conversion {
        temporary_token: secret("temp-1"),
        customer_token: Some(secret("cust-1")),
        external_user_id: Some("u1".to_owned()),
        idempotency_key: KEY,
    }
}

fn bearer(token: &str) -> Exchange {
    answer(200, &json!({"access_token": token, "token_type": "Bearer"}).to_string())
}

fn lasting(token: &str, seconds: u64) -> Exchange {
    answer(200, &json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds}).to_string())
}

fn done() -> Exchange {
    answer(200, &success(&[]))
}

async fn convert(client: &PayIq) -> String {
    word(&client.convert(&conversion(), &OpenGate).await)
}

#[tokio::test]
async fn the_conversion_is_sent_as_documented() {
    let played = Played::new([bearer("access-1"), done()]);
    assert_eq!(convert(&payiq(&played)).await, "done");
    let [auth, convert] = played.seen().try_into().ok().unwrap();
    assert_eq!((auth.operation, convert.operation), ("auth", "convert"));
    assert_eq!((auth.method.as_str(), auth.target.as_str()), ("POST", "Api/Auth"));
    assert_eq!((convert.method.as_str(), convert.target.as_str()), ("POST", "Api/PaymentAccount/ConvertJSToken"));
    assert_eq!(convert.header("authorization"), "Bearer access-1");
    assert_eq!(convert.header("idempotency-key"), KEY.to_string());
    let expected = json!({"CustomerToken": "cust-1", "ExternalUserID": "u1", "TemporaryToken": "temp-1"});
    assert_eq!(convert.json(), expected);
}

#[tokio::test]
async fn what_is_not_given_is_not_sent() {
    let played = Played::new([bearer("access-1"), done()]);
    let bare = Conversion { customer_token: None, external_user_id: None, ..conversion() };
    payiq(&played).convert(&bare, &OpenGate).await;
    assert_eq!(played.seen()[1].json(), json!({"TemporaryToken": "temp-1"}));
}

#[tokio::test]
async fn the_request_for_an_access_token_is_signed() {
    let played = Played::new([bearer("access-1"), done()]);
    convert(&payiq(&played)).await;
    let body = played.seen()[0].json();
    let created = body["CreationDate"].as_str().unwrap();
    assert!(created.parse::<jiff::Timestamp>().is_ok(), "{created}");
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"signing-key").unwrap();
    mac.update(format!("5b6a1c9e-9d1e-4c39-8d0b-0d7e0d2f8a11{created}").as_bytes());
    assert_eq!(body["Signature"], BASE64.encode(&mac.finalize().into_bytes()));
    assert_eq!(body["APIKey"], "5b6a1c9e-9d1e-4c39-8d0b-0d7e0d2f8a11");
    assert_eq!(body["grant_type"], "client_credentials");
}

#[tokio::test]
async fn an_access_token_is_used_for_many_calls() {
    let played = Played::new([bearer("access-1"), done(), done(), done()]);
    let client = payiq(&played);
    for _ in 0..3 {
        assert_eq!(convert(&client).await, "done");
    }
    assert_eq!(played.targets().iter().filter(|target| *target == "Api/Auth").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_access_token_is_renewed_before_it_expires() {
    let played = Played::new([lasting("access-1", 3600), done(), done(), lasting("access-2", 3600), done()]);
    let client = payiq(&played);
    convert(&client).await;
    tokio::time::advance(Duration::from_secs(3530)).await;
    convert(&client).await;
    assert_eq!(played.seen()[2].header("authorization"), "Bearer access-1");
    tokio::time::advance(Duration::from_secs(11)).await;
    convert(&client).await;
    assert_eq!(played.seen()[4].header("authorization"), "Bearer access-2");
}

#[tokio::test(start_paused = true)]
async fn an_access_token_that_cannot_be_renewed_is_used_until_it_expires() {
    let away = || answer(503, "");
    let played =
        Played::new([lasting("access-1", 3600), done(), away(), done(), done(), away(), done(), away(), away()]);
    let client = payiq(&played);
    convert(&client).await;
    tokio::time::advance(Duration::from_secs(3545)).await;
    assert_eq!((convert(&client).await, convert(&client).await), ("done".to_owned(), "done".to_owned()));
    let asked = || played.targets().iter().filter(|target| *target == "Api/Auth").count();
    assert_eq!(asked(), 2, "a dead Api/Auth is not asked by every call");
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!((convert(&client).await, asked()), ("done".to_owned(), 3), "it is asked again after a while");
    assert!(played.seen().iter().filter(|call| call.operation == "convert").count() == 4);
    tokio::time::advance(Duration::from_secs(50)).await;
    assert_eq!((convert(&client).await.as_str(), asked()), ("not applied", 4), "it has expired");
}

#[tokio::test(start_paused = true)]
async fn a_refused_key_is_told_while_the_access_token_is_still_good() {
    let played = Played::new([lasting("access-1", 3600), done(), answer(401, "")]);
    let client = payiq(&played);
    convert(&client).await;
    tokio::time::advance(Duration::from_secs(3545)).await;
    assert_eq!(convert(&client).await, "misconfigured");
}

#[tokio::test]
async fn a_refused_access_token_is_renewed_once() {
    let played = Played::new([bearer("access-1"), answer(401, ""), bearer("access-2"), done()]);
    assert_eq!(convert(&payiq(&played)).await, "done");
    assert_eq!(played.seen()[3].header("authorization"), "Bearer access-2");
    let refused = [bearer("access-1"), answer(401, ""), bearer("access-2"), answer(401, "")];
    let played = Played::new(refused);
    assert_eq!(convert(&payiq(&played)).await, "misconfigured");
    assert_eq!(played.seen().len(), 4);
}

#[tokio::test]
async fn a_401_that_claims_success_is_not_sent_again() {
    let played = Played::new([bearer("access-1"), answer(401, &success(&[]))]);
    assert_eq!(convert(&payiq(&played)).await, "conversion_unknown");
}

#[tokio::test]
async fn a_time_out_is_not_sent_again() {
    let played = Played::new([bearer("access-1"), sent(TransportErrorKind::Timeout)]);
    assert_eq!(convert(&payiq(&played)).await, "unknown");
    assert_eq!(played.seen().len(), 2);
}

#[tokio::test]
async fn what_keeps_us_from_an_access_token_is_never_the_events_fault() {
    let rows = [
        (answer(401, ""), "misconfigured"),
        (answer(403, ""), "misconfigured"),
        (answer(404, ""), "misconfigured"),
        (answer(400, r#"{"error":"invalid_client"}"#), "misconfigured"),
        (answer(429, ""), "not applied"),
        (answer(500, ""), "not applied"),
        (answer(200, ""), "not applied"),
        (answer(200, r#"{"access_token":""}"#), "not applied"),
        (answer(200, r#"{"access_token":7}"#), "not applied"),
        (sent(TransportErrorKind::Timeout), "not applied"),
        (unsent(TransportErrorKind::Connect), "not applied"),
        (answer(200, "{\"access_token\":\"line\\nbreak\"}"), "misconfigured"),
    ];
    for (exchange, expected) in rows {
        let played = Played::new([exchange]);
        assert_eq!(convert(&payiq(&played)).await, expected);
        assert_eq!(played.seen().len(), 1, "nothing was converted");
    }
}

#[tokio::test]
async fn many_callers_share_one_renewal_and_its_failure() {
    let played = Played::new([bearer("access-1")].into_iter().chain((0..20).map(|_| done())));
    let client = payiq(&played);
    let all = futures_util::future::join_all((0..20).map(|_| convert(&client))).await;
    assert!(all.iter().all(|outcome| outcome == "done"));
    let played = Played::new([answer(500, "")]);
    let client = payiq(&played);
    let all = futures_util::future::join_all((0..20).map(|_| convert(&client))).await;
    assert!(all.iter().all(|outcome| outcome == "not applied"));
    assert_eq!(played.seen().len(), 1);
}

#[tokio::test]
async fn a_failed_renewal_is_tried_again_by_the_next_caller() {
    let played = Played::new([answer(500, ""), bearer("access-1"), done()]);
    let client = payiq(&played);
    assert_eq!(convert(&client).await, "not applied");
    assert_eq!(convert(&client).await, "done");
}

#[tokio::test]
async fn callers_refused_together_renew_once() {
    let refused = (0..10).map(|_| answer(401, ""));
    let played = Played::new(
        [bearer("access-1")].into_iter().chain(refused).chain([bearer("access-2")]).chain((0..10).map(|_| done())),
    );
    let client = payiq(&played);
    let all = futures_util::future::join_all((0..10).map(|_| convert(&client))).await;
    assert!(all.iter().all(|outcome| outcome == "done"), "{all:?}");
    assert_eq!(played.targets().iter().filter(|target| *target == "Api/Auth").count(), 2);
}

#[tokio::test]
async fn an_unreadable_key_file_is_named_and_misconfigured() {
    let played = Played::new([]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api-key");
    let client = PayIq::new(played, SecretSource::File(path.clone()), SecretSource::Value(secret("signing-key")));
    let outcome = client.convert(&conversion(), &OpenGate).await;
    assert_eq!(word(&outcome), "misconfigured");
    assert!(detail(&outcome).contains("api-key"));
}
