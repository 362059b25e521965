//! The effective configuration: one TOML file, every key overridable from the environment.
//!
//! `table` lists every key once; defaults, checks, environment names, the `config` command and the reference come from
//! it. [`Reading`] puts the layers together and collects what is wrong, all of it at once; [`Reading::config`] makes the
//! typed [`Config`]. No value of a secret is ever part of a problem.

mod access;
mod address;
mod build;
mod cross;
mod duration;
mod effective;
mod error;
#[cfg(test)]
mod every_key;
mod keys;
mod kind;
mod layers;
mod limits;
mod needs;
mod origin;
mod properties;
mod reading;
mod reference;
#[cfg(test)]
mod round_trip;
mod schema;
mod sealing;
pub mod settings;
mod table;
mod timeouts;

use std::ffi::OsString;
use std::path::Path;

pub use address::{is_plain_beyond_loopback, is_unverified_beyond_loopback, is_web, ledger_shown};
pub use duration::{format as format_duration, parse as parse_duration};
pub use effective::{Line, REDACTED};
pub use error::{ConfigError, Problem};
pub use layers::Override;
pub use limits::{pause_after_run, pause_share};
pub use origin::Origin;
pub use reading::Reading;
pub use reference::reference;
pub use schema::schema;
pub use sealing::{KEY_LENGTH, line_of as line_of_file};
pub use settings::*;

/// Reads and checks everything: file, then environment, then options.
///
/// # Errors
/// Every problem at once; see [`ConfigError`].
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
    overrides: Vec<Override<'_>>,
) -> Result<Config, ConfigError> {
    Reading::new(file, environment, overrides).config()
}
