//! The ledger on PostgreSQL.
//!
//! Properties: a write of a worker is one autocommit statement. Its first part locks the rows of its lanes, in order, and
//! only where the epoch is the claim's; everything it writes refers to that part, so a worker that lost a lane writes
//! nothing to it. The lock is `FOR NO KEY UPDATE`: a check without a lock does not fence (the statement may commit after
//! the raise), `FOR SHARE` starves the raise and deadlocks with writes that change the row.
//!
//! Design: a lane's writes always use the same one of [`WRITE_CONNECTIONS`] connections, one after the other; a raise has
//! a connection of its own, reads have a pool. A failed connection is dropped, never reused: whether its statement was
//! applied is for the caller to find out by repeating it, and each write is made so that its repeat is harmless.
//!
//! Known race: a statement whose connection was lost may still run when its repeat arrives; the repeat waits for it at the
//! lane's lock, with a snapshot from before. So whatever must see the other's rows (what was not inserted, what had ended,
//! the last number in the outbox) is read by a second statement with a snapshot of its own.

mod accept;
mod custody;
mod dead_letters;
mod end;
mod gathering;
mod lanes;
mod notes;
mod operator;
mod pauses;
mod probe;
mod purge;
mod read;
mod replacing;
mod session;
mod setup;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

pub(super) use self::probe::probe;
use self::session::WriteConnection;
pub(super) use self::setup::migrate;
use super::*;
use crate::domain::{EventKey, Lane};

/// Write connections of one worker. Each is a commit in progress; PostgreSQL flushes those of one moment together, and
/// beyond four the gain was within noise.
const WRITE_CONNECTIONS: usize = 4;
/// Connections for reads: ownership, takeover, people.
const READ_CONNECTIONS: u32 = 4;

/// See the module.
pub(super) struct PostgresLedger {
    options: PgConnectOptions,
    writers: Vec<WriteConnection>,
    readers: PgPool,
}

impl PostgresLedger {
    /// Connects when it is first used.
    pub fn new(options: &PgConnectOptions) -> Self {
        let options = session::options(options);
        let reading = session::with_timeout(&options, session::READ_TIMEOUT);
        let readers = PgPoolOptions::new()
            .max_connections(READ_CONNECTIONS)
            .acquire_timeout(session::CONNECT_TIMEOUT)
            .connect_lazy_with(reading);
        let writers = (0..WRITE_CONNECTIONS).map(|_| WriteConnection::new(options.clone())).collect();
        Self { options, writers, readers }
    }

    /// The write connection of a batch: that of its first lane, as all its lanes are of one slot.
    fn writer(&self, claims: &[Claim]) -> &WriteConnection {
        let slot = claims.first().map_or(0, |claim| self.slot(claim.lane));
        &self.writers[slot]
    }
}

#[async_trait]
impl Ledger for PostgresLedger {
    async fn identity(&self) -> Result<LedgerIdentity, LedgerError> {
        setup::identity(&self.options, &self.readers).await
    }

    async fn bind(&self, serves: &Serves) -> Result<(), LedgerError> {
        setup::bind(&self.readers, serves).await?;
        dead_letters::catch_up(&self.readers).await;
        Ok(())
    }

    async fn adopt(&self, serves: &Serves, act: &Act) -> Result<(), LedgerError> {
        operator::adopt(&self.options, serves, act).await?;
        dead_letters::catch_up(&self.readers).await;
        Ok(())
    }

    fn slots(&self) -> usize {
        self.writers.len()
    }

    async fn raise(&self, owner: &str, lanes: &[Lane]) -> Result<Vec<LaneRow>, LedgerError> {
        lanes::raise(&self.options, &self.readers, owner, lanes).await
    }

    async fn note_topic(&self, claims: &[Claim], topic_id: &str) -> Result<Vec<(Lane, Option<i64>)>, LedgerError> {
        lanes::note_topic(&self.readers, claims, topic_id).await
    }

    async fn correct_lanes(&self, corrections: &[LaneCorrection]) -> Result<Refused, LedgerError> {
        lanes::correct(&self.readers, corrections).await
    }

    async fn gather(&self, gathering: &Gathering) -> Result<Gathered, LedgerError> {
        gathering::gather(&self.options, gathering).await
    }

    async fn unfinished(&self, claims: &[Claim], only: Option<&[EventKey]>) -> Result<Vec<StoredRow>, LedgerError> {
        read::unfinished(&self.readers, claims, only).await
    }

    async fn unpublished(&self, claims: &[(Claim, i64)]) -> Result<Vec<Unpublished>, LedgerError> {
        read::unpublished(&self.readers, claims).await
    }

    async fn accept(&self, lanes: &[AcceptLane], rows: &[NewRow]) -> Result<Acceptance, LedgerError> {
        let claims: Vec<_> = lanes.iter().map(|lane| lane.claim).collect();
        accept::accept(self.writer(&claims), lanes, rows).await
    }

    async fn started(&self, claims: &[Claim], rows: &[StartedRow]) -> Result<Refused, LedgerError> {
        end::started(self.writer(claims), claims, rows).await
    }

    async fn converted(&self, claims: &[Claim], rows: &[ConvertedRow]) -> Result<Refused, LedgerError> {
        end::converted(self.writer(claims), claims, rows).await
    }

    async fn end(&self, claims: &[Claim], rows: &[EndedRow]) -> Result<Refused, LedgerError> {
        end::end(self.writer(claims), claims, rows).await
    }

    async fn back_off(&self, claims: &[Claim], rows: &[BackOffRow]) -> Result<Refused, LedgerError> {
        end::back_off(self.writer(claims), claims, rows).await
    }

    async fn save_cursors(&self, cursors: &[(Claim, i64)]) -> Result<Refused, LedgerError> {
        let claims: Vec<_> = cursors.iter().map(|(claim, _)| *claim).collect();
        lanes::save_cursors(self.writer(&claims), &claims, cursors).await
    }

    async fn epochs(&self, lanes: &[Lane]) -> Result<Vec<Claim>, LedgerError> {
        read::epochs(&self.readers, lanes).await
    }

    async fn release(&self, lanes: &[(Claim, bool)]) -> Result<Refused, LedgerError> {
        let claims: Vec<_> = lanes.iter().map(|(claim, _)| *claim).collect();
        lanes::release(self.writer(&claims), &claims, lanes).await
    }

    async fn leave_notes(&self, notes: &[(EventKey, NoteKind)]) -> Result<(), LedgerError> {
        notes::leave(&self.readers, notes).await
    }

    async fn notes(&self, claims: &[Claim]) -> Result<Vec<Note>, LedgerError> {
        notes::notes(&self.readers, claims).await
    }

    async fn remove_notes(&self, claims: &[Claim], numbers: &[i64]) -> Result<Refused, LedgerError> {
        notes::remove(&self.readers, claims, numbers).await
    }

    async fn reopen(&self, rows: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError> {
        operator::reopen(&self.options, rows, act).await
    }

    async fn pause(&self, kind: PauseKind, act: &Act) -> Result<(), LedgerError> {
        pauses::pause(&self.readers, kind, act).await
    }

    async fn resume(
        &self,
        kind: Option<PauseKind>,
        limits: FloodLimits,
        act: &Act,
    ) -> Result<Vec<PauseKind>, LedgerError> {
        pauses::resume(&self.readers, kind, limits, act).await
    }

    async fn intake(&self) -> Result<IntakeOrders, LedgerError> {
        pauses::intake(&self.readers).await
    }

    async fn purge(&self, purge: &Purge) -> Result<Purged, LedgerError> {
        purge::purge(&self.readers, purge).await
    }

    fn custody(&self) -> Option<&dyn Custody> {
        Some(self)
    }

    async fn find(&self, event_id: &str) -> Result<Vec<EventSummary>, LedgerError> {
        read::find(&self.readers, event_id).await
    }

    async fn row(&self, key: EventKey) -> Result<Option<StoredRow>, LedgerError> {
        read::row(&self.readers, key).await
    }
}

#[async_trait]
impl DeadLetters for PostgresLedger {
    async fn now_ms(&self) -> Result<i64, LedgerError> {
        dead_letters::now_ms(&self.readers).await
    }

    async fn latest_ms(&self) -> Result<i64, LedgerError> {
        dead_letters::latest_ms(&self.readers).await
    }

    async fn page(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterPlace>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, LedgerError> {
        dead_letters::page(&self.readers, filter, after, limit).await
    }

    async fn stats(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetterGroup>, LedgerError> {
        dead_letters::stats(&self.readers, filter).await
    }

    async fn discard(&self, rows: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError> {
        let states = [LetterState::DeadLettered, LetterState::Discarded];
        dead_letters::change(&self.options, rows, act, "discard", states).await
    }

    async fn restore(&self, rows: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError> {
        let states = [LetterState::Discarded, LetterState::DeadLettered];
        dead_letters::change(&self.options, rows, act, "restore", states).await
    }

    async fn replace(&self, replacement: &Replacement, act: &Act) -> Result<bool, LedgerError> {
        replacing::replace(&self.options, replacement, act).await
    }

    async fn fates(&self, keys: &[EventKey]) -> Result<Vec<Fate>, LedgerError> {
        dead_letters::fates(&self.readers, keys).await
    }

    async fn story(&self, key: EventKey) -> Result<Option<Story>, LedgerError> {
        dead_letters::story(&self.readers, key).await
    }

    async fn write_act(&self, name: &str, target: &str, act: &Act) -> Result<(), LedgerError> {
        operator::write_act(&self.options, name, target, act).await
    }

    async fn rows(&self, keys: &[EventKey]) -> Result<Vec<StoredRow>, LedgerError> {
        read::rows(&self.readers, keys).await
    }

    async fn audit(&self, filter: &AuditFilter, from: AuditFrom, limit: usize) -> Result<Vec<AuditLine>, LedgerError> {
        dead_letters::audit(&self.readers, filter, from, limit).await
    }
}
