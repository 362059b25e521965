//! The rules of `data`, row by row, as the contract's table has them.

use profile_linker::contract::PROFILE_CREATED;
use profile_linker::contract::schemas::violations;
use profile_linker::domain::{ReasonCode, Stage};
use serde_json::{Value, json};

use crate::records::{aloha_event, event, structured, unusable, verdict, with, without};

fn pointers(event: &Value) -> Vec<String> {
    violations(PROFILE_CREATED, event).into_iter().map(|violation| violation.pointer).collect()
}

#[test]
fn what_the_contract_allows_is_accepted() {
    let permanent = [
        ("/data/token", json!({ "kind": "permanent", "value": "x".repeat(8192) })),
        ("/data/account", json!({ "kind": "card" })),
    ];
    let rows = [
        event(),
        aloha_event(),
        with(event(), &permanent),
        with(event(), &[("/data/customer/id", json!("9223372036854775807"))]),
        with(event(), &[("/data/token/value", json!("é".repeat(512)))]),
        with(event(), &[("/data/token/value", json!("line\nbreak and \u{1} are opaque"))]),
        with(event(), &[("/data/title", json!("é".repeat(80)))]),
        with(event(), &[("/data/externalUserId", json!("u".repeat(256)))]),
        with(
            event(),
            &[("/data/title", json!(null)), ("/data/account", json!(null)), ("/data/expiresAt", json!(null))],
        ),
        with(event(), &[("/data/later", json!({ "unknown": [1, 2] })), ("/newattribute", json!("x"))]),
        with(event(), &[("/data/expiresAt", json!("2030-01-31T09:30:00z"))]),
        with(event(), &[("/data/expiresAt", json!("9999-12-31T23:59:59-12:00"))]),
        with(event(), &[("/data/expiresAt", json!("9999-12-31T00:00:00Z"))]),
        with(event(), &[("/data/expiresAt", json!("2099-01-01T00:00:00.1234567891Z"))]),
        with(aloha_event(), &[("/data/expiresAt", json!("nobody looks at this"))]),
        with(aloha_event(), &[("/data/account/maskedNumber", json!("4111●●●●●●●●1111"))]),
        with(without(aloha_event(), "/data/account/holderName"), &[("/data/provider", json!("credit-call"))]),
    ];
    for row in rows {
        assert_eq!(violations(PROFILE_CREATED, &row), [], "{row}");
        assert_eq!(verdict(&structured(&row)), None, "{row}");
    }
}

#[test]
fn each_violation_names_its_place() {
    let permanent = json!({ "kind": "permanent", "value": "p" });
    let rows = [
        (without(event(), "/data/customer"), "/data/customer"),
        (without(event(), "/data/token"), "/data/token"),
        (without(event(), "/data/token/kind"), "/data/token/kind"),
        (with(event(), &[("/data", json!([]))]), "/data"),
        (with(event(), &[("/data/customer/system", json!("stripe"))]), "/data/customer/system"),
        (with(event(), &[("/data/customer/id", json!(1001))]), "/data/customer/id"),
        (with(event(), &[("/data/customer/id", json!("0"))]), "/data/customer/id"),
        (with(event(), &[("/data/customer/id", json!("007"))]), "/data/customer/id"),
        (with(event(), &[("/data/customer/id", json!("+7"))]), "/data/customer/id"),
        (with(event(), &[("/data/customer/id", json!("7\n"))]), "/data/customer/id"),
        (with(event(), &[("/data/customer/id", json!("9223372036854775808"))]), "/data/customer/id"),
        (with(aloha_event(), &[("/data/customer/id", json!("1001"))]), "/data/customer/id"),
        (with(event(), &[("/data/token/kind", json!("Temporary"))]), "/data/token/kind"),
        (with(event(), &[("/data/token/value", json!(""))]), "/data/token/value"),
        (with(event(), &[("/data/token/value", json!("x".repeat(1025)))]), "/data/token/value"),
        (with(event(), &[("/data/token/value", json!("é".repeat(513)))]), "/data/token/value"),
        (with(aloha_event(), &[("/data/token/value", json!("é".repeat(4097)))]), "/data/token/value"),
        (with(event(), &[("/data/externalUserId", json!("u".repeat(257)))]), "/data/externalUserId"),
        (with(event(), &[("/data/token", permanent.clone())]), "/data/account"),
        (with(event(), &[("/data/token", permanent), ("/data/account", json!(null))]), "/data/account"),
        (with(event(), &[("/data/account", json!({ "lastFour": "1234" }))]), "/data/account/kind"),
        (with(event(), &[("/data/account", json!({ "kind": "paypal" }))]), "/data/account/kind"),
        (with(event(), &[("/data/account", json!({ "kind": "card", "brand": "diners" }))]), "/data/account/brand"),
        (with(event(), &[("/data/account", json!({ "kind": "card", "lastFour": "12345" }))]), "/data/account/lastFour"),
        (
            with(event(), &[("/data/account", json!({ "kind": "card", "expiration": "13/30" }))]),
            "/data/account/expiration",
        ),
        (without(aloha_event(), "/data/account"), "/data/account"),
        (without(aloha_event(), "/data/provider"), "/data/provider"),
        (with(aloha_event(), &[("/data/provider", json!(null))]), "/data/provider"),
        (with(aloha_event(), &[("/data/provider", json!("square"))]), "/data/provider"),
        (without(aloha_event(), "/data/account/maskedNumber"), "/data/account/maskedNumber"),
        (without(aloha_event(), "/data/account/holderName"), "/data/account/holderName"),
        (with(aloha_event(), &[("/data/account/brand", json!(null))]), "/data/account/brand"),
        (with(aloha_event(), &[("/data/account/maskedNumber", json!("1111"))]), "/data/account/maskedNumber"),
        (with(event(), &[("/data/title", json!(""))]), "/data/title"),
        (with(event(), &[("/data/title", json!("t".repeat(81)))]), "/data/title"),
        (with(event(), &[("/data/primary", json!("true"))]), "/data/primary"),
        (with(event(), &[("/data/secondary", json!(null))]), "/data/secondary"),
        (with(event(), &[("/data/expiresAt", json!("tomorrow"))]), "/data/expiresAt"),
        (with(event(), &[("/data/expiresAt", json!("2030-01-31 09:30:00Z"))]), "/data/expiresAt"),
        (with(event(), &[("/data/expiresAt", json!("2030-02-30T09:30:00Z"))]), "/data/expiresAt"),
        (with(event(), &[("/data/expiresAt", json!("9999-13-31T00:00:00Z"))]), "/data/expiresAt"),
        (with(event(), &[("/data/expiresAt", json!(1_900_000_000))]), "/data/expiresAt"),
        (with(event(), &[("/time", json!("yesterday"))]), "/time"),
    ];
    for (row, pointer) in rows {
        assert_eq!(pointers(&row), [pointer], "{row}");
        let reason = unusable(&structured(&row)).reason;
        assert_eq!((reason.code, reason.stage), (ReasonCode::InvalidEvent, Stage::Validate), "{row}");
        assert_eq!(reason.violations, violations(PROFILE_CREATED, &row));
    }
}

#[test]
fn the_limits_of_source_and_id_count_bytes() {
    for pointer in ["/source", "/id"] {
        for text in ["é".repeat(257), "x".repeat(513), String::new(), "a\tb".to_owned()] {
            assert_eq!(pointers(&with(event(), &[(pointer, json!(text))])), [pointer]);
        }
    }
}

#[test]
fn violations_tell_what_is_allowed() {
    let rows = [
        (with(event(), &[("/data/customer/system", json!("x"))]), r#"must be one of "loanpro", "aloha""#),
        (
            with(event(), &[("/data/customer/id", json!("x"))]),
            "must be a decimal integer from 1 to 2^63-1 without leading zeros",
        ),
        (with(event(), &[("/data/title", json!(5))]), "must be a string"),
        (with(event(), &[("/data/title", json!("t".repeat(81)))]), "must have at most 80 characters"),
        (with(event(), &[("/data/token/value", json!("é".repeat(513)))]), "must have at most 1024 bytes"),
        (without(event(), "/data/token/value"), "is required"),
        (with(event(), &[("/type", json!("x"))]), r#"must be "payments.profile-created.v1""#),
        (
            with(event(), &[("/data/expiresAt", json!("x"))]),
            "must be an RFC 3339 date and time, such as 2030-01-31T09:30:00Z",
        ),
    ];
    for (row, message) in rows {
        let messages: Vec<String> =
            violations(PROFILE_CREATED, &row).into_iter().map(|violation| violation.message).collect();
        assert_eq!(messages, [message], "{row}");
    }
}

#[test]
fn a_bank_account_at_aloha_is_unsupported_and_not_invalid() {
    for kind in ["checking", "savings"] {
        let bank = with(aloha_event(), &[("/data/account", json!({ "kind": kind }))]);
        assert_eq!(verdict(&structured(&bank)), Some((ReasonCode::AccountUnsupported, Stage::Validate)));
    }
}

#[test]
fn all_violations_of_an_event_are_told_at_once() {
    let bad =
        with(event(), &[("/data/title", json!("")), ("/data/primary", json!(1)), ("/data/customer/id", json!("x"))]);
    assert_eq!(pointers(&bad).len(), 3);
    assert!(unusable(&structured(&bad)).reason.detail.starts_with("3 violations"));
}
