//! What a check found: one line, and what to do about it.

use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Unwise, or not to be seen from here.
    Warn,
    /// The worker cannot do its work so, or records would be lost.
    Fail,
}

/// One line of `check`. The names are the contract's; scripts rely on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: String,
    /// How bad it is.
    pub status: Status,
    /// What was found.
    pub detail: String,
    /// What to do about it; none where all is well.
    pub fix: Option<String>,
}

impl Finding {
    /// All is well.
    #[must_use]
    pub fn ok(check: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Ok, detail: detail.into(), fix: None }
    }

    /// Unwise.
    #[must_use]
    pub fn warn(check: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Warn, detail: detail.into(), fix: Some(fix.into()) }
    }

    /// Wrong.
    #[must_use]
    pub fn fail(check: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { check: check.into(), status: Status::Fail, detail: detail.into(), fix: Some(fix.into()) }
    }

    /// What was found and what to do, in one line.
    #[must_use]
    pub fn told(&self) -> String {
        let fix = self.fix.as_ref().map(|fix| format!("; to do: {fix}")).unwrap_or_default();
        format!("{}: {}{fix}", self.check, self.detail)
    }
}
