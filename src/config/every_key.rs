//! Every key of the table, each by file and by environment, with a good and with bad values. The values follow from what a
//! key takes, so that a key that is added is tried, too.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::keys::{Key, environment_name};
use super::kind::Kind;
use super::reading::Reading;
use super::table::KEYS;
use super::{Origin, schema};
use crate::config::error::Problem;

/// A value as TOML and as the environment spells it.
type Spelt = (String, String);

fn text(value: &str) -> Spelt {
    // TOML reads the escapes of JSON.
    (serde_json::json!(value).to_string(), value.to_owned())
}

fn number(value: impl std::fmt::Display) -> Spelt {
    (value.to_string(), value.to_string())
}

/// Values that are allowed; of ranges both ends.
pub(super) fn good(kind: Kind) -> Vec<Spelt> {
    match kind {
        Kind::Text | Kind::File => vec![text("some words"), text("é")],
        Kind::Topic => vec![text("a.b_c-D"), text(&"t".repeat(249))],
        Kind::Choice(words) => words.iter().copied().map(text).collect(),
        Kind::Switch => vec![number(true), number(false)],
        Kind::Count(min, max) => vec![number(min), number(max)],
        Kind::Number(min, max) => vec![number(min), number(max)],
        Kind::Duration(min, max) => vec![text(min), text(max)],
        Kind::BaseUrl => vec![text("https://vendor.example/api"), text("http://127.0.0.1:1/")],
        Kind::OptionalUrl => vec![text(""), text("http://collector.example:4318")],
        Kind::Listen => vec![text("127.0.0.1:1"), text("[::1]:65535")],
        Kind::Secret => vec![text("a secret of printable ASCII!")],
        Kind::LedgerUrl => vec![text("postgres://u:p@db/x"), text("sqlite:ledger.db")],
    }
}

/// Values that are not allowed, and that the editor's schema refuses, too.
fn bad(kind: Kind) -> Vec<Spelt> {
    match kind {
        Kind::Text | Kind::File => vec![text(""), text(" "), text("two\nlines")],
        Kind::Topic => vec![text(""), text("a b"), text(&"t".repeat(250))],
        Kind::Choice(_) => vec![text("nonsense"), text("")],
        Kind::Switch => vec![text("yes"), number(1)],
        Kind::Count(min, _) => vec![number(min - 1), text("many"), number("1.5")],
        Kind::Number(min, max) => vec![number(min - 1.0), number(max + 1.0), text("much")],
        Kind::Duration(..) => vec![text("5"), text("1.5s"), text("-1s"), text("5 s"), text("")],
        Kind::BaseUrl => {
            vec![text("vendor.example"), text("ftp://vendor.example/"), text("https://u:sekret@v.example/")]
        }
        Kind::OptionalUrl => {
            vec![text("collector:4318"), text("http://u:sekret@c.example/"), text("http://c.example/?a=b")]
        }
        Kind::Listen => vec![text("localhost:1"), text("127.0.0.1"), text("8700")],
        Kind::Secret => vec![text(""), text("sekret\u{7}")],
        Kind::LedgerUrl => vec![text("mysql://root:sekret@db/x"), text("postgres://")],
    }
}

/// Values that only the start itself refuses: no schema can say it.
fn bad_beyond_the_schema(kind: Kind) -> Vec<Spelt> {
    match kind {
        Kind::Duration(..) => vec![text("9999999d"), text("99999999999999999999s")],
        Kind::Listen => vec![text("127.0.0.1:65536"), text("999.0.0.1:1")],
        Kind::Topic => vec![text(".."), text(".")],
        // Beyond 64 bits no TOML parser but ours reads it.
        Kind::Count(_, max) => vec![number(i128::from(max) + 1)],
        Kind::Secret => vec![text("schl\u{fc}ssel sekret")],
        Kind::Text | Kind::File => vec![text(&"x".repeat(2049))],
        _ => Vec::new(),
    }
}

fn by_file(folder: &Path, path: &str, toml: &str) -> (Reading, PathBuf) {
    let file = folder.join("worker.toml");
    std::fs::write(&file, format!("# a line before\n{path} = {toml}\n")).unwrap();
    (Reading::new(Some(&file), Vec::new(), Vec::new()), file)
}

fn by_environment(path: &str, value: &str) -> Reading {
    Reading::new(None, [(OsString::from(environment_name(path)), OsString::from(value))], Vec::new())
}

fn accepts(schema: &jsonschema::Validator, path: &str, toml: &str) -> bool {
    let table: toml::Table = format!("{path} = {toml}\n").parse().unwrap();
    schema.is_valid(&serde_json::to_value(table).unwrap())
}

fn editors_schema() -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(&schema()).unwrap()).unwrap()
}

#[test]
fn every_key_is_set_by_file_and_by_environment_and_the_environment_wins() {
    let (folder, schema) = (tempfile::tempdir().unwrap(), editors_schema());
    for Key { path, kind, .. } in KEYS {
        for (toml, variable) in good(*kind) {
            let (reading, file) = by_file(folder.path(), path, &toml);
            assert_eq!(reading.problems, [], "{path} = {toml}");
            assert_eq!(reading.values[path].origin, Origin::File { path: file.clone(), line: 2 }, "{path}");
            assert!(accepts(&schema, path, &toml), "an editor would underline {path} = {toml}");
            let set = [(OsString::from(environment_name(path)), OsString::from(&variable))];
            let both = Reading::new(Some(&file), set, Vec::new());
            assert_eq!(both.problems, [], "{path} = {variable}");
            assert_eq!(both.values[path].origin, Origin::Environment(environment_name(path)));
            assert_eq!(both.values[path].value.shown(), reading.values[path].value.shown(), "{path} = {toml}");
        }
    }
}

#[test]
fn every_key_refuses_what_is_not_allowed_with_its_name_its_place_and_what_is() {
    let (folder, schema) = (tempfile::tempdir().unwrap(), editors_schema());
    for key in KEYS {
        let shown_to_editors = bad(key.kind);
        for (toml, _) in &shown_to_editors {
            assert!(!accepts(&schema, key.path, toml), "an editor would let {} = {toml} pass", key.path);
        }
        for (toml, variable) in shown_to_editors.into_iter().chain(bad_beyond_the_schema(key.kind)) {
            let (reading, file) = by_file(folder.path(), key.path, &toml);
            assert_refused(key, &reading.problems, &Origin::File { path: file, line: 2 }, &toml);
            // In the environment everything is text, so a number that is no switch reads the same.
            let reading = by_environment(key.path, &variable);
            assert_refused(key, &reading.problems, &Origin::Environment(environment_name(key.path)), &variable);
        }
    }
}

fn assert_refused(key: &Key, problems: &[Problem], origin: &Origin, given: &str) {
    assert_eq!(problems.len(), 1, "{} = {given}: {problems:?}", key.path);
    let problem = &problems[0];
    assert_eq!((problem.key.as_str(), problem.origin.as_ref()), (key.path, Some(origin)), "{given}");
    assert!(problem.message.contains(&key.kind.allowed()), "{problem}");
    assert_eq!(problem.value.is_some(), !key.kind.is_secret(), "a value is shown unless it is a secret: {problem}");
    assert!(!problem.to_string().contains("sekret"), "{problem}");
}

#[test]
fn every_secret_has_a_twin_that_names_a_file_and_only_one_of_the_two_may_be_set() {
    let (folder, schema) = (tempfile::tempdir().unwrap(), editors_schema());
    let secrets: Vec<&Key> = KEYS.iter().filter(|key| key.kind.is_secret()).collect();
    assert!(secrets.len() >= 6, "{}", secrets.len());
    for key in secrets {
        let twin = format!("{}_file", key.path);
        let (reading, _) = by_file(folder.path(), &twin, "\"secret.txt\"");
        assert_eq!(reading.problems, [], "{twin}");
        assert_eq!(reading.secret_files[key.path].value, Path::new("secret.txt"));
        assert!(accepts(&schema, &twin, "\"secret.txt\""), "an editor would underline {twin}");
        assert_eq!(by_environment(&twin, "secret.txt").problems, [], "{twin}");
        assert_eq!(by_environment(&twin, "").problems[0].key, twin);
        let (value, _) = &good(key.kind)[0];
        let both = format!("{value}\n{twin} = \"secret.txt\"");
        let (reading, _) = by_file(folder.path(), key.path, &both);
        assert!(reading.problems[0].message.contains("only one of the two"), "{:?}", reading.problems);
        assert!(!accepts(&schema, key.path, &both), "an editor would let {} and {twin} pass", key.path);
    }
}

#[test]
fn every_key_that_is_misspelt_is_refused_and_the_right_one_named() {
    let folder = tempfile::tempdir().unwrap();
    for key in KEYS {
        let misspelt = format!("{}x", key.path);
        let (reading, _) = by_file(folder.path(), &misspelt, "1");
        assert!(reading.problems[0].message.contains(&format!("did you mean {}?", key.path)), "{:?}", reading.problems);
        let variable = environment_name(key.path);
        let reading = by_environment(&misspelt, "1");
        assert!(reading.problems[0].message.contains(&format!("did you mean {variable}?")), "{:?}", reading.problems);
    }
}

/// Keys that are right one by one and wrong together, and which of them is named.
#[test]
fn keys_that_contradict_each_other_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = "[target.loanpro]\ntoken = \"t\"\ninstance_id = \"1\"\n";
    let cases = [
        ("retry.initial = \"31s\"".to_owned(), "retry.initial"),
        (format!("{upstream}base_url = \"http://lms.example/\""), "target.loanpro.base_url"),
        ("admin.listen = \"0.0.0.0:1\"".to_owned(), "admin.listen"),
        ("kafka.topics.linked = \"x\"\nkafka.topics.rejected = \"x\"".to_owned(), "kafka.topics.rejected"),
        ("kafka.topics.dead_letter = \"payments.profile-created.v1\"".to_owned(), "kafka.topics.dead_letter"),
    ];
    for (toml, named) in cases {
        let file = folder.path().join("worker.toml");
        std::fs::write(&file, &toml).unwrap();
        let refused = Reading::new(Some(&file), Vec::new(), Vec::new()).config().err();
        let named_keys: Vec<String> =
            refused.into_iter().flat_map(|error| error.problems).map(|problem| problem.key).collect();
        assert_eq!(named_keys, [named], "{toml}");
    }
}
