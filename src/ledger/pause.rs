//! What people and the flood guard order of the intake: rows of the ledger, so that every worker obeys them and a restart does
//! not forget them.

use super::LedgerError;
use super::decode::Columns;
use crate::domain::flow_control::FloodLimits;

/// What a row has in the place of a pause's kind that names limits.
const LIMITS: &str = "limits";
/// What stands there in the row that says when the orders were read.
const CLOCK: &str = "clock";

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

/// The flood guard's limits that were named at the last resumption.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedLimits {
    /// Which.
    pub limits: FloodLimits,
    /// Since when, milliseconds since 1970 by the ledger's clock.
    pub since: i64,
    /// Who resumed.
    pub by: String,
    /// Why, if a reason was given.
    pub why: Option<String>,
}

/// All that holds of the intake.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IntakeOrders {
    /// The pauses, the oldest first; none: the intake goes on.
    pub pauses: Vec<Pause>,
    /// What counts in the place of the flood guard's configured limits.
    pub limits: Option<NamedLimits>,
    /// When they stood so, milliseconds since 1970 by the ledger's clock.
    pub at: i64,
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
pub(super) fn target(kind: Option<PauseKind>, limits: FloodLimits) -> String {
    let what = kind.map_or("all", PauseKind::as_str).to_owned();
    [vec![what], limits.named()].concat().join(", ")
}

/// The rows of `pause` and of `flood_limit`, and the ledger's clock, one below the other.
pub(super) fn orders(rows: &[impl Columns]) -> Result<IntakeOrders, LedgerError> {
    let mut orders = IntakeOrders::default();
    for row in rows {
        let (since, by, why) = (row.int("since")?, row.text("actor")?, row.optional_text("why")?);
        match row.text("kind")?.as_str() {
            CLOCK => orders.at = since,
            LIMITS => orders.limits = Some(NamedLimits { limits: limits(row)?, since, by, why }),
            name => orders.pauses.push(Pause { kind: PauseKind::of_name(name)?, since, by, why }),
        }
    }
    Ok(orders)
}

fn limits(row: &impl Columns) -> Result<FloodLimits, LedgerError> {
    let run = row.optional_int("run")?.map(u32::try_from).transpose();
    let run = run.map_err(|_| LedgerError::Damaged("the flood guard's limit is out of range".to_owned()))?;
    Ok(FloodLimits { run, share: row.optional_number("share")? })
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
