//! The configuration: any file, and any environment. Nothing is connected to; what is wrong is told without its secrets.
#![no_main]

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use profile_linker::config::Reading;

static FILE: LazyLock<PathBuf> =
    LazyLock::new(|| std::env::temp_dir().join(format!("profile-linker-fuzz-{}.toml", std::process::id())));

const SECRET: &str = "not-to-be-told-4711";

fuzz_target!(|text: &str| {
    // A `*_file` key names a file that is read: of those, none is waited for.
    if text.contains("_file") || text.contains("file") && text.contains("/dev") {
        return;
    }
    let variables = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (OsString::from(format!("PROFILE_LINKER_{}", name.trim())), OsString::from(value)));
    let told = |reading: &Reading| reading.config().err().map(|error| error.to_string()).unwrap_or_default();
    told(&Reading::new(None, variables, Vec::new()));
    let secret = (OsString::from("PROFILE_LINKER_TARGET__LOANPRO__TOKEN"), OsString::from(SECRET));
    if std::fs::write(&*FILE, text).is_ok() {
        let told = told(&Reading::new(Some(&FILE), [secret], Vec::new()));
        assert!(!told.contains(SECRET), "a secret is told");
    }
});
