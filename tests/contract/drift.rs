//! Types and schemas say the same: a word, a member or a code that only one of the two knows fails here.

use std::collections::BTreeSet;

use profile_linker::contract::results::{OutputMode, ResolvedBy};
use profile_linker::contract::schemas::find;
use profile_linker::contract::{
    AccountKind, Brand, DEAD_LETTER, PROFILE_CREATED, PROFILE_LINKED, PROFILE_REJECTED, Provider,
};
use profile_linker::domain::{Disposition, ReasonCode, Stage, System};
use serde::Serialize;
use serde_json::{Value, json};

use crate::records::{aloha_event, created, structured, with};
use crate::results::{event_of, the_fullest};

fn schema(name: &str) -> Value {
    serde_json::from_str(find(name).unwrap().text).unwrap()
}

fn words(values: &[impl Serialize]) -> BTreeSet<String> {
    values.iter().map(|value| json!(value).to_string()).collect()
}

fn enumerated(name: &str, pointer: &str) -> BTreeSet<String> {
    let schema = schema(name);
    let words = schema.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{name} has no {pointer}"));
    words.iter().filter(|word| !word.is_null()).map(Value::to_string).collect()
}

#[test]
fn every_enumeration_of_the_schemas_is_the_types_own() {
    let systems = words(&[System::Loanpro, System::Aloha]);
    let kinds = words(&[AccountKind::Checking, AccountKind::Savings, AccountKind::Card]);
    let brands = words(&[Brand::Visa, Brand::Mastercard, Brand::Amex, Brand::Discover, Brand::Jcb]);
    let stages = words(&[Stage::Decode, Stage::Validate, Stage::Convert, Stage::Link]);
    let rows = [
        (PROFILE_CREATED, "/properties/data/properties/customer/properties/system/enum", systems.clone()),
        (PROFILE_CREATED, "/properties/data/properties/account/properties/kind/enum", kinds.clone()),
        (PROFILE_CREATED, "/properties/data/properties/account/properties/brand/enum", brands.clone()),
        (
            PROFILE_CREATED,
            "/properties/data/properties/provider/enum",
            words(&[Provider::ConnectedPayments, Provider::CreditCall, Provider::FreedomPay]),
        ),
        (PROFILE_LINKED, "/properties/data/properties/account/properties/kind/enum", kinds),
        (PROFILE_LINKED, "/properties/data/properties/account/properties/brand/enum", brands),
        (
            PROFILE_LINKED,
            "/properties/data/properties/resolvedBy/enum",
            words(&[ResolvedBy::Response, ResolvedBy::Lookup]),
        ),
        (PROFILE_LINKED, "/$defs/customer/properties/system/enum", systems.clone()),
        (PROFILE_REJECTED, "/$defs/customer/properties/system/enum", systems.clone()),
        (PROFILE_REJECTED, "/$defs/reason/properties/code/enum", words(&ReasonCode::ALL)),
        (PROFILE_REJECTED, "/$defs/reason/properties/stage/enum", stages.clone()),
        (
            PROFILE_REJECTED,
            "/properties/data/properties/disposition/enum",
            words(&[Disposition::Final, Disposition::DeadLettered]),
        ),
        (DEAD_LETTER, "/$defs/customer/properties/system/enum", systems),
        (DEAD_LETTER, "/$defs/reason/properties/code/enum", words(&ReasonCode::ALL)),
        (DEAD_LETTER, "/$defs/reason/properties/stage/enum", stages),
    ];
    for (name, pointer, types) in rows {
        assert_eq!(enumerated(name, pointer), types, "{name} {pointer}");
    }
}

/// The paths of all members that a schema declares.
fn declared(schema: &Value, of: &Value, at: &str, found: &mut BTreeSet<String>) {
    let of = match of["$ref"].as_str() {
        Some(reference) => schema.pointer(reference.trim_start_matches('#')).unwrap(),
        None => of,
    };
    if of["type"] == "array" {
        return declared(schema, &of["items"], &format!("{at}/0"), found);
    }
    for (name, member) in of["properties"].as_object().into_iter().flatten() {
        found.insert(format!("{at}/{name}"));
        declared(schema, member, &format!("{at}/{name}"), found);
    }
}

/// The paths of all members that an event has; of a list those of its first item.
fn told(value: &Value, at: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                found.insert(format!("{at}/{name}"));
                told(member, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(items) => items.iter().take(1).for_each(|item| told(item, &format!("{at}/0"), found)),
        _ => {}
    }
}

#[test]
fn what_we_publish_has_the_members_that_its_schema_declares_and_no_other() {
    for (name, events) in the_fullest(OutputMode::Structured) {
        let (schema, mut declares, mut tells) = (schema(name), BTreeSet::new(), BTreeSet::new());
        declared(&schema, &schema, "", &mut declares);
        events.iter().for_each(|record| told(&event_of(record), "", &mut tells));
        assert_eq!(tells, declares, "{name}");
    }
}

#[test]
fn every_member_of_the_input_that_the_schema_declares_is_read() {
    let full = with(
        aloha_event(),
        &[
            ("/data/token", json!({ "kind": "temporary", "value": "t" })),
            ("/data/customerToken", json!("c")),
            ("/data/externalUserId", json!("u")),
            ("/data/title", json!("Rent")),
            ("/data/primary", json!(true)),
            ("/data/secondary", json!(true)),
            ("/data/expiresAt", json!("2030-01-31T09:30:00Z")),
        ],
    );
    let schema = schema(PROFILE_CREATED);
    let data = &schema["properties"]["data"];
    let (mut declares, mut tells) = (BTreeSet::new(), BTreeSet::new());
    declared(&schema, data, "", &mut declares);
    told(&full["data"], "", &mut tells);
    assert_eq!(tells, declares, "the event above has every member that the schema declares");
    let profile = created(&structured(&full)).profile;
    let account = profile.account.unwrap();
    assert!(account.last_four.is_some() && account.brand.is_some() && account.expiration.is_some());
    assert!(account.masked_number.is_some() && account.holder_name.is_some());
    assert!(profile.customer_token.is_some() && profile.external_user_id.is_some() && profile.provider.is_some());
    assert!(profile.title.is_some() && profile.primary && profile.secondary && profile.expires_at.is_some());
}
