//! An input event as a person may see and change it: in structured mode, without its secrets, which are put back afterwards.
//!
//! What may be a secret is told by its place, by its name and by its text: the token, whatever it was wrapped in; the
//! customer's token; any member whose name speaks of a token; any text that repeats one of these. Of what is withheld nothing
//! can be changed: it was made by the payment form, not by a person. An event that cannot be read for sure, or that holds a
//! card number, is not opened at all.

use serde_json::{Map, Value, json};

use super::envelope::Envelope;
use super::json::{Json, parse};
use super::violations::text_at;
use super::{InputRecord, card_numbers};
use crate::domain::secret::wipe_json;
use crate::domain::{EventIdentity, Secret, Violation};

/// Shorter texts are no tokens worth the name, and stand in other places by chance.
const MIN_REPEATED: usize = 6;
/// Headers that tell how a record is to be read: the edited one is read in another way.
const OF_THE_MODE: [&str; 2] = ["content-type", "__value_schema_id"];
/// Every result repeats these, and they say which event it is: nothing that is secret.
const NEVER_WITHHELD: [&str; 4] = ["specversion", "type", "source", "id"];
const TOKEN_VALUE: &str = "/data/token/value";
const TOKEN_KIND: &str = "/data/token/kind";
const CUSTOMER_ID: &str = "/data/customer/id";
const STRUCTURED: &[u8] = b"application/cloudevents+json";

/// Why an event cannot be opened for editing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotEditable {
    /// It is no event, or says two things at once.
    #[error("the original record cannot be read as an event for sure: {0}")]
    Unreadable(String),
    /// Nobody may look at it.
    #[error("there is a card number in the original record")]
    CardNumber,
}

/// An event opened for editing.
pub struct Editing {
    record: InputRecord,
    identity: Option<EventIdentity>,
    shown: Value,
    withheld: Vec<(Vec<String>, Json)>,
}

impl Editing {
    /// Opens a record.
    ///
    /// # Errors
    /// See [`NotEditable`].
    pub fn open(record: InputRecord) -> Result<Self, NotEditable> {
        let mut envelope = Envelope::read(&record);
        if let Some(fault) = envelope.fault.take() {
            return Err(NotEditable::Unreadable(fault));
        }
        let customer_id = text_at(&envelope.event.0, CUSTOMER_ID);
        let in_key = record.key.as_deref().is_some_and(|key| card_numbers::key_holds_one(key, customer_id));
        if in_key || card_numbers::find(&envelope.event.0).is_some() {
            return Err(NotEditable::CardNumber);
        }
        let event = &envelope.event.0;
        let is_hidden = event.get("data").is_some_and(|data| !data.is_object()) || event.get("data_base64").is_some();
        if is_hidden {
            return Err(NotEditable::Unreadable(
                "its data is no object, so nobody can tell what of it is a secret".to_owned(),
            ));
        }
        let identity = envelope.identity();
        let mut shown = envelope.event.0.take();
        let mut withheld = Vec::new();
        withhold(&mut shown, &mut Vec::new(), &mut withheld, &is_secret_by_name);
        let secrets: Vec<String> = withheld.iter().flat_map(|(_, value)| texts(&value.0)).collect();
        let repeats = |path: &[String], value: &Value| {
            !is_never_withheld(path) && texts(value).iter().any(|text| repeats_one(text, &secrets))
        };
        withhold(&mut shown, &mut Vec::new(), &mut withheld, &repeats);
        secrets.into_iter().for_each(|text| wipe_json(&mut Value::String(text)));
        Ok(Self { record, identity, shown, withheld })
    }

    /// Whether this text is still what a person saw.
    #[must_use]
    pub fn is_unchanged(&self, edited: &str) -> bool {
        parse(edited.as_bytes(), 0).is_ok_and(|parsed| parsed.fault.is_none() && parsed.value.0 == self.shown)
    }

    /// What a person sees.
    #[must_use]
    pub fn shown(&self) -> &Value {
        &self.shown
    }

    /// The original's identity, if it has one.
    #[must_use]
    pub fn identity(&self) -> Option<&EventIdentity> {
        self.identity.as_ref()
    }

    /// The record of the edited event: with the id and the cause that it is given, and with all that was withheld.
    ///
    /// # Errors
    /// What must not be changed, or not be there at all; each with its pointer.
    pub fn edited(&self, edited: &str, id: &str) -> Result<InputRecord, Vec<Violation>> {
        let parsed = parse(edited.as_bytes(), 0).map_err(|fault| vec![violation("", &fault)])?;
        if let Some(fault) = parsed.fault {
            return Err(vec![violation("", fault)]);
        }
        let mut event = parsed.value;
        let violations = self.not_to_be_changed(&event.0);
        let Value::Object(members) = &mut event.0 else {
            return Err(vec![violation("", "must be an object: one event in structured mode")]);
        };
        if !violations.is_empty() {
            return Err(violations);
        }
        for (path, value) in &self.withheld {
            put_back(members, path, &value.0);
        }
        members.insert("id".to_owned(), json!(id));
        if let Some(identity) = &self.identity {
            members.insert("causationid".to_owned(), json!(identity.id));
            // So its results can be told to be of the same matter.
            members.entry("correlationid").or_insert_with(|| json!(identity.id));
        }
        Ok(self.record_of(&event))
    }

    fn not_to_be_changed(&self, event: &Value) -> Vec<Violation> {
        let is_there = |path: &[String]| path.iter().try_fold(event, |value, name| value.get(name)).is_some();
        let kept = self.withheld.iter().filter(|(path, _)| is_there(path));
        let mut found: Vec<Violation> = kept
            .map(|(path, _)| violation(&pointer(path), "must be left out: what the original has there is kept"))
            .collect();
        // A secret that was not there before has no business in a file.
        let is_said = found.iter().any(|one| TOKEN_VALUE.starts_with(&one.pointer));
        if !is_said && event.pointer(TOKEN_VALUE).is_some() {
            found.push(violation(TOKEN_VALUE, "must be left out: a token is not a person's to write"));
        }
        // It belongs to the token, which is kept; where the first one told none, somebody has to.
        if self.shown.pointer(TOKEN_KIND).is_some_and(|own| event.pointer(TOKEN_KIND) != Some(own)) {
            let told = "must stay: it says what the payment form's token is, and that token is kept";
            found.push(violation(TOKEN_KIND, told));
        }
        let own = |name| self.shown.get(name).filter(|_| self.identity.is_some());
        for name in ["source", "id"] {
            if own(name).is_some_and(|own| event.get(name) != Some(own)) {
                let told = "must stay: it says which event is edited; the edited one gets an id of its own";
                found.push(violation(&format!("/{name}"), told));
            }
        }
        found
    }

    fn record_of(&self, event: &Json) -> InputRecord {
        let said_by_mode =
            |name: &str| name.starts_with("ce_") || OF_THE_MODE.iter().any(|header| name.eq_ignore_ascii_case(header));
        let mut headers = self.record.headers.clone();
        headers.retain(|(name, _)| !said_by_mode(name));
        headers.push(("content-type".to_owned(), Some(STRUCTURED.to_vec())));
        let value = Secret::from(event.0.to_string());
        InputRecord { origin: self.record.origin.clone(), key: self.key_of(event), value: Some(value), headers }
    }

    /// A key that was the customer's id follows it.
    fn key_of(&self, event: &Json) -> Option<Vec<u8>> {
        let key = self.record.key.as_deref()?;
        let was_the_id = text_at(&self.shown, CUSTOMER_ID).is_some_and(|id| id.as_bytes().eq_ignore_ascii_case(key));
        let now = text_at(&event.0, CUSTOMER_ID).filter(|_| was_the_id).map(|id| id.as_bytes().to_vec());
        Some(now.unwrap_or_else(|| key.to_vec()))
    }
}

impl Drop for Editing {
    fn drop(&mut self) {
        wipe_json(&mut self.shown);
    }
}

fn is_secret_by_name(path: &[String], value: &Value) -> bool {
    let names: Vec<&str> = path.iter().map(String::as_str).collect();
    match names[..] {
        // Its kind is no secret; a token that is no object is one.
        ["data", "token"] => !value.is_object(),
        ["data", "token", "kind"] => !value.as_str().is_some_and(|kind| ["temporary", "permanent"].contains(&kind)),
        ["data", "token", _] => true,
        _ if is_never_withheld(path) => false,
        [.., name] => name.to_ascii_lowercase().contains("token") || is_wrapped(value),
        [] => false,
    }
}

/// Whether a text is JSON itself: what its members are called is not seen from outside.
fn is_wrapped(value: &Value) -> bool {
    let inner = value.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    inner.is_some_and(|mut inner| {
        let wraps = inner.is_object() || inner.is_array();
        wipe_json(&mut inner);
        wraps
    })
}

fn is_never_withheld(path: &[String]) -> bool {
    matches!(path, [name] if NEVER_WITHHELD.contains(&name.as_str()))
}

/// Takes out the members that are to be withheld. Of a list all or nothing.
fn withhold(
    value: &mut Value,
    path: &mut Vec<String>,
    withheld: &mut Vec<(Vec<String>, Json)>,
    is_secret: &impl Fn(&[String], &Value) -> bool,
) {
    let Value::Object(members) = value else { return };
    let names: Vec<String> = members.keys().cloned().collect();
    for name in names {
        path.push(name.clone());
        let Some(member) = members.get_mut(&name) else { continue };
        let holds_one = member.is_array() && holds_secret(member, path, is_secret);
        let goes_deeper =
            member.is_object() && (path.as_slice() == ["data", "token"] || !is_secret(path, &Value::Null));
        if goes_deeper {
            withhold(member, path, withheld, is_secret);
        } else if holds_one || is_secret(path, member) {
            withheld.push((path.clone(), Json(member.take())));
            members.remove(&name);
        }
        path.pop();
    }
}

/// Whether anything in a list is secret.
fn holds_secret(value: &Value, path: &mut Vec<String>, is_secret: &impl Fn(&[String], &Value) -> bool) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|item| holds_secret(item, path, is_secret)),
        Value::Object(members) => members.iter().any(|(name, member)| {
            path.push(name.clone());
            let found = is_secret(path, member) || holds_secret(member, path, is_secret);
            path.pop();
            found
        }),
        leaf => is_secret(path, leaf),
    }
}

/// Every text in a value.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(members) => members.values().flat_map(texts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    }
}

fn repeats_one(text: &str, secrets: &[String]) -> bool {
    secrets.iter().any(|secret| secret.len() >= MIN_REPEATED && text.contains(secret.as_str()))
}

/// Where an object that held it is gone, it is made again; what was made of it else is for the check to refuse.
fn put_back(members: &mut Map<String, Value>, path: &[String], value: &Value) {
    match path {
        [] => {}
        [name] => drop(members.insert(name.clone(), value.clone())),
        [name, rest @ ..] => {
            let inner = members.entry(name.clone()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put_back(inner, rest, value);
            }
        }
    }
}

fn pointer(path: &[String]) -> String {
    path.iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}

fn violation(pointer: &str, message: &str) -> Violation {
    Violation { pointer: pointer.to_owned(), message: message.to_owned() }
}
