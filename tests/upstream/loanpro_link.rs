//! The table of LoanPro's answers to a link.

use profile_linker::upstream::loanpro::classify_link;

use super::exchange::{answer, answer_with, broken_exchanges, detail, secret, word};

fn class(status: u16, body: &str) -> String {
    word(&classify_link(answer(status, body), &[]))
}

#[test]
fn a_200_with_an_entity_is_a_claim_to_be_read_back() {
    assert_eq!(class(200, r#"{"d":{"id":7,"PaymentAccounts":{"__deferred":{}}}}"#), "done");
    assert_eq!(class(201, r#"{"d":{"id":"7"}}"#), "done");
}

#[test]
fn a_success_without_an_entity_is_unknown() {
    let bodies = [
        "",
        "null",
        "{}",
        "[]",
        "\"d\"",
        r#"{"d":null}"#,
        r#"{"d":[]}"#,
        r#"{"d":"done"}"#,
        r#"{"d":{}}"#,
        r#"{"d":{"id":7"#,
        "<html>ok</html>",
        r#"{"id":7}"#,
        r#"{"d":{"error":{"message":"no"}}}"#,
        r#"{"d":{"id":7},"error":{"message":"no"}}"#,
        r#"{"error":{"message":{"lang":"en","value":"no"}}}"#,
    ];
    for body in bodies {
        assert_eq!(class(200, body), "unknown", "{body}");
    }
    assert_eq!(class(204, ""), "unknown");
}

#[test]
fn statuses_have_their_class_whatever_the_body() {
    let rows = [
        (401, "misconfigured"),
        (403, "misconfigured"),
        (404, "misconfigured"),
        (302, "misconfigured"),
        (429, "not applied"),
        (500, "unknown"),
        (502, "unknown"),
        (503, "unknown"),
        (504, "unknown"),
        (400, "unknown"),
        (408, "unknown"),
        (303, "unknown"),
        (422, "unknown"),
    ];
    let bodies = ["", "not json", r#"{"d":{"id":7}}"#, r#"{"error":{"message":"Title must be unique"}}"#];
    for (status, expected) in rows {
        for body in bodies {
            assert_eq!(class(status, body), expected, "{status} {body}");
        }
    }
}

/// The documented shapes of an error body around a text.
fn shapes(text: &str) -> [String; 7] {
    [
        format!(r#"{{"error":{{"message":{{"lang":"en-US","value":"{text}"}},"type":"ODataException"}}}}"#),
        format!(r#"{{"error":{{"message":"{text}"}}}}"#),
        format!(r#"{{"d":{{"error":{{"message":{{"lang":"en-US","value":"{text}"}}}}}}}}"#),
        format!(r#"{{"d":{{"error":{{"message":"{text}"}}}}}}"#),
        format!(r#"{{"error":{{"message":"{text}"}},"error_v2":{{"event":"x","data":{{"error":{{"code":"y"}}}}}}}}"#),
        format!(r#"{{"code":409,"message":"{text}","context":{{}}}}"#),
        text.to_owned(),
    ]
}

#[test]
fn a_conflict_over_the_title_may_be_our_own_profile() {
    for text in ["Title must be unique", "A payment profile with this TITLE already exists.", "duplicate title"] {
        for body in shapes(text) {
            assert_eq!(class(409, &body), "unknown", "{body}");
        }
    }
}

#[test]
fn any_other_conflict_is_a_refusal_that_quotes_the_vendor() {
    let missing = "customer_not_found";
    for (text, code) in [
        ("Customer does not exist", missing),
        ("The token has expired", "link_refused"),
        ("Resource not found for the segment Customers", missing),
    ] {
        for body in shapes(text) {
            let outcome = classify_link(answer(409, &body), &[]);
            assert_eq!(word(&outcome), code, "{body}");
            assert_eq!(detail(&outcome), format!("http 409: {text}"));
        }
    }
    for body in ["", "{}", "[]", "null", r#"{"error":7}"#] {
        assert_eq!(class(409, body), "link_refused", "{body}");
    }
}

#[test]
fn a_quoted_text_holds_neither_token_nor_card_number() {
    let token = secret("QVFJREFIalVqRlk3bHJIVFJFWERTSFljS3R6");
    for text in
        ["bad token QVFJREFIalVqRlk3bHJIVFJFWERTSFljS3R6 for 4111 1111 1111 1111", "got 'QVFJREFIalVqRlk3bHJI...'"]
    {
        for body in shapes(text) {
            let detail = detail(&classify_link(answer(409, &body), &[&token]));
            assert!(!detail.contains("QVFJREFI") && !detail.contains("1111 1111"), "{detail}");
        }
    }
}

#[test]
fn a_long_text_is_cut() {
    let body = format!(r#"{{"error":{{"message":"{}"}}}}"#, "word ".repeat(1000));
    assert!(detail(&classify_link(answer(409, &body), &[])).chars().count() <= 500);
}

#[test]
fn a_throttle_says_how_long() {
    let exchange = answer_with(429, &[("retry-after", "12")], "");
    assert_eq!(word(&classify_link(exchange, &[])), "not applied, wait 12");
    let exchange = answer_with(429, &[("retry-after", "86400")], "");
    assert_eq!(word(&classify_link(exchange, &[])), "not applied, wait 300");
}

#[test]
fn a_call_without_an_answer_is_never_refused_or_done() {
    for (exchange, expected) in broken_exchanges() {
        assert_eq!(word(&classify_link(exchange, &[])), expected);
    }
}
