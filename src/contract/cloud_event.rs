//! A CloudEvent of ours, written in structured or binary mode.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::results::OutputMode;
use super::{Context, OutgoingRecord, TopicRole};

/// CloudEvents `source` of everything we publish.
pub const RESULT_SOURCE: &str = "urn:profile-linker";
const CONTENT_TYPE: &str = "content-type";

/// An event to publish.
pub(super) struct CloudEvent<'a> {
    pub(super) type_name: &'static str,
    pub(super) id: Uuid,
    pub(super) time: String,
    pub(super) causation_id: Option<&'a str>,
    pub(super) context: &'a Context,
    pub(super) data: Value,
}

impl CloudEvent<'_> {
    /// The event as a record.
    pub(super) fn into_record(self, topic: TopicRole, key: Option<&[u8]>, mode: OutputMode) -> OutgoingRecord {
        let attributes = self.attributes();
        let (value, headers) = match mode {
            OutputMode::Structured => structured(attributes, self.data),
            OutputMode::Binary => binary(attributes, &self.data),
        };
        OutgoingRecord { topic, key: key.map(<[u8]>::to_vec), value, headers }
    }

    fn attributes(&self) -> Vec<(&'static str, String)> {
        let Context { traceparent, tracestate, correlation_id } = self.context;
        let optional = [
            ("causationid", self.causation_id),
            ("correlationid", correlation_id.as_deref()),
            ("traceparent", traceparent.as_deref()),
            ("tracestate", tracestate.as_deref()),
        ];
        let mut attributes = vec![
            ("specversion", "1.0".to_owned()),
            ("type", self.type_name.to_owned()),
            ("source", RESULT_SOURCE.to_owned()),
            ("id", self.id.to_string()),
            ("time", self.time.clone()),
        ];
        attributes.extend(optional.into_iter().filter_map(|(name, text)| Some((name, text?.to_owned()))));
        attributes
    }
}

type Headers = Vec<(String, Vec<u8>)>;

fn structured(attributes: Vec<(&'static str, String)>, data: Value) -> (Vec<u8>, Headers) {
    let mut event: Map<String, Value> =
        attributes.into_iter().map(|(name, text)| (name.to_owned(), json!(text))).collect();
    event.insert("datacontenttype".to_owned(), json!("application/json"));
    event.insert("data".to_owned(), data);
    let headers = vec![(CONTENT_TYPE.to_owned(), b"application/cloudevents+json".to_vec())];
    (Value::Object(event).to_string().into_bytes(), headers)
}

fn binary(attributes: Vec<(&'static str, String)>, data: &Value) -> (Vec<u8>, Headers) {
    let mut headers = vec![(CONTENT_TYPE.to_owned(), b"application/json".to_vec())];
    headers.extend(attributes.into_iter().map(|(name, text)| (format!("ce_{name}"), text.into_bytes())));
    (data.to_string().into_bytes(), headers)
}

/// RFC 3339 in UTC, from milliseconds since 1970. A time beyond the calendar becomes its end.
pub(super) fn time(millis: i64) -> String {
    let nearest = if millis < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    jiff::Timestamp::from_millisecond(millis).unwrap_or(nearest).to_string()
}
