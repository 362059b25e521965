//! LoanPro's calls: what is sent, and the check of a customer.

use std::sync::Arc;

use profile_linker::config::SecretSource;
use profile_linker::contract::{Account, AccountKind};
use profile_linker::domain::{Customer, System};
use profile_linker::upstream::http::{Exchange, TransportErrorKind};
use profile_linker::upstream::loanpro::{CustomerId, LoanPro};
use profile_linker::upstream::{Link, LinkTarget, LookUp, OpenGate};
use serde_json::{Value, json};
use uuid::{Uuid, uuid};

use super::exchange::{Played, Seen, answer, check_word, detail, secret, sent, word};

const KEY: Uuid = uuid!("f81d4fae-7dec-41d0-a765-00a0c91e6bf6");

fn loanpro(played: &Arc<Played>, probe: Option<i64>) -> LoanPro {
    let token = SecretSource::Value(secret("bearer-1"));
    LoanPro::new(played.clone(), token, "5200001", probe.and_then(CustomerId::new)).unwrap()
}

fn customer(id: &str) -> Customer {
    Customer { system: System::Loanpro, id: id.to_owned() }
}

fn link(kind: AccountKind, secondary: bool) -> Link {
    let account =
        Account { kind, last_four: None, brand: None, expiration: None, masked_number: None, holder_name: None };
    Link {
        customer: customer("42"),
        token: secret("perm-1"),
        account,
        provider: None,
        title: "Rent #ABCD2345".to_owned(),
        secondary,
        idempotency_key: KEY,
    }
}

async fn put(kind: AccountKind, secondary: bool) -> Seen {
    let played = Played::new([answer(200, r#"{"d":{"id":42}}"#)]);
    let outcome = loanpro(&played, None).link(&link(kind, secondary), &OpenGate).await;
    assert_eq!(word(&outcome), "done");
    played.seen().remove(0)
}

fn entry(kind: &str, secondary: u8, children: Value) -> Value {
    let mut entry = json!({"active": 1, "isPrimary": 0, "isSecondary": secondary, "title": "Rent #ABCD2345",
        "type": format!("paymentAccount.type.{kind}")});
    entry.as_object_mut().unwrap().extend(children.as_object().unwrap().clone());
    json!({"PaymentAccounts": {"results": [entry]}})
}

#[tokio::test]
async fn a_link_is_sent_as_documented() {
    let call = put(AccountKind::Checking, true).await;
    assert_eq!((call.method.as_str(), call.target.as_str()), ("PUT", "odata.svc/Customers(42)"));
    assert_eq!(call.header("authorization"), "Bearer bearer-1");
    assert_eq!(call.header("autopal-instance-id"), "5200001");
    assert_eq!(call.header("idempotency-key"), KEY.to_string());
    assert!(call.headers["authorization"].is_sensitive());
}

#[tokio::test]
async fn each_kind_of_account_has_its_body() {
    let bank = |kind: &str| json!({"CheckingAccount": {"accountType": format!("bankacct.type.{kind}"), "token": "perm-1"}, "CreditCard": {}});
    let card = json!({"CreditCard": {"token": "perm-1"}});
    assert_eq!(put(AccountKind::Checking, true).await.json(), entry("checking", 1, bank("checking")));
    assert_eq!(put(AccountKind::Savings, false).await.json(), entry("checking", 0, bank("savings")));
    assert_eq!(put(AccountKind::Card, false).await.json(), entry("credit", 0, card));
}

#[tokio::test]
async fn only_a_valid_customer_id_gets_into_a_url() {
    let odd = ["", "0", "-1", "+1", "01", "1.5", "1)/Loans(1", "9223372036854775808", "１", " 1"];
    for id in odd {
        let played = Played::new([]);
        let client = loanpro(&played, Some(1));
        let bad = Link { customer: customer(id), ..link(AccountKind::Card, false) };
        assert_eq!(word(&client.link(&bad, &OpenGate).await), "link_refused", "{id}");
        assert_eq!(check_word(&client.check_customer(&customer(id)).await), "unclear", "{id}");
        assert!(played.seen().is_empty());
    }
    let aloha = Customer { system: System::Aloha, id: "42".to_owned() };
    assert!(CustomerId::of(&aloha).is_none());
    assert!(CustomerId::of(&customer("9223372036854775807")).is_some());
}

#[tokio::test]
async fn a_rotated_token_file_is_used_by_the_next_call() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "first\n").unwrap();
    let done = || answer(200, r#"{"d":{"id":42}}"#);
    let played = Played::new([done(), done()]);
    let source = SecretSource::File(file.path().to_owned());
    let client = LoanPro::new(played.clone(), source, "5200001", None).unwrap();
    client.link(&link(AccountKind::Card, false), &OpenGate).await;
    std::fs::write(file.path(), "the second\n").unwrap();
    client.link(&link(AccountKind::Card, false), &OpenGate).await;
    let used: Vec<String> = played.seen().iter().map(|call| call.header("authorization").to_owned()).collect();
    assert_eq!(used, ["Bearer first", "Bearer the second"]);
}

#[tokio::test]
async fn a_missing_token_file_is_our_trouble_and_sends_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let played = Played::new([]);
    let source = SecretSource::File(folder.path().join("loanpro-token"));
    let client = LoanPro::new(played, source, "5200001", None).unwrap();
    let outcome = client.link(&link(AccountKind::Card, false), &OpenGate).await;
    assert_eq!(word(&outcome), "misconfigured");
    assert!(detail(&outcome).contains("loanpro-token"));
}

fn found(id: &str) -> Exchange {
    answer(200, &format!(r#"{{"d":{{"id":{id}}}}}"#))
}

fn missing() -> Exchange {
    answer(409, r#"{"error":{"message":{"lang":"en","value":"Customer not found"}}}"#)
}

/// What a wrong tenant says: a 409, too, and none of the words for a missing customer.
fn wrong_tenant() -> Exchange {
    answer(409, r#"{"error":{"message":"Invalid instance id"}}"#)
}

async fn check(probe: Option<i64>, answers: Vec<Exchange>) -> (&'static str, Vec<String>) {
    let played = Played::new(answers);
    let check = loanpro(&played, probe).check_customer(&customer("42")).await;
    (check_word(&check), played.targets())
}

#[tokio::test]
async fn a_customer_is_missing_only_between_two_times_that_the_probe_was_found() {
    let (result, targets) = check(Some(1), vec![found("1"), missing(), found("1")]).await;
    assert_eq!(result, "missing");
    assert_eq!(targets, ["odata.svc/Customers(1)", "odata.svc/Customers(42)", "odata.svc/Customers(1)"]);
    assert_eq!(check(Some(1), vec![found("\"1\""), answer(404, ""), found("\"1\"")]).await.0, "missing");
    // The tenant became another one in between.
    for probe in [missing(), wrong_tenant(), answer(401, "")] {
        assert_eq!(check(Some(1), vec![found("1"), missing(), probe]).await.0, "misconfigured");
    }
    assert_eq!(check(Some(1), vec![found("1"), missing(), answer(500, "")]).await.0, "unclear");
}

#[tokio::test]
async fn a_probe_that_is_not_found_means_the_wrong_tenant() {
    for probe in [missing(), wrong_tenant(), answer(409, ""), answer(404, ""), answer(401, ""), answer(403, "")] {
        assert_eq!(check(Some(1), vec![probe]).await.0, "misconfigured");
    }
}

#[tokio::test]
async fn without_a_probe_a_wrong_tenants_refusal_is_as_doubtful_as_a_missing_customer() {
    assert_eq!(check(None, vec![wrong_tenant()]).await.0, "unwitnessed");
    let (words, _) = checks(vec![found("7"), wrong_tenant(), found("7"), wrong_tenant()], &["7", "42", "7", "7"]).await;
    assert_eq!(words, ["exists", "unwitnessed", "exists", "unwitnessed"]);
    assert_eq!(check(Some(1), vec![found("1"), wrong_tenant()]).await.0, "unclear", "the witness was found");
}

#[tokio::test]
async fn a_probe_that_cannot_be_judged_leaves_it_unclear() {
    let probes = [
        answer(500, ""),
        answer(200, ""),
        answer(200, "{}"),
        found("2"),
        sent(TransportErrorKind::Timeout),
        answer(429, ""),
    ];
    for probe in probes {
        assert_eq!(check(Some(1), vec![probe]).await.0, "unclear");
    }
}

#[tokio::test]
async fn a_customer_exists_only_if_the_answer_names_it() {
    assert_eq!(check(Some(1), vec![found("1"), found("42")]).await.0, "exists");
    assert_eq!(check(Some(1), vec![found("1"), answer(200, r#"{"id":"42"}"#)]).await.0, "exists");
    for second in [found("43"), answer(200, r#"{"d":{}}"#), answer(500, ""), answer(409, "")] {
        assert_eq!(check(Some(1), vec![found("1"), second]).await.0, "unclear");
    }
    assert_eq!(check(Some(1), vec![found("1"), answer(403, "")]).await.0, "misconfigured");
}

#[tokio::test]
async fn without_a_probe_nobody_is_missing_before_another_was_found() {
    assert_eq!(check(None, vec![found("42")]).await.0, "exists");
    assert_eq!(check(None, vec![missing()]).await.0, "unwitnessed");
    assert_eq!(check(None, vec![answer(404, "")]).await.0, "unwitnessed");
    assert_eq!(check(None, vec![answer(401, "")]).await.0, "misconfigured");
    assert_eq!(check(None, vec![answer(500, "")]).await.0, "unclear");
}

/// A client without a probe to which these are the answers, and what it says of these customers, one after the other.
async fn checks(answers: Vec<Exchange>, ids: &[&str]) -> (Vec<&'static str>, Vec<String>) {
    let played = Played::new(answers);
    let client = loanpro(&played, None);
    let mut words = Vec::new();
    for id in ids {
        words.push(check_word(&client.check_customer(&customer(id)).await));
    }
    (words, played.targets())
}

#[tokio::test]
async fn without_a_probe_the_customer_found_last_is_the_witness() {
    let (words, targets) = checks(vec![found("7"), found("7"), missing(), found("7")], &["7", "42"]).await;
    assert_eq!(words, ["exists", "missing"]);
    let witness = "odata.svc/Customers(7)";
    assert_eq!(targets[1..], [witness, "odata.svc/Customers(42)", witness], "before and after");
    let (words, _) = checks(vec![found("7"), found("7"), missing(), missing(), missing()], &["7", "42", "43"]).await;
    assert_eq!(words, ["exists", "unwitnessed", "unwitnessed"], "it is found no more");
}

#[tokio::test]
async fn a_witness_that_is_found_no_more_is_none_and_neither_is_the_customer_itself() {
    let (words, _) = checks(vec![found("7"), missing(), missing()], &["7", "42", "43"]).await;
    assert_eq!(words, ["exists", "unwitnessed", "unwitnessed"]);
    let (words, _) = checks(vec![found("7"), missing()], &["7", "7"]).await;
    assert_eq!(words, ["exists", "unwitnessed"]);
}

#[tokio::test]
async fn a_profile_of_ours_that_is_found_makes_its_customer_a_witness() {
    let look_up = LookUp { customer: customer("7"), markers: vec!["ABCDEFGH".to_owned()], token: None };
    let listed = r#"{"d":{"results":[{"id":1,"title":"Visa #ABCDEFGH","active":1}]}}"#;
    let played = Played::new([answer(200, listed), found("7"), missing(), found("7")]);
    let client = loanpro(&played, None);
    client.look_up(&look_up).await;
    assert_eq!(check_word(&client.check_customer(&customer("42")).await), "missing");
}
