//! What goes into the ledger and comes out of it.

use crate::contract::OutgoingRecord;
use crate::domain::{Attempts, Customer, Epoch, EventIdentity, EventKey, Lane, Origin, PublishSeq, ReasonCode, Stage};

use super::Refused;

/// Who a ledger is.
#[derive(Debug, Clone)]
pub struct LedgerIdentity {
    /// 8 random bytes made by `migrate`.
    pub ledger_id: [u8; 8],
    /// The payload hash's key, sealed (AAD `hash-key`); made once, never changed.
    pub sealed_hash_key: Vec<u8>,
    /// When it was last made to serve something else, or declared to be restored; milliseconds since 1970 by the ledger's
    /// clock. Records with an older timestamp are possibly sent for ever.
    pub adopted_at: Option<i64>,
}

/// An act of an operator, for the table `audit`.
#[derive(Debug, Clone)]
pub struct Act {
    /// Who.
    pub actor: String,
    /// Why, if a reason was given.
    pub why: Option<String>,
}

/// What a ledger serves: stored at first use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serves {
    /// Kafka's cluster id.
    pub cluster_id: String,
    /// Consumer group.
    pub group: String,
    /// Input topic.
    pub topic: String,
}

/// A worker's title to a lane: its writes are refused once the lane's epoch is another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Claim {
    /// The lane.
    pub lane: Lane,
    /// The epoch under which it was taken.
    pub epoch: Epoch,
}

/// A lane as its new owner finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneRow {
    /// The lane with its new epoch.
    pub claim: Claim,
    /// Whether the predecessor released it cleanly (or there was none).
    pub clean: bool,
    /// The next offset to accept; `None` if nothing was ever accepted.
    pub position: Option<i64>,
    /// The highest `publish_seq` known to be published; 0 if none.
    pub saved_cursor: i64,
    /// The highest `publish_seq` in the outbox or at or below the cursor; 0 if none.
    pub last_seq: i64,
    /// Records below this offset were possibly sent before (a restored ledger); 0 if none.
    pub suspect_below: i64,
    /// The id of the topic that its position is of, as noted last; `None` if never.
    pub topic_id: Option<String>,
}

/// What Kafka's word changes about a lane just taken over.
#[derive(Debug, Clone, Copy)]
pub struct LaneCorrection {
    /// The title.
    pub claim: Claim,
    /// The next offset to accept, stored as it is (not the greater one): `None` = from the earliest.
    pub position: Option<i64>,
    /// A cursor known to be published: the saved cursor becomes at least this, outbox rows at or below it go.
    pub cursor: i64,
    /// Records below this offset were possibly sent before; only grows. 0: none.
    pub suspect_below: i64,
    /// The ledger was restored from the past: every unfinished or dead-lettered row of the lane becomes possibly sent.
    pub restored: bool,
}

/// Where a row stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowState {
    /// Accepted; its conversion (permanent token: its link) may have been sent.
    Accepted = 1,
    /// Permanent token stored; its link may have been sent.
    Converted = 2,
    /// Linked.
    Linked = 3,
    /// Finally rejected.
    Rejected = 4,
    /// Dead-lettered: kept for replay.
    DeadLettered = 5,
}

/// A lane's part of an acceptance.
#[derive(Debug, Clone, Copy)]
pub struct AcceptLane {
    /// The title.
    pub claim: Claim,
    /// The offset after the batch's last record of this lane.
    pub position: i64,
    /// The number of the first row of this lane that ends at once.
    pub first_seq: PublishSeq,
}

/// A record to accept.
#[derive(Clone)]
pub struct NewRow {
    /// Its key.
    pub key: EventKey,
    /// Its lane.
    pub lane: Lane,
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, milliseconds; -1 if none.
    pub timestamp: i64,
    /// Its identity; `None` for unreadable records and conflicts.
    pub identity: Option<EventIdentity>,
    /// Its customer, if valid.
    pub customer: Option<Customer>,
    /// Keyed hash of its payload (of its bytes, where there is no payload).
    pub payload_hash: [u8; 32],
    /// 1, or that of a replayed record.
    pub generation: i32,
    /// The original record, sealed.
    pub sealed_record: Vec<u8>,
    /// Whether it may have been sent before (restored ledger, old record).
    pub possibly_sent: bool,
    /// Set where it ends at once.
    pub ended: Option<EndedAtOnce>,
}

/// How a row that ends at once ends.
#[derive(Clone)]
pub struct EndedAtOnce {
    /// `Rejected` or `DeadLettered`.
    pub state: RowState,
    /// Why.
    pub reason: (ReasonCode, Stage),
    /// What is published.
    pub records: Vec<OutgoingRecord>,
}

/// What became of the rows of an acceptance, in their order.
#[derive(Debug, Default)]
pub struct Acceptance {
    /// One for each row.
    pub rows: Vec<Accepted>,
    /// Lanes that are no longer ours.
    pub refused: Refused,
}

/// What became of one row.
#[derive(Debug)]
pub enum Accepted {
    /// Inserted. A row that ended at once has its number.
    New {
        /// The row's place among the lane's results.
        publish_seq: Option<PublishSeq>,
    },
    /// It stands there with this very origin: accepted before.
    Ours(Box<StoredRow>),
    /// The next generation of a row that is dead-lettered: not written here, to be asked for by [`super::Ledger::reopen`].
    Replays,
    /// Another record with the same identity and payload.
    Duplicate,
    /// Another record with the same identity and another payload: needs a row of its own.
    Conflict,
    /// Its lane was refused.
    Refused,
}

impl Accepted {
    /// Whether this outcome of a record of that generation is an unfinished replay: it is taken up by its note, like every other,
    /// since only then is it known whether there is room for it, and what overtook it.
    #[must_use]
    pub fn waits_for_its_note(&self, generation: i32) -> bool {
        match self {
            Self::New { publish_seq } => generation > 1 && publish_seq.is_none(),
            Self::Ours(row) => row.is_replay() && row.state.is_unfinished(),
            Self::Replays | Self::Duplicate | Self::Conflict | Self::Refused => false,
        }
    }
}

/// A row as it stands in the ledger.
#[derive(Clone)]
pub struct StoredRow {
    /// Its key.
    pub key: EventKey,
    /// The lane that works on it: its record's partition, unless the topic has that no longer.
    pub lane: Lane,
    /// The partition where its record stood: part of its origin, and of what its record is sealed for.
    pub partition: i32,
    /// The epoch under which it was accepted (or last reopened).
    pub epoch: Epoch,
    /// Its offset.
    pub offset: i64,
    /// Its record's timestamp.
    pub timestamp: i64,
    /// Where it stands.
    pub state: RowState,
    /// Its generation.
    pub generation: i32,
    /// Calls made so far, as far as they were written down.
    pub attempts: Attempts,
    /// Milliseconds until it is due by the ledger's clock; 0 if it is.
    pub due_in_ms: i64,
    /// Working time spent of its retry budget, milliseconds.
    pub spent_ms: i64,
    /// How often it was started again after an unclean end during which it was running.
    pub starts: i32,
    /// First failure, milliseconds since 1970 by the ledger's clock.
    pub first_failed_at: Option<i64>,
    /// Whether it may have been sent before it was accepted here.
    pub possibly_sent: bool,
    /// Its number, once it ended.
    pub publish_seq: Option<PublishSeq>,
    /// The topic that its record came from, where it is another than the one that the ledger serves now.
    pub topic: Option<String>,
    /// The original record, sealed; empty once erased.
    pub sealed_record: Vec<u8>,
    /// The permanent token, sealed; from `Converted` on.
    pub sealed_token: Option<Vec<u8>>,
    /// The converter's account, JSON of [`crate::contract::Account`]; from `Converted` on.
    pub account: Option<String>,
    /// The title markers of the events that it replaces, as a person edited them; empty for all others.
    pub replaced_markers: Vec<String>,
    /// It is a replay, and a later event of its customer was linked: told by [`super::Ledger::unfinished`] only.
    pub overtaken: bool,
}

impl StoredRow {
    /// Where its record stood, in a ledger that serves the topic `served`.
    #[must_use]
    pub fn origin(&self, served: &str) -> Origin {
        origin(self.topic.as_deref().unwrap_or(served), Lane(self.partition), self.offset, self.timestamp)
    }

    /// Whether a person brought it back: it is out of the input's order, and may have been begun before.
    #[must_use]
    pub fn is_replay(&self) -> bool {
        self.generation > 1 || !self.replaced_markers.is_empty()
    }
}

pub(super) fn origin(topic: &str, lane: Lane, offset: i64, timestamp: i64) -> Origin {
    Origin { topic: topic.to_owned(), partition: lane.0, offset, timestamp }
}

impl std::fmt::Debug for StoredRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredRow")
            .field("key", &self.key)
            .field("lane", &self.lane.0)
            .field("offset", &self.offset)
            .field("state", &self.state)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// What a note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoteKind {
    /// A link outcome that was refused by epoch: its profile may be there.
    LinkSent = 1,
    /// The row was reopened by an operator: its lane's owner picks it up.
    Reopened = 2,
}

/// Something left for the owner of a row's lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// Its number, never given twice.
    pub number: i64,
    /// The row's lane.
    pub lane: Lane,
    /// The row.
    pub key: EventKey,
    /// What it says.
    pub kind: NoteKind,
}

/// A dead-lettered row to reopen: only with the generation that the operator saw.
#[derive(Debug, Clone, Copy)]
pub struct Reopening {
    /// The row.
    pub key: EventKey,
    /// Its generation.
    pub generation: i32,
}

/// An ended row's records that were perhaps not published yet.
#[derive(Debug, Clone)]
pub struct Unpublished {
    /// Its lane.
    pub lane: Lane,
    /// Its number.
    pub publish_seq: PublishSeq,
    /// Its records, in the order in which they were given.
    pub records: Vec<OutgoingRecord>,
}

/// One event, for people.
#[derive(Debug, Clone)]
pub struct EventSummary {
    /// Its identity.
    pub identity: EventIdentity,
    /// Its key.
    pub key: EventKey,
    /// Where it stands.
    pub state: RowState,
    /// Its generation.
    pub generation: i32,
    /// Calls made.
    pub attempts: Attempts,
    /// Its customer.
    pub customer: Option<Customer>,
    /// When it was accepted, milliseconds since 1970 by the ledger's clock.
    pub accepted_at: i64,
    /// When it ended, by the same clock; `None` while it has not.
    pub ended_at: Option<i64>,
    /// Why it was rejected, if it was: the code.
    pub reason: Option<String>,
    /// Its timeline: lines of [`crate::domain::timeline`].
    pub timeline: String,
}
