//! Reads an object field by field, so that a mistake is answered with the field's name and what is allowed.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use thiserror::Error;

/// What is wrong with an object.
#[derive(Debug, Error)]
pub enum FieldError {
    /// Not JSON at all.
    #[error("the body is not JSON: {0}")]
    Json(serde_json::Error),
    /// JSON, but no object.
    #[error("expected an object")]
    NoObject,
    /// A field with a value that is not allowed, or missing.
    #[error("{field} must be {allowed}")]
    Value {
        /// Which.
        field: &'static str,
        /// What it must be.
        allowed: String,
    },
    /// A field that means nothing.
    #[error("unknown field {field}, allowed are {allowed}")]
    Unknown {
        /// Which.
        field: String,
        /// Those that mean something.
        allowed: String,
    },
}

/// An object that is being read.
pub struct Fields {
    rest: Map<String, Value>,
    known: Vec<&'static str>,
}

impl Fields {
    /// Starts reading.
    ///
    /// # Errors
    /// It is no object.
    pub fn of(value: Value) -> Result<Self, FieldError> {
        match value {
            Value::Object(rest) => Ok(Self { rest, known: Vec::new() }),
            _ => Err(FieldError::NoObject),
        }
    }

    /// Takes a field; absent and null are the same.
    ///
    /// # Errors
    /// Its value is not `allowed`.
    pub fn take<T: DeserializeOwned>(&mut self, field: &'static str, allowed: &str) -> Result<Option<T>, FieldError> {
        self.known.push(field);
        match self.rest.remove(field) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let wrong = |_| FieldError::Value { field, allowed: allowed.to_owned() };
                serde_json::from_value(value).map(Some).map_err(wrong)
            }
        }
    }

    /// Ends reading.
    ///
    /// # Errors
    /// A field was not taken.
    pub fn end(self) -> Result<(), FieldError> {
        match self.rest.into_iter().next() {
            None => Ok(()),
            Some((field, _)) => Err(FieldError::Unknown { field, allowed: self.known.join(", ") }),
        }
    }
}

/// Checks a rule about a field's value.
///
/// # Errors
/// It does not hold.
pub fn check(holds: bool, field: &'static str, allowed: &str) -> Result<(), FieldError> {
    if holds { Ok(()) } else { Err(FieldError::Value { field, allowed: allowed.to_owned() }) }
}
