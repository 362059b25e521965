//! `[keys]`: the sealing keys, each 32 bytes in base64 on one line.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use data_encoding::BASE64;
use zeroize::Zeroizing;

use super::error::Problem;
use super::keys::environment_name;
use super::reading::{KeyMaterial, Reading, Setting};
use crate::domain::Secret;

/// Length of a sealing key in bytes (XChaCha20-Poly1305).
pub const KEY_LENGTH: usize = 32;
/// No secret is longer, so a path that names the wrong file is noticed without reading it whole. In bytes.
const SECRET_FILE_LIMIT: u64 = 64 * 1024;
/// Longest key id: it is written before every sealed blob, with one byte for its length.
const ID_LIMIT: usize = 255;

/// The keys with their bytes; what is wrong with them goes to `problems`.
pub fn keys(reading: &Reading, problems: &mut Vec<Problem>) -> Vec<(String, Secret)> {
    let mut keys = Vec::new();
    for (id, setting) in &reading.keys {
        match bytes(setting) {
            Ok(bytes) if id.len() <= ID_LIMIT => keys.push((id.clone(), bytes)),
            Ok(_) => problems.push(Problem::at(&format!("keys.{id}"), &setting.origin, "has too long an id")),
            Err(message) => problems.push(Problem::at(&format!("keys.{id}"), &setting.origin, message)),
        }
    }
    check_active(reading, problems);
    keys
}

fn check_active(reading: &Reading, problems: &mut Vec<Problem>) {
    let Ok(active) = reading.text("keys.active") else {
        return;
    };
    let told = problems.iter().any(|problem| problem.key.starts_with("keys."));
    if !told && !reading.keys.is_empty() && !reading.keys.contains_key(&active) {
        let known = reading.keys.keys().cloned().collect::<Vec<_>>().join(", ");
        let problem = Problem::missing("keys.active", format!("names no key of [keys]; there is {known}"));
        problems.push(problem.showing(format!("{active:?}")));
    }
}

/// What to do where no key is configured at all.
#[must_use]
pub fn advice(active: &str) -> String {
    let variable = environment_name(&format!("keys.{active}.file"));
    format!(
        "no key is configured; run `profile-linker keys generate --out {active}.key` and set keys.{active}.file, or {variable}"
    )
}

fn bytes(setting: &Setting<KeyMaterial>) -> Result<Secret, String> {
    let (line, place) = match &setting.value {
        KeyMaterial::Value(secret) => {
            (Zeroizing::new(secret.expose_str().unwrap_or_default().to_owned()), "the value".to_owned())
        }
        KeyMaterial::File(path) => (line_of(path)?, path.display().to_string()),
    };
    let bytes = BASE64.decode(line.as_bytes()).ok().filter(|bytes| bytes.len() == KEY_LENGTH);
    bytes.map(Secret::new).ok_or_else(|| {
        format!("{place} must be {KEY_LENGTH} bytes in base64 on one line; `profile-linker keys generate` makes one")
    })
}

/// The one line of a secret's file, without its line end.
///
/// # Errors
/// A text that names the path, never the content.
pub fn line_of(path: &Path) -> Result<Zeroizing<String>, String> {
    let place = path.display();
    let unreadable = |error: io::Error| format!("{place} cannot be read: {error}");
    // Read up to the limit and no further: a device tells no length.
    let mut text = Zeroizing::new(String::new());
    let file = File::open(path).map_err(unreadable)?;
    file.take(SECRET_FILE_LIMIT + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > SECRET_FILE_LIMIT {
        return Err(format!("{place} is too large for a secret: more than {SECRET_FILE_LIMIT} bytes"));
    }
    let line = Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned());
    if line.is_empty() { Err(format!("{place} is empty")) } else { Ok(line) }
}
