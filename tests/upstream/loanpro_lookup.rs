//! The read-back of LoanPro: tolerant of shapes, strict about "absent".

use profile_linker::config::SecretSource;
use profile_linker::domain::{Customer, System};
use profile_linker::upstream::http::{Exchange, TransportErrorKind};
use profile_linker::upstream::loanpro::LoanPro;
use profile_linker::upstream::{AccountForm, FoundProfile, LinkTarget, LookOutcome, LookUp};
use serde_json::{Value, json};

use super::exchange::{Played, answer, answer_with, look_word, secret, sent, unsent};

const FIRST: &str = "odata.svc/Customers(7)/PaymentAccounts?$expand=CheckingAccount,CreditCard&nopaging=true";

fn question() -> LookUp {
    let customer = Customer { system: System::Loanpro, id: "7".to_owned() };
    LookUp { customer, markers: vec!["ABCD2345".to_owned()], token: Some(secret("perm-token-1")) }
}

async fn look(pages: Vec<Exchange>) -> (LookOutcome, Vec<String>) {
    let played = Played::new(pages);
    let client = LoanPro::new(played.clone(), SecretSource::Value(secret("bearer-1")), "tenant", None).unwrap();
    (client.look_up(&question()).await, played.targets())
}

async fn seen(body: &Value) -> String {
    look_word(&look(vec![answer(200, &body.to_string())]).await.0)
}

fn ours(id: Value) -> Value {
    json!({"id": id, "title": "Checking ••1234 #ABCD2345", "isPrimary": 0, "isSecondary": "1", "active": 1})
}

fn other(id: u32) -> Value {
    json!({"id": id, "title": format!("other {id}"), "CheckingAccount": {"__deferred": {"uri": "x"}}})
}

#[tokio::test]
async fn a_profile_is_found_in_every_shape_of_the_list() {
    for list in [json!([ours(json!(31))]), json!([other(1), ours(json!("31")), other(2)])] {
        let shapes = [json!({"d": {"results": list}}), json!({"d": list}), json!({"results": list}), list];
        for shape in shapes {
            assert_eq!(seen(&shape).await, "found 31", "{shape}");
        }
    }
    assert_eq!(look(vec![answer(200, "[]")]).await.1, [FIRST]);
}

#[tokio::test]
async fn what_is_found_is_told_as_it_stands_there() {
    let (outcome, _) = look(vec![answer(200, &json!({"d": {"results": [ours(json!(31))]}}).to_string())]).await;
    let LookOutcome::Found { profile, others: 0 } = outcome else { panic!("not found") };
    let title = Some("Checking ••1234 #ABCD2345".to_owned());
    assert_eq!(profile, FoundProfile { secondary: true, title, ..FoundProfile::named("31".to_owned()) });
}

#[tokio::test]
async fn the_marker_counts_before_the_token() {
    let echo = |id: u32, title: &str| json!({"id": id, "title": title, "CreditCard": {"token": "perm-token-1"}});
    let list = |entries: &[Value]| json!({"d": {"results": entries}});
    assert_eq!(seen(&list(&[echo(1, "renamed"), ours(json!(2))])).await, "found 2");
    assert_eq!(seen(&list(&[echo(1, "renamed"), other(2)])).await, "found 1");
    assert_eq!(seen(&list(&[echo(1, "Visa ••1111 #ZZZZ7777")])).await, "absent", "another event's profile");
    assert_eq!(seen(&list(&[echo(1, "rent #3")])).await, "found 1");
    assert_eq!(seen(&list(&[ours(json!(1)), ours(json!(2))])).await, "found 1 and 1 more");
    let elsewhere = json!({"id": 1, "title": "x", "CheckingAccount": {"token": "perm-token-2"}, "CreditCard": []});
    assert_eq!(seen(&list(&[elsewhere])).await, "absent");
}

#[tokio::test]
async fn what_was_linked_for_an_event_that_was_replaced_is_found_by_its_marker() {
    let question = LookUp { markers: vec!["ABCD2345".to_owned(), "ZZZZ7777".to_owned()], ..question() };
    for (title, word) in [("x #ABCD2345", "found 1"), ("x #ZZZZ7777", "found 1"), ("x #YYYY6666", "absent")] {
        let list = json!([{"id": 1, "title": title}]);
        let played = Played::new(vec![answer(200, &list.to_string())]);
        let client = LoanPro::new(played, SecretSource::Value(secret("bearer-1")), "tenant", None).unwrap();
        assert_eq!(look_word(&client.look_up(&question).await), word, "{title}");
    }
}

#[tokio::test]
async fn of_several_that_are_ours_an_active_one_counts_and_deactivating_does_not_undo_a_link() {
    let deactivated = |id: u32| json!({"id": id, "title": "x #ABCD2345", "active": 0});
    assert_eq!(seen(&json!([deactivated(1)])).await, "found 1");
    assert_eq!(seen(&json!([deactivated(1), ours(json!(2)), ours(json!(3))])).await, "found 2 and 2 more");
    assert_eq!(seen(&json!([deactivated(1), deactivated(2)])).await, "found 1 and 1 more");
}

#[tokio::test]
async fn a_found_profile_tells_what_kind_of_account_it_is() {
    for (kind, child, form) in [
        ("paymentAccount.type.credit", Value::Null, Some(AccountForm::Card)),
        ("paymentAccount.type.checking", Value::Null, Some(AccountForm::Checking)),
        ("paymentAccount.type.checking", json!({"accountType": "bankacct.type.savings"}), Some(AccountForm::Savings)),
        ("paymentAccount.type.checking", json!({"__deferred": {"uri": "x"}}), Some(AccountForm::Checking)),
        ("something.new", Value::Null, None),
    ] {
        let entry = json!({"id": 1, "title": "x #ABCD2345", "type": kind, "CheckingAccount": child});
        let (outcome, _) = look(vec![answer(200, &json!([entry]).to_string())]).await;
        let LookOutcome::Found { profile, .. } = outcome else { panic!("not found") };
        assert_eq!(profile.form, form, "{entry}");
    }
}

#[tokio::test]
async fn before_the_token_is_known_only_the_marker_counts() {
    let question = LookUp { token: None, ..question() };
    let list = json!([{"id": 1, "title": "x", "CreditCard": {"token": ""}}, {"id": 2, "title": "y #ABCD2345"}]);
    let played = Played::new(vec![answer(200, &list.to_string())]);
    let client = LoanPro::new(played, SecretSource::Value(secret("bearer-1")), "tenant", None).unwrap();
    assert_eq!(look_word(&client.look_up(&question).await), "found 2");
}

#[tokio::test]
async fn the_marker_counts_only_as_a_suffix() {
    let titled = |title: &str| json!([{"id": 1, "title": title}]);
    assert_eq!(seen(&titled("a #ABCD2345  ")).await, "found 1");
    assert_eq!(seen(&titled("#ABCD2345")).await, "found 1");
    for title in ["a #ABCD2345 b", "a ABCD2345", "a #abcd2345", "a #XABCD2345", ""] {
        assert_eq!(seen(&titled(title)).await, "absent", "{title}");
    }
}

#[tokio::test]
async fn an_entry_that_cannot_be_judged_keeps_absent_from_being_said() {
    for entry in [json!(null), json!(7), json!({}), json!({"id": 1}), json!([])] {
        assert_eq!(seen(&json!([entry])).await, "failed", "{entry}");
        assert_eq!(seen(&json!([entry, ours(json!(3))])).await, "found 3", "{entry}");
    }
    assert_eq!(seen(&json!([{"title": "x #ABCD2345"}])).await, "failed", "ours, without an id");
    assert_eq!(seen(&json!([{"id": 1, "title": null}])).await, "absent");
}

#[tokio::test]
async fn a_body_that_is_no_list_is_a_failed_look() {
    for body in [
        "",
        "null",
        "{}",
        "\"x\"",
        r#"{"d":null}"#,
        r#"{"d":{}}"#,
        r#"{"d":{"results":{}}}"#,
        "<html>",
        "[{",
        r#"{"d":{"error":{"message":"x"}}}"#,
    ] {
        assert_eq!(look_word(&look(vec![answer(200, body)]).await.0), "failed", "{body}");
    }
    assert_eq!(seen(&json!({"d": {"results": []}})).await, "absent");
}

#[tokio::test]
async fn refusals_and_failures_of_a_look_are_told_apart() {
    let not_found = r#"{"error":{"message":"Customer not found"}}"#;
    let rows = [
        (answer(401, ""), "misconfigured"),
        (answer(403, ""), "misconfigured"),
        (answer(301, ""), "misconfigured"),
        (answer(404, ""), "customer missing"),
        (answer(409, not_found), "customer missing"),
        (answer(409, r#"{"d":{"error":{"message":{"value":"Entity does not exist"}}}}"#), "customer missing"),
        (answer(409, r#"{"error":{"message":"Invalid instance id"}}"#), "customer missing"),
        (answer(409, ""), "customer missing"),
        (answer(200, not_found), "failed"),
        (answer(500, not_found), "failed"),
        (answer(400, ""), "failed"),
        (answer_with(503, &[("retry-after", "9")], ""), "failed, wait 9"),
        (answer_with(429, &[("retry-after", "9")], ""), "failed, wait 9"),
        (sent(TransportErrorKind::Timeout), "failed"),
        (unsent(TransportErrorKind::Connect), "failed"),
    ];
    for (exchange, expected) in rows {
        assert_eq!(look_word(&look(vec![exchange]).await.0), expected);
    }
}

#[tokio::test]
async fn before_the_token_is_known_a_409_needs_the_words_for_a_missing_customer() {
    // A conversion follows where nothing of ours is there.
    let not_found = r#"{"error":{"message":"Customer not found"}}"#;
    for (body, word) in [(not_found, "customer missing"), (r#"{"error":{"message":"Invalid instance id"}}"#, "failed")]
    {
        let played = Played::new([answer(409, body)]);
        let client = LoanPro::new(played, SecretSource::Value(secret("bearer-1")), "tenant", None).unwrap();
        assert_eq!(look_word(&client.look_up(&LookUp { token: None, ..question() }).await), word, "{body}");
    }
}

fn paged(entries: &[Value], rest: &Value) -> Exchange {
    let mut d = json!({"results": entries});
    d.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
    answer(200, &json!({"d": d}).to_string())
}

#[tokio::test]
async fn a_summary_that_counts_more_than_came_is_followed() {
    let summary = json!({"summary": {"start": 0, "pageSize": 50, "total": 3}});
    let pages = vec![paged(&[other(1), other(2)], &summary), paged(&[ours(json!(3))], &summary)];
    let (outcome, targets) = look(pages).await;
    assert_eq!(look_word(&outcome), "found 3");
    let second = "odata.svc/Customers(7)/PaymentAccounts?$expand=CheckingAccount,CreditCard&$skip=2";
    assert_eq!(targets, [FIRST, second]);
}

#[tokio::test]
async fn a_list_that_stays_short_of_its_count_proves_nothing_absent() {
    let summary = json!({"summary": {"total": "3"}});
    let (outcome, _) = look(vec![paged(&[other(1)], &summary), paged(&[], &summary)]).await;
    assert_eq!(look_word(&outcome), "failed");
    let (outcome, _) = look(vec![paged(&[], &summary)]).await;
    assert_eq!(look_word(&outcome), "failed");
}

#[tokio::test]
async fn a_list_that_repeats_itself_proves_nothing_absent() {
    let summary = json!({"summary": {"total": 2}});
    let (outcome, _) = look(vec![paged(&[other(1)], &summary), paged(&[other(1)], &summary)]).await;
    assert_eq!(look_word(&outcome), "failed");
    let (outcome, _) = look(vec![paged(&[ours(json!(1))], &summary), paged(&[ours(json!(1))], &summary)]).await;
    assert_eq!(look_word(&outcome), "found 1");
}

#[tokio::test]
async fn a_next_link_is_followed_below_our_own_base_url_only() {
    let rows = [
        ("https://evil.example/steal?$skiptoken=51", "$skiptoken=51"),
        ("Customers(7)/PaymentAccounts?$expand=CreditCard&$skip=50", "$skip=50"),
        ("https://evil.example/steal", "$skip=1"),
        ("x?$skip=1/../../Customers(8)", "$skip=1"),
    ];
    for (next, place) in rows {
        let pages = vec![paged(&[other(1)], &json!({"__next": next})), paged(&[ours(json!(9))], &json!({}))];
        let (outcome, targets) = look(pages).await;
        assert_eq!(look_word(&outcome), "found 9");
        let expand = "odata.svc/Customers(7)/PaymentAccounts?$expand=CheckingAccount,CreditCard";
        assert_eq!(targets[1], format!("{expand}&{place}"), "{next}");
    }
}

#[tokio::test]
async fn pages_without_an_end_are_a_failed_look() {
    let pages: Vec<Exchange> = (0..40).map(|n| paged(&[other(n)], &json!({"__next": "x?$skip=1"}))).collect();
    let (outcome, targets) = look(pages).await;
    assert_eq!((look_word(&outcome).as_str(), targets.len()), ("failed", 40));
}

#[tokio::test]
async fn a_page_that_fails_fails_the_look() {
    let pages = vec![paged(&[ours(json!(1))], &json!({"__next": "x?$skip=1"})), answer(500, "")];
    assert_eq!(look_word(&look(pages).await.0), "failed");
}
