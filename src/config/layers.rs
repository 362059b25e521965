//! The layers a value may come from, flattened to dotted paths: file, then environment, then options.

use std::ffi::OsString;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::error::Problem;
use super::keys::{self, ENVIRONMENT_PREFIX};
use super::kind::Raw;
use super::origin::Origin;

/// Variables with our prefix that are not keys: the options of the command line, and what tests tell each other.
const NOT_KEYS: [&str; 2] = ["PROFILE_LINKER_CONFIG", "PROFILE_LINKER_DATA_DIR"];
const TEST_PREFIX: &str = "PROFILE_LINKER_TEST_";

/// A value as it was set.
pub struct Entry {
    /// Dotted path.
    pub path: String,
    /// As written.
    pub raw: Raw,
    /// Where.
    pub origin: Origin,
}

/// The values of a TOML file. What cannot be read is a problem, and then no value of the file is used.
pub fn from_file(path: &Path, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) => {
            problems.push(Problem::missing(&path.display().to_string(), format!("the file cannot be read: {error}")));
            return Vec::new();
        }
    };
    let source = Source { path, text: &text };
    let (table, errors) = DeTable::parse_recoverable(&text);
    // The parser's message only: its full text quotes the line, and the line may hold a secret.
    problems.extend(errors.iter().map(|error| {
        let start = error.span().map_or(0, |span| span.start);
        Problem::at("TOML", &source.origin(start), error.message())
    }));
    let mut entries = Vec::new();
    if errors.is_empty() {
        source.flatten("", table.get_ref(), &mut entries);
    }
    entries
}

struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn origin(&self, start: usize) -> Origin {
        let before = self.text.get(..start).unwrap_or(self.text);
        Origin::File { path: self.path.to_owned(), line: before.matches('\n').count() + 1 }
    }

    fn flatten(&self, prefix: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
        for (name, value) in table {
            let path =
                if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
            match value.get_ref() {
                DeValue::Table(inner) if !inner.is_empty() => self.flatten(&path, inner, entries),
                DeValue::Table(_) if keys::is_table(&path) || path == "keys" => {}
                _ => entries.push(Entry { path, raw: raw(value), origin: self.origin(name.span().start) }),
            }
        }
    }
}

fn raw(value: &Spanned<DeValue<'_>>) -> Raw {
    match value.get_ref() {
        DeValue::String(text) => Raw::Text(Zeroizing::new(text.to_string())),
        DeValue::Boolean(on) => Raw::Switch(*on),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(Raw::Other("integer beyond 64 bits"), Raw::Integer),
        DeValue::Float(number) => number.as_str().parse().map_or(Raw::Other("float"), Raw::Float),
        other => Raw::Other(other.type_str()),
    }
}

/// The values of the environment: every variable with our prefix.
pub fn from_environment(
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    problems: &mut Vec<Problem>,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, value) in variables {
        let Some(name) = name.to_str().filter(|name| is_key(name)) else {
            continue;
        };
        let Some(path) = keys::environment_path(name) else {
            continue;
        };
        let origin = Origin::Environment(name.to_owned());
        match value.into_string() {
            Ok(text) => entries.push(Entry { path, raw: Raw::Loose(Zeroizing::new(text)), origin }),
            Err(_) => problems.push(Problem::at(&path, &origin, "is not UTF-8 text")),
        }
    }
    entries
}

fn is_key(name: &str) -> bool {
    name.starts_with(ENVIRONMENT_PREFIX) && !name.starts_with(TEST_PREFIX) && !NOT_KEYS.contains(&name)
}

/// A value set by an option of the command line.
pub struct Override<'a> {
    /// Dotted path of the key.
    pub path: &'a str,
    /// The option's name, such as `--admin`.
    pub flag: &'a str,
    /// The value.
    pub value: String,
}

/// The values of the command line.
pub fn from_overrides(overrides: Vec<Override<'_>>) -> Vec<Entry> {
    let entry = |one: Override<'_>| Entry {
        path: one.path.to_owned(),
        raw: Raw::Loose(Zeroizing::new(one.value)),
        origin: Origin::Flag(one.flag.to_owned()),
    };
    overrides.into_iter().map(entry).collect()
}
