//! CloudEvents over Kafka: structured or binary, made into one form: the structured event as JSON.

use serde_json::{Map, Value};

use super::json::{Json, Parsed, parse};
use super::violations::MAX_IDENTITY_BYTES;
use super::{Context, InputRecord, card_numbers, framing};
use crate::domain::EventIdentity;

/// Kafka's own default limit of a record, so no broker with default settings delivers more.
const MAX_VALUE_BYTES: usize = 1024 * 1024;
/// The contract's limit of each attribute that is passed on.
const MAX_CONTEXT_BYTES: usize = 512;
const STRUCTURED: &str = "application/cloudevents+json";
/// Headers that only an event in binary mode has. Others with `ce_` may be left over from a hop before.
const BINARY_MARKS: [&str; 4] = ["ce_specversion", "ce_type", "ce_source", "ce_id"];

/// An event in structured form, as far as it can be read.
pub(super) struct Envelope {
    /// Always an object; empty where nothing could be read.
    pub(super) event: Json,
    /// Why it is no CloudEvent, for people.
    pub(super) fault: Option<String>,
    /// Attributes given more than once: they say nothing.
    ambiguous: Vec<String>,
}

enum Mode {
    Structured,
    Binary,
}

impl Envelope {
    /// Reads a record in the mode that its headers tell.
    pub(super) fn read(record: &InputRecord) -> Self {
        match mode(record) {
            Ok(Mode::Structured) => Self::structured(record),
            Ok(Mode::Binary) => Self::binary(record),
            Err(fault) => Self::unreadable(fault),
        }
    }

    /// An attribute that is text.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.event.0.get(name)?.as_str()
    }

    /// `source` and `id`, if both are there once and within the contract's limits; whatever the rest is. Every result, row
    /// and log line repeats an identity, so one with a card number in it is none.
    pub(super) fn identity(&self) -> Option<EventIdentity> {
        let clean =
            |named: &EventIdentity| ![&named.source, &named.id].into_iter().any(|text| card_numbers::contains(text));
        self.named().filter(clean)
    }

    /// `source` and `id` as they stand, whatever is in them: not to be told.
    pub(super) fn named(&self) -> Option<EventIdentity> {
        Some(EventIdentity { source: self.identifying("source")?, id: self.identifying("id")? })
    }

    fn identifying(&self, name: &str) -> Option<String> {
        let text = self.text(name)?;
        let fits = (1..=MAX_IDENTITY_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        let once = !self.ambiguous.iter().any(|other| other == name);
        (fits && once).then(|| text.to_owned())
    }

    /// What is passed on. Trace context that came as plain Kafka headers, as tracing libraries send it, counts where the
    /// event itself has none.
    pub(super) fn context(&self, record: &InputRecord) -> Context {
        let traced = |name| passable(self.text(name)).or_else(|| passable(header(record, name)));
        Context {
            traceparent: traced("traceparent"),
            tracestate: traced("tracestate"),
            correlation_id: passable(self.text("correlationid")),
        }
    }

    fn unreadable(fault: impl Into<String>) -> Self {
        Self { event: Json(Value::Object(Map::new())), fault: Some(fault.into()), ambiguous: Vec::new() }
    }

    fn structured(record: &InputRecord) -> Self {
        let parsed = match value_of(record) {
            Ok(Some(bytes)) => parse(bytes, 0),
            Ok(None) if record.value.is_none() => Err("the record has no value (a tombstone)".to_owned()),
            Ok(None) => Err("the value is empty".to_owned()),
            Err(fault) => Err(fault),
        };
        match parsed {
            Err(fault) => Self::unreadable(fault),
            Ok(Parsed { value, .. }) if !value.0.is_object() => {
                Self::unreadable("not a CloudEvent: the value is JSON, but not an object")
            }
            Ok(Parsed { value, repeated_outermost, fault }) => {
                Self { event: value, fault: fault.map(str::to_owned), ambiguous: repeated_outermost }
            }
        }
    }

    fn binary(record: &InputRecord) -> Self {
        let mut envelope = Self::of_headers(record);
        let parsed = value_of(record).and_then(|bytes| bytes.map(|bytes| parse(bytes, 1)).transpose());
        match parsed {
            Ok(Some(mut parsed)) => {
                envelope.insert("data", parsed.value.0.take());
                envelope.fault = envelope.fault.or(parsed.fault.map(str::to_owned));
            }
            // Missing data is a matter of the schema.
            Ok(None) => {}
            Err(fault) => envelope.fault = Some(fault),
        }
        envelope
    }

    /// The attributes of binary mode. The same header twice with one value is a hop's clumsiness, with two it is a fault.
    fn of_headers(record: &InputRecord) -> Self {
        let mut envelope = Self { fault: None, ..Self::unreadable("") };
        for (name, value) in &record.headers {
            let (Some(attribute), Some(value)) = (name.strip_prefix("ce_"), value) else {
                continue;
            };
            match std::str::from_utf8(value) {
                Ok(text) if attribute != "data" => envelope.add_attribute(attribute, text),
                Ok(_) => {}
                Err(_) => envelope.fault = Some("a ce_ header is not UTF-8".to_owned()),
            }
        }
        envelope
    }

    fn add_attribute(&mut self, name: &str, text: &str) {
        match self.text(name) {
            Some(known) if known != text => {
                self.ambiguous.push(name.to_owned());
                self.fault = Some("a ce_ header is given twice with different values".to_owned());
            }
            _ => self.insert(name, Value::from(text)),
        }
    }

    fn insert(&mut self, name: &str, value: Value) {
        if let Value::Object(members) = &mut self.event.0 {
            members.insert(name.to_owned(), value);
        }
    }
}

fn mode(record: &InputRecord) -> Result<Mode, &'static str> {
    match media_type(record).as_deref() {
        Some(STRUCTURED) => Ok(Mode::Structured),
        Some(other) if other.starts_with("application/cloudevents") => {
            Err("only application/cloudevents+json is read, neither batches nor other formats")
        }
        _ if record.headers.iter().any(|(name, _)| BINARY_MARKS.contains(&name.as_str())) => Ok(Mode::Binary),
        // Many tools send no headers: an event in structured mode shows itself by its `specversion`.
        _ => Ok(Mode::Structured),
    }
}

/// The `content-type` without parameters, in lower case. The last header counts, as in Kafka's own clients.
fn media_type(record: &InputRecord) -> Option<String> {
    let named = |(name, _): &&(String, Option<Vec<u8>>)| name.eq_ignore_ascii_case("content-type");
    let (_, value) = record.headers.iter().rev().find(named)?;
    let text = std::str::from_utf8(value.as_deref()?).ok()?;
    text.split(';').next().map(|media_type| media_type.trim().to_ascii_lowercase())
}

fn header<'a>(record: &'a InputRecord, name: &str) -> Option<&'a str> {
    let (_, value) = record.headers.iter().rev().find(|(other, _)| other == name)?;
    std::str::from_utf8(value.as_deref()?).ok()
}

fn passable(text: Option<&str>) -> Option<String> {
    let fits = |text: &&str| (1..=MAX_CONTEXT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
    text.filter(fits).filter(|text| !card_numbers::contains(text)).map(str::to_owned)
}

/// The value without its frame; `None` if there is none or it is empty.
fn value_of(record: &InputRecord) -> Result<Option<&[u8]>, String> {
    let Some(value) = &record.value else { return Ok(None) };
    if value.expose().len() > MAX_VALUE_BYTES {
        return Err(format!("the value is larger than {MAX_VALUE_BYTES} bytes"));
    }
    framing::check_headers(&record.headers)?;
    let plain = framing::unframed(value.expose())?;
    Ok((!plain.is_empty()).then_some(plain))
}
