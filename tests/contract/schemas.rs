//! The published schemas themselves.

use profile_linker::contract::samples::{SampleParts, sample};
use profile_linker::contract::schemas::{all, find, violations};
use profile_linker::contract::{DEAD_LETTER, PROFILE_CREATED, PROFILE_LINKED, PROFILE_REJECTED};
use serde_json::{Value, json};

use crate::records::{created, structured};

#[test]
fn every_schema_compiles_and_is_named_by_its_type() {
    let names: Vec<&str> = all().iter().map(|schema| schema.name).collect();
    assert_eq!(names, [PROFILE_CREATED, PROFILE_LINKED, PROFILE_REJECTED, DEAD_LETTER]);
    for schema in all() {
        let value: Value = serde_json::from_str(schema.text).unwrap();
        assert_eq!(value["$schema"], "https://json-schema.org/draft/2020-12/schema");
        assert_eq!(value["$id"], format!("urn:profile-linker:schema:{}", schema.name));
        assert_eq!(value["properties"]["type"]["const"], schema.name);
        assert!(jsonschema::meta::is_valid(&value), "{}", schema.name);
        assert_ne!(violations(schema.name, &json!({}))[0].message, "has no schema in this build");
        assert_eq!(find(schema.name), Some(schema));
    }
}

#[test]
fn a_type_without_a_schema_is_not_valid() {
    assert!(find("payments.other.v1").is_none());
    assert_eq!(violations("payments.other.v1", &json!({})).len(), 1);
}

#[test]
fn every_pattern_has_a_description_that_tells_what_is_allowed() {
    fn walk(value: &Value, at: &str) {
        let described =
            value.get("pattern").is_none_or(|pattern| pattern.is_object() || value.get("description").is_some());
        assert!(described, "{at}");
        match value {
            Value::Object(members) => members.iter().for_each(|(name, member)| walk(member, &format!("{at}/{name}"))),
            Value::Array(items) => items.iter().for_each(|item| walk(item, at)),
            _ => {}
        }
    }
    walk(&serde_json::from_str(find(PROFILE_CREATED).unwrap().text).unwrap(), "");
}

#[test]
fn samples_are_valid_and_each_has_an_identity_of_its_own() {
    let parts = SampleParts { customer_id: "1001", temporary_token: "tmp-1" };
    let identities: std::collections::BTreeSet<_> = [(0, "a"), (1, "a"), (10_001, "a"), (1, "b")]
        .into_iter()
        .map(|(n, run)| created(&structured(&sample(n, run, &parts))).identity)
        .collect();
    assert_eq!(identities.len(), 4);
}
