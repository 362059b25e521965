//! JSON read strictly: a name given twice in one object means two things to two readers, so it is found and told, and
//! nesting has a limit. Reading goes on after such a fault, so that the event's identity can still be known.

use std::cell::{Cell, RefCell};
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::domain::secret::wipe_json;

/// Deeper than any event, far from the end of a thread's stack.
const MAX_DEPTH: usize = 64;

/// A JSON value that may hold a token: its texts are wiped on drop.
pub(super) struct Json(pub(super) Value);

impl Drop for Json {
    fn drop(&mut self) {
        wipe_json(&mut self.0);
    }
}

/// A document that is JSON.
pub(super) struct Parsed {
    /// What it says; of a repeated name the last value, beyond the depth limit null.
    pub(super) value: Json,
    /// Names given more than once in the outermost object.
    pub(super) repeated_outermost: Vec<String>,
    /// Why it must not be trusted, though it is JSON.
    pub(super) fault: Option<&'static str>,
}

/// Reads a text whose outermost value stands at this depth of the event (0 for a whole event, 1 for its `data`).
///
/// # Errors
/// What is wrong, for people; never quotes the text.
pub(super) fn parse(bytes: &[u8], depth: usize) -> Result<Parsed, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the value is not UTF-8".to_owned())?;
    let faults = Faults { outermost: depth, ..Faults::default() };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let level = Level { depth, faults: &faults };
    let read = level.deserialize(&mut deserializer).and_then(|value| deserializer.end().map(|()| value));
    let value =
        read.map_err(|error| format!("{} at line {}, column {}", told(&error), error.line(), error.column()))?;
    let fault = faults.told();
    Ok(Parsed { value: Json(value), repeated_outermost: faults.repeated_outermost.into_inner(), fault })
}

/// What is wrong, without the parser's own words, which may quote the text.
#[must_use]
pub fn told(error: &serde_json::Error) -> &'static str {
    if error.is_eof() {
        "JSON that ends too early"
    } else if error.to_string().starts_with("number out of range") {
        "a number beyond what JSON readers can hold"
    } else {
        "not JSON"
    }
}

#[derive(Default)]
struct Faults {
    outermost: usize,
    repeated: Cell<bool>,
    repeated_outermost: RefCell<Vec<String>>,
    too_deep: Cell<bool>,
}

impl Faults {
    fn told(&self) -> Option<&'static str> {
        match (self.repeated.get(), self.too_deep.get()) {
            (true, _) => Some("an object names a member twice"),
            (false, true) => Some("nested deeper than 64 levels"),
            (false, false) => None,
        }
    }

    fn repeat(&self, depth: usize, name: &str) {
        self.repeated.set(true);
        if depth == self.outermost {
            self.repeated_outermost.borrow_mut().push(name.to_owned());
        }
    }
}

/// One level of nesting.
#[derive(Clone, Copy)]
struct Level<'f> {
    depth: usize,
    faults: &'f Faults,
}

impl Level<'_> {
    fn below(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }

    fn enter(self) {
        if self.depth >= MAX_DEPTH {
            self.faults.too_deep.set(true);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Level<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > MAX_DEPTH {
            // Skipped without recursion, whatever its depth.
            return deserializer.deserialize_ignored_any(IgnoredAny).map(|_| Value::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Level<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut read = Vec::new();
        self.enter();
        while let Some(item) = items.next_element_seed(self.below())? {
            read.push(item);
        }
        Ok(Value::Array(read))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut read = Map::new();
        self.enter();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(self.below())?;
            if read.contains_key(&name) {
                self.faults.repeat(self.depth, &name);
            }
            // The value that is replaced may be a token, too.
            drop(read.insert(name, value).map(Json));
        }
        Ok(Value::Object(read))
    }
}
