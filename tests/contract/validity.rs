//! What the tests hold every published record against (`tests/support/validity.rs`), and that it finds a broken one.

use profile_linker::contract::OutgoingRecord;
use profile_linker::contract::results::OutputMode;
use serde_json::Value;

use crate::held::{Published, holds};
use crate::results::the_fullest;

const KINDS: [Published; 3] = [Published::Linked, Published::Rejected, Published::DeadLetter];

fn held(kind: Published, record: &OutgoingRecord) -> Result<(), String> {
    let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
    holds(kind, &record.value, headers)
}

/// One of each kind, in this mode.
fn published(mode: OutputMode) -> Vec<(Published, OutgoingRecord)> {
    let all = KINDS.into_iter().zip(the_fullest(mode));
    all.flat_map(|(kind, (_, records))| records.into_iter().map(move |record| (kind, record))).collect()
}

#[test]
fn whatever_is_published_is_held_against_its_own_schema_in_both_modes() {
    for mode in [OutputMode::Structured, OutputMode::Binary] {
        for (kind, record) in published(mode) {
            assert_eq!(held(kind, &record), Ok(()), "{kind:?} {mode:?}");
            for other in KINDS.into_iter().filter(|other| *other != kind) {
                assert!(held(other, &record).is_err(), "{kind:?} taken for {other:?}");
            }
        }
    }
}

#[test]
fn a_broken_event_is_found_with_its_place() {
    let broken: [(&str, Value); 6] = [
        ("/specversion", "0.3".into()),
        ("/id", "1".into()),
        ("/time", "yesterday".into()),
        ("/data", Value::Null),
        ("/data/generation", 0.into()),
        ("/data/attempts", "none".into()),
    ];
    for (kind, record) in published(OutputMode::Structured) {
        for (place, value) in &broken {
            let mut event: Value = serde_json::from_slice(&record.value).unwrap();
            *event.pointer_mut(place).unwrap() = value.clone();
            let told = held(kind, &OutgoingRecord { value: event.to_string().into_bytes(), ..record.clone() });
            assert!(told.as_ref().is_err_and(|told| told.contains(place)), "{kind:?} {place}: {told:?}");
        }
    }
}

#[test]
fn each_missing_header_of_the_binary_mode_is_found() {
    for (kind, record) in published(OutputMode::Binary) {
        for needed in ["content-type", "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time"] {
            let mut without = record.clone();
            without.headers.retain(|(name, _)| name != needed);
            assert!(held(kind, &without).is_err(), "{kind:?} without {needed}");
        }
    }
}

#[test]
fn an_attribute_that_cloud_events_do_not_know_is_found() {
    for (kind, record) in published(OutputMode::Binary) {
        let mut with = record.clone();
        with.headers.push(("ce_correlation_id".to_owned(), b"order-7".to_vec()));
        assert!(held(kind, &with).is_err_and(|told| told.contains("/correlation_id")), "{kind:?}");
    }
}
