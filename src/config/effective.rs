//! The effective configuration as people are shown it: no secret, and where each value came from.

use super::kind::{Kind, Value};
use super::reading::{KeyMaterial, Reading};
use super::{address, keys, properties, table};

/// What stands in place of a secret.
pub const REDACTED: &str = "[redacted]";

/// One value of the effective configuration.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// Dotted path.
    pub key: String,
    /// As it would be written in the file; [`REDACTED`] for a secret.
    pub value: String,
    /// Where it came from.
    pub origin: String,
}

impl Reading {
    /// Every value that is in effect, in the order of the reference. Upstream tables that nobody uses are left out.
    #[must_use]
    pub fn effective(&self) -> Vec<Line> {
        let used = |path: &str| {
            let upstream = path.starts_with("converter.") || path.starts_with("target.");
            !upstream || path.rsplit_once('.').is_some_and(|(table, _)| self.uses(table))
        };
        let mut lines: Vec<Line> =
            table::KEYS.iter().filter(|key| used(key.path)).filter_map(|key| self.line(key.path)).collect();
        lines.extend(self.property_lines());
        lines.extend(self.key_lines());
        lines
    }

    fn line(&self, path: &'static str) -> Option<Line> {
        if let Some(file) = self.secret_files.get(path) {
            let value = file.value.display().to_string();
            return Some(Line { key: format!("{path}_file"), value, origin: file.origin.to_string() });
        }
        let setting = self.values.get(path)?;
        Some(Line { key: path.to_owned(), value: shown(path, &setting.value), origin: setting.origin.to_string() })
    }

    fn property_lines(&self) -> impl Iterator<Item = Line> + '_ {
        self.properties.iter().map(|(name, setting)| Line {
            key: format!("kafka.properties.{name}"),
            value: if properties::is_secret(name) { REDACTED.to_owned() } else { setting.value.clone() },
            origin: setting.origin.to_string(),
        })
    }

    fn key_lines(&self) -> impl Iterator<Item = Line> + '_ {
        self.keys.iter().map(|(id, setting)| {
            let (field, value) = match &setting.value {
                KeyMaterial::File(path) => ("file", path.display().to_string()),
                KeyMaterial::Value(_) => ("value", REDACTED.to_owned()),
            };
            Line { key: format!("keys.{id}.{field}"), value, origin: setting.origin.to_string() }
        })
    }
}

fn shown(path: &str, value: &Value) -> String {
    let is_ledger = keys::find(path).is_some_and(|key| key.kind == Kind::LedgerUrl);
    match value {
        Value::Secret(url) if is_ledger => address::ledger_shown(url.expose_str().unwrap_or_default()),
        other => other.shown().unwrap_or_else(|| REDACTED.to_owned()),
    }
}
