//! Typed access to checked values by their path.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::error::{ConfigError, Problem};
use super::kind::Value;
use super::reading::Reading;
use super::settings::SecretSource;

/// Typed access by path. A value that is not there or of another kind is a fault of the table or of [`super::cross`], told as a
/// problem of that key instead of ending the process.
impl Reading {
    fn value<T>(&self, path: &str, pick: impl FnOnce(&Value) -> Option<T>) -> Result<T, ConfigError> {
        let picked = self.values.get(path).and_then(|setting| pick(&setting.value));
        picked.ok_or_else(|| Problem::missing(path, "is required").into())
    }

    pub(super) fn text(&self, path: &str) -> Result<String, ConfigError> {
        self.value(path, |value| if let Value::Text(text) = value { Some(text.clone()) } else { None })
    }

    pub(super) fn duration(&self, path: &str) -> Result<Duration, ConfigError> {
        self.value(path, |value| if let Value::Duration(length) = value { Some(*length) } else { None })
    }

    pub(super) fn switch(&self, path: &str) -> Result<bool, ConfigError> {
        self.value(path, |value| if let Value::Switch(on) = value { Some(*on) } else { None })
    }

    pub(super) fn listen(&self, path: &str) -> Result<SocketAddr, ConfigError> {
        self.value(path, |value| if let Value::Listen(listen) = value { Some(*listen) } else { None })
    }

    pub(super) fn count<T: TryFrom<i64>>(&self, path: &str) -> Result<T, ConfigError> {
        self.value(path, |value| if let Value::Count(number) = value { T::try_from(*number).ok() } else { None })
    }

    pub(super) fn number(&self, path: &str) -> Result<f64, ConfigError> {
        self.value(path, |value| if let Value::Number(number) = value { Some(*number) } else { None })
    }

    pub(super) fn optional_number(&self, path: &str) -> Option<f64> {
        self.number(path).ok()
    }

    pub(super) fn optional_file(&self, path: &str) -> Option<PathBuf> {
        self.value(path, |value| if let Value::File(file) = value { Some(file.clone()) } else { None }).ok()
    }

    pub(super) fn secret(&self, path: &str) -> Result<SecretSource, ConfigError> {
        self.optional_secret(path).ok_or_else(|| Problem::missing(path, "is required").into())
    }

    pub(super) fn optional_secret(&self, path: &str) -> Option<SecretSource> {
        if let Some(file) = self.secret_files.get(path) {
            return Some(SecretSource::File(file.value.clone()));
        }
        match &self.values.get(path)?.value {
            Value::Secret(secret) => Some(SecretSource::Value(secret.clone())),
            _ => None,
        }
    }
}
