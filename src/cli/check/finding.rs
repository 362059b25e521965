//! What a check found: one line, and what to do about it.

use serde::Serialize;

use crate::cli::text::one_line;

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
    pub fn ok(check: impl Into<String>, detail: impl AsRef<str>) -> Self {
        Self::new(check, Status::Ok, detail.as_ref(), None)
    }

    /// Unwise.
    #[must_use]
    pub fn warn(check: impl Into<String>, detail: impl AsRef<str>, fix: impl AsRef<str>) -> Self {
        Self::new(check, Status::Warn, detail.as_ref(), Some(fix.as_ref()))
    }

    /// Wrong.
    #[must_use]
    pub fn fail(check: impl Into<String>, detail: impl AsRef<str>, fix: impl AsRef<str>) -> Self {
        Self::new(check, Status::Fail, detail.as_ref(), Some(fix.as_ref()))
    }

    /// Could not be looked at, since something before it failed, which has a line of its own.
    #[must_use]
    pub fn skipped(check: impl Into<String>, because: &str) -> Self {
        Self::warn(check, format!("not looked at: see the line {because}"), format!("mend {because}, then look again"))
    }

    /// One line each, whatever a database or a broker says in its errors.
    fn new(check: impl Into<String>, status: Status, detail: &str, fix: Option<&str>) -> Self {
        Self { check: check.into(), status, detail: one_line(detail), fix: fix.map(one_line) }
    }

    /// What was found and what to do, in one line.
    #[must_use]
    pub fn told(&self) -> String {
        let fix = self.fix.as_ref().map(|fix| format!("; to do: {fix}")).unwrap_or_default();
        format!("{}: {}{fix}", self.check, self.detail)
    }
}
