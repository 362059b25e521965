//! What is wrong with a configuration: everything at once, each with its name, its origin and what is allowed.

use std::fmt;

use super::origin::Origin;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key's dotted path.
    pub key: String,
    /// The value as given; `None` for a secret, for an unknown key (it may be a misspelt secret) and where nothing is set.
    pub value: Option<String>,
    /// Where it was set; `None` where nothing is set.
    pub origin: Option<Origin>,
    /// What is wrong, and what is allowed.
    pub message: String,
}

impl Problem {
    /// A problem of a key that is not set.
    #[must_use]
    pub fn missing(key: &str, message: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: None, origin: None, message: message.into() }
    }

    /// A problem of a key that is set, without its value.
    #[must_use]
    pub fn at(key: &str, origin: &Origin, message: impl Into<String>) -> Self {
        Self { key: key.to_owned(), value: None, origin: Some(origin.clone()), message: message.into() }
    }

    /// The same problem with the value shown. Never call it with a secret.
    #[must_use]
    pub fn showing(mut self, value: impl Into<String>) -> Self {
        self.value = Some(value.into());
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        if let Some(value) = &self.value {
            write!(f, " = {value}")?;
        }
        if let Some(origin) = &self.origin {
            write!(f, " ({origin})")?;
        }
        write!(f, ": {}", self.message)
    }
}

/// A configuration that cannot be used; holds at least one problem.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    /// What is wrong, in the order of the keys.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// `Err` with these problems, `Ok` if there are none.
    ///
    /// # Errors
    /// The problems, sorted by key.
    pub fn unless_empty(mut problems: Vec<Problem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        problems.sort_by(|a, b| a.key.cmp(&b.key));
        Err(Self { problems })
    }
}

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.problems.len();
        write!(f, "the configuration has {count} problem{}", if count == 1 { "" } else { "s" })?;
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}
