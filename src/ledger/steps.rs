//! The steps of an event's way that a worker writes down: started again, converted, waiting, ended.

use super::RowState;
use crate::contract::OutgoingRecord;
use crate::domain::{Attempts, EventKey, Lane, PublishSeq, ReasonCode, Stage};

/// A conversion to store.
#[derive(Clone)]
pub struct ConvertedRow {
    /// The row.
    pub key: EventKey,
    /// Its lane.
    pub lane: Lane,
    /// The permanent token, sealed.
    pub sealed_token: Vec<u8>,
    /// JSON of [`crate::contract::Account`]; no token in it.
    pub account: String,
    /// Calls made so far.
    pub attempts: Attempts,
    /// What the timeline grows by: lines of [`crate::domain::timeline`].
    pub timeline: String,
}

/// An end to store.
#[derive(Clone)]
pub struct EndedRow {
    /// The row.
    pub key: EventKey,
    /// Its lane.
    pub lane: Lane,
    /// `Linked`, `Rejected` or `DeadLettered` (which keeps the sealed bytes).
    pub state: RowState,
    /// Its number: the lane's next.
    pub publish_seq: PublishSeq,
    /// Why, unless linked.
    pub reason: Option<(ReasonCode, Stage)>,
    /// How long ago it failed first, unless never: the ledger may know of it from a wait.
    pub failed_ms_ago: Option<i64>,
    /// What is published.
    pub records: Vec<OutgoingRecord>,
    /// Calls made.
    pub attempts: Attempts,
    /// What the timeline grows by: lines of [`crate::domain::timeline`].
    pub timeline: String,
}

/// A wait to store.
#[derive(Debug, Clone)]
pub struct BackOffRow {
    /// The row.
    pub key: EventKey,
    /// Its lane.
    pub lane: Lane,
    /// Milliseconds from the ledger's now.
    pub due_in_ms: i64,
    /// Working time spent of the retry budget, milliseconds.
    pub spent_ms: i64,
    /// How long ago it failed first, unless never: the ledger may know of it from an earlier wait.
    pub failed_ms_ago: Option<i64>,
    /// Calls made so far.
    pub attempts: Attempts,
    /// What the timeline grows by: lines of [`crate::domain::timeline`].
    pub timeline: String,
}

/// A start to count: a row that is started again after an unclean end during which it was running.
#[derive(Debug, Clone, Copy)]
pub struct StartedRow {
    /// The row.
    pub key: EventKey,
    /// Its lane.
    pub lane: Lane,
    /// How often, this time included; stored as the greater of old and new, so that a repeat counts nothing twice.
    pub starts: i32,
}
