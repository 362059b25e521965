//! What is no event of ours, and what is known of it all the same.

use profile_linker::domain::{ReasonCode, Stage, System};
use serde_json::{Value, json};

use crate::records::{
    GUID, STRUCTURED, TEMPORARY_TOKEN, aloha_event, binary, created, event, record, structured, unusable, verdict,
    with, without,
};

fn headers() -> [(&'static str, &'static [u8]); 1] {
    [("content-type", STRUCTURED.as_bytes())]
}

#[test]
fn what_is_no_cloud_event_is_malformed() {
    let nested = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    let huge = format!("{{\"x\":\"{}\"}}", "a".repeat(1024 * 1024));
    let rows: [(&str, Option<&[u8]>); 16] = [
        ("tombstone", None),
        ("empty", Some(b"")),
        ("text", Some(b"hello")),
        ("cut short", Some(b"{\"specversion\":\"1.0\"")),
        ("two documents", Some(b"{} {}")),
        ("not utf-8", Some(b"{\"id\":\"\xff\"}")),
        ("half a surrogate pair", Some(br#"{"id":"\ud800"}"#)),
        ("a number beyond all bounds", Some(b"{\"x\":1e999}")),
        ("an array", Some(b"[]")),
        ("null", Some(b"null")),
        ("a string", Some(b"\"x\"")),
        ("an empty object", Some(b"{}")),
        ("frame cut short", Some(b"\0\0\0")),
        ("frame around nothing", Some(b"\0\0\0\0\x01")),
        ("nested without end", Some(nested.as_bytes())),
        ("too large", Some(huge.as_bytes())),
    ];
    for (name, value) in rows {
        for headers in [&headers()[..], &[]] {
            let unusable = unusable(&record(value, headers));
            assert_eq!(
                (unusable.reason.code, unusable.reason.stage),
                (ReasonCode::MalformedEvent, Stage::Decode),
                "{name}"
            );
            assert!(unusable.identity.is_none() && unusable.payload.is_none(), "{name}");
            assert!(unusable.reason.violations.is_empty(), "{name}");
        }
    }
}

#[test]
fn a_valid_event_with_something_behind_it_is_malformed() {
    let text = format!("{} {{}}", event());
    assert_eq!(verdict(&record(Some(text.as_bytes()), &headers())), Some((ReasonCode::MalformedEvent, Stage::Decode)));
}

#[test]
fn a_value_may_have_a_mebibyte_and_no_more() {
    let padding = 1024 * 1024 - with(event(), &[("/extra", json!(""))]).to_string().len();
    let largest = with(event(), &[("/extra", json!("a".repeat(padding)))]);
    assert_eq!(verdict(&structured(&largest)), None);
    let too_large = with(event(), &[("/extra", json!("a".repeat(padding + 1)))]);
    assert_eq!(verdict(&structured(&too_large)), Some((ReasonCode::MalformedEvent, Stage::Decode)));
}

#[test]
fn attributes_outside_the_limits_are_malformed() {
    let rows = [
        without(event(), "/specversion"),
        with(event(), &[("/specversion", json!("0.3"))]),
        with(event(), &[("/specversion", json!(1.0))]),
        without(event(), "/source"),
        without(event(), "/id"),
        with(event(), &[("/id", json!(""))]),
        with(event(), &[("/id", json!(5))]),
        with(event(), &[("/id", json!(null))]),
        with(event(), &[("/id", json!("a\nb"))]),
        with(event(), &[("/source", json!("a\u{0}"))]),
        with(event(), &[("/source", json!("\u{9f}"))]),
        with(event(), &[("/id", json!("x".repeat(513)))]),
        with(event(), &[("/id", json!("é".repeat(257)))]),
        without(event(), "/type"),
        with(event(), &[("/type", json!("payments.profile-linked.v1"))]),
        with(event(), &[("/type", json!("payments.profile-created"))]),
        with(event(), &[("/type", json!("payments.profile-created.vx"))]),
        with(event(), &[("/type", json!("Payments.Profile-Created.v1"))]),
        with(event(), &[("/type", json!(7))]),
    ];
    for row in rows {
        assert_eq!(verdict(&structured(&row)), Some((ReasonCode::MalformedEvent, Stage::Decode)), "{row}");
    }
}

#[test]
fn the_longest_source_and_id_are_accepted() {
    let longest = with(event(), &[("/source", json!("é".repeat(256))), ("/id", json!("x".repeat(512)))]);
    assert_eq!(created(&structured(&longest)).identity.id.len(), 512);
    assert_eq!(created(&binary(&longest)).identity.source.len(), 512);
}

#[test]
fn an_unknown_version_is_told_apart_from_a_wrong_type() {
    for name in ["payments.profile-created.v2", "payments.profile-created.v10", "payments.profile-created.v01"] {
        let unusable = unusable(&structured(&with(event(), &[("/type", json!(name))])));
        assert_eq!((unusable.reason.code, unusable.reason.stage), (ReasonCode::UnsupportedVersion, Stage::Decode));
        assert!(unusable.reason.detail.contains(name), "{}", unusable.reason.detail);
        assert!(unusable.identity.is_some() && unusable.payload.is_some());
    }
}

#[test]
fn a_bad_event_keeps_its_identity_wherever_source_and_id_are_readable() {
    let repeated = event().to_string().replace("\"system\"", "\"system\":\"aloha\",\"system\"");
    let repeated_id = event().to_string().replace("\"id\":\"event-1\"", "\"id\":\"event-2\",\"id\":\"event-1\"");
    let deep =
        with(event(), &[("/extra", serde_json::from_str(&format!("{}{}", "[".repeat(90), "]".repeat(90))).unwrap())]);
    let rows: [(&str, String, bool); 5] = [
        ("a repeated name in data", repeated, true),
        ("a repeated id", repeated_id, false),
        ("too deep", deep.to_string(), true),
        ("wrong type", with(event(), &[("/type", json!("other"))]).to_string(), true),
        ("no specversion", without(event(), "/specversion").to_string(), true),
    ];
    for (name, text, known) in rows {
        let unusable = unusable(&record(Some(text.as_bytes()), &headers()));
        assert_eq!(unusable.reason.code, ReasonCode::MalformedEvent, "{name}");
        assert_eq!(unusable.identity.is_some(), known, "{name}");
    }
}

#[test]
fn a_repeated_name_leaves_no_payload_and_the_last_value_as_key() {
    let text = event().to_string().replace(r#""id":"1001""#, r#""id":"1000","id":"1001""#);
    let unusable = unusable(&record(Some(text.as_bytes()), &headers()));
    assert_eq!((unusable.reason.code, unusable.result_key.as_deref()), (ReasonCode::MalformedEvent, Some("1001")));
    assert!(unusable.payload.is_none());
}

#[test]
fn depth_has_a_limit_that_no_real_event_meets() {
    let nested = |depth: usize| -> Value {
        serde_json::from_str(&format!("{}{}", "[".repeat(depth), "]".repeat(depth))).unwrap()
    };
    let at = |depth| with(event(), &[("/data/extra", nested(depth))]);
    for make in [structured, binary] {
        assert_eq!(verdict(&make(&at(62))), None);
        assert_eq!(verdict(&make(&at(63))), Some((ReasonCode::MalformedEvent, Stage::Decode)));
    }
}

#[test]
fn missing_or_null_data_is_invalid_in_every_mode() {
    let missing = without(event(), "/data");
    let null = with(event(), &[("/data", json!(null))]);
    let mut empty = binary(&missing);
    empty.value = Some(profile_linker::domain::Secret::new(Vec::new()));
    for row in [structured(&missing), structured(&null), binary(&missing), binary(&null), empty] {
        let unusable = unusable(&row);
        assert_eq!((unusable.reason.code, unusable.reason.stage), (ReasonCode::InvalidEvent, Stage::Validate));
        assert_eq!(unusable.reason.violations[0].pointer, "/data");
        assert!(unusable.identity.is_some());
    }
}

#[test]
fn customer_and_key_of_the_result_are_taken_from_bad_events_too() {
    let bad_title = structured(&with(event(), &[("/data/title", json!(""))]));
    let first = unusable(&bad_title);
    assert_eq!(
        first.customer.as_ref().map(|customer| (customer.system, customer.id.as_str())),
        Some((System::Loanpro, "1001"))
    );
    assert_eq!(first.result_key.as_deref(), Some("1001"));

    let bad_id = unusable(&structured(&with(event(), &[("/data/customer/id", json!("abc"))])));
    assert!(bad_id.customer.is_none());
    assert_eq!(bad_id.result_key.as_deref(), Some("abc"));

    let long_id = unusable(&structured(&with(event(), &[("/data/customer/id", json!("9".repeat(1025)))])));
    assert!(long_id.customer.is_none() && long_id.result_key.is_none());

    let bad_guid = with(aloha_event(), &[("/data/customer/id", json!("6f9619ff8b86d011b42d00c04fc964ff"))]);
    assert!(unusable(&structured(&bad_guid)).customer.is_none());
}

#[test]
fn two_spellings_of_a_guid_are_one_customer_and_two_payloads() {
    let upper = with(aloha_event(), &[("/data/customer/id", json!(GUID.to_uppercase()))]);
    let (first, second) = (created(&structured(&aloha_event())), created(&structured(&upper)));
    assert_eq!(first.profile.customer, second.profile.customer);
    assert_eq!(second.profile.customer.id, GUID);
    assert_ne!(*first.payload, *second.payload, "the payload is what was sent");
    let refused = unusable(&structured(&with(upper, &[("/data/title", json!(""))])));
    assert_eq!(refused.customer.map(|customer| customer.id).as_deref(), Some(GUID));
    assert_eq!(refused.result_key.as_deref(), Some(GUID), "as in the customer's other results");
}

#[test]
fn no_reason_quotes_the_event() {
    let secret = "very-secret-value-4242";
    let short = unusable(&structured(&with(event(), &[("/type", json!(format!("a {secret}")))])));
    assert!(!short.reason.detail.contains(secret));
    let long = unusable(&structured(&with(event(), &[("/type", json!("a".repeat(5000)))])));
    assert!(!long.reason.detail.contains("aaaa"));
    let places = [
        "/data/token/value",
        "/data/title",
        "/data/provider",
        "/data/customer/id",
        "/data/customer/system",
        "/type",
        "/specversion",
        "/time",
    ];
    for place in places {
        let leaky =
            with(event(), &[("/data/primary", json!("no")), (place, json!(format!("{secret} {}", "x".repeat(2000))))]);
        let unusable = unusable(&structured(&leaky));
        let told = format!("{:?}", unusable.reason);
        assert!(!told.contains(secret) && !told.contains(TEMPORARY_TOKEN), "{place}: {told}");
    }
}
