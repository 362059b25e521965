//! The embedded JSON Schemas: what `schema list` shows is also what checks every event, so the two cannot drift.

use std::sync::OnceLock;

use jsonschema::Validator;
use serde_json::Value;

use super::{DEAD_LETTER, PROFILE_CREATED, PROFILE_LINKED, PROFILE_REJECTED, violations};
use crate::domain::Violation;

/// A published schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schema {
    /// The CloudEvents type that it describes.
    pub name: &'static str,
    /// The JSON Schema (2020-12), as in `schemas/`.
    pub text: &'static str,
}

static SCHEMAS: [Schema; 4] = [
    Schema { name: PROFILE_CREATED, text: include_str!("../../schemas/payments.profile-created.v1.schema.json") },
    Schema { name: PROFILE_LINKED, text: include_str!("../../schemas/payments.profile-linked.v1.schema.json") },
    Schema { name: PROFILE_REJECTED, text: include_str!("../../schemas/payments.profile-rejected.v1.schema.json") },
    Schema { name: DEAD_LETTER, text: include_str!("../../schemas/payments.dead-letter.v1.schema.json") },
];

/// A schema, ready to check events.
pub(super) struct Compiled {
    name: &'static str,
    /// Parsed, to look up how it describes what is allowed.
    pub(super) schema: Value,
    pub(super) validator: Validator,
}

/// Every schema, in the order of an event's life.
#[must_use]
pub fn all() -> &'static [Schema] {
    &SCHEMAS
}

/// The schema of a CloudEvents type.
#[must_use]
pub fn find(name: &str) -> Option<&'static Schema> {
    SCHEMAS.iter().find(|schema| schema.name == name)
}

/// What is wrong with an event in structured mode, at most 50 violations; empty if it is valid. No message ever echoes a
/// value. A type without a schema is one violation at `/type`.
#[must_use]
pub fn violations(type_name: &str, event: &Value) -> Vec<Violation> {
    match compiled().iter().find(|compiled| compiled.name == type_name) {
        Some(compiled) => violations::collect(type_name, compiled, event),
        None => vec![Violation { pointer: "/type".to_owned(), message: "has no schema in this build".to_owned() }],
    }
}

/// Compiled at first use. A schema that does not compile is left out: then every event of its type is refused, and the
/// test `every_schema_compiles` fails.
fn compiled() -> &'static [Compiled] {
    static COMPILED: OnceLock<Vec<Compiled>> = OnceLock::new();
    COMPILED.get_or_init(|| SCHEMAS.iter().filter_map(compile).collect())
}

fn compile(schema: &Schema) -> Option<Compiled> {
    let value: Value = serde_json::from_str(schema.text).ok()?;
    // Formats are only remarks in 2020-12 unless asserted.
    let validator = jsonschema::options().should_validate_formats(true).build(&value).ok()?;
    Some(Compiled { name: schema.name, schema: value, validator })
}
