//! `schemas/asyncapi.yaml`: its structure as AsyncAPI 3 has it, each reference followed, each name as the program's.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use profile_linker::contract::results::OutputMode;
use profile_linker::contract::schemas::{all, find};
use profile_linker::contract::{DEAD_LETTER, PROFILE_CREATED, PROFILE_LINKED, PROFILE_REJECTED};
use serde_json::Value;

use crate::results::the_fullest;

/// Members of the root that AsyncAPI 3 knows.
const ROOT: [&str; 8] =
    ["asyncapi", "id", "info", "servers", "defaultContentType", "channels", "operations", "components"];
/// The channel of each message, its address by default, and what the worker does with it.
const CHANNELS: [(&str, &str, &str, &str); 4] = [
    ("profileCreated", "payments.profile-created.v1", PROFILE_CREATED, "receive"),
    ("profileLinked", "payments.profile-linked.v1", PROFILE_LINKED, "send"),
    ("profileRejected", "payments.profile-rejected.v1", PROFILE_REJECTED, "send"),
    ("deadLetter", "payments.profile-created.v1.dlq", DEAD_LETTER, "send"),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas")
}

fn document() -> Value {
    serde_yaml_ng::from_str(include_str!("../../schemas/asyncapi.yaml")).unwrap()
}

/// Follows a reference within the document; other files are only looked for.
fn followed<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    document.pointer(reference.strip_prefix('#')?)
}

fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_of_the_asyncapi_document_leads_somewhere() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 10, "{found:?}");
    for reference in found {
        let there = match reference.strip_prefix("./") {
            Some(file) => folder().join(file).is_file(),
            None => followed(&document, &reference).is_some(),
        };
        assert!(there, "{reference}");
    }
}

#[test]
fn the_asyncapi_document_has_the_structure_of_version_3() {
    let document = document();
    assert_eq!(document["asyncapi"], "3.1.0");
    assert!(document["info"]["title"].is_string());
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"), "the build's own version");
    let unknown = document.as_object().unwrap().keys().find(|name| !ROOT.contains(&name.as_str()));
    assert_eq!(unknown, None);
    for (name, channel) in document["channels"].as_object().unwrap() {
        assert!(channel["address"].is_string(), "{name}");
        assert!(channel["messages"].as_object().is_some_and(|messages| !messages.is_empty()), "{name}");
    }
    for (name, operation) in document["operations"].as_object().unwrap() {
        assert!(["send", "receive"].contains(&operation["action"].as_str().unwrap()), "{name}");
        let channel = operation["channel"]["$ref"].as_str().unwrap();
        assert!(channel.starts_with("#/channels/"), "{name}");
        for message in operation["messages"].as_array().unwrap() {
            let reference = message["$ref"].as_str().unwrap();
            assert!(reference.starts_with(&format!("{channel}/messages/")), "{name}: a message of its own channel");
        }
    }
}

#[test]
fn each_topic_carries_the_message_of_its_type_and_schema() {
    let document = document();
    assert_eq!(document["channels"].as_object().unwrap().len(), CHANNELS.len());
    assert_eq!(CHANNELS.len(), all().len());
    for (channel, address, type_name, action) in CHANNELS {
        let at = &document["channels"][channel];
        assert_eq!(at["address"], address);
        let message = followed(&document, at["messages"][channel]["$ref"].as_str().unwrap()).unwrap();
        assert_eq!(message["name"], type_name);
        let payload = &message["payload"];
        assert_eq!(payload["schemaFormat"], "application/schema+json;version=draft-2020-12");
        let file = folder().join(payload["schema"]["$ref"].as_str().unwrap());
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(text, find(type_name).unwrap().text, "{type_name}: the file is what is embedded");
        let acts = document["operations"].as_object().unwrap().values().filter(|operation| {
            operation["channel"]["$ref"] == format!("#/channels/{channel}") && operation["action"] == action
        });
        assert_eq!(acts.count(), 1, "{channel}");
    }
}

#[test]
fn the_headers_of_a_dead_letter_are_the_ones_that_are_described() {
    let document = document();
    let described = &document["components"]["schemas"]["deadLetterHeaders"]["properties"];
    let described: BTreeSet<&str> = described.as_object().unwrap().keys().map(String::as_str).collect();
    let fullest = the_fullest(OutputMode::Structured);
    let (_, letters) = fullest.iter().find(|(name, _)| *name == DEAD_LETTER).unwrap();
    let sent = letters[0].headers.iter().map(|(name, _)| name.as_str());
    let sent: BTreeSet<&str> = sent.filter(|name| *name != "content-type").collect();
    assert_eq!(sent, described);
}
