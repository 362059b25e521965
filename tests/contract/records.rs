//! Events and records to start from.

use profile_linker::contract::InputRecord;
use profile_linker::contract::decode::{Created, Decoded, Unusable, decode};
use profile_linker::domain::{Origin, ReasonCode, Secret, Stage};
use serde_json::{Value, json};

pub const TEMPORARY_TOKEN: &str = "tmp-9c1f-temporary";
pub const PERMANENT_TOKEN: &str = "perm-77ab-permanent";
pub const GUID: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
pub const STRUCTURED: &str = "application/cloudevents+json";

/// A bank account of a LoanPro customer, by temporary token.
pub fn event() -> Value {
    json!({
        "specversion": "1.0",
        "type": "payments.profile-created.v1",
        "source": "urn:form:42",
        "id": "event-1",
        "data": {
            "customer": { "system": "loanpro", "id": "1001" },
            "token": { "kind": "temporary", "value": TEMPORARY_TOKEN },
        },
    })
}

/// A card of an Aloha customer, by permanent token.
pub fn aloha_event() -> Value {
    let mut event = event();
    event["data"] = json!({
        "customer": { "system": "aloha", "id": GUID },
        "token": { "kind": "permanent", "value": "201:4111111111111111" },
        "provider": "freedom-pay",
        "account": {
            "kind": "card", "brand": "visa", "expiration": "09/31", "maskedNumber": "411111******1111",
            "lastFour": "1111", "holderName": "Ada Example",
        },
    });
    event
}

/// The event with other values at these JSON pointers; missing members are made.
pub fn with(event: Value, changes: &[(&str, Value)]) -> Value {
    changes.iter().fold(event, |mut event, (pointer, value)| {
        let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
        event.pointer_mut(parent).expect("the parent exists")[name] = value.clone();
        event
    })
}

pub fn without(mut event: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = event.pointer_mut(parent).and_then(Value::as_object_mut).expect("the parent is an object");
    parent.remove(name).expect("the member exists");
    event
}

pub fn record(value: Option<&[u8]>, headers: &[(&str, &[u8])]) -> InputRecord {
    InputRecord {
        origin: Origin {
            topic: "payments.profile-created.v1".to_owned(),
            partition: 3,
            offset: 77,
            timestamp: 1_700_000_000_000,
        },
        key: Some(b"1001".to_vec()),
        value: value.map(|bytes| Secret::new(bytes.to_vec())),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned(), Some(value.to_vec()))).collect(),
    }
}

pub fn structured(event: &Value) -> InputRecord {
    record(Some(event.to_string().as_bytes()), &[("content-type", STRUCTURED.as_bytes())])
}

/// The same event with its attributes as headers.
pub fn binary(event: &Value) -> InputRecord {
    let members = event.as_object().expect("an event");
    let value = members.get("data").map(Value::to_string);
    let mut record = record(value.as_deref().map(str::as_bytes), &[("content-type", b"application/json")]);
    for (name, value) in members.iter().filter(|(name, _)| *name != "data") {
        let text = value.as_str().expect("attributes are text");
        record.headers.push((format!("ce_{name}"), Some(text.as_bytes().to_vec())));
    }
    record
}

pub fn created(record: &InputRecord) -> Box<Created> {
    match decode(record) {
        Decoded::Created(created) => created,
        Decoded::Unusable(unusable) => panic!("not usable: {:?}", unusable.reason),
    }
}

pub fn unusable(record: &InputRecord) -> Box<Unusable> {
    match decode(record) {
        Decoded::Created(created) => panic!("usable: {:?}", created.identity),
        Decoded::Unusable(unusable) => unusable,
    }
}

/// Code and stage, or `None` for a valid event.
pub fn verdict(record: &InputRecord) -> Option<(ReasonCode, Stage)> {
    match decode(record) {
        Decoded::Created(_) => None,
        Decoded::Unusable(unusable) => Some((unusable.reason.code, unusable.reason.stage)),
    }
}
