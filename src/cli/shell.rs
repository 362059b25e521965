//! What every command has: its global options, where it prints, and the configuration they lead to.

use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;

use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
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

/// What a command that needs a ledger can do beside a `dev` that has its own open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BesideDev {
    /// It can ask the topics instead.
    AskTopics,
    /// It must wait until that has ended.
    Wait,
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

/// A line from the terminal; nothing where a signal came first. A read would be begun again after it, a wait is not.
fn answer() -> std::io::Result<String> {
    let stdin = std::io::stdin();
    match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], None) {
        Err(Errno::INTR) => return Ok(String::new()),
        Err(error) => return Err(error.into()),
        Ok(_) => {}
    }
    let mut answer = String::new();
    stdin.read_line(&mut answer)?;
    Ok(answer)
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

    /// A failure to reach what the configuration names, where nothing names anything and a `dev` runs here that may be meant: its
    /// ledger serves it alone, and its topics serve all.
    #[must_use]
    pub fn beside_dev(&self, error: anyhow::Error, can: BesideDev) -> anyhow::Error {
        let names =
            |name: &str| name.starts_with("PROFILE_LINKER_LEDGER__") || name.starts_with("PROFILE_LINKER_KAFKA__");
        let is_said = self.config.is_some() || std::env::vars_os().any(|(name, _)| name.to_str().is_some_and(names));
        let failure =
            error.downcast_ref::<Failure>().filter(|one| matches!(one.exit, Exit::Unavailable | Exit::BadConfig));
        let config = failure.filter(|_| !is_said).and_then(|_| Connection::find()?.config);
        match (failure, config) {
            (Some(failure), Some(config)) => {
                let config = config.display();
                let meanwhile = match can {
                    BesideDev::AskTopics => format!(", so ask its topics meanwhile, by --from-topic --config {config}"),
                    BesideDev::Wait => String::new(),
                };
                let fix = format!(
                    "if the `dev` that runs here is meant: its ledger is its own until it has ended{meanwhile}; afterwards \
                     --config {config} leads to it. Else name your configuration by --config"
                );
                failure.clone().fix(fix).into()
            }
            _ => error,
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

    /// Asks a question that is answered with yes or no. Off a terminal nobody is asked, and `--yes` answers for them. Whoever does
    /// not say yes, by an end of input or a signal either, is told that nothing was done.
    ///
    /// # Errors
    /// The terminal cannot be read.
    pub fn confirm(&self, question: &str) -> anyhow::Result<bool> {
        if self.yes || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Ok(true);
        }
        // A closed stderr has no reader to miss it.
        let _ = write!(anstream::stderr(), "{question} [y/N] ");
        let answer = answer()?;
        let is_yes = matches!(answer.trim(), "y" | "Y" | "yes");
        if !is_yes {
            // Where no line was given, the question's is not ended.
            let end = if answer.ends_with('\n') { "" } else { "\n" };
            let _ = writeln!(anstream::stderr(), "{end}nothing was done");
        }
        Ok(is_yes)
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

    /// Tells something on stderr that scripts have to know, too.
    pub fn warn(&self, text: &str) {
        // A closed stderr has no reader to miss it.
        let _ = writeln!(anstream::stderr(), "{text}");
    }

    /// Tells people something on stderr; nothing in JSON mode, where stderr is for logs.
    pub fn note(&self, text: &str) {
        if !self.is_json() {
            self.warn(text);
        }
    }
}
