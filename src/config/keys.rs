//! What a configuration key is, how keys are found, and how environment variables are named after them.

use super::kind::Kind;
use super::table;

/// What every environment variable of ours begins with.
pub const ENVIRONMENT_PREFIX: &str = "PROFILE_LINKER_";
/// How much alike two names must be (0..1) for one to be suggested for the other.
const LIKENESS: f64 = 0.6;

/// One key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Key {
    /// Dotted path.
    pub path: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// The default, as it would stand in an environment variable; `None`: not set, or required where its table is used.
    pub default: Option<&'static str>,
    /// One line for the reference.
    pub doc: &'static str,
}

/// What a path names.
#[derive(Debug, Clone, PartialEq)]
pub enum Slot {
    /// A key of the table.
    Known(&'static Key),
    /// The `*_file` twin of a secret key.
    Twin(&'static Key),
    /// `kafka.properties.<librdkafka's name>`.
    Property(String),
    /// `keys.<id>.file`.
    KeyFile(String),
    /// `keys.<id>.value`.
    KeyValue(String),
    /// Nothing that we know.
    Unknown,
}

/// What a path names.
#[must_use]
pub fn slot(path: &str) -> Slot {
    if let Some(key) = find(path) {
        return Slot::Known(key);
    }
    if let Some(key) = path.strip_suffix("_file").and_then(find).filter(|key| key.kind.is_secret()) {
        return Slot::Twin(key);
    }
    if let Some(name) = path.strip_prefix("kafka.properties.") {
        return Slot::Property(name.to_owned());
    }
    key_material(path).unwrap_or(Slot::Unknown)
}

fn key_material(path: &str) -> Option<Slot> {
    let (id, field) = path.strip_prefix("keys.")?.rsplit_once('.')?;
    match field {
        "file" => Some(Slot::KeyFile(id.to_owned())),
        "value" => Some(Slot::KeyValue(id.to_owned())),
        _ => None,
    }
}

/// The key of this path.
#[must_use]
pub fn find(path: &str) -> Option<&'static Key> {
    table::KEYS.iter().find(|key| key.path == path)
}

/// Whether the path is a table that holds keys.
#[must_use]
pub fn is_table(path: &str) -> bool {
    let within = |key: &Key| key.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.'));
    path == "kafka.properties" || table::KEYS.iter().any(within)
}

/// The known path that is most like an unknown one, if one is like it at all.
#[must_use]
pub fn nearest(path: &str) -> Option<String> {
    let names = table::KEYS.iter().flat_map(|key| {
        let twin = key.kind.is_secret().then(|| format!("{}_file", key.path));
        std::iter::once(key.path.to_owned()).chain(twin)
    });
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(path, name);
    let near = names.filter(|name| may_be_like(path, name)).map(|name| (likeness(&name), name));
    let best = near.max_by(|a, b| a.0.total_cmp(&b.0))?;
    (best.0 >= LIKENESS).then_some(best.1)
}

/// Whether two names have enough characters in common, wherever they stand: each one that they do not costs an edit. Counting them
/// is cheap, and the distance is not: a file full of keys that nobody knows is told at once, too.
fn may_be_like(path: &str, name: &str) -> bool {
    let longest = path.chars().count().max(name.chars().count());
    let mut left = [0_usize; 128];
    for byte in name.bytes() {
        left[usize::from(byte & 127)] += 1;
    }
    let common = path.bytes().filter(u8::is_ascii).filter(|byte| {
        let left = &mut left[usize::from(*byte)];
        std::mem::replace(left, left.saturating_sub(1)) > 0
    });
    common.count() as f64 >= LIKENESS * longest as f64
}

/// The environment variable of a path: `target.loanpro.token` is `PROFILE_LINKER_TARGET__LOANPRO__TOKEN`.
#[must_use]
pub fn environment_name(path: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", path.to_ascii_uppercase().replace('.', "__"))
}

/// The path of an environment variable; the reverse of [`environment_name`]. `None` if it is not one of ours.
#[must_use]
pub fn environment_path(name: &str) -> Option<String> {
    let rest = name.strip_prefix(ENVIRONMENT_PREFIX)?;
    Some(rest.to_ascii_lowercase().replace("__", "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_allowed_and_every_path_is_there_once() {
        let mut paths = std::collections::BTreeSet::new();
        for key in table::KEYS {
            assert!(paths.insert(key.path), "{} is there twice", key.path);
            let Some(default) = key.default else { continue };
            let raw = super::super::kind::Raw::Loose(default.to_owned().into());
            assert!(key.kind.check(&raw).is_some(), "{} = {default}", key.path);
        }
    }

    #[test]
    fn an_environment_variable_names_its_path_and_back() {
        assert_eq!(environment_name("target.loanpro.token"), "PROFILE_LINKER_TARGET__LOANPRO__TOKEN");
        for key in table::KEYS {
            assert_eq!(environment_path(&environment_name(key.path)).as_deref(), Some(key.path));
        }
    }

    #[test]
    fn a_misspelt_key_finds_its_neighbour_and_a_strange_one_finds_none() {
        assert_eq!(nearest("kafka.broker").as_deref(), Some("kafka.brokers"));
        assert_eq!(nearest("target.loanpro.tokenfile").as_deref(), Some("target.loanpro.token_file"));
        assert_eq!(nearest("zzz"), None);
    }

    #[test]
    fn counting_characters_first_passes_over_no_neighbour() {
        let misspelt =
            |path: &str| [path.to_owned(), path.replace('o', "e"), path.chars().rev().collect(), path[3..].to_owned()];
        for path in table::KEYS.iter().flat_map(|key| misspelt(key.path)) {
            for key in table::KEYS {
                let like = strsim::normalized_damerau_levenshtein(&path, key.path) >= LIKENESS;
                assert!(!like || may_be_like(&path, key.path), "{path} {}", key.path);
            }
        }
        assert!(!may_be_like("keys.aaaaaaaaaaaaaaaaaaaaaaaaaaaa", "keys.active"), "it spares what it is for");
    }
}
