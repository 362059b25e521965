//! What every command has: its global options, where it prints, and the configuration they lead to.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::connection::Connection;
use super::endpoint::Endpoint;
use crate::config::{Config, ConfigError, Reading};

/// How results are printed on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The global options and what they lead to.
#[derive(Debug, Clone)]
pub struct Shell {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--output`.
    pub output: Output,
    /// `--yes`: questions are answered with yes.
    pub yes: bool,
}

impl Shell {
    /// The configuration as it was read, with its problems.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading::new(self.config.as_deref(), std::env::vars_os(), Vec::new())
    }

    /// The configuration.
    ///
    /// # Errors
    /// See [`Reading::config`].
    pub fn load(&self) -> Result<Config, ConfigError> {
        self.reading().config()
    }

    /// Where Kafka is: as configured; where nothing says so, the `dev` that runs on this machine.
    ///
    /// # Errors
    /// See [`Reading::kafka`].
    pub fn endpoint(&self) -> Result<Endpoint, ConfigError> {
        let said = self.config.is_some() || std::env::var_os("PROFILE_LINKER_KAFKA__BROKERS").is_some();
        match (!said).then(Connection::find).flatten() {
            Some(connection) => Ok(Endpoint::of_dev(connection)),
            None => self.reading().kafka().map(Endpoint::of_config),
        }
    }

    /// Whether stdout takes JSON lines.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.output == Output::Json
    }

    /// Whether stderr is a terminal: only then progress is shown.
    #[must_use]
    pub fn shows_progress(&self) -> bool {
        std::io::stderr().is_terminal()
    }

    /// Prints one result: as JSON, or as this text. Colours in the text are dropped where they do not belong.
    ///
    /// # Errors
    /// The output is closed.
    pub fn line(&self, json: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let line = if self.is_json() { serde_json::to_string(json)? } else { text() };
        writeln!(anstream::stdout(), "{line}")?;
        Ok(())
    }

    /// Tells people something on stderr; nothing in JSON mode, where stderr is for logs.
    pub fn note(&self, text: &str) {
        if !self.is_json() {
            // A closed stderr has no reader to miss it.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }
}
