//! The table of PayIQ's answers, a row for each of its rows, and what contradicts itself.

use profile_linker::upstream::CallOutcome;
use profile_linker::upstream::payiq::classify;
use serde_json::{Value, json};

use super::exchange::{answer, answer_with, broken_exchanges, detail, secret, word};

/// A clean success for a checking account, with changes.
pub fn success(changes: &[(&str, Value)]) -> String {
    let mut body = json!({
        "Success": true, "ErrorCode": "None", "ErrorNum": 0, "ErrorID": null, "Errors": [],
        "Result": {"Token": "perm-1", "IsBankAccount": true, "IsCheckingAccount": true, "IsCreditCard": false,
            "AccountNumberLastFour": "6789"},
    });
    for (pointer, value) in changes {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Value::String(text) if text == "absent" => parent.remove(name),
            value => parent.insert(name.to_owned(), value.clone()),
        };
    }
    body.to_string()
}

fn failure(code: &str, number: i64) -> String {
    json!({"Success": false, "ErrorCode": code, "ErrorNum": number, "ErrorID": "E-77", "Errors": ["a text"],
        "Result": null})
    .to_string()
}

fn class(status: u16, body: &str) -> String {
    word(&classify(answer(status, body), &[]))
}

#[test]
fn every_documented_error_has_its_class_whatever_the_status() {
    let rows = [
        ("SystemError", 1, "unknown"),
        ("Validation", 2, "token_rejected"),
        ("DataNotFound", 3, "token_rejected"),
        ("DuplicatePayment", 4, "conversion_unknown"),
        ("PreAuthError", 5, "account_declined"),
        ("Declined", 6, "account_declined"),
        ("ServiceUnavailable", 7, "not applied"),
        ("UserLocked", 8, "user_locked"),
        ("SomethingNew", 9, "unknown"),
        ("SomethingNew", -1, "unknown"),
    ];
    for (code, number, expected) in rows {
        for status in [200, 400, 404, 409, 500, 503] {
            assert_eq!(class(status, &failure(code, number)), expected, "{code} under {status}");
        }
    }
}

#[test]
fn a_success_needs_status_flag_number_and_token() {
    assert_eq!(class(200, &success(&[])), "done");
    assert_eq!(class(201, &success(&[])), "done");
    assert_eq!(class(200, &success(&[("/ErrorCode", "absent".into())])), "done");
    assert_eq!(class(200, &success(&[("/ErrorCode", "".into())])), "done");
    type Row<'a> = (u16, &'a [(&'a str, Value)], &'a str);
    let rows: &[Row<'_>] = &[
        (500, &[], "conversion_unknown"),
        (400, &[], "conversion_unknown"),
        (401, &[], "conversion_unknown"),
        (302, &[], "conversion_unknown"),
        (200, &[("/Success", json!(false))], "conversion_unknown"),
        (200, &[("/Success", "absent".into())], "conversion_unknown"),
        (200, &[("/Success", json!("true"))], "conversion_unknown"),
        (200, &[("/Success", json!(1))], "conversion_unknown"),
        (200, &[("/ErrorNum", json!(2))], "conversion_unknown"),
        (200, &[("/ErrorNum", json!(7))], "conversion_unknown"),
        (200, &[("/ErrorNum", "absent".into())], "conversion_unknown"),
        (200, &[("/ErrorNum", json!("0"))], "conversion_unknown"),
        (200, &[("/ErrorCode", json!("Validation"))], "conversion_unknown"),
        (200, &[("/ErrorCode", json!("Surprise"))], "conversion_unknown"),
        (200, &[("/Result/Token", json!(""))], "conversion_unknown"),
        (200, &[("/Result/Token", "absent".into())], "conversion_unknown"),
        (200, &[("/Result/Token", json!(12345))], "conversion_unknown"),
        (200, &[("/Result", Value::Null)], "conversion_unknown"),
        (200, &[("/Result", json!([]))], "conversion_unknown"),
        (200, &[("/Result/Token", json!("x".repeat(8193)))], "conversion_unknown"),
        (200, &[("/Result/Token", json!("x".repeat(8192)))], "done"),
        // Neither success nor an error.
        (200, &[("/Success", json!(false)), ("/Result", Value::Null)], "conversion_unknown"),
        // Not a claim of anything.
        (200, &[("/Success", "absent".into()), ("/Result", Value::Null)], "unknown"),
        (200, &[("/Success", json!("yes")), ("/ErrorNum", json!("0")), ("/Result", Value::Null)], "unknown"),
    ];
    for (status, changes, expected) in rows {
        assert_eq!(class(*status, &success(changes)), *expected, "{status} {changes:?}");
    }
}

#[test]
fn a_refusal_whose_name_and_number_disagree_is_none() {
    assert_eq!(class(200, &failure("Declined", 2)), "conversion_unknown");
    assert_eq!(class(200, &failure("None", 5)), "conversion_unknown");
    assert_eq!(class(200, &failure("validation", 2)), "token_rejected");
    let numbered = json!({"Success": false, "ErrorCode": 8, "ErrorNum": 8}).to_string();
    assert_eq!(class(200, &numbered), "user_locked");
}

#[test]
fn a_body_that_says_nothing_is_judged_by_the_status() {
    let bodies = [
        "",
        "null",
        "[]",
        "\"Declined\"",
        "{}",
        "<html>no</html>",
        "{\"Success\":fal",
        "\u{fffd}",
        "{\"Message\":\"An error has occurred.\"}",
        "{\"ErrorNum\":\"2\"}",
        "{\"ErrorNum\":2.5}",
    ];
    let rows = [
        (200, "unknown"),
        (204, "unknown"),
        (400, "unknown"),
        (408, "unknown"),
        (422, "unknown"),
        (500, "unknown"),
        (502, "unknown"),
        (504, "unknown"),
        (303, "unknown"),
        (429, "not applied"),
        (401, "misconfigured"),
        (403, "misconfigured"),
        (404, "misconfigured"),
        (301, "misconfigured"),
        (302, "misconfigured"),
        (307, "misconfigured"),
    ];
    for body in bodies {
        for (status, expected) in rows {
            assert_eq!(class(status, body), expected, "{status} {body}");
        }
    }
}

#[test]
fn a_general_refusal_beside_a_refused_credential_or_a_throttle_ends_no_event() {
    for (status, expected) in [(401, "misconfigured"), (403, "misconfigured"), (429, "not applied")] {
        assert_eq!(class(status, &failure("Validation", 2)), expected);
        assert_eq!(class(status, &failure("DataNotFound", 3)), expected);
        assert_eq!(class(status, &failure("UserLocked", 8)), "user_locked");
    }
}

#[test]
fn deep_and_huge_bodies_are_unknown() {
    assert_eq!(class(200, &"[".repeat(100_000)), "unknown");
    assert_eq!(class(200, &format!("{{\"a\":\"{}\"}}", "x".repeat(1_000_000))), "unknown");
}

#[test]
fn a_byte_order_mark_does_not_hide_an_answer() {
    assert_eq!(class(200, &format!("\u{feff}{}", success(&[]))), "done");
}

#[test]
fn waits_are_taken_over_where_it_may_be_sent_again() {
    let wait = |status, body: &str| word(&classify(answer_with(status, &[("retry-after", "7")], body), &[]));
    assert_eq!(wait(429, ""), "not applied, wait 7");
    assert_eq!(wait(503, ""), "unknown, wait 7");
    assert_eq!(wait(200, &failure("ServiceUnavailable", 7)), "not applied, wait 7");
}

#[test]
fn a_call_without_an_answer_is_never_refused_or_done() {
    for (exchange, expected) in broken_exchanges() {
        assert_eq!(word(&classify(exchange, &[])), expected);
    }
}

#[test]
fn the_details_name_the_error_and_its_id_but_no_token() {
    let token = secret("temporary-token-0123456789");
    let body = json!({"Success": false, "ErrorCode": "Validation", "ErrorNum": 2, "ErrorID": "E-77",
        "Errors": ["Token temporary-token-0123456789 of card 4111111111111111 is invalid"]});
    let outcome = classify(answer(200, &body.to_string()), &[&token]);
    let detail = detail(&outcome);
    assert!(detail.contains("Validation (2)") && detail.contains("E-77"), "{detail}");
    assert!(!detail.contains("temporary-token") && !detail.contains("4111111111111111"), "{detail}");
}

#[test]
fn the_token_is_taken_byte_for_byte() {
    let odd = "  tok\u{e9}n/+=\\\" \n";
    let outcome = classify(answer(200, &success(&[("/Result/Token", json!(odd))])), &[]);
    let CallOutcome::Done(converted) = outcome else { panic!("not done") };
    assert!(converted.token.same_as(odd.as_bytes()));
}

#[test]
fn an_answer_that_cannot_be_read_is_not_quoted() {
    // Cut off on its way, it holds a token that nobody knows yet, and a short one is like any word.
    let whole = success(&[("/Result/Token", json!("201:new"))]);
    for body in [&whole[..whole.len() - 5], "201:new", "{\"Token\":\"201:new\""] {
        let outcome = classify(answer(200, body), &[]);
        assert_eq!(word(&outcome), "unknown", "{body}");
        assert!(!detail(&outcome).contains("201:new"), "{}", detail(&outcome));
    }
    let said = detail(&classify(answer(500, "the gate is closed"), &[]));
    assert!(said.contains("the gate is closed"), "a refusal's own words help: {said}");
}
