//! The ledger in a file, for one process: `dev`, tests, a small installation.
//!
//! The same tables and the same semantics as on PostgreSQL, with less machinery: one connection, each write a transaction
//! begun with `BEGIN IMMEDIATE` and made durable by `synchronous=FULL`. A lock file keeps other processes out, so nothing
//! here has to think of concurrent writers; epochs are checked all the same, since a process may take a lane twice.

mod accept;
mod custody;
mod dead_letters;
mod end;
mod gathering;
mod lanes;
mod notes;
mod operator;
mod pauses;
mod purge;
mod read;
mod replacing;
mod session;
mod setup;

use std::path::Path;

use async_trait::async_trait;

use self::session::File;
pub(super) use self::setup::migrate;
use super::*;
use crate::domain::{EventKey, Lane};

/// See the module.
pub(super) struct SqliteLedger {
    file: File,
}

impl SqliteLedger {
    /// Takes the file's lock. `WrongVersion` if there is no such file, `Unusable` if there cannot be one, `InUse` if another
    /// process has it.
    pub async fn open(path: &Path) -> Result<Self, LedgerError> {
        if !path.exists() {
            session::require_directory(path)?;
            return Err(LedgerError::WrongVersion { found: 0, needed: SCHEMA_VERSION });
        }
        Ok(Self { file: File::lock(path).await? })
    }
}

#[async_trait]
impl Ledger for SqliteLedger {
    async fn identity(&self) -> Result<LedgerIdentity, LedgerError> {
        setup::identity(&self.file).await
    }

    async fn bind(&self, serves: &Serves) -> Result<(), LedgerError> {
        setup::bind(&self.file, serves).await
    }

    async fn adopt(&self, serves: &Serves, act: &Act) -> Result<(), LedgerError> {
        operator::adopt(&self.file, serves, act).await
    }

    fn slots(&self) -> usize {
        1
    }

    async fn raise(&self, owner: &str, lanes: &[Lane]) -> Result<Vec<LaneRow>, LedgerError> {
        lanes::raise(&self.file, owner, lanes).await
    }

    async fn note_topic(&self, claims: &[Claim], topic_id: &str) -> Result<Vec<(Lane, Option<i64>)>, LedgerError> {
        lanes::note_topic(&self.file, claims, topic_id).await
    }

    async fn correct_lanes(&self, corrections: &[LaneCorrection]) -> Result<Refused, LedgerError> {
        lanes::correct(&self.file, corrections).await
    }

    async fn gather(&self, gathering: &Gathering) -> Result<Gathered, LedgerError> {
        gathering::gather(&self.file, gathering).await
    }

    async fn unfinished(&self, claims: &[Claim], only: Option<&[EventKey]>) -> Result<Vec<StoredRow>, LedgerError> {
        read::unfinished(&self.file, claims, only).await
    }

    async fn unpublished(&self, claims: &[(Claim, i64)]) -> Result<Vec<Unpublished>, LedgerError> {
        read::unpublished(&self.file, claims).await
    }

    async fn accept(&self, lanes: &[AcceptLane], rows: &[NewRow]) -> Result<Acceptance, LedgerError> {
        accept::accept(&self.file, lanes, rows).await
    }

    async fn started(&self, claims: &[Claim], rows: &[StartedRow]) -> Result<Refused, LedgerError> {
        end::started(&self.file, claims, rows).await
    }

    async fn converted(&self, claims: &[Claim], rows: &[ConvertedRow]) -> Result<Refused, LedgerError> {
        end::converted(&self.file, claims, rows).await
    }

    async fn end(&self, claims: &[Claim], rows: &[EndedRow]) -> Result<Refused, LedgerError> {
        end::end(&self.file, claims, rows).await
    }

    async fn back_off(&self, claims: &[Claim], rows: &[BackOffRow]) -> Result<Refused, LedgerError> {
        end::back_off(&self.file, claims, rows).await
    }

    async fn save_cursors(&self, cursors: &[(Claim, i64)]) -> Result<Refused, LedgerError> {
        lanes::save_cursors(&self.file, cursors).await
    }

    async fn epochs(&self, lanes: &[Lane]) -> Result<Vec<Claim>, LedgerError> {
        lanes::epochs(&self.file, lanes).await
    }

    async fn release(&self, lanes: &[(Claim, bool)]) -> Result<Refused, LedgerError> {
        lanes::release(&self.file, lanes).await
    }

    async fn leave_notes(&self, notes: &[(EventKey, NoteKind)]) -> Result<(), LedgerError> {
        notes::leave(&self.file, notes).await
    }

    async fn notes(&self, claims: &[Claim]) -> Result<Vec<Note>, LedgerError> {
        notes::notes(&self.file, claims).await
    }

    async fn remove_notes(&self, claims: &[Claim], numbers: &[i64]) -> Result<Refused, LedgerError> {
        notes::remove(&self.file, claims, numbers).await
    }

    async fn reopen(&self, rows: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError> {
        operator::reopen(&self.file, rows, act).await
    }

    async fn pause(&self, kind: PauseKind, act: &Act) -> Result<(), LedgerError> {
        pauses::pause(&self.file, kind, act).await
    }

    async fn resume(
        &self,
        kind: Option<PauseKind>,
        limits: FloodLimits,
        act: &Act,
    ) -> Result<Vec<PauseKind>, LedgerError> {
        pauses::resume(&self.file, kind, limits, act).await
    }

    async fn intake(&self) -> Result<IntakeOrders, LedgerError> {
        pauses::intake(&self.file).await
    }

    async fn purge(&self, purge: &Purge) -> Result<Purged, LedgerError> {
        purge::purge(&self.file, purge).await
    }

    fn custody(&self) -> Option<&dyn Custody> {
        Some(self)
    }

    async fn find(&self, event_id: &str) -> Result<Vec<EventSummary>, LedgerError> {
        read::find(&self.file, event_id).await
    }

    async fn row(&self, key: EventKey) -> Result<Option<StoredRow>, LedgerError> {
        read::row(&self.file, key).await
    }
}

#[async_trait]
impl DeadLetters for SqliteLedger {
    async fn now_ms(&self) -> Result<i64, LedgerError> {
        dead_letters::now_ms(&self.file).await
    }

    async fn latest_ms(&self) -> Result<i64, LedgerError> {
        dead_letters::latest_ms(&self.file).await
    }

    async fn page(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterPlace>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, LedgerError> {
        dead_letters::page(&self.file, filter, after, limit).await
    }

    async fn stats(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetterGroup>, LedgerError> {
        dead_letters::stats(&self.file, filter).await
    }

    async fn discard(&self, rows: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError> {
        let states = [LetterState::DeadLettered, LetterState::Discarded];
        dead_letters::change(&self.file, rows, act, "discard", states).await
    }

    async fn restore(&self, rows: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError> {
        let states = [LetterState::Discarded, LetterState::DeadLettered];
        dead_letters::change(&self.file, rows, act, "restore", states).await
    }

    async fn replace(&self, replacement: &Replacement, act: &Act) -> Result<bool, LedgerError> {
        replacing::replace(&self.file, replacement, act).await
    }

    async fn fates(&self, keys: &[EventKey]) -> Result<Vec<Fate>, LedgerError> {
        dead_letters::fates(&self.file, keys).await
    }

    async fn story(&self, key: EventKey) -> Result<Option<Story>, LedgerError> {
        dead_letters::story(&self.file, key).await
    }

    async fn write_act(&self, name: &str, target: &str, act: &Act) -> Result<(), LedgerError> {
        operator::write_act(&self.file, name, target, act).await
    }

    async fn rows(&self, keys: &[EventKey]) -> Result<Vec<StoredRow>, LedgerError> {
        read::rows(&self.file, keys).await
    }

    async fn audit(&self, filter: &AuditFilter, from: AuditFrom, limit: usize) -> Result<Vec<AuditLine>, LedgerError> {
        dead_letters::audit(&self.file, filter, from, limit).await
    }
}
