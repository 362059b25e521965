//! Orders for the intake. One statement each, so that the order and its audit line are there together or not at all.

use sqlx::postgres::PgPool;

use super::session::Statement;
use crate::domain::flow_control::FloodLimits;
use crate::ledger::pause::{self, IntakeOrders, PauseKind, target};
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
/// `$1` null: of every kind. `$5` and `$6` null: the configured limits count.
const RESUME: &str = "
WITH resumed AS (
    DELETE FROM pause WHERE $1::text IS NULL OR kind = $1::text RETURNING kind
), configured AS (
    DELETE FROM flood_limit WHERE $5::bigint IS NULL AND $6::float8 IS NULL
), named AS (
    INSERT INTO flood_limit (run, share, actor, why)
    SELECT $5::bigint, $6::float8, $2::text, $4::text WHERE $5::bigint IS NOT NULL OR $6::float8 IS NOT NULL
    ON CONFLICT (only_row) DO UPDATE
    SET run = excluded.run, share = excluded.share, since = excluded.since, actor = excluded.actor, why = excluded.why
), audited AS (
    INSERT INTO audit (actor, act, target, why) VALUES ($2::text, 'intake-resume', $3, $4::text)
)
SELECT kind FROM resumed ORDER BY kind DESC";
const ORDERS: &str = "
SELECT kind, (extract(epoch FROM o.since) * 1000)::bigint AS since, actor, why, run, share
FROM (
    SELECT kind, since, actor, why, NULL::bigint AS run, NULL::float8 AS share FROM pause
    UNION ALL
    SELECT 'limits', since, actor, why, run, share FROM flood_limit
    UNION ALL
    SELECT 'clock', clock_timestamp(), '', NULL, NULL, NULL
) o
ORDER BY o.since, kind DESC";

pub(super) async fn pause(readers: &PgPool, kind: PauseKind, act: &Act) -> Result<(), LedgerError> {
    let statement = Statement::new(PAUSE).bind(kind.as_str())?.bind(act.actor.as_str())?.bind(act.why.as_deref())?;
    statement.ask(readers).await.map(drop)
}

pub(super) async fn resume(
    readers: &PgPool,
    kind: Option<PauseKind>,
    limits: FloodLimits,
    act: &Act,
) -> Result<Vec<PauseKind>, LedgerError> {
    let statement = Statement::new(RESUME)
        .bind(kind.map(PauseKind::as_str))?
        .bind(act.actor.as_str())?
        .bind(target(kind, limits))?
        .bind(act.why.as_deref())?
        .bind(limits.run.map(i64::from))?
        .bind(limits.share)?;
    statement.ask(readers).await?.iter().map(pause::kind).collect()
}

pub(super) async fn intake(readers: &PgPool) -> Result<IntakeOrders, LedgerError> {
    pause::orders(&Statement::new(ORDERS).ask_soon(readers).await?)
}
