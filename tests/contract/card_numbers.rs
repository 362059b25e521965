//! Card numbers where none may be. Only the networks' public test numbers are used here.

use profile_linker::contract::InputRecord;
use profile_linker::contract::decode::shown_key;
use profile_linker::domain::{EventIdentity, ReasonCode, Stage};
use serde_json::{Value, json};

use crate::records::{aloha_event, binary, created, event, structured, unusable, verdict, with};

const DETECTED: Option<(ReasonCode, Stage)> = Some((ReasonCode::CardNumberDetected, Stage::Validate));
const TEST_NUMBERS: [&str; 9] = [
    "4111111111111111",
    "4222222222222",
    "5555555555554444",
    "2223003122003222",
    "378282246310005",
    "6011111111111117",
    "3530111333300000",
    "30569309025904",
    "6304000000000000",
];

fn title(text: &str) -> Value {
    with(event(), &[("/data/title", json!(text))])
}

#[test]
fn a_token_that_is_nothing_but_a_card_number_is_detected() {
    for number in TEST_NUMBERS {
        let event = with(event(), &[("/data/token/value", json!(number))]);
        assert_eq!(verdict(&structured(&event)), DETECTED, "{number}");
        assert_eq!(verdict(&binary(&event)), DETECTED, "{number}");
    }
    for dressed in [" 4111111111111111\n", "4111 1111 1111 1111", "4111-1111-1111-1111"] {
        assert_eq!(
            verdict(&structured(&with(event(), &[("/data/token/value", json!(dressed))]))),
            DETECTED,
            "{dressed}"
        );
    }
}

#[test]
fn tokens_and_ids_that_only_resemble_card_numbers_pass() {
    let rows = [
        with(event(), &[("/data/token/value", json!("201:4111111111111111"))]),
        with(event(), &[("/data/token/value", json!("tok4111111111111111"))]),
        with(event(), &[("/data/token/value", json!("4111111111111112"))]),
        with(event(), &[("/data/token/value", json!("9999999999999995"))]),
        with(event(), &[("/data/token/value", json!("411111111117"))]),
        with(event(), &[("/data/customer/id", json!("4111111111111111"))]),
        with(event(), &[("/id", json!("1763751314123456789")), ("/source", json!("urn:20261121185514:1763751314123"))]),
        with(event(), &[("/id", json!("12345678-4111-1111-1111-1111abcdef12"))]),
        with(event(), &[("/traceparent", json!("00-4111111111111111b7ad6b7169203331-b7ad6b7169203331-01"))]),
        aloha_event(),
    ];
    for row in rows {
        assert_eq!(verdict(&structured(&row)), None, "{row}");
    }
}

#[test]
fn any_other_text_that_contains_a_card_number_is_detected() {
    let number = "4111111111111111";
    let rows = [
        title(number),
        title("Card4111111111111111x"),
        title("abc4111111111111111"),
        title("card 4111 1111 1111 1111, thanks"),
        title("amex 3782-822463-10005"),
        with(event(), &[("/data/externalUserId", json!(number))]),
        with(event(), &[("/data/customerToken", json!(number))]),
        with(event(), &[("/data/note", json!({ "deep": [{ "er": number }] }))]),
        with(event(), &[("/data/note", json!(4_111_111_111_111_111_u64))]),
        with(event(), &[("/data/customer/name", json!(number))]),
        with(event(), &[("/data/4111111111111111", json!(true))]),
        with(event(), &[("/subject", json!(number))]),
        with(event(), &[("/correlationid", json!(number))]),
        with(aloha_event(), &[("/data/account/holderName", json!("Ada 4111111111111111"))]),
        with(aloha_event(), &[("/data/account/maskedNumber", json!(number))]),
    ];
    for row in rows {
        assert_eq!(verdict(&structured(&row)), DETECTED, "{row}");
    }
}

#[test]
fn the_groups_of_a_card_number_are_found_whatever_stands_between_them() {
    let separators = [
        " ", "-", ".", "  ", " - ", "\t", "\n", "\u{a0}", "\u{2009}", "\u{202f}", "\u{3000}", "\u{2010}", "\u{2011}",
        "\u{2013}", "\u{2014}", "\u{2212}", "_", "/", " / ", ",", "+", "\u{b7}", "\u{200b}", "\u{2060}", "\u{ad}",
    ];
    for separator in separators {
        for groups in [&["4111", "1111", "1111", "1111"][..], &["3782", "822463", "10005"]] {
            let text = format!("card {}!", groups.join(separator));
            assert_eq!(verdict(&structured(&title(&text))), DETECTED, "{text:?}");
        }
    }
}

#[test]
fn digits_of_other_scripts_are_digits() {
    for zero in ['\u{660}', '\u{6f0}', '\u{ff10}'] {
        let digit = |latin: char| char::from_u32(u32::from(zero) + latin.to_digit(10).unwrap()).unwrap();
        let number: String = "4111111111111111".chars().map(digit).collect();
        assert_eq!(verdict(&structured(&title(&number))), DETECTED, "{number}");
    }
}

#[test]
fn texts_with_other_digits_pass() {
    let rows = [
        "4111111111111112",
        "41111111111111111115",
        "ordinal 12345-4111-1111-1111-1111c",
        "9111111111111111",
        "2026-01-02 03:04:05.123",
        "order 12345678-4111-1111-1111-1111abcdef12",
        "sha 4111111111111111aabbccddeeff",
        "4111 1111-1111 1111",
        "4111 and 1111 and 1111 and 1111",
        "4111a1111a1111a1111",
        "4111 ... 1111 ... 1111 ... 1111",
        "call 0049 30 1234567",
    ];
    for text in rows {
        assert_eq!(verdict(&structured(&title(text))), None, "{text}");
    }
}

#[test]
fn a_card_number_outranks_the_schema_and_is_never_echoed() {
    let bad = with(
        event(),
        &[
            ("/data/title", json!("4111111111111111")),
            ("/data/primary", json!("4111 1111 1111 1111")),
            ("/correlationid", json!("x 4111111111111111")),
        ],
    );
    let unusable = unusable(&structured(&bad));
    assert_eq!(unusable.reason.code, ReasonCode::CardNumberDetected);
    assert!(!format!("{:?} {:?}", unusable.reason, unusable.context).contains("1111"));
    assert!(unusable.identity.is_some() && unusable.customer.is_some());
}

#[test]
fn the_place_is_named_only_if_it_is_a_name_of_ours() {
    let ours = unusable(&structured(&title("4111111111111111"))).reason.detail;
    assert!(ours.contains("/data/title"), "{ours}");
    let theirs = unusable(&structured(&with(event(), &[("/data/4111111111111111", json!(1))]))).reason.detail;
    assert!(theirs.contains("an extra member") && !theirs.contains("1111"), "{theirs}");
}

#[test]
fn an_identity_with_a_card_number_is_detected_and_told_nowhere() {
    let number = "4111111111111111";
    for (pointer, text) in [("/id", number), ("/id", "order 4111 1111 1111 1111"), ("/source", "urn:4111111111111111")]
    {
        let bad = with(event(), &[(pointer, json!(text))]);
        for record in [structured(&bad), binary(&bad)] {
            let found = unusable(&record);
            assert_eq!(found.reason.code, ReasonCode::CardNumberDetected, "{text}");
            assert!(found.reason.detail.contains(pointer), "the place is told: {}", found.reason.detail);
            assert_eq!(found.identity, None, "{text}");
        }
    }
    let unread = with(event(), &[("/id", json!(number)), ("/type", json!("another"))]);
    assert_eq!(unusable(&structured(&unread)).identity, None, "whatever else is wrong");
}

#[test]
fn a_row_accepted_before_identities_were_looked_at_is_known_by_its_key() {
    let named = EventIdentity { source: "urn:form:42".to_owned(), id: "4111111111111111".to_owned() };
    let found = unusable(&structured(&with(event(), &[("/id", json!(named.id))])));
    assert_eq!(found.withheld_key, Some(named.key()));
    assert_eq!(unusable(&structured(&title("4111111111111111"))).withheld_key, None, "told under its identity");
}

#[test]
fn a_key_with_a_card_number_is_detected_unless_it_is_the_customers_id() {
    let number = "4111111111111111";
    let theirs = with(event(), &[("/data/customer/id", json!(number))]);
    let keyed = |event: &Value, key: &str| InputRecord { key: Some(key.into()), ..structured(event) };
    for key in [number, "{\"card\":\"4111 1111 1111 1111\"}", "a4111111111111111"] {
        assert_eq!(verdict(&keyed(&event(), key)), DETECTED, "{key}");
    }
    for key in [number, "\"4111111111111111\"", "loanpro:4111111111111111"] {
        assert_eq!(verdict(&keyed(&theirs, key)), None, "{key}");
    }
    assert_eq!(verdict(&keyed(&theirs, "4111111111111111/5555555555554444")), DETECTED);
    assert_eq!(verdict(&keyed(&event(), "1001")), None);
    let binary_key = InputRecord { key: Some(vec![0, 0xff, 0x41, 0x11]), ..structured(&event()) };
    assert_eq!(verdict(&binary_key), None);
}

#[test]
fn a_key_with_a_card_number_is_shown_by_no_result() {
    let number = "4111111111111111".as_bytes();
    assert_eq!(shown_key(Some(number), None), None);
    assert_eq!(shown_key(Some(number), Some("1001")), None);
    assert_eq!(shown_key(Some(number), Some("4111111111111111")), Some(number), "the customer's id is told anyway");
    assert_eq!(shown_key(Some(b"1001"), None), Some(b"1001".as_slice()));
}

#[test]
fn a_context_with_a_card_number_is_not_passed_on() {
    let bad = with(event(), &[("/tracestate", json!("pos=4111111111111111")), ("/traceparent", json!("00-ab-cd-01"))]);
    let context = created(&structured(&bad)).context;
    assert_eq!((context.tracestate, context.traceparent.as_deref()), (None, Some("00-ab-cd-01")));
}

/// Each run of digits once looked at all of its word: minutes for one record.
#[test]
fn a_megabyte_of_what_resembles_hashes_is_read_in_no_time() {
    let begun = std::time::Instant::now();
    let long = title(&"4111111111111111a".repeat(60_000));
    assert_eq!(verdict(&structured(&long)), Some((ReasonCode::InvalidEvent, Stage::Validate)));
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
}
