//! Orders for the intake, each with its audit line in the same transaction.

use super::operator::audit;
use super::session::File;
use crate::domain::flow_control::FloodLimits;
use crate::ledger::pause::{self, IntakeOrders, PauseKind, target};
use crate::ledger::{Act, LedgerError};

const PAUSE: &str = "
INSERT INTO pause (kind, actor, why) VALUES (?, ?, ?)
ON CONFLICT (kind) DO UPDATE SET actor = excluded.actor, why = COALESCE(excluded.why, pause.why)";
/// Whether the flood guard's act was done before.
const DONE: &str = "SELECT 1 FROM audit WHERE act = 'intake-pause' AND target = ? AND actor = ?";
/// `?1` null: of every kind.
const RESUMED: &str = "SELECT kind FROM pause WHERE ?1 IS NULL OR kind = ?1 ORDER BY kind DESC";
const RESUME: &str = "DELETE FROM pause WHERE ?1 IS NULL OR kind = ?1";
const CONFIGURED: &str = "DELETE FROM flood_limit";
const NAMED: &str = "INSERT INTO flood_limit (only_row, run, share, actor, why) VALUES (1, ?, ?, ?, ?)";
const ORDERS: &str = "
SELECT kind, since, actor, why, NULL AS run, NULL AS share FROM pause
UNION ALL
SELECT 'limits', since, actor, why, run, share FROM flood_limit
UNION ALL
SELECT 'clock', CAST(unixepoch('subsec') * 1000 AS INTEGER), '', NULL, NULL, NULL
ORDER BY since, kind DESC";

pub(super) async fn pause(file: &File, kind: PauseKind, act: &Act) -> Result<(), LedgerError> {
    let mut work = file.write().await?;
    let done = work.row(sqlx::query(DONE).bind(kind.as_str()).bind(act.actor.as_str())).await?.is_some();
    if done && kind == PauseKind::FloodGuard {
        return work.commit().await;
    }
    work.run(sqlx::query(PAUSE).bind(kind.as_str()).bind(act.actor.as_str()).bind(act.why.as_deref())).await?;
    audit(&mut work, act, "intake-pause", kind.as_str()).await?;
    work.commit().await
}

pub(super) async fn resume(
    file: &File,
    kind: Option<PauseKind>,
    limits: FloodLimits,
    act: &Act,
) -> Result<Vec<PauseKind>, LedgerError> {
    let name = kind.map(PauseKind::as_str);
    let mut work = file.write().await?;
    let resumed = work.rows(sqlx::query(RESUMED).bind(name)).await?;
    work.run(sqlx::query(RESUME).bind(name)).await?;
    work.run(sqlx::query(CONFIGURED)).await?;
    if limits != FloodLimits::default() {
        let named = sqlx::query(NAMED).bind(limits.run).bind(limits.share);
        work.run(named.bind(act.actor.as_str()).bind(act.why.as_deref())).await?;
    }
    audit(&mut work, act, "intake-resume", &target(kind, limits)).await?;
    work.commit().await?;
    resumed.iter().map(pause::kind).collect()
}

pub(super) async fn intake(file: &File) -> Result<IntakeOrders, LedgerError> {
    let mut work = file.read().await?;
    let rows = work.rows(sqlx::query(ORDERS)).await?;
    work.done();
    pause::orders(&rows)
}
