//! An event as a person may edit it: nothing secret is shown, nothing withheld is lost, and the rest is judged as any input.

use profile_linker::contract::InputRecord;
use profile_linker::contract::editing::{Editing, NotEditable};
use profile_linker::domain::{ReasonCode, Stage, Violation};
use serde_json::{Value, json};

use crate::records::{
    PERMANENT_TOKEN, STRUCTURED, TEMPORARY_TOKEN, aloha_event, binary, created, event, record, structured, verdict,
    with, without,
};

const NEW_ID: &str = "5f0a3f2e-7a52-5d4c-9f0e-0d8f6a1b2c3d";

fn open(event: &Value) -> Editing {
    Editing::open(structured(event)).expect("it opens")
}

fn refused(record: InputRecord) -> NotEditable {
    Editing::open(record).err().expect("it does not open")
}

/// The event of an edited record.
fn edited(editing: &Editing, changes: &[(&str, Value)]) -> InputRecord {
    let text = with(editing.shown().clone(), changes).to_string();
    editing.edited(&text, NEW_ID).unwrap_or_else(|violations| panic!("{violations:?}"))
}

fn violations(editing: &Editing, changes: &[(&str, Value)]) -> Vec<Violation> {
    let text = with(editing.shown().clone(), changes).to_string();
    editing.edited(&text, NEW_ID).err().expect("it is refused")
}

fn value_of(record: &InputRecord) -> Value {
    serde_json::from_slice(record.value.as_ref().expect("a value").expose()).expect("JSON")
}

#[test]
fn an_edited_event_has_an_id_of_its_own_its_cause_and_the_secrets_of_the_first() {
    let first =
        with(event(), &[("/data/customer/id", json!("bad")), ("/data/customerToken", json!("customer-token-1"))]);
    let editing = open(&first);
    let record = edited(&editing, &[("/data/customer/id", json!("1002"))]);
    let expected = with(
        first,
        &[
            ("/data/customer/id", json!("1002")),
            ("/id", json!(NEW_ID)),
            ("/causationid", json!("event-1")),
            ("/correlationid", json!("event-1")),
        ],
    );
    assert_eq!(value_of(&record), expected);
    let made = created(&record);
    assert_eq!((made.identity.source.as_str(), made.identity.id.as_str()), ("urn:form:42", NEW_ID));
    assert_eq!(record.origin.offset, 77, "it comes from the same record");
}

#[test]
fn no_secret_is_shown_whatever_it_is_wrapped_in() {
    let cases = [
        vec![],
        vec![("/data/token", json!({"kind": "temporary", "Value": TEMPORARY_TOKEN}))],
        vec![("/data/token", json!(TEMPORARY_TOKEN))],
        vec![("/data/token", json!([{"value": TEMPORARY_TOKEN}]))],
        vec![("/data/token/kind", json!(TEMPORARY_TOKEN))],
        vec![("/data/customerToken", json!(TEMPORARY_TOKEN))],
        vec![("/data/title", json!(format!("it repeats {TEMPORARY_TOKEN}")))],
        vec![("/data/more", json!({"deep": [1, {"x": TEMPORARY_TOKEN}]}))],
        vec![("/paymentToken", json!({"inner": TEMPORARY_TOKEN}))],
        vec![("/data/Tokens", json!([TEMPORARY_TOKEN]))],
        vec![("/data/token", json!("other")), ("/data/items", json!([{"token": {"value": TEMPORARY_TOKEN}}]))],
        vec![("/data/token", json!("other")), ("/data/items", json!([[{"paymentToken": {"v": TEMPORARY_TOKEN}}]]))],
        vec![("/data/token", json!("other")), ("/data/more", json!(format!("{{\"token\":\"{TEMPORARY_TOKEN}\"}}")))],
    ];
    for changes in cases {
        let first = with(event(), &changes);
        let editing = open(&first);
        let shown = editing.shown().to_string();
        assert!(!shown.contains(TEMPORARY_TOKEN), "{shown}");
        let back = value_of(&edited(&editing, &[("/data/primary", json!(true))]));
        assert_eq!(back["data"], with(first, &[("/data/primary", json!(true))])["data"], "nothing is lost");
    }
    let permanent = with(event(), &[("/data/token", json!({"kind": "permanent", "value": PERMANENT_TOKEN}))]);
    assert_eq!(open(&permanent).shown()["data"]["token"], json!({"kind": "permanent"}));
}

#[test]
fn what_is_kept_cannot_be_written_and_what_names_the_event_must_stay() {
    let editing = open(&event());
    let cases: [(&str, Value, &str); 6] = [
        ("/data/token/value", json!("another"), "/data/token/value"),
        ("/data/token/kind", json!("permanent"), "/data/token/kind"),
        ("/data/token", json!({}), "/data/token/kind"),
        ("/source", json!("urn:another"), "/source"),
        ("/id", json!("event-2"), "/id"),
        ("/id", json!(null), "/id"),
    ];
    for (pointer, value, at) in cases {
        let found = violations(&editing, &[(pointer, value)]);
        assert_eq!(found.iter().map(|one| one.pointer.as_str()).collect::<Vec<_>>(), [at]);
    }
    let tokenless = open(&without(event(), "/data/token/value"));
    assert_eq!(violations(&tokenless, &[("/data/token/value", json!("mine"))])[0].pointer, "/data/token/value");
    let kindless = open(&without(event(), "/data/token/kind"));
    let kind = edited(&kindless, &[("/data/token/kind", json!("temporary"))]);
    assert_eq!(value_of(&kind)["data"]["token"], event()["data"]["token"], "what nobody told may be told");
    for text in ["", "[]", "7", "{\"id\": 1, \"id\": 2}"] {
        assert_eq!(editing.edited(text, NEW_ID).err().expect("it is refused")[0].pointer, "", "{text}");
    }
}

#[test]
fn an_event_of_any_mode_is_edited_in_structured_mode_and_keeps_its_other_headers() {
    let mut first = binary(&with(event(), &[("/time", json!("2026-01-02T03:04:05Z"))]));
    first
        .headers
        .push(("traceparent".to_owned(), Some(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_vec())));
    let editing = Editing::open(first).expect("it opens");
    let record = edited(&editing, &[("/data/customer/id", json!("1002"))]);
    let names: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["traceparent", "content-type"]);
    assert_eq!(record.headers[1].1.as_deref(), Some(STRUCTURED.as_bytes()));
    let made = created(&record);
    assert!(made.context.traceparent.is_some(), "the trace goes on");
    assert_eq!(record.key.as_deref(), Some(&b"1002"[..]), "the key was the customer's id, and is it still");
    let other = edited(&open(&with(event(), &[("/data/customer/id", json!("7"))])), &[("/data/title", json!("x"))]);
    assert_eq!(other.key.as_deref(), Some(&b"1001"[..]), "another key stays");
}

#[test]
fn an_edited_event_is_judged_as_any_input() {
    let editing = open(&aloha_event());
    let record = edited(&editing, &[("/data/provider", json!("unknown"))]);
    assert_eq!(verdict(&record), Some((ReasonCode::InvalidEvent, Stage::Validate)));
    let record = edited(&editing, &[("/data/title", json!("4111 1111 1111 1111"))]);
    assert_eq!(verdict(&record), Some((ReasonCode::CardNumberDetected, Stage::Validate)));
    let record = edited(&editing, &[("/data/title", json!("fine"))]);
    assert_eq!(verdict(&record), None);
}

#[test]
fn a_correlation_that_is_there_stays() {
    let editing = open(&with(event(), &[("/correlationid", json!("order-7"))]));
    let made = created(&edited(&editing, &[("/data/primary", json!(true))]));
    assert_eq!(made.context.correlation_id.as_deref(), Some("order-7"));
}

#[test]
fn what_cannot_be_read_for_sure_or_holds_a_card_number_is_not_opened() {
    for text in ["{\"no event\"", "", "[]", "{\"id\": \"a\", \"id\": \"b\"}"] {
        assert!(matches!(refused(record(Some(text.as_bytes()), &[])), NotEditable::Unreadable(_)), "{text}");
    }
    assert!(matches!(refused(record(None, &[])), NotEditable::Unreadable(_)));
    let title = with(event(), &[("/data/title", json!("4111 1111 1111 1111"))]);
    assert_eq!(refused(structured(&title)), NotEditable::CardNumber);
    let token = with(event(), &[("/data/token/value", json!("4111111111111111"))]);
    assert_eq!(refused(structured(&token)), NotEditable::CardNumber);
    let mut key = structured(&event());
    key.key = Some(b"4111111111111111".to_vec());
    assert_eq!(refused(key), NotEditable::CardNumber);
}

#[test]
fn an_event_without_an_identity_gets_one() {
    let editing = open(&without(event(), "/id"));
    assert!(editing.identity().is_none());
    let made = created(&edited(&editing, &[("/id", json!("written by hand"))]));
    assert_eq!(made.identity.id, NEW_ID);
    assert_eq!(made.context.correlation_id, None);
}

#[test]
fn only_the_same_event_is_unchanged() {
    let editing = open(&event());
    assert!(editing.is_unchanged(&format!("{:#}", editing.shown())));
    assert!(!editing.is_unchanged(&with(editing.shown().clone(), &[("/data/primary", json!(false))]).to_string()));
    assert!(!editing.is_unchanged(""));
}
