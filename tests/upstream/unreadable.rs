//! Answers that claim success and are not what was asked for: whatever they hold, nobody quotes it.

use std::sync::Arc;

use profile_linker::config::SecretSource;
use profile_linker::domain::{Customer, System};
use profile_linker::upstream::aloha::Aloha;
use profile_linker::upstream::http::Exchange;
use profile_linker::upstream::journal::noted;
use profile_linker::upstream::loanpro::{CustomerId, LoanPro};
use profile_linker::upstream::payiq::PayIq;
use profile_linker::upstream::{
    Conversion, Converter, CustomerCheck, Link, LinkTarget, LookOutcome, LookUp, OpenGate, Promotion,
};
use serde_json::json;
use uuid::Uuid;

use super::exchange::{Played, answer, answer_with, detail, secret};

/// A token and a name that nobody gave us, so short that nothing marks them as such.
const THEIRS: [&str; 2] = ["tok-77", "Jane Roe"];

/// Cut off, not JSON at all, and JSON of another shape: each as a success, and each holds what is somebody else's.
fn bodies() -> Vec<String> {
    let list = json!({"d": {"results": [{"id": 1, "title": THEIRS[1], "CreditCard": {"token": THEIRS[0]}}]}});
    let whole = list.to_string();
    let said = format!("access_token={} of {}", THEIRS[0], THEIRS[1]);
    vec![
        whole[..whole.len() - 4].to_owned(),
        said.clone(),
        json!(said).to_string(),
        json!([said]).to_string(),
        json!({"message": said}).to_string(),
        json!({"d": said}).to_string(),
        json!({"d": [said]}).to_string(),
        json!({"value": {"code": said}}).to_string(),
        format!("<html>{said}</html>"),
    ]
}

fn customer(system: System, id: &str) -> Customer {
    Customer { system, id: id.to_owned() }
}

fn link(customer: Customer) -> Link {
    Link { customer, ..super::aloha::link() }
}

fn look_up(customer: Customer) -> LookUp {
    LookUp { customer, markers: vec!["ABCD2345".to_owned()], token: Some(secret("201:token-1")) }
}

fn loanpro(played: &Arc<Played>) -> LoanPro {
    LoanPro::new(played.clone(), SecretSource::Value(secret("bearer-1")), "tenant", CustomerId::new(1)).unwrap()
}

fn aloha(played: &Arc<Played>) -> Aloha {
    Aloha::new(played.clone(), "shop", SecretSource::Value(secret("password")), "ACME1").unwrap()
}

fn looked(outcome: LookOutcome) -> String {
    match outcome {
        LookOutcome::Failed { detail, .. } => detail,
        _ => panic!("such a look fails"),
    }
}

fn checked(check: CustomerCheck) -> String {
    match check {
        CustomerCheck::Unclear { detail } => detail,
        _ => panic!("such a check is unclear"),
    }
}

async fn payiq(answers: Vec<Exchange>) -> String {
    let value = |text: &str| SecretSource::Value(secret(text));
    let client = PayIq::new(Played::new(answers), value("5b6a1c9e-9d1e-4c39-8d0b-0d7e0d2f8a11"), value("signing-key"));
    let conversion = Conversion {
        temporary_token: secret("temp-1"),
        customer_token: None,
        external_user_id: None,
        idempotency_key: Uuid::nil(),
    };
    detail(&client.convert(&conversion, &OpenGate).await)
}

/// What every operation of every vendor says to this body under a 200.
async fn told(body: &str) -> Vec<(&'static str, String)> {
    let ours = || customer(System::Loanpro, "7");
    let theirs = || customer(System::Aloha, "82c6fdcb-534f-415a-9e28-87be989e461f");
    let one = || Played::new([answer(200, body)]);
    let promotion =
        Promotion { customer: ours(), profile_id: "31".to_owned(), other_primary: None, idempotency_key: Uuid::nil() };
    vec![
        ("payiq auth", payiq(vec![answer(200, body)]).await),
        ("payiq convert", payiq(vec![answer(200, r#"{"access_token":"access-1"}"#), answer(200, body)]).await),
        ("loanpro link", detail(&loanpro(&one()).link(&link(ours()), &OpenGate).await)),
        ("loanpro promote", detail(&loanpro(&one()).promote(&promotion, &OpenGate).await)),
        ("loanpro look", looked(loanpro(&one()).look_up(&look_up(ours())).await)),
        ("loanpro check", checked(loanpro(&one()).check_customer(&ours()).await)),
        ("aloha link", detail(&aloha(&one()).link(&link(theirs()), &OpenGate).await)),
        ("aloha look", looked(aloha(&one()).look_up(&look_up(theirs())).await)),
        ("aloha check", checked(aloha(&one()).check_customer(&theirs()).await)),
    ]
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_told_by_its_size_and_never_quoted() {
    for body in bodies() {
        for (operation, said) in told(&body).await {
            let expected = format!("http 200 with a body that cannot be read ({} bytes)", body.len());
            // A list it may be; then an entry of it is what cannot be read.
            let entry = said.ends_with("an entry that cannot be read");
            assert!(said.contains(&expected) || entry, "{operation}: {body}: {said}");
            assert!(THEIRS.iter().all(|theirs| !said.contains(theirs)), "{operation}: {body}: {said}");
        }
    }
}

#[tokio::test]
async fn the_type_of_such_a_body_is_told_if_it_is_a_known_one() {
    let typed = async |kind: &str| {
        let played = Played::new([answer_with(200, &[("content-type", kind)], "<html>")]);
        looked(loanpro(&played).look_up(&look_up(customer(System::Loanpro, "7"))).await)
    };
    let expected = "http 200 with a body that cannot be read (6 bytes of text/html)";
    assert_eq!(typed("Text/HTML; charset=utf-8").await, expected);
    assert_eq!(typed("text/tok-77").await, "http 200 with a body that cannot be read (6 bytes)");
}

#[tokio::test]
async fn the_error_that_a_success_wraps_is_quoted() {
    for body in [r#"{"error":{"message":{"value":"it sleeps"}}}"#, r#"{"d":{"error":{"message":"it sleeps"}}}"#] {
        let played = Played::new([answer(200, body)]);
        let said = looked(loanpro(&played).look_up(&look_up(customer(System::Loanpro, "7"))).await);
        assert_eq!(said, "http 200: it sleeps");
    }
}

/// Whether the journal says that the list came.
async fn listed(client: &dyn LinkTarget, question: LookUp) -> bool {
    let (_, notes) = noted(client.look_up(&question)).await;
    notes.last().unwrap().listed
}

#[tokio::test]
async fn the_journal_tells_a_list_from_a_page_in_its_place() {
    for (body, came) in [("[]", true), ("[7]", true), ("<html>", false), ("{}", false), ("[{", false)] {
        let one = || Played::new([answer(200, body)]);
        assert_eq!(listed(&loanpro(&one()), look_up(customer(System::Loanpro, "7"))).await, came, "loanpro {body}");
        let theirs = customer(System::Aloha, "82c6fdcb-534f-415a-9e28-87be989e461f");
        assert_eq!(listed(&aloha(&one()), look_up(theirs)).await, came, "aloha {body}");
    }
}
