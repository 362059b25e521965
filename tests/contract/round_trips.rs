//! What is written and read again is the same: events in every mode and framing, the bytes that are sealed, ids in addresses.

use profile_linker::contract::decode::Created;
use profile_linker::contract::{InputRecord, record_bytes};
use profile_linker::domain::{Customer, Secret, System};
use profile_linker::upstream::loanpro::CustomerId;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::records::{aloha_event, binary, created, event, structured, with};

/// A valid event; what is free in it is any text that names no card.
fn any_event() -> impl Strategy<Value = Value> {
    let text = |limit: usize| {
        let character = prop_oneof![4 => "[a-z é/%?#\"\\\\]", 1 => "[^0-9\\p{C}]"];
        prop::collection::vec(character, 1..limit).prop_map(|parts| parts.concat())
    };
    let identity = (text(40), text(40), prop::option::of(text(20)));
    let rest = (text(30), text(20), any::<bool>(), any::<bool>(), 1..=i64::MAX, any::<bool>());
    (identity, rest).prop_map(|((source, id, correlation), (token, title, primary, secondary, customer, aloha))| {
        let start = if aloha { aloha_event() } else { event() };
        let customer = if aloha { start["data"]["customer"]["id"].clone() } else { json!(customer.to_string()) };
        let mut event = with(
            start,
            &[
                ("/source", json!(source)),
                ("/id", json!(id)),
                ("/data/customer/id", customer),
                ("/data/token/value", json!(token)),
                ("/data/title", json!(title)),
                ("/data/primary", json!(primary)),
                ("/data/secondary", json!(secondary)),
            ],
        );
        if let Some(correlation) = correlation {
            event["correlationid"] = json!(correlation);
        }
        event
    })
}

/// The frame of a schema registry before the value.
fn framed(mut record: InputRecord, schema: [u8; 4]) -> InputRecord {
    let value = record.value.as_ref().map(|value| value.expose().to_vec()).unwrap_or_default();
    record.value = Some(Secret::new([&[0][..], &schema, &value].concat()));
    record
}

/// The schema's id beside the value.
fn with_id_beside(mut record: InputRecord, id: [u8; 16]) -> InputRecord {
    record.headers.push(("__value_schema_id".to_owned(), Some([&[1][..], &id].concat())));
    record
}

/// What is read of a record, as an event again.
fn written(created: &Created) -> Value {
    let mut event: Value = serde_json::from_slice(&created.payload).expect("canonical JSON");
    event["specversion"] = json!("1.0");
    event["source"] = json!(created.identity.source);
    event["id"] = json!(created.identity.id);
    if let Some(correlation) = &created.context.correlation_id {
        event["correlationid"] = json!(correlation);
    }
    event
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn an_event_that_is_read_and_written_again_is_the_same(event in any_event()) {
        let first = created(&structured(&event));
        prop_assert_eq!(&written(&first), &event);
        let second = created(&structured(&written(&first)));
        prop_assert_eq!(&second.identity, &first.identity);
        prop_assert_eq!(&*second.payload, &*first.payload);
    }

    #[test]
    fn an_event_says_the_same_in_every_mode_and_framing(event in any_event(), schema: [u8; 4], id: [u8; 16]) {
        let plain = [structured(&event), binary(&event)];
        for record in plain {
            let value = record.value.clone();
            let forms = [framed(record.clone(), schema), with_id_beside(record.clone(), id), record];
            for form in &forms {
                prop_assert_eq!(&written(&created(form)), &event);
            }
            prop_assert_eq!(forms[2].value.as_ref().map(Secret::expose), value.as_ref().map(Secret::expose));
        }
    }

    #[test]
    fn a_record_that_is_sealed_and_taken_up_again_is_the_same_event(event in any_event()) {
        let record = binary(&event);
        let bytes = record_bytes::encode(record.key.as_deref(), record.value.as_ref().map(Secret::expose), &record.headers);
        let parts = record_bytes::decode(&bytes).expect("our own bytes");
        let again = InputRecord {
            origin: record.origin.clone(),
            key: parts.key,
            value: parts.value.map(|value| Secret::new(value.to_vec())),
            headers: parts.headers,
        };
        prop_assert_eq!(&written(&created(&again)), &event);
    }

    #[test]
    fn an_id_in_an_address_is_the_customers_own_or_there_is_no_address(number in 1..=i64::MAX, text in "[0-9+-]{1,20}|.{0,12}") {
        let of = |id: &str| CustomerId::of(&Customer { system: System::Loanpro, id: id.to_owned() });
        prop_assert_eq!(of(&number.to_string()), CustomerId::new(number));
        if let Some(id) = of(&text) {
            prop_assert_eq!(&id.to_string(), &text);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_digit()));
        }
    }
}
