//! `schemas/profile-linker.config.schema.json`, made of the table of keys: what an editor needs to complete a
//! configuration file and to underline a mistake. The start itself checks by [`super::kind`], never by this.

use serde_json::{Map, Value, json};

use super::keys::Key;
use super::kind::Kind;
use super::table::KEYS;

/// A whole number and a unit, as [`super::duration`] reads it.
const DURATION: &str = "^[0-9]+(ms|s|m|h|d)$";

/// The whole file, with a line end.
#[must_use]
pub fn schema() -> String {
    let mut root = table("profile-linker's configuration file (TOML); docs/configuration.md tells more");
    for key in KEYS {
        add(&mut root, key);
    }
    root["properties"]["kafka"]["properties"]["properties"] = properties();
    root["properties"]["keys"]["additionalProperties"] = sealing_key();
    root["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    root["$id"] = json!("urn:profile-linker:schema:config");
    root["title"] = json!("profile-linker");
    // A map of texts always has a text.
    serde_json::to_string_pretty(&root).unwrap_or_default() + "\n"
}

fn table(description: &str) -> Value {
    json!({ "description": description, "type": "object", "properties": {}, "additionalProperties": false })
}

/// Puts a key into the table of its path, which is made if it is not there.
fn add(root: &mut Value, key: &Key) {
    let mut place = root;
    let mut parts = key.path.split('.').peekable();
    let mut name = key.path;
    while let Some(part) = parts.next() {
        name = part;
        if parts.peek().is_some() {
            let tables = &mut place["properties"];
            if tables.get(part).is_none() {
                tables[part] = table(&format!("[{part}]"));
            }
            place = &mut tables[part];
        }
    }
    place["properties"][name] = value(key);
    if key.kind.is_secret() {
        let twin = format!("{name}_file");
        place["properties"][&twin] = json!({
            "description": format!("path of a file that holds {name} on one line; only one of the two may be set"),
            "type": "string", "minLength": 1,
        });
        place["dependentSchemas"][name] = json!({ "properties": { twin: false } });
    }
}

fn value(key: &Key) -> Value {
    let mut value = json!({ "description": format!("{} ({})", key.doc, key.kind.allowed()) });
    let Value::Object(rules) = rules(key.kind) else { return value };
    for (name, rule) in rules {
        value[name] = rule;
    }
    if let Some(default) = key.default.filter(|_| !key.kind.is_secret()) {
        // In an environment variable the default is text; in the file it has its own type.
        let typed = value["type"] != "string" && value.get("enum").is_none();
        value["default"] =
            typed.then(|| serde_json::from_str(default).ok()).flatten().unwrap_or_else(|| json!(default));
    }
    value
}

/// What JSON Schema can say of a kind; the rest stands in the description.
fn rules(kind: Kind) -> Value {
    let text = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    match kind {
        Kind::Text | Kind::File | Kind::Secret => {
            text(r"^[^\u0000-\u001f\u007f]*[^\s\u0000-\u001f\u007f][^\u0000-\u001f\u007f]*$")
        }
        Kind::Topic => text("^[A-Za-z0-9._-]{1,249}$"),
        Kind::Choice(words) => json!({ "enum": words }),
        Kind::Switch => json!({ "type": "boolean" }),
        Kind::Count(min, max) => json!({ "type": "integer", "minimum": min, "maximum": max }),
        Kind::Number(min, max) => json!({ "type": "number", "minimum": min, "maximum": max }),
        Kind::Duration(..) => text(DURATION),
        Kind::BaseUrl => text("^https?://[^/?#@]+[^?#@]*$"),
        Kind::OptionalUrl => text("^(https?://[^/@?#]+(/[^@?#]*)?)?$"),
        Kind::Listen => text("^(\\[.+\\]|[0-9.]+):[0-9]{1,5}$"),
        Kind::LedgerUrl => text("^(postgres://|postgresql://|sqlite:).+$"),
    }
}

/// librdkafka's own, with dots in the name or as tables.
fn properties() -> Value {
    json!({
        "description": "any property of librdkafka, except those that the guarantees rest on",
        "type": "object",
        "additionalProperties": { "type": ["string", "number", "boolean", "object"] },
    })
}

fn sealing_key() -> Value {
    let one = |name: &str| {
        let mut members = Map::new();
        members.insert(name.to_owned(), json!({ "type": "string", "minLength": 1 }));
        json!({ "type": "object", "properties": members, "required": [name], "additionalProperties": false })
    };
    json!({ "description": "a sealing key: 32 random bytes in base64 on one line", "oneOf": [one("file"), one("value")] })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schema_of_the_configuration_is_valid_and_has_not_drifted() {
        let schema = serde_json::from_str(&super::schema()).unwrap();
        assert!(jsonschema::meta::is_valid(&schema));
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/profile-linker.config.schema.json");
        let file = std::fs::read_to_string(path).unwrap();
        assert!(
            file == super::schema(),
            "run `profile-linker config --schema > schemas/profile-linker.config.schema.json`"
        );
    }
}
