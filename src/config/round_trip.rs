//! What `config` shows is what a file may say: written down and read again it is in effect as before.

use std::ffi::OsString;

use proptest::prelude::*;

use super::REDACTED;
use super::every_key::good;
use super::keys::{Key, environment_name};
use super::kind::Kind;
use super::reading::Reading;
use super::table::KEYS;

/// A hundred keys and their values are read twice a case.
const CASES: u32 = 1_000;

/// Some of the keys, each with one of the values that it allows, as the environment spells them.
fn settings() -> impl Strategy<Value = Vec<(&'static Key, String)>> {
    let some = prop::sample::subsequence(KEYS.iter().collect::<Vec<_>>(), 0..KEYS.len());
    (some, any::<prop::sample::Index>()).prop_map(|(keys, which)| {
        let one_of = |key: &Key| {
            let values = good(key.kind);
            values[which.index(values.len())].1.clone()
        };
        keys.into_iter().map(|key| (key, one_of(key))).collect()
    })
}

fn variables<'a>(settings: impl Iterator<Item = &'a (&'static Key, String)>) -> Vec<(OsString, OsString)> {
    settings.map(|(key, value)| (environment_name(key.path).into(), value.into())).collect()
}

/// Text is shown without its quotes. TOML reads the escapes of JSON.
fn as_toml(path: &str, shown: &str) -> String {
    let kind = KEYS.iter().find(|key| key.path == path).map(|key| key.kind);
    match kind {
        Some(Kind::Switch | Kind::Count(..) | Kind::Number(..)) => shown.to_owned(),
        _ => serde_json::json!(shown).to_string(),
    }
}

/// Every value in effect, without where it came from.
fn in_effect(reading: &Reading) -> Vec<(String, String)> {
    reading.effective().into_iter().map(|line| (line.key, line.value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(CASES) })]

    #[test]
    fn what_is_in_effect_is_read_back_from_a_file_that_says_it(settings in settings()) {
        let before = Reading::new(None, variables(settings.iter()), Vec::new());
        prop_assert_eq!(&before.problems, &[]);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("worker.toml");
        let is_secret = |path: &str| KEYS.iter().any(|key| key.path == path && key.kind.is_secret());
        let told: Vec<_> = in_effect(&before).into_iter().filter(|(key, _)| !is_secret(key)).collect();
        prop_assert!(told.iter().all(|(_, value)| value != REDACTED));
        let lines: Vec<String> = told.iter().map(|(key, value)| format!("{key} = {}\n", as_toml(key, value))).collect();
        std::fs::write(&file, lines.concat()).unwrap();
        let secrets = variables(settings.iter().filter(|(key, _)| key.kind.is_secret()));
        let after = Reading::new(Some(&file), secrets, Vec::new());
        prop_assert_eq!(&after.problems, &[]);
        prop_assert_eq!(in_effect(&after), in_effect(&before));
    }
}
