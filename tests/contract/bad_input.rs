//! The table of bad input against the decoder.

#[path = "bad_input/table.rs"]
mod table;

use std::collections::BTreeSet;

use profile_linker::contract::InputRecord;
use profile_linker::contract::decode::{Decoded, decode};
use profile_linker::domain::{Origin, Secret};
use table::{ResultKey, Row, rows};

fn record(row: &Row) -> InputRecord {
    InputRecord {
        origin: Origin { topic: "payments.profile-created.v1".to_owned(), partition: 0, offset: 0, timestamp: 0 },
        key: row.key.clone(),
        value: row.value.clone().map(Secret::new),
        headers: row.headers.clone(),
    }
}

#[test]
fn every_row_of_bad_input_gets_its_verdict() {
    for row in rows() {
        let expected = row.expected.reason.filter(|(_, stage, _)| ["decode", "validate"].contains(stage));
        match decode(&record(&row)) {
            Decoded::Created(_) => assert_eq!(None, expected, "{} is taken for a valid event", row.name),
            Decoded::Unusable(unusable) => {
                let reason = &unusable.reason;
                let disposition = serde_json::to_value(reason.code.disposition()).unwrap();
                let told = (reason.code.as_str(), reason.stage.as_str(), disposition.as_str().unwrap());
                assert_eq!(Some(told), expected, "{}: {}", row.name, reason.detail);
                let mut pointers: Vec<&str> = reason.violations.iter().map(|one| one.pointer.as_str()).collect();
                pointers.sort_unstable();
                assert_eq!(pointers, row.expected.pointers, "{}", row.name);
                assert_eq!(unusable.identity.is_some(), row.expected.created, "{}", row.name);
                let key = unusable.result_key.map(ResultKey::Customer);
                let expected = Some(&row.expected.key).filter(|key| matches!(key, ResultKey::Customer(_)));
                assert_eq!(key.as_ref(), expected, "{}", row.name);
            }
        }
    }
}

#[test]
fn every_row_has_a_name_of_its_own_and_every_verdict_before_a_call_is_in_the_table() {
    let rows = rows();
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), rows.len());
    assert!(rows.len() >= 60, "{}", rows.len());
    let codes: BTreeSet<&str> = rows.iter().filter_map(|row| row.expected.reason).map(|(code, ..)| code).collect();
    let before_a_call =
        ["malformed_event", "unsupported_version", "invalid_event", "card_number_detected", "account_unsupported"];
    assert!(before_a_call.iter().all(|code| codes.contains(code)), "{codes:?}");
}

#[test]
fn no_reason_of_bad_input_quotes_a_token_a_card_number_or_a_kilobyte() {
    for row in rows() {
        if let Decoded::Unusable(unusable) = decode(&record(&row)) {
            let told = format!("{:?} {:?}", unusable.reason, unusable.context);
            assert!(told.len() < 4096, "{}: {} bytes", row.name, told.len());
            assert!(!told.contains("tmp-9c1f") && !told.contains("4111"), "{}: {told}", row.name);
        }
    }
}
