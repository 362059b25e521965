//! What every command has: its global options, where it prints, and the configuration they lead to.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use super::connection::Connection;
use super::endpoint::Endpoint;
use super::exit::{Exit, Failure};
use super::text::escaped;
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

/// Prints bytes as they are.
///
/// # Errors
/// The output is closed, or full (1).
pub(super) fn print(bytes: &[u8]) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout();
    written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

/// What a write to standard output came to. A reader that has gone has seen enough, which the error itself tells.
///
/// # Errors
/// See [`print`].
pub(super) fn written(result: std::io::Result<()>) -> anyhow::Result<()> {
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(error.into()),
        Err(error) => Err(Failure::new(Exit::Failed, format!("the output cannot be written: {error}"))
            .at("standard output")
            .fix("make room where it goes, or send it elsewhere")
            .into()),
    }
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

    /// Asks a question that is answered with yes or no. Off a terminal nobody is asked, and `--yes` answers for them.
    ///
    /// # Errors
    /// The terminal cannot be read.
    pub fn confirm(&self, question: &str) -> anyhow::Result<bool> {
        if self.yes || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Ok(true);
        }
        // A closed stderr has no reader to miss it.
        let _ = write!(anstream::stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
    }

    /// Prints one result: as JSON, or as this text. Colours in the text are dropped where they do not belong.
    ///
    /// # Errors
    /// The output is closed.
    pub fn line(&self, json: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        let line = if self.is_json() { escaped(&serde_json::to_string(json)?) } else { text() };
        let mut stdout = anstream::stdout();
        written(writeln!(stdout, "{line}").and_then(|()| stdout.flush()))
    }

    /// Tells people something on stderr; nothing in JSON mode, where stderr is for logs.
    pub fn note(&self, text: &str) {
        if !self.is_json() {
            // A closed stderr has no reader to miss it.
            let _ = writeln!(anstream::stderr(), "{text}");
        }
    }
}
