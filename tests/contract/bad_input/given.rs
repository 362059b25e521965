//! How the rows of the table are written: a record to start from, what is changed in it, and what must come of it.

use serde_json::{Value, json};

pub const TOKEN: &str = "tmp-9c1f-temporary";
pub const CUSTOMER: &str = "1001";
pub const KEY: &str = "key-of-the-record";
pub const GUID: &str = "6f9619ff-8b86-d011-b42d-00c04fc964ff";
const STRUCTURED: &str = "application/cloudevents+json";

/// Which key a rejection must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultKey {
    /// This text, from `data.customer.id`.
    Customer(String),
    /// The record's own.
    Record,
    None,
}

/// What must come of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Code, stage and disposition; `None` for an event that is fine.
    pub reason: Option<(&'static str, &'static str, &'static str)>,
    /// The pointers of the violations, in their order.
    pub pointers: Vec<String>,
    /// Whether `created` is told: `source` and `id` can be read for sure.
    pub created: bool,
    pub key: ResultKey,
}

/// One row: a record, and what must come of it.
#[derive(Debug, Clone)]
pub struct Row {
    pub name: &'static str,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub expected: Expected,
}

/// An event of a LoanPro customer that nothing is wrong with; its id is the row's name.
pub fn event(name: &str) -> Value {
    json!({
        "specversion": "1.0", "type": "payments.profile-created.v1", "source": "urn:bad-input", "id": name,
        "data": {
            "customer": { "system": "loanpro", "id": CUSTOMER },
            "token": { "kind": "temporary", "value": TOKEN },
        },
    })
}

/// The same for a card of an Aloha customer.
pub fn aloha(name: &str) -> Value {
    let mut event = event(name);
    event["data"]["customer"] = json!({ "system": "aloha", "id": GUID });
    event["data"]["provider"] = json!("freedom-pay");
    event["data"]["account"] = json!({
        "kind": "card", "brand": "visa", "expiration": "09/31", "maskedNumber": "411111******1111",
        "lastFour": "1111", "holderName": "Ada Example",
    });
    event
}

/// The event with another value at a pointer; `Value::Null` there means null, not "left out".
pub fn set(mut event: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    event.pointer_mut(parent).expect("the parent is there")[name] = value;
    event
}

pub fn left_out(mut event: Value, pointer: &str) -> Value {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = event.pointer_mut(parent).and_then(Value::as_object_mut).expect("the parent is an object");
    parent.remove(name).expect("the member is there");
    event
}

/// A value as it stands, in structured mode.
pub fn bytes(name: &'static str, value: impl Into<Vec<u8>>) -> Row {
    Row {
        name,
        key: Some(KEY.into()),
        value: Some(value.into()),
        headers: vec![("content-type".to_owned(), Some(STRUCTURED.into()))],
        expected: Expected { reason: None, pointers: Vec::new(), created: false, key: ResultKey::Record },
    }
}

/// An event in structured mode. What is told of a readable event is assumed: its identity, and its customer as key.
pub fn structured(name: &'static str, event: &Value) -> Row {
    let mut row = bytes(name, event.to_string());
    row.expected.created = true;
    let customer = event.pointer("/data/customer/id").and_then(Value::as_str);
    row.expected.key = customer.map_or(ResultKey::Record, |id| ResultKey::Customer(id.to_owned()));
    row
}

/// An event in binary mode.
pub fn binary(name: &'static str, event: &Value) -> Row {
    let mut row = structured(name, event);
    row.value = event.get("data").map(|data| data.to_string().into_bytes());
    row.headers = vec![("content-type".to_owned(), Some(b"application/json".to_vec()))];
    let attributes = event.as_object().expect("an event").iter().filter(|(name, _)| *name != "data");
    row.headers.extend(attributes.map(|(name, value)| {
        (format!("ce_{name}"), Some(value.as_str().expect("attributes are text").as_bytes().to_vec()))
    }));
    row
}

impl Row {
    pub fn framed(mut self) -> Self {
        self.value = self.value.map(|value| [&[0, 0, 0, 0, 7], value.as_slice()].concat());
        self
    }

    pub fn header(mut self, name: &str, value: Option<&[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.map(<[u8]>::to_vec)));
        self
    }

    pub fn without_header(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    pub fn value(mut self, value: Option<&[u8]>) -> Self {
        self.value = value.map(<[u8]>::to_vec);
        self
    }

    pub fn record_key(mut self, key: Option<Vec<u8>>) -> Self {
        self.key = key;
        self
    }

    /// Nothing of it is read, so nothing of it is told.
    pub fn unread(self) -> Self {
        self.unknown().answered_under(ResultKey::Record)
    }

    /// Nothing can be told of its identity.
    pub fn unknown(mut self) -> Self {
        self.expected.created = false;
        self
    }

    pub fn answered_under(mut self, key: ResultKey) -> Self {
        self.expected.key = key;
        self
    }

    pub fn malformed(self) -> Self {
        self.ends("malformed_event", "decode", "dead-lettered")
    }

    pub fn invalid(mut self, pointers: &[&str]) -> Self {
        self.expected.pointers = pointers.iter().map(|&pointer| pointer.to_owned()).collect();
        self.ends("invalid_event", "validate", "dead-lettered")
    }

    pub fn card_number(self) -> Self {
        self.ends("card_number_detected", "validate", "dead-lettered")
    }

    pub fn ends(mut self, code: &'static str, stage: &'static str, disposition: &'static str) -> Self {
        self.expected.reason = Some((code, stage, disposition));
        self
    }
}
