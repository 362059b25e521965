//! What holds for any answer whatsoever.

use profile_linker::domain::{Customer, System};
use profile_linker::upstream::aloha::{classify_link as aloha_link, classify_payments};
use profile_linker::upstream::http::{Exchange, TransportError, TransportErrorKind};
use profile_linker::upstream::loanpro::{classify_link as loanpro_link, classify_page};
use profile_linker::upstream::payiq::classify as payiq;
use profile_linker::upstream::{CallOutcome, LookOutcome, LookUp};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::exchange::{answer_with, secret};

const TOKEN: &str = "perm-token-1";

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..12).prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        prop_oneof![
            Just(""),
            Just("None"),
            Just("Declined"),
            Just(TOKEN),
            Just("x #ABCD2345"),
            Just("not found"),
            Just("title must be unique"),
            Just("93f5f620-ec93-47dd-ab24-c07bbf0b16bf")
        ]
        .prop_map(Value::from),
    ]
}

/// Objects made of the vendors' own names, rightly and wrongly typed and nested.
fn body() -> impl Strategy<Value = Value> {
    let names = [
        "Success",
        "ErrorNum",
        "ErrorCode",
        "Result",
        "Token",
        "IsCreditCard",
        "IsBankAccount",
        "d",
        "results",
        "id",
        "title",
        "error",
        "message",
        "value",
        "CreditCard",
        "token",
        "__next",
        "summary",
        "total",
        "AccountId",
        "AccountNumber",
        "Message",
    ];
    scalar().prop_recursive(4, 40, 6, move |inner| {
        let name = proptest::sample::select(names.to_vec()).prop_map(str::to_owned);
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec((name, inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    let cut = (body(), any::<prop::sample::Index>()).prop_map(|(body, cut)| {
        let text = body.to_string();
        text.chars().take(cut.index(text.chars().count() + 1)).collect()
    });
    prop_oneof![4 => body().prop_map(|body| body.to_string()), 1 => cut, 1 => any::<String>()]
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![3 => Just(200u16), 5 => 200u16..600]
}

fn transport_error() -> impl Strategy<Value = TransportError> {
    use TransportErrorKind::{BodyTooLarge, Connect, Malformed, Reset, Timeout, Tls};
    let kind = proptest::sample::select(vec![BodyTooLarge, Connect, Malformed, Reset, Timeout, Tls]);
    (kind, any::<bool>()).prop_map(|(kind, sent)| TransportError { kind, sent })
}

fn exchange(status: u16, wait: &str, body: &str) -> Exchange {
    let wait: String = wait.chars().filter(char::is_ascii_graphic).collect();
    answer_with(status, &[("retry-after", &wait)], body)
}

fn question() -> LookUp {
    let customer = Customer { system: System::Loanpro, id: "7".to_owned() };
    LookUp { customer, markers: vec!["ABCD2345".to_owned()], token: Some(secret(TOKEN)) }
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or(Value::Null)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn a_conversion_is_done_only_with_every_proof(status in status(), wait in ".{0,12}", body in text()) {
        if let CallOutcome::Done(converted) = payiq(exchange(status, &wait, &body), &[]) {
            let body = parsed(&body);
            prop_assert!((200..300).contains(&status));
            prop_assert_eq!(&body["Success"], &json!(true));
            prop_assert_eq!(&body["ErrorNum"], &json!(0));
            prop_assert!(converted.token.same_as(body["Result"]["Token"].as_str().unwrap().as_bytes()));
            prop_assert!(!converted.token.expose().is_empty());
        }
    }

    #[test]
    fn a_link_is_done_only_with_its_proof(status in status(), wait in ".{0,12}", body in text()) {
        if let CallOutcome::Done(_) = loanpro_link(exchange(status, &wait, &body), &[]) {
            prop_assert!((200..300).contains(&status) && parsed(&body)["d"].is_object());
        }
        if let CallOutcome::Done(_) = aloha_link(exchange(status, &wait, &body), &[]) {
            prop_assert!(status == 200 && uuid::Uuid::try_parse(parsed(&body).as_str().unwrap()).is_ok());
        }
    }

    #[test]
    fn a_link_is_refused_only_by_a_4xx(status in status(), body in text()) {
        for outcome in [loanpro_link(exchange(status, "", &body), &[]), aloha_link(exchange(status, "", &body), &[])] {
            if let CallOutcome::Refused(_) = outcome {
                prop_assert!((400..500).contains(&status));
            }
        }
    }

    #[test]
    fn nothing_is_refused_or_done_without_an_answer(error in transport_error()) {
        let safe = |sent: bool, is_unknown: bool, is_unapplied: bool| if sent { is_unknown } else { is_unapplied };
        for outcome in [loanpro_link(Err(error), &[]), aloha_link(Err(error), &[])] {
            let (unknown, unapplied) =
                (matches!(outcome, CallOutcome::Unknown { .. }), matches!(outcome, CallOutcome::NotApplied { .. }));
            prop_assert!(safe(error.sent, unknown, unapplied));
        }
        let outcome = payiq(Err(error), &[]);
        let (unknown, unapplied) =
            (matches!(outcome, CallOutcome::Unknown { .. }), matches!(outcome, CallOutcome::NotApplied { .. }));
        prop_assert!(safe(error.sent, unknown, unapplied));
        let looked = classify_payments(Err(error), &secret(TOKEN), &[]);
        let is_failed = matches!(looked, LookOutcome::Failed { .. });
        prop_assert!(is_failed);
    }

    #[test]
    fn a_profile_is_found_only_by_marker_or_token(status in status(), body in text()) {
        if let Ok(page) = classify_page(exchange(status, "", &body), &question(), &[]) {
            prop_assert!(status == 200);
            prop_assert!(page.marked.is_empty() || body.contains("#ABCD2345"));
            prop_assert!(page.echoed.is_empty() || body.contains(TOKEN));
        }
        if let LookOutcome::Found { .. } = classify_payments(exchange(status, "", &body), &secret(TOKEN), &[]) {
            prop_assert!(status == 200 && body.contains(TOKEN));
        }
    }

    #[test]
    fn no_detail_shows_a_secret(status in status(), body in text()) {
        let token = secret(TOKEN);
        let outcome = loanpro_link(exchange(status, "", &body), &[&token]);
        prop_assert!(!super::exchange::detail(&outcome).contains(TOKEN));
        let outcome = payiq(exchange(status, "", &body), &[&token]);
        prop_assert!(!super::exchange::detail(&outcome).contains(TOKEN));
        let outcome = aloha_link(exchange(status, "", &body), &[&token]);
        prop_assert!(!super::exchange::detail(&outcome).contains(TOKEN));
    }
}
