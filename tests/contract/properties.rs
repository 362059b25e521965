//! What holds for every input.

use profile_linker::contract::PROFILE_CREATED;
use profile_linker::contract::decode::{Decoded, decode};
use profile_linker::contract::results::{OutputMode, Subject, rejected};
use profile_linker::contract::schemas::violations;
use profile_linker::contract::{PROFILE_REJECTED, scrub};
use profile_linker::domain::{Attempts, Secret};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::records::{aloha_event, binary, created, event, record, structured, with};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        "[0-9 -]{10,22}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(".{0,6}", inner, 0..4).prop_map(|members| json!(members)),
        ]
    })
}

/// An event of ours in which something is replaced.
fn damaged_event() -> impl Strategy<Value = Value> {
    let places = [
        "/specversion",
        "/type",
        "/source",
        "/id",
        "/time",
        "/data",
        "/data/customer",
        "/data/customer/system",
        "/data/customer/id",
        "/data/token",
        "/data/token/kind",
        "/data/token/value",
        "/data/account",
        "/data/title",
        "/data/provider",
        "/data/expiresAt",
        "/data/extra",
        "/correlationid",
    ];
    (prop::sample::select(places.to_vec()), any_json(), any::<bool>())
        .prop_map(|(place, value, aloha)| with(if aloha { aloha_event() } else { event() }, &[(place, value)]))
}

/// The same JSON with the members of every object in another order.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let texts: Vec<String> = members
                .iter()
                .rev()
                .map(|(name, member)| format!(" {} :\n{}", json!(name), reversed(member)))
                .collect();
            format!("{{{}}}", texts.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(reversed).collect::<Vec<_>>().join(" , ")),
        other => other.to_string(),
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_decoded_without_a_panic(value in prop::option::of(prop::collection::vec(any::<u8>(), 0..200)),
        name in "(ce_(id|source|type|specversion|data)|content-type|.{0,5})", header in prop::collection::vec(any::<u8>(), 0..20)) {
        let refused = matches!(decode(&record(value.as_deref(), &[(&name, &header)])), Decoded::Unusable(_));
        prop_assert!(refused);
    }

    #[test]
    fn arbitrary_json_is_decoded_without_a_panic(value in any_json()) {
        let refused = matches!(decode(&structured(&value)), Decoded::Unusable(_));
        prop_assert!(refused);
    }

    #[test]
    fn an_event_is_created_only_if_the_schema_has_nothing_against_it(event in damaged_event()) {
        let usable = matches!(decode(&structured(&event)), Decoded::Created(_));
        prop_assert!(!usable || violations(PROFILE_CREATED, &event).is_empty());
    }

    #[test]
    fn the_rejection_of_any_event_is_valid_by_its_schema(event in damaged_event()) {
        let record = structured(&event);
        if let Decoded::Unusable(bad) = decode(&record) {
            let key = bad.result_key.as_deref().map(str::as_bytes);
            let subject = Subject { identity: bad.identity.as_ref(), created: None, origin: &record.origin, customer: bad.customer.as_ref(),
                key, context: &bad.context, generation: 1, attempts: Attempts::default(), at: 0 };
            let result = rejected(&subject, &bad.reason, OutputMode::Structured);
            let result: Value = serde_json::from_slice(&result.value).unwrap();
            prop_assert_eq!(violations(PROFILE_REJECTED, &result), vec![]);
        }
    }

    #[test]
    fn the_payload_does_not_depend_on_order_mode_or_framing(extra in any_json(), frame in any::<[u8; 4]>()) {
        let mut data: Map<String, Value> = event()["data"].as_object().unwrap().clone();
        data.insert("extra".to_owned(), extra);
        let event = with(event(), &[("/data", Value::Object(data))]);
        let Decoded::Created(plain) = decode(&structured(&event)) else { return Ok(()) };
        let other_order = record(Some(reversed(&event).as_bytes()), &[]);
        let framed = record(Some(&[&[0], &frame[..], reversed(&event).as_bytes()].concat()), &[]);
        for other in [binary(&event), other_order, framed] {
            prop_assert_eq!(&*created(&other).payload, &*plain.payload);
        }
    }

    #[test]
    fn a_scrubbed_text_holds_no_secret(before in ".{0,30}", token in "[A-Za-z0-9_é]{9,60}", after in ".{0,30}") {
        let secret = Secret::from(token.clone());
        let scrubbed = scrub(&format!("{before}{token}{after}"), &[&secret]);
        prop_assert!(!scrubbed.contains(&token));
        prop_assert!(scrubbed.chars().count() <= 500 && !scrubbed.chars().any(char::is_control));
    }
}
