//! Pauses of the intake. One statement each, so that the pause and its audit line are there together or not at all.

use sqlx::postgres::PgPool;

use super::session::Statement;
use crate::ledger::pause::{self, Pause, PauseKind, target};
use crate::ledger::{Act, LedgerError};

const PAUSE: &str = "
WITH paused AS (
    INSERT INTO pause AS p (kind, actor, why)
    SELECT $1::text, $2::text, $3::text WHERE $1::text = 'operator' OR NOT EXISTS (
        SELECT 1 FROM audit WHERE act = 'intake-pause' AND target = $1::text AND actor = $2::text
    )
    ON CONFLICT (kind) DO UPDATE SET actor = excluded.actor, why = COALESCE(excluded.why, p.why)
    RETURNING kind
)
INSERT INTO audit (actor, act, target, why) SELECT $2::text, 'intake-pause', kind, $3::text FROM paused";
/// `$1` null: of every kind.
const RESUME: &str = "
WITH resumed AS (
    DELETE FROM pause WHERE $1::text IS NULL OR kind = $1::text RETURNING kind
), audited AS (
    INSERT INTO audit (actor, act, target, why) VALUES ($2, 'intake-resume', $3, $4)
)
SELECT kind FROM resumed ORDER BY kind DESC";
const PAUSES: &str = "
SELECT kind, (extract(epoch FROM since) * 1000)::bigint AS since, actor, why FROM pause ORDER BY pause.since, kind DESC";

pub(super) async fn pause(readers: &PgPool, kind: PauseKind, act: &Act) -> Result<(), LedgerError> {
    let statement = Statement::new(PAUSE).bind(kind.as_str())?.bind(act.actor.as_str())?.bind(act.why.as_deref())?;
    statement.ask(readers).await.map(drop)
}

pub(super) async fn resume(
    readers: &PgPool,
    kind: Option<PauseKind>,
    act: &Act,
) -> Result<Vec<PauseKind>, LedgerError> {
    let statement = Statement::new(RESUME)
        .bind(kind.map(PauseKind::as_str))?
        .bind(act.actor.as_str())?
        .bind(target(kind))?
        .bind(act.why.as_deref())?;
    statement.ask(readers).await?.iter().map(pause::kind).collect()
}

pub(super) async fn pauses(readers: &PgPool) -> Result<Vec<Pause>, LedgerError> {
    Statement::new(PAUSES).ask_soon(readers).await?.iter().map(pause::pause).collect()
}
