//! What we publish: valid by our own schemas, bounded, and the same however often it is made.

use profile_linker::contract::results::{
    DeadLetterParts, Linked, OutputMode, ResolvedBy, SealedOriginal, Subject, dead_letter, linked, rejected,
    without_original,
};
use profile_linker::contract::schemas::violations;
use profile_linker::contract::{
    Account, AccountKind, Brand, Context, DEAD_LETTER, OutgoingRecord, PROFILE_LINKED, PROFILE_REJECTED, TopicRole,
};
use profile_linker::domain::{Attempts, Customer, EventIdentity, Origin, Reason, ReasonCode, Stage, System, Violation};
use serde_json::{Map, Value, json};

struct Input {
    identity: EventIdentity,
    origin: Origin,
    customer: Customer,
    context: Context,
}

fn input() -> Input {
    Input {
        identity: EventIdentity { source: "urn:form:42".to_owned(), id: "event-1".to_owned() },
        origin: Origin { topic: "created".to_owned(), partition: 3, offset: 77, timestamp: 1_700_000_000_000 },
        customer: Customer { system: System::Loanpro, id: "1001".to_owned() },
        context: Context {
            traceparent: Some("00-a-b-01".to_owned()),
            tracestate: None,
            correlation_id: Some("order-7".to_owned()),
        },
    }
}

impl Input {
    fn subject(&self) -> Subject<'_> {
        Subject {
            identity: Some(&self.identity),
            created: None,
            origin: &self.origin,
            customer: Some(&self.customer),
            key: Some(b"1001"),
            context: &self.context,
            generation: 2,
            attempts: Attempts { convert: 1, link: 2, lookup: 3 },
            at: 1_767_323_045_678,
        }
    }
}

fn account() -> Account {
    Account {
        kind: AccountKind::Card,
        last_four: Some("1111".to_owned()),
        brand: Some(Brand::Visa),
        expiration: Some("09/31".to_owned()),
        masked_number: Some("411111******1111".to_owned()),
        holder_name: Some("Ada Example".to_owned()),
    }
}

fn a_linked(mode: OutputMode) -> OutgoingRecord {
    let account = account();
    let parts = Linked {
        payment_account_id: "555",
        account: &account,
        title: Some("Visa ••1111 #ABCDEFGH"),
        primary: true,
        secondary: false,
        resolved_by: ResolvedBy::Lookup,
        token_fingerprint: Some("f00d"),
    };
    linked(&input().subject(), &parts, mode)
}

fn reason() -> Reason {
    Reason::new(ReasonCode::RetriesExhausted, Stage::Link, "loanpro answered 500")
}

fn a_dead_letter(subject: &Subject<'_>, key: Option<&[u8]>, sealed: bool, mode: OutputMode) -> OutgoingRecord {
    let sealed = sealed.then_some(SealedOriginal { base64: "AAAA", key_id: "k1" });
    dead_letter(
        subject,
        &reason(),
        &DeadLetterParts { record_key: key, first_failed_at: 1_767_323_000_000, sealed },
        mode,
    )
}

fn header<'a>(record: &'a OutgoingRecord, name: &str) -> Option<&'a [u8]> {
    record.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_slice())
}

/// The event in structured form, whatever the mode.
pub fn event_of(record: &OutgoingRecord) -> Value {
    let value: Value = serde_json::from_slice(&record.value).unwrap();
    match header(record, "content-type").unwrap() {
        b"application/cloudevents+json" => value,
        b"application/json" => {
            let attributes = record.headers.iter().filter_map(|(name, value)| Some((name.strip_prefix("ce_")?, value)));
            let mut event: Map<String, Value> = attributes
                .map(|(name, value)| (name.to_owned(), json!(String::from_utf8(value.clone()).unwrap())))
                .collect();
            event.insert("data".to_owned(), value);
            Value::Object(event)
        }
        other => panic!("content type {other:?}"),
    }
}

/// Of each type records that have, together, every member that may be there.
pub fn the_fullest(mode: OutputMode) -> [(&'static str, Vec<OutgoingRecord>); 3] {
    let mut input = input();
    input.context.tracestate = Some("vendor=1".to_owned());
    let subject = input.subject();
    let account = account();
    let parts = Linked {
        payment_account_id: "555",
        account: &account,
        title: Some("Visa"),
        primary: true,
        secondary: false,
        resolved_by: ResolvedBy::Response,
        token_fingerprint: Some("f00d"),
    };
    let violations = vec![Violation { pointer: "/data".to_owned(), message: "is required".to_owned() }];
    let reason = Reason { violations, ..Reason::new(ReasonCode::InvalidEvent, Stage::Validate, "1 violation") };
    let letter = |key: &'static [u8], sealed: bool| {
        let sealed = sealed.then_some(SealedOriginal { base64: "AAAA", key_id: "k1" });
        dead_letter(&subject, &reason, &DeadLetterParts { record_key: Some(key), first_failed_at: 0, sealed }, mode)
    };
    [
        (PROFILE_LINKED, vec![linked(&subject, &parts, mode)]),
        (PROFILE_REJECTED, vec![rejected(&subject, &reason, mode)]),
        (DEAD_LETTER, vec![letter(b"1001", true), letter(&[0xff], false)]),
    ]
}

#[test]
fn every_result_is_valid_by_its_schema_in_both_modes() {
    let input = input();
    let unknown = Subject { identity: None, customer: None, key: None, ..input.subject() };
    for mode in [OutputMode::Structured, OutputMode::Binary] {
        let rows = [
            (PROFILE_LINKED, TopicRole::Linked, a_linked(mode)),
            (PROFILE_REJECTED, TopicRole::Rejected, rejected(&input.subject(), &reason(), mode)),
            (PROFILE_REJECTED, TopicRole::Rejected, rejected(&unknown, &reason(), mode)),
            (DEAD_LETTER, TopicRole::DeadLetter, a_dead_letter(&input.subject(), Some(b"1001"), true, mode)),
            (DEAD_LETTER, TopicRole::DeadLetter, a_dead_letter(&unknown, None, false, mode)),
        ];
        for (name, topic, record) in rows {
            assert_eq!(violations(name, &event_of(&record)), [], "{}", event_of(&record));
            assert_eq!(record.topic, topic);
        }
    }
}

#[test]
fn a_linked_event_tells_what_was_achieved() {
    let event = event_of(&a_linked(OutputMode::Structured));
    let expected = json!({
        "specversion": "1.0",
        "type": "payments.profile-linked.v1",
        "source": "urn:profile-linker",
        "id": input().identity.result_id(2).to_string(),
        "time": "2026-01-02T03:04:05.678Z",
        "datacontenttype": "application/json",
        "causationid": "event-1",
        "correlationid": "order-7",
        "traceparent": "00-a-b-01",
        "data": {
            "created": { "source": "urn:form:42", "id": "event-1" },
            "customer": { "system": "loanpro", "id": "1001" },
            "paymentAccountId": "555",
            "account": { "kind": "card", "lastFour": "1111", "brand": "visa", "expiration": "09/31" },
            "title": "Visa ••1111 #ABCDEFGH",
            "primary": true,
            "secondary": false,
            "linkedAt": "2026-01-02T03:04:05.678Z",
            "generation": 2,
            "attempts": { "convert": 1, "link": 2, "lookup": 3 },
            "resolvedBy": "lookup",
            "tokenFingerprint": "f00d",
        },
    });
    assert_eq!(event, expected);
}

#[test]
fn both_modes_say_the_same() {
    let mut structured = event_of(&a_linked(OutputMode::Structured));
    structured.as_object_mut().unwrap().remove("datacontenttype");
    assert_eq!(event_of(&a_linked(OutputMode::Binary)), structured);
}

#[test]
fn a_conflict_shows_the_event_but_has_an_id_of_its_own() {
    let input = input();
    let conflict = Subject { identity: None, created: Some(&input.identity), ..input.subject() };
    let event = event_of(&rejected(
        &conflict,
        &Reason::new(ReasonCode::EventIdConflict, Stage::Validate, "x"),
        OutputMode::Structured,
    ));
    assert_eq!(event["id"], input.origin.result_id(2).to_string());
    assert_eq!(event["causationid"], "event-1");
    assert_eq!(event["data"]["created"], json!({ "source": "urn:form:42", "id": "event-1" }));
    assert_eq!(event["data"]["disposition"], "final");
    assert_eq!(event["data"]["origin"], json!({ "topic": "created", "partition": 3, "offset": 77 }));
}

#[test]
fn a_dead_letter_has_an_id_that_is_its_own_and_always_the_same() {
    let input = input();
    let id = |record: &OutgoingRecord| event_of(record)["id"].as_str().unwrap().to_owned();
    let first = id(&a_dead_letter(&input.subject(), None, true, OutputMode::Structured));
    assert_eq!(first, id(&a_dead_letter(&input.subject(), None, false, OutputMode::Binary)));
    assert_ne!(first, input.identity.result_id(2).to_string());
    let replayed = Subject { generation: 3, ..input.subject() };
    assert_ne!(first, id(&a_dead_letter(&replayed, None, true, OutputMode::Structured)));
}

#[test]
fn dead_letter_headers_serve_generic_tools_in_both_modes() {
    for mode in [OutputMode::Structured, OutputMode::Binary] {
        let record = a_dead_letter(&input().subject(), Some(b"1001"), true, mode);
        let rows: [(&str, &[u8]); 12] = [
            ("dlq-original-topic", b"created"),
            ("dlq-original-partition", b"3"),
            ("dlq-original-offset", b"77"),
            ("dlq-original-timestamp", b"1700000000000"),
            ("dlq-reason-code", b"retries_exhausted"),
            ("dlq-reason-stage", b"link"),
            ("dlq-attempts", b"6"),
            ("dlq-generation", b"2"),
            ("kafka_dlt-original-topic", b"created"),
            ("kafka_dlt-original-partition", &[0, 0, 0, 3]),
            ("kafka_dlt-original-offset", &[0, 0, 0, 0, 0, 0, 0, 77]),
            ("kafka_dlt-original-timestamp", &[0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0]),
        ];
        for (name, value) in rows {
            assert_eq!(header(&record, name), Some(value), "{name}");
        }
        assert_eq!(record.key.as_deref(), Some(&b"1001"[..]));
    }
}

#[test]
fn a_dead_letter_shows_the_key_as_text_or_base64_or_not_at_all() {
    let input = input();
    let origin = |key: Option<&[u8]>| {
        let record = a_dead_letter(&input.subject(), key, true, OutputMode::Structured);
        (event_of(&record)["data"]["origin"].clone(), record.key)
    };
    let (text, _) = origin(Some(b"1001"));
    assert_eq!(
        text,
        json!({ "topic": "created", "partition": 3, "offset": 77, "timestamp": 1_700_000_000_000_i64, "key": "1001" })
    );
    let (bytes, record_key) = origin(Some(&[0xff, 0xfe]));
    assert_eq!((bytes["keyBase64"].as_str(), bytes.get("key")), (Some("//4="), None));
    assert_eq!(record_key, Some(vec![0xff, 0xfe]));
    let (long, record_key) = origin(Some(&[b'k'; 1025]));
    assert!(long.get("key").is_none() && long.get("keyBase64").is_none() && record_key.is_none());
}

#[test]
fn a_record_that_could_not_be_sealed_into_the_limit_says_so() {
    let data = event_of(&a_dead_letter(&input().subject(), None, false, OutputMode::Structured))["data"].clone();
    assert_eq!(data["sealedOmitted"], "too_large");
    assert!(data.get("sealed").is_none() && data.get("keyId").is_none());
}

#[test]
fn a_key_over_its_limit_is_not_used() {
    let input = input();
    let long = vec![b'k'; 1025];
    let subject = Subject { key: Some(&long), ..input.subject() };
    assert_eq!(rejected(&subject, &reason(), OutputMode::Structured).key, None);
}

#[test]
fn at_most_fifty_violations_are_told() {
    let violation = Violation { pointer: "/x".to_owned(), message: "y".to_owned() };
    let many = Reason { violations: vec![violation; 60], ..reason() };
    let event = event_of(&rejected(&input().subject(), &many, OutputMode::Structured));
    assert_eq!(event["data"]["reason"]["violations"].as_array().map(Vec::len), Some(50));
}

#[test]
fn the_worst_result_and_dead_letter_stay_below_64_kilobytes() {
    let worst = "\"".repeat(512);
    let mut input = input();
    input.identity = EventIdentity { source: worst.clone(), id: worst.clone() };
    input.origin.topic = "t".repeat(249);
    input.context =
        Context { traceparent: Some(worst.clone()), tracestate: Some(worst.clone()), correlation_id: Some(worst) };
    let violation = Violation { pointer: "/x".repeat(500), message: "\u{1}".repeat(1000) };
    let reason = Reason {
        violations: vec![violation; 60],
        ..Reason::new(ReasonCode::InvalidEvent, Stage::Validate, "\u{1}".repeat(9000))
    };
    let key = [1; 1024];
    let parts = DeadLetterParts { record_key: Some(&key), first_failed_at: 0, sealed: None };
    for mode in [OutputMode::Structured, OutputMode::Binary] {
        for record in [rejected(&input.subject(), &reason, mode), dead_letter(&input.subject(), &reason, &parts, mode)]
        {
            let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(record.value.len() + headers + record.key.as_ref().map_or(0, Vec::len) < 64 * 1024);
            let told = event_of(&record)["data"]["reason"].clone();
            assert!(!told["violations"].as_array().unwrap().is_empty());
            assert_eq!(told["detail"].as_str().unwrap().chars().count(), 500);
        }
    }
}

#[test]
fn a_dead_letter_whose_original_is_left_out_later_is_as_if_it_had_been_at_once() {
    let input = input();
    for mode in [OutputMode::Structured, OutputMode::Binary] {
        let whole = a_dead_letter(&input.subject(), Some(b"1001"), true, mode);
        let without = a_dead_letter(&input.subject(), Some(b"1001"), false, mode);
        assert_eq!(without_original(&whole), Some(without.clone()), "{mode:?}");
        assert_eq!(without_original(&without), None, "there is nothing to leave out any more");
        assert_eq!(without_original(&rejected(&input.subject(), &reason(), mode)), None, "it is no dead letter");
        assert_eq!(without_original(&OutgoingRecord { value: b"{".to_vec(), ..whole }), None);
    }
}
