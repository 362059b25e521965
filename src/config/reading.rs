//! The layers put together: every value checked, every problem collected.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::error::Problem;
use super::keys::{self, Key, Slot};
use super::kind::{Raw, Value};
use super::layers::{self, Entry, Override};
use super::origin::Origin;
use super::{properties, table};

/// A checked value and where it came from.
#[derive(Clone)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a sealing key's bytes are.
#[derive(Clone)]
pub enum KeyMaterial {
    /// In a file.
    File(PathBuf),
    /// In the configuration or the environment.
    Value(crate::domain::Secret),
}

/// A configuration as it was read: what is right, and what is wrong.
#[derive(Default)]
pub struct Reading {
    pub(super) values: BTreeMap<&'static str, Setting<Value>>,
    /// Files of secret keys, by the key's path without `_file`.
    pub(super) secret_files: BTreeMap<&'static str, Setting<PathBuf>>,
    pub(super) properties: BTreeMap<String, Setting<String>>,
    /// The file of `sasl.password`.
    pub(super) password_file: Option<PathBuf>,
    pub(super) keys: BTreeMap<String, Setting<KeyMaterial>>,
    pub(super) problems: Vec<Problem>,
}

impl Reading {
    /// Reads all layers; a later one wins, key by key. Never fails: see [`Reading::config`].
    #[must_use]
    pub fn new(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
        overrides: Vec<Override<'_>>,
    ) -> Self {
        let mut reading = Self::default();
        let mut entries = BTreeMap::new();
        let mut put = |layer: Vec<Entry>| entries.extend(layer.into_iter().map(|entry| (entry.path.clone(), entry)));
        put(file.map(|path| layers::from_file(path, &mut reading.problems)).unwrap_or_default());
        put(layers::from_environment(environment, &mut reading.problems));
        put(layers::from_overrides(overrides));
        for entry in entries.values() {
            reading.take(entry);
        }
        reading.fill_defaults();
        reading
    }

    fn take(&mut self, entry: &Entry) {
        match keys::slot(&entry.path) {
            Slot::Known(key) => self.take_value(key, entry),
            Slot::Twin(key) => self.take_twin(key, entry),
            Slot::Property(name) => self.take_property(&name, entry),
            Slot::KeyFile(id) => self.take_key(&id, entry, false),
            Slot::KeyValue(id) => self.take_key(&id, entry, true),
            Slot::Unknown => self.problems.push(unknown(entry)),
        }
    }

    fn take_value(&mut self, key: &'static Key, entry: &Entry) {
        if let Some(value) = key.kind.check(&entry.raw) {
            self.values.insert(key.path, Setting { value, origin: entry.origin.clone() });
            return;
        }
        let problem = Problem::at(key.path, &entry.origin, format!("must be {}", key.kind.allowed()));
        let secret = key.kind.is_secret();
        self.problems.push(if secret { problem } else { problem.showing(entry.raw.shown()) });
    }

    fn take_twin(&mut self, key: &'static Key, entry: &Entry) {
        let Some(path) = entry.raw.text().filter(|text| !text.is_empty()) else {
            let problem = Problem::at(&entry.path, &entry.origin, "must be the path of a file");
            return self.problems.push(problem);
        };
        if let Some(value) = self.values.get(key.path) {
            let message = format!("{} is set too ({}): only one of the two may be", key.path, value.origin);
            return self.problems.push(Problem::at(&entry.path, &entry.origin, message));
        }
        self.secret_files.insert(key.path, Setting { value: path.into(), origin: entry.origin.clone() });
    }

    fn take_property(&mut self, name: &str, entry: &Entry) {
        match properties::check(name, &entry.raw, &self.properties) {
            Ok((property, value)) => {
                if name == properties::PASSWORD_FILE {
                    self.password_file = entry.raw.text().map(PathBuf::from);
                }
                self.properties.insert(property, Setting { value, origin: entry.origin.clone() });
            }
            Err(message) => {
                let problem = Problem::at(&entry.path, &entry.origin, message);
                let hidden = properties::is_secret(name);
                self.problems.push(if hidden { problem } else { problem.showing(entry.raw.shown()) });
            }
        }
    }

    fn take_key(&mut self, id: &str, entry: &Entry, is_value: bool) {
        let Some(text) = entry.raw.text().filter(|text| !text.is_empty()) else {
            let allowed = if is_value { "32 bytes in base64" } else { "the path of a file" };
            return self.problems.push(Problem::at(&entry.path, &entry.origin, format!("must be {allowed}")));
        };
        if let Some(other) = self.keys.get(id) {
            let message = format!("key {id} has a file and a value ({}): only one of the two may be", other.origin);
            return self.problems.push(Problem::at(&entry.path, &entry.origin, message));
        }
        let value = if is_value { KeyMaterial::Value(text.to_owned().into()) } else { KeyMaterial::File(text.into()) };
        self.keys.insert(id.to_owned(), Setting { value, origin: entry.origin.clone() });
    }

    fn fill_defaults(&mut self) {
        for key in table::KEYS {
            let Some(default) = key.default.filter(|_| !self.is_set(key.path)) else {
                continue;
            };
            if let Some(value) = key.kind.check(&Raw::Loose(default.to_owned().into())) {
                self.values.insert(key.path, Setting { value, origin: Origin::Default });
            }
        }
    }

    /// Whether somebody gave this key, or its twin, a usable value.
    pub(super) fn is_set(&self, path: &str) -> bool {
        self.values.get(path).is_some_and(|setting| setting.origin != Origin::Default)
            || self.secret_files.contains_key(path)
    }

    /// Whether somebody set a key of this table, rightly or wrongly.
    pub(super) fn uses(&self, table: &str) -> bool {
        let within = |path: &str| path.strip_prefix(table).is_some_and(|rest| rest.starts_with('.'));
        self.values.iter().any(|(path, setting)| within(path) && setting.origin != Origin::Default)
            || self.secret_files.keys().any(|path| within(path))
            || self.problems.iter().any(|problem| within(&problem.key))
    }
}

fn unknown(entry: &Entry) -> Problem {
    let from_environment = matches!(entry.origin, Origin::Environment(_));
    let spelt = |path: String| {
        if from_environment { keys::environment_name(&path) } else { path }
    };
    let message = match keys::nearest(&entry.path) {
        _ if keys::is_table(&entry.path) => "is a table, not a value".to_owned(),
        near if entry.path.starts_with("keys.") && near.as_deref() != Some("keys.active") => {
            "no such key; a sealing key is { file = \"...\" } or { value = \"...\" }".to_owned()
        }
        Some(near) => format!("no such key; did you mean {}?", spelt(near)),
        None => "no such key; docs/configuration.md lists them all".to_owned(),
    };
    Problem::at(&entry.path, &entry.origin, message)
}
