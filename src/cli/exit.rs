//! How a command ends: the exit codes of the contract, and a failure as people read it.

use std::fmt;
use std::io;

use crate::config::ConfigError;

/// The exit codes (contract, section 4). Scripts rely on the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: failed, or an answer that means "no".
    Failed,
    /// 2: wrong arguments.
    Usage,
    /// 65: the input's data is bad.
    BadInput,
    /// 66: there is no such input file.
    NoInput,
    /// 69: a needed service is unreachable.
    Unavailable,
    /// 75: not now; trying again may help.
    TryAgain,
    /// 78: the configuration is wrong.
    BadConfig,
    /// 130: interrupted by the user.
    Interrupted,
}

impl Exit {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::BadInput,
        Self::NoInput,
        Self::Unavailable,
        Self::TryAgain,
        Self::BadConfig,
        Self::Interrupted,
    ];

    /// What it means, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed, or an answer that means \"no\"",
            Self::Usage => "wrong arguments",
            Self::BadInput => "the input's data is bad",
            Self::NoInput => "there is no such input file",
            Self::Unavailable => "a needed service is unreachable",
            Self::TryAgain => "not now; trying again may help",
            Self::BadConfig => "the configuration is wrong",
            Self::Interrupted => "interrupted",
        }
    }

    /// The number.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::BadInput => 65,
            Self::NoInput => 66,
            Self::Unavailable => 69,
            Self::TryAgain => 75,
            Self::BadConfig => 78,
            Self::Interrupted => 130,
        }
    }
}

/// Why a command failed, in three parts: what, where, what to do. None of them may hold a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    what: String,
    places: Vec<String>,
    fix: Option<String>,
}

impl Failure {
    /// A failure; `what` is lower case and without a full stop.
    #[must_use]
    pub fn new(exit: Exit, what: impl Into<String>) -> Self {
        Self { exit, what: what.into(), places: Vec::new(), fix: None }
    }

    /// Where it happened; may be called more than once.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.places.push(place.into());
        self
    }

    /// What and where, in one line.
    #[must_use]
    pub fn in_one_line(&self) -> String {
        std::iter::once(&self.what).chain(&self.places).map(String::as_str).collect::<Vec<_>>().join(": ")
    }

    /// What to do about it, as it was said.
    #[must_use]
    pub fn fix_shown(&self) -> Option<&str> {
        self.fix.as_deref()
    }

    /// What to do about it.
    #[must_use]
    pub fn fix(mut self, fix: impl Into<String>) -> Self {
        self.fix = Some(fix.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        for place in &self.places {
            write!(f, "\n  at: {place}")?;
        }
        self.fix.as_ref().map_or(Ok(()), |fix| write!(f, "\n  to do: {fix}"))
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let fix = "see `profile-linker config` for what is in effect, docs/configuration.md for what is allowed";
        Self::new(Exit::BadConfig, error.to_string()).fix(fix)
    }
}

/// The exit of an error, and its text unless it is to end quietly. `rest`: what is to be done when the reader of the output has
/// gone before its end; none for a command that only shows.
#[must_use]
pub fn judge(error: &anyhow::Error, rest: Option<&str>) -> (Exit, Option<String>) {
    if error.chain().any(is_closed_pipe) {
        // Whoever reads what a command shows has seen enough; nobody has by that asked for a part of a change.
        let unread = |rest| Failure::new(Exit::Failed, UNREAD).at("standard output").fix(rest);
        return rest.map_or((Exit::Done, None), |rest| (Exit::Failed, Some(unread(rest).to_string())));
    }
    let config = error.downcast_ref::<ConfigError>().cloned().map(Failure::from);
    match config.as_ref().or_else(|| error.downcast_ref::<Failure>()) {
        Some(failure) => (failure.exit, Some(failure.to_string())),
        None => (Exit::Failed, Some(format!("{error:#}"))),
    }
}

/// Said of a command that changes something.
const UNREAD: &str = "the reader of the output has gone, which ended the command early: not all may be done";

fn is_closed_pipe(error: &(dyn std::error::Error + 'static)) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_has_seen_enough_but_has_not_asked_for_half_a_change() {
        let gone = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("a line");
        assert_eq!(judge(&gone, None), (Exit::Done, None));
        let (exit, told) = judge(&gone, Some("start it again"));
        assert_eq!(exit, Exit::Failed);
        assert!(
            told.as_ref().is_some_and(|told| told.contains("not all") && told.ends_with("start it again")),
            "{told:?}"
        );
        let other = anyhow::Error::from(Failure::new(Exit::Unavailable, "away"));
        assert_eq!(judge(&other, Some("start it again")), (Exit::Unavailable, Some("away".to_owned())));
    }
}
