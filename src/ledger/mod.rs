//! The ledger owns the work: what is accepted, what is unfinished, what is ended and waits to be published.
//!
//! The port is a handful of whole business steps that take batches. Every write is one autocommit statement whose
//! condition on the lane's epoch *locks* the lane's row, so that a worker that lost a lane cannot write to it; its answer
//! names the lanes refused, the others' rows are written. A lane's writes always use the same connection
//! ([`Ledger::slot`]), so that a worker does not block itself.

mod address;
mod batch;
mod codes;
pub mod custody;
mod dead_letters;
mod decode;
mod failure;
mod gathering;
pub mod hash_key;
pub mod migration;
mod pause;
mod postgres;
mod probe;
mod purge;
mod replacing;
pub mod rotation;
mod rows;
mod setup;
mod sqlite;
mod steps;
pub mod vault;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;

pub use custody::Custody;
pub use dead_letters::{
    AuditFilter, AuditFrom, AuditLine, DeadLetter, DeadLetterFilter, DeadLetterGroup, DeadLetterPlace, DeadLetters,
    Fate, LetterState, Story,
};
pub use gathering::{Gathered, Gathering};
pub use hash_key::HashKey;
pub use migration::{MigrationStatus, MigrationStep, migrate};
pub use pause::{IntakeOrders, NamedLimits, Pause, PauseKind};
pub use probe::{LedgerProbe, probe};
pub use purge::{Purge, PurgePlace, Purged};
pub use replacing::Replacement;
pub use rows::*;
pub use steps::{BackOffRow, ConvertedRow, EndedRow, StartedRow};
pub use vault::Vault;

use crate::domain::flow_control::FloodLimits;
use crate::domain::{EventKey, Lane, Secret};

/// The schema version this build reads and writes.
pub const SCHEMA_VERSION: i64 = 9;

/// So many notes are told at once: more than an owner can act on in the second until it asks again.
pub const NOTES_AT_ONCE: usize = 1000;

/// Why the ledger did not do a step.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// Connection lost, statement timed out, disk full: whether a write was applied is unknown. The same write may be
    /// repeated.
    #[error("ledger unavailable: {0}")]
    Unavailable(String),
    /// A SQLite file that another process has open: it is well, and serves one process only.
    #[error("{0}")]
    InUse(String),
    /// The schema is missing, older or newer.
    #[error("the ledger's schema is version {found}, this build needs {needed}")]
    WrongVersion {
        /// 0: no schema at all.
        found: i64,
        /// [`SCHEMA_VERSION`].
        needed: i64,
    },
    /// The ledger serves another cluster, group or topic.
    #[error("the ledger serves {serves}, not {asked}")]
    ServesAnother {
        /// What is stored.
        serves: String,
        /// What was asked.
        asked: String,
    },
    /// A stored value cannot be what we wrote.
    #[error("damaged ledger: {0}")]
    Damaged(String),
    /// Configuration: an address or key that cannot be used.
    #[error("{0}")]
    Unusable(String),
}

/// The ledger. PostgreSQL for real use, SQLite embedded; one contract suite for both.
#[async_trait]
pub trait Ledger: Send + Sync + 'static {
    /// Who this ledger is. Fails with `WrongVersion` unless its schema is [`SCHEMA_VERSION`].
    async fn identity(&self) -> Result<LedgerIdentity, LedgerError>;

    /// Binds the ledger to what it serves at first use; `ServesAnother` for anything else later.
    async fn bind(&self, serves: &Serves) -> Result<(), LedgerError>;

    /// Makes the ledger serve something else from now on, or declares that it was restored from the past: stores what it
    /// serves and the time, marks every unfinished or dead-lettered row possibly sent, forgets the lanes' positions, topic
    /// ids and suspect offsets if cluster or topic is another, writes an audit line (`adopt-ledger`). Claims from before are
    /// worth nothing after it, and no lane counts as cleanly released: whoever held one wrote to another ledger, or an
    /// earlier state of this one. One transaction; workers that take lanes meanwhile may end it, so do it before.
    async fn adopt(&self, serves: &Serves, act: &Act) -> Result<(), LedgerError>;

    /// How many write connections there are; [`Ledger::slot`] is below it.
    fn slots(&self) -> usize;

    /// The write connection of a lane. Batches of one write step must be of one slot.
    fn slot(&self, lane: Lane) -> usize {
        usize::try_from(lane.0).unwrap_or(0) % self.slots()
    }

    /// Takes lanes over: raises each epoch by one, makes `owner` the owner and marks the lane as held (not cleanly
    /// released). Answers the lanes as they were with their new epochs. A raise that waits longer than 5 s ends the
    /// sessions that block it.
    async fn raise(&self, owner: &str, lanes: &[Lane]) -> Result<Vec<LaneRow>, LedgerError>;

    /// Notes the id of the input topic. Lanes that knew another one forget their position (the topic was made anew, its
    /// offsets mean other records). Answers each lane's position as it now stands.
    async fn note_topic(&self, claims: &[Claim], topic_id: &str) -> Result<Vec<(Lane, Option<i64>)>, LedgerError>;

    /// Corrects lanes right after a raise, by what Kafka says; fenced like every write.
    async fn correct_lanes(&self, corrections: &[LaneCorrection]) -> Result<Refused, LedgerError>;

    /// Gathers what is left in lanes that the topic no longer has, in one transaction: raises their epochs, moves unfinished and
    /// dead-lettered rows with the claim's lane, as accepted under its epoch before, and results above the saved cursors with
    /// numbers from `first_seq` on. Nothing, where the claim is no longer the lane's. What was moved is moved once; a lane of the
    /// present topic is left alone. Rows that have ended, and were published, stay.
    async fn gather(&self, gathering: &Gathering) -> Result<Gathered, LedgerError>;

    /// The unfinished rows of these lanes, by lane and offset, in a statement that returns a lane's rows only while the
    /// claim's epoch is still the lane's. `only`: of these keys; without it, those that were reopened and whose note is still
    /// there are left out: [`Ledger::notes`] brings them, so that an owner takes up as many as it has room for. Of replays it is
    /// told whether they are overtaken, and that they are if that cannot be told soon: the safe side.
    async fn unfinished(&self, claims: &[Claim], only: Option<&[EventKey]>) -> Result<Vec<StoredRow>, LedgerError>;

    /// The outbox of these lanes beyond the given cursors, by lane and number; the same condition.
    async fn unpublished(&self, claims: &[(Claim, i64)]) -> Result<Vec<Unpublished>, LedgerError>;

    /// Accepts records. Inserts what is new in one statement, reads what was not inserted in a second one, classifies it.
    /// A lane's position is stored by the first statement only if all of the lane's rows in this batch were inserted
    /// (a conflict among them still needs a row of its own); call again with the conflicts' rows, or none, to store it.
    /// Rows that end at once are numbered from their lane's `first_seq` on, without a gap, in the order given.
    async fn accept(&self, lanes: &[AcceptLane], rows: &[NewRow]) -> Result<Acceptance, LedgerError>;

    /// Counts starts. Written before such a row is started.
    async fn started(&self, claims: &[Claim], rows: &[StartedRow]) -> Result<Refused, LedgerError>;

    /// Stores permanent tokens: from now on these rows may have been linked.
    async fn converted(&self, claims: &[Claim], rows: &[ConvertedRow]) -> Result<Refused, LedgerError>;

    /// Ends rows: state, outbox records under their `publish_seq`, secrets erased unless kept. Repeating the same write
    /// after an unknown outcome is a success.
    async fn end(&self, claims: &[Claim], rows: &[EndedRow]) -> Result<Refused, LedgerError>;

    /// Stores due time (in the ledger's clock), spent budget and attempts of waiting rows.
    async fn back_off(&self, claims: &[Claim], rows: &[BackOffRow]) -> Result<Refused, LedgerError>;

    /// Stores published cursors (they only grow) and removes outbox rows at or below them.
    async fn save_cursors(&self, cursors: &[(Claim, i64)]) -> Result<Refused, LedgerError>;

    /// The present epochs of these lanes: one cheap read that confirms ownership.
    async fn epochs(&self, lanes: &[Lane]) -> Result<Vec<Claim>, LedgerError>;

    /// Gives lanes up; `clean` where no call of the lane is on the wire.
    async fn release(&self, lanes: &[(Claim, bool)]) -> Result<Refused, LedgerError>;

    /// Leaves notes for whoever owns the rows' lanes. Not fenced: that is what they are for. A key without a row is left out.
    async fn leave_notes(&self, notes: &[(EventKey, NoteKind)]) -> Result<(), LedgerError>;

    /// The notes of these lanes' rows, those of links first, each kind by number, at most [`NOTES_AT_ONCE`]; only while
    /// the claim's epoch is still the lane's.
    async fn notes(&self, claims: &[Claim]) -> Result<Vec<Note>, LedgerError>;

    /// Removes notes that were acted on; fenced by the lane of each note's row.
    async fn remove_notes(&self, claims: &[Claim], numbers: &[i64]) -> Result<Refused, LedgerError>;

    /// Reopens dead-lettered rows, each only if it is dead-lettered with this generation, was not discarded, and its record is
    /// there: next generation, accepted (or converted, if its permanent token is there), due at once, nothing spent, no
    /// starts, under the lane's present epoch; the record no longer kept; a `Reopened` note and an audit line (`replay`, the
    /// key in hex).
    /// The outbox, attempts, first failure, timeline, number and `possibly_sent` stay. Answers the keys reopened: the repeat
    /// of a reopening that was applied answers none.
    async fn reopen(&self, rows: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError>;

    /// Pauses the intake of every worker and writes an audit line (`intake-pause`, the kind). A pause that is there keeps its
    /// `since` and takes the new name, and the new reason if there is one: so two workers, or a repeat, make one pause. The flood
    /// guard's is one act by its actor's name: asked again under the same name, whatever became of it since, it changes nothing
    /// and leaves no line. So the repeat of a write whose answer was lost does not undo what an operator resumed meanwhile.
    async fn pause(&self, kind: PauseKind, act: &Act) -> Result<(), LedgerError>;

    /// Takes the pause of this kind away, `None`: all of them, and writes an audit line (`intake-resume`, the kind or `all`, and
    /// the limits), also where there was none. Answers the kinds that were there. `limits` are the flood guard's from now on, in
    /// the place of those that were named before: none named, and the configured ones count again.
    async fn resume(
        &self,
        kind: Option<PauseKind>,
        limits: FloodLimits,
        act: &Act,
    ) -> Result<Vec<PauseKind>, LedgerError>;

    /// The present pauses and the limits that were named. One cheap read.
    async fn intake(&self) -> Result<IntakeOrders, LedgerError>;

    /// Looks at the next old rows and removes those that may go, with all that belongs to them (input, event, sealed record
    /// and token, notes): ended and published at or below the saved cursor for as long as `purge` says. Oldest first, at most
    /// `limit` looked at. Asks for no claim, since what may go cannot come back but by an operator's reopening, which it never
    /// waits for nor undoes: a row that somebody is writing to is passed over.
    async fn purge(&self, purge: &Purge) -> Result<Purged, LedgerError>;

    /// The operators' side of it; `None` where nothing is kept that would outlive the process.
    fn custody(&self) -> Option<&dyn Custody> {
        None
    }

    /// Events with this id, whatever their source.
    async fn find(&self, event_id: &str) -> Result<Vec<EventSummary>, LedgerError>;

    /// The row of a key, if there is one; for tests and diagnosis.
    async fn row(&self, key: EventKey) -> Result<Option<StoredRow>, LedgerError>;
}

/// The lanes of a write whose epoch is no longer the claim's: none of their rows were written.
pub type Refused = BTreeSet<Lane>;

/// Opens the ledger at `url`: `postgres://...`, `sqlite:relative.db` or `sqlite:///absolute.db`. Makes no schema;
/// [`Ledger::identity`] tells whether there is the right one.
///
/// # Errors
/// `Unusable` for an address that cannot be used; its text never repeats the address. PostgreSQL is connected to when it
/// is first used. For SQLite, `WrongVersion` if there is no such file, `Unavailable` if another process uses it.
pub async fn open(url: &Secret) -> Result<Arc<dyn Ledger>, LedgerError> {
    Ok(open_with_dead_letters(url).await?.0)
}

/// Opens the ledger at `url` for a worker and for an operator: the same ledger, by its two ports.
///
/// # Errors
/// See [`open`].
pub async fn open_with_dead_letters(url: &Secret) -> Result<(Arc<dyn Ledger>, Arc<dyn DeadLetters>), LedgerError> {
    Ok(match address::Address::parse(url)? {
        address::Address::Postgres(options) => {
            let ledger = Arc::new(postgres::PostgresLedger::new(&options));
            (Arc::clone(&ledger) as _, ledger as _)
        }
        address::Address::Sqlite(path) => {
            let ledger = Arc::new(sqlite::SqliteLedger::open(&path).await?);
            (Arc::clone(&ledger) as _, ledger as _)
        }
    })
}
