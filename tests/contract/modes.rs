//! Content modes, framing, and what is passed on.

use profile_linker::contract::{AccountKind, InputRecord, Provider, Token};
use profile_linker::domain::{ReasonCode, Secret, Stage};
use serde_json::json;

use crate::records::{
    PERMANENT_TOKEN, STRUCTURED, TEMPORARY_TOKEN, aloha_event, binary, created, event, record, structured, unusable,
    verdict, with,
};

type Headers<'a> = &'a [(&'a str, &'a [u8])];

const MALFORMED: Option<(ReasonCode, Stage)> = Some((ReasonCode::MalformedEvent, Stage::Decode));

fn framed(mut record: InputRecord) -> InputRecord {
    let value = record.value.as_ref().expect("a value").expose().to_vec();
    record.value = Some(Secret::new([&[0, 0, 0, 0, 7], value.as_slice()].concat()));
    record
}

#[test]
fn the_mode_is_told_by_the_content_type_then_by_the_headers_then_by_the_value() {
    let text = event().to_string();
    let value = Some(text.as_bytes());
    let rows: [(Headers<'_>, bool); 9] = [
        (&[("content-type", STRUCTURED.as_bytes())], true),
        (&[("Content-Type", b"Application/CloudEvents+JSON; charset=UTF-8"), ("ce_id", b"ignored")], true),
        (&[], true),
        (&[("content-type", b"application/json")], true),
        (&[("content-type", b"\xff")], true),
        (&[("ce_traceparent", b"left over from a hop before")], true),
        (&[("content-type", STRUCTURED.as_bytes()), ("ce_id", b"ignored")], true),
        (&[("content-type", b"application/cloudevents-batch+json")], false),
        (&[("content-type", b"application/cloudevents+avro")], false),
    ];
    for (headers, usable) in rows {
        let expected = if usable { None } else { MALFORMED };
        assert_eq!(verdict(&record(value, headers)), expected, "{headers:?}");
    }
}

#[test]
fn both_modes_framed_or_not_say_the_same() {
    let event = with(event(), &[("/data/primary", json!(true)), ("/correlationid", json!("order-7"))]);
    let plain = created(&structured(&event));
    let mut with_id_in_header = structured(&event);
    with_id_in_header.headers.push(("__value_schema_id".to_owned(), Some([&[1][..], &[9; 16]].concat())));
    for record in [binary(&event), framed(structured(&event)), framed(binary(&event)), with_id_in_header] {
        let other = created(&record);
        assert_eq!(other.identity, plain.identity);
        assert_eq!(*other.payload, *plain.payload);
        assert_eq!(other.context, plain.context);
        assert_eq!(other.context.correlation_id.as_deref(), Some("order-7"));
        assert!(other.profile.primary);
    }
}

#[test]
fn the_canonical_payload_is_type_and_data_alone() {
    let event = with(event(), &[("/time", json!("2026-01-02T03:04:05Z")), ("/subject", json!("s"))]);
    let expected = format!(
        r#"{{"data":{{"customer":{{"id":"1001","system":"loanpro"}},"token":{{"kind":"temporary","value":"{TEMPORARY_TOKEN}"}}}},"type":"payments.profile-created.v1"}}"#
    );
    assert_eq!(std::str::from_utf8(&created(&structured(&event)).payload).unwrap(), expected);
}

#[test]
fn broken_binary_headers_are_malformed() {
    let mut two_ids = binary(&event());
    two_ids.headers.push(("ce_id".to_owned(), Some(b"event-2".to_vec())));
    let mut not_text = binary(&event());
    not_text.headers.push(("ce_subject".to_owned(), Some(vec![0xff])));
    let mut no_version = binary(&event());
    no_version.headers.retain(|(name, _)| name != "ce_specversion");
    for record in [&two_ids, &not_text, &no_version] {
        assert_eq!(verdict(record), MALFORMED);
    }
    assert!(unusable(&two_ids).identity.is_none());
    assert!(unusable(&not_text).identity.is_some());
    assert!(unusable(&no_version).identity.is_some());
}

#[test]
fn a_header_repeated_with_the_same_value_does_no_harm() {
    let mut record = binary(&event());
    record.headers.push(("ce_id".to_owned(), Some(b"event-1".to_vec())));
    record.headers.push(("ce_subject".to_owned(), None));
    assert_eq!(verdict(&record), None);
}

#[test]
fn a_binary_event_whose_value_is_not_json_keeps_its_identity() {
    let mut record = binary(&event());
    record.value = Some(Secret::new(b"<xml/>".to_vec()));
    let unusable = unusable(&record);
    assert_eq!(unusable.reason.code, ReasonCode::MalformedEvent);
    assert_eq!(unusable.identity.map(|identity| identity.id).as_deref(), Some("event-1"));
}

#[test]
fn context_is_passed_on_up_to_its_limit() {
    let fits = "t".repeat(512);
    let too_long = "t".repeat(513);
    let event =
        with(event(), &[("/traceparent", json!(fits)), ("/tracestate", json!(too_long)), ("/correlationid", json!(5))]);
    let context = created(&structured(&event)).context;
    assert_eq!(context.traceparent, Some(fits));
    assert_eq!((context.tracestate, context.correlation_id), (None, None));
}

#[test]
fn trace_context_in_plain_headers_counts_where_the_event_has_none() {
    let mut record = structured(&with(event(), &[("/tracestate", json!("own=1"))]));
    record.headers.push(("traceparent".to_owned(), Some(b"00-a-b-01".to_vec())));
    record.headers.push(("tracestate".to_owned(), Some(b"other=2".to_vec())));
    let context = created(&record).context;
    assert_eq!(context.traceparent.as_deref(), Some("00-a-b-01"));
    assert_eq!(context.tracestate.as_deref(), Some("own=1"));
}

#[test]
fn bad_events_pass_their_context_on_too() {
    let event = with(event(), &[("/type", json!("payments.profile-created.v2")), ("/correlationid", json!("order-7"))]);
    assert_eq!(unusable(&structured(&event)).context.correlation_id.as_deref(), Some("order-7"));
}

#[test]
fn a_valid_event_is_read_whole() {
    let event = with(
        event(),
        &[
            ("/data/customerToken", json!("customer-token")),
            ("/data/externalUserId", json!("")),
            ("/data/account", json!({ "kind": "savings", "lastFour": "6789", "brand": null })),
            ("/data/title", json!("Rent")),
            ("/data/secondary", json!(true)),
            ("/data/expiresAt", json!("2030-01-31T10:30:00.5+01:00")),
        ],
    );
    let profile = created(&structured(&event)).profile;
    assert!(matches!(&profile.token, Token::Temporary(token) if token.same_as(TEMPORARY_TOKEN.as_bytes())));
    assert!(profile.customer_token.is_some_and(|token| token.same_as(b"customer-token")));
    assert_eq!(profile.external_user_id.as_deref(), Some(""));
    assert_eq!(
        profile.account.map(|account| (account.kind, account.last_four)),
        Some((AccountKind::Savings, Some("6789".to_owned())))
    );
    assert_eq!((profile.title.as_deref(), profile.primary, profile.secondary), (Some("Rent"), false, true));
    assert_eq!(profile.expires_at, Some(1_896_082_200_500));
}

#[test]
fn a_permanent_token_never_expires() {
    let event = with(
        aloha_event(),
        &[("/data/token/value", json!(PERMANENT_TOKEN)), ("/data/expiresAt", json!("2001-01-01T00:00:00Z"))],
    );
    let profile = created(&structured(&event)).profile;
    assert!(matches!(&profile.token, Token::Permanent(token) if token.same_as(PERMANENT_TOKEN.as_bytes())));
    assert_eq!((profile.expires_at, profile.provider), (None, Some(Provider::FreedomPay)));
}
