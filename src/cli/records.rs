//! Records as commands print them: `{topic,partition,offset,key,event}`, the event always as one CloudEvent.

use rdkafka::message::{Headers, Message};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::REDACTED;

/// A record with its event.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// Topic.
    pub topic: String,
    /// Partition.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// The record's key as text.
    pub key: Option<String>,
    /// The CloudEvent in structured form.
    pub event: Value,
    /// Record timestamp in milliseconds since 1970.
    #[serde(skip)]
    pub timestamp: Option<i64>,
}

impl Record {
    /// Reads a record. `None` if it is not a CloudEvent.
    #[must_use]
    pub fn read(message: &impl Message) -> Option<Self> {
        let payload = message.payload()?;
        let event = structured(payload).or_else(|| binary(message, payload))?;
        Some(Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(|key| String::from_utf8_lossy(key).into_owned()),
            event: without_tokens(event),
            timestamp: message.timestamp().to_millis(),
        })
    }

    /// A text of the event by its JSON pointer.
    #[must_use]
    pub fn text(&self, pointer: &str) -> Option<&str> {
        self.event.pointer(pointer).and_then(Value::as_str)
    }
}

/// An event that may be printed. Results hold no token, but a topic can be configured by mistake.
#[must_use]
pub fn without_tokens(mut event: Value) -> Value {
    for pointer in ["/data/token/value", "/data/customerToken"] {
        if let Some(value) = event.pointer_mut(pointer) {
            *value = REDACTED.into();
        }
    }
    event
}

fn structured(payload: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(payload).ok()?;
    value.get("specversion").is_some_and(Value::is_string).then_some(value)
}

fn binary(message: &impl Message, payload: &[u8]) -> Option<Value> {
    let headers = message.headers()?;
    let mut event = Map::new();
    for header in headers.iter() {
        let Some(text) = header.value.and_then(|value| std::str::from_utf8(value).ok()) else {
            continue;
        };
        let name = if header.key.eq_ignore_ascii_case("content-type") {
            Some("datacontenttype")
        } else {
            header.key.strip_prefix("ce_")
        };
        if let Some(name) = name {
            event.insert(name.to_owned(), text.into());
        }
    }
    event.contains_key("specversion").then_some(())?;
    event.insert("data".to_owned(), serde_json::from_slice(payload).ok()?);
    Some(Value::Object(event))
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders, OwnedMessage};

    use super::*;

    fn message(payload: &str, headers: &[(&str, &str)]) -> OwnedMessage {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, &(key, value)| all.insert(Header { key, value: Some(value) }));
        let (payload, key) = (Some(payload.as_bytes().to_vec()), Some(b"42".to_vec()));
        OwnedMessage::new(payload, key, "t".to_owned(), Timestamp::CreateTime(7), 1, 5, Some(headers))
    }

    #[test]
    fn a_binary_record_is_put_together_to_one_event() {
        let headers =
            [("ce_specversion", "1.0"), ("ce_id", "r1"), ("content-type", "application/json"), ("other", "x")];
        let record = Record::read(&message(r#"{"generation":1}"#, &headers)).unwrap();
        let expected = serde_json::json!({"specversion": "1.0", "id": "r1", "datacontenttype": "application/json", "data": {"generation": 1}});
        assert_eq!(record.event, expected);
        assert_eq!(record.key.as_deref(), Some("42"));
    }

    #[test]
    fn a_token_is_never_part_of_what_is_printed() {
        let payload = r#"{"specversion":"1.0","data":{"token":{"value":"sekret"},"customerToken":"sekret"}}"#;
        let record = Record::read(&message(payload, &[])).unwrap();
        assert!(!serde_json::to_string(&record).unwrap().contains("sekret"));
    }

    #[test]
    fn a_structured_record_is_its_event_and_anything_else_is_none() {
        let record = Record::read(&message(r#"{"specversion":"1.0","id":"r1"}"#, &[])).unwrap();
        assert_eq!(record.text("/id"), Some("r1"));
        for payload in ["", "[]", "{}", "nonsense"] {
            assert!(Record::read(&message(payload, &[])).is_none(), "{payload}");
        }
    }
}
