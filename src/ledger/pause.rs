//! Pauses of the intake: rows of the ledger, so that every worker obeys them and a restart does not forget them.

use super::LedgerError;
use super::decode::Columns;

/// Who pauses the intake. Each kind has its own row: to resume one of them leaves the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PauseKind {
    /// A person.
    Operator,
    /// The flood guard: too many events ended as dead letters.
    FloodGuard,
}

/// A pause as it stands in the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Whose.
    pub kind: PauseKind,
    /// Since when, milliseconds since 1970 by the ledger's clock; that of the first time, however often it is written.
    pub since: i64,
    /// Who wrote it last.
    pub by: String,
    /// Why, if a reason was given; the last one.
    pub why: Option<String>,
}

impl PauseKind {
    /// Every kind.
    pub const ALL: [Self; 2] = [Self::Operator, Self::FloodGuard];

    /// The name in the ledger's column, in metrics and in answers; must never change.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::FloodGuard => "flood_guard",
        }
    }

    fn of_name(name: &str) -> Result<Self, LedgerError> {
        let named = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        named.ok_or_else(|| LedgerError::Damaged(format!("pause kind {name:?}")))
    }
}

/// What the audit line of a resumption names.
pub(super) fn target(kind: Option<PauseKind>) -> &'static str {
    kind.map_or("all", PauseKind::as_str)
}

/// A row of `pause`.
pub(super) fn pause(row: &impl Columns) -> Result<Pause, LedgerError> {
    Ok(Pause { kind: kind(row)?, since: row.int("since")?, by: row.text("actor")?, why: row.optional_text("why")? })
}

/// The kind of a row of `pause`.
pub(super) fn kind(row: &impl Columns) -> Result<PauseKind, LedgerError> {
    PauseKind::of_name(&row.text("kind")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_read_back_as_they_were_written_and_others_are_damage() {
        for kind in PauseKind::ALL {
            assert_eq!(PauseKind::of_name(kind.as_str()).unwrap(), kind);
        }
        assert!(matches!(PauseKind::of_name("all"), Err(LedgerError::Damaged(_))));
    }
}
