//! Dead letters as an operator sees them: found by filter in pages, counted in groups, set aside and taken back.
//!
//! A port of its own beside [`super::Ledger`]: no worker needs it, and what it changes is never an event's progress. To replay is
//! [`super::Ledger::reopen`].

use async_trait::async_trait;

use super::decode::{Columns, attempts, customer, optional_identity};
use super::{Act, LedgerError, Reopening, Replacement, RowState, StoredRow};
use crate::domain::{Attempts, Customer, EventIdentity, EventKey, Lane};

/// The dead letters of a ledger.
#[async_trait]
pub trait DeadLetters: Send + Sync + 'static {
    /// The ledger's clock, milliseconds since 1970: what ages are counted from.
    async fn now_ms(&self) -> Result<i64, LedgerError>;

    /// The same, or when the newest dead letter ended if that is later: none that is there is of after this, though the clock was put back.
    async fn latest_ms(&self) -> Result<i64, LedgerError>;

    /// The next dead letters behind `after` that the filter admits, at most `limit`: the first accepted first, and those of one
    /// partition in the order of the input. A page is found by its place, so what is replayed meanwhile shifts nothing.
    async fn page(
        &self,
        filter: &DeadLetterFilter,
        after: Option<DeadLetterPlace>,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, LedgerError>;

    /// What the filter admits, by reason and stage, the most frequent first.
    async fn stats(&self, filter: &DeadLetterFilter) -> Result<Vec<DeadLetterGroup>, LedgerError>;

    /// Sets dead letters aside, each only if it is dead-lettered with this generation: it is listed only when asked for, and not
    /// replayed; it goes with its retention, as any dead letter. An audit line each (`discard`, the key in hex). Answers the keys
    /// discarded: a repeat answers none.
    async fn discard(&self, rows: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError>;

    /// Takes discarded dead letters back, under the same conditions (`restore`), but for those that were replaced. Answers their keys.
    async fn restore(&self, rows: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError>;

    /// Puts an edited event in the place of a dead letter, if that is dead-lettered with the generation that was seen: a row of its
    /// own in the same lane, with a `Reopened` note for its owner. The dead letter is discarded for good; an audit line (`edit`, its
    /// key in hex). One write, or nothing. Answers whether it was done: the repeat of one that was applied answers no.
    async fn replace(&self, replacement: &Replacement, act: &Act) -> Result<bool, LedgerError>;

    /// How these rows stand now; one that is gone is left out.
    async fn fates(&self, keys: &[EventKey]) -> Result<Vec<Fate>, LedgerError>;

    /// These rows as they stand, sealed bytes included, in no order; one that is gone is left out.
    async fn rows(&self, keys: &[EventKey]) -> Result<Vec<StoredRow>, LedgerError>;

    /// Everything that a person may know of one of them.
    async fn story(&self, key: EventKey) -> Result<Option<Story>, LedgerError>;

    /// Writes an act down that changes nothing here: an audit line of this name.
    async fn write_act(&self, name: &str, target: &str, act: &Act) -> Result<(), LedgerError>;

    /// What people did to the ledger, a page of it in the order that `from` tells; at most `limit` lines.
    async fn audit(&self, filter: &AuditFilter, from: AuditFrom, limit: usize) -> Result<Vec<AuditLine>, LedgerError>;
}

/// Where a dead letter stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LetterState {
    /// It may be replayed.
    DeadLettered = 1,
    /// It was replayed and has not ended again.
    Replaying = 2,
    /// A person set it aside.
    Discarded = 3,
}

impl LetterState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::DeadLettered, Self::Replaying, Self::Discarded];

    /// The name in the contract.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DeadLettered => "dead-lettered",
            Self::Replaying => "replaying",
            Self::Discarded => "discarded",
        }
    }

    /// Its column value; must never change.
    pub(super) fn code(self) -> i16 {
        self as i16
    }

    fn of_code(code: i64) -> Result<Self, LedgerError> {
        let found = Self::ALL.into_iter().find(|state| i64::from(state.code()) == code);
        found.ok_or_else(|| LedgerError::Damaged(format!("dead letter state {code}")))
    }
}

/// Which dead letters; what is `None` does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadLetterFilter {
    /// In one of these states; empty: in none.
    pub states: Vec<LetterState>,
    /// With this reason code.
    pub reason: Option<String>,
    /// Rejected at this stage.
    pub stage: Option<String>,
    /// Of this link target.
    pub customer_system: Option<String>,
    /// Of a customer with this id, in any spelling of its letters.
    pub customer_id: Option<String>,
    /// With this CloudEvents id.
    pub event_id: Option<String>,
    /// Dead-lettered at or after this time, milliseconds since 1970 by the ledger's clock.
    pub since: Option<i64>,
    /// Dead-lettered at or before this time.
    pub until: Option<i64>,
    /// Whose record stood here: partition and offset.
    pub place: Option<(i32, i64)>,
    /// The topic of that place, where it is another than the one that the ledger serves now.
    pub place_topic: Option<String>,
}

/// A dead letter's place among the others. Made by [`DeadLetter::place`] only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterPlace {
    /// When it was accepted, in the ledger's own unit.
    pub(super) accepted_at: i64,
    pub(super) lane: Lane,
    pub(super) offset: i64,
    pub(super) key: EventKey,
}

/// A dead letter, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Its row.
    pub key: EventKey,
    /// Where it stands.
    pub state: LetterState,
    /// The generation that it is of; of one that is replaying, the new one.
    pub generation: i32,
    /// Its identity; `None` if its record has none.
    pub identity: Option<EventIdentity>,
    /// The partition where its record stood.
    pub lane: Lane,
    /// Its offset there.
    pub offset: i64,
    /// Its record's timestamp.
    pub timestamp: i64,
    /// The topic of its record, where it is another than the one that the ledger serves now.
    pub topic: Option<String>,
    /// Its customer, if it has a valid one.
    pub customer: Option<Customer>,
    /// Why it was dead-lettered last.
    pub reason: String,
    /// At which stage.
    pub stage: String,
    /// Calls made until then.
    pub attempts: Attempts,
    /// When, milliseconds since 1970 by the ledger's clock.
    pub dead_lettered_at: i64,
    /// When its record was accepted, in the ledger's own unit: for its place only.
    pub accepted_at: i64,
}

/// Dead letters of one reason and stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetterGroup {
    /// The reason code.
    pub reason: String,
    /// The stage.
    pub stage: String,
    /// How many.
    pub count: u64,
    /// Seconds since the first of them was dead-lettered.
    pub oldest_age_s: u64,
    /// Seconds since the last one was.
    pub newest_age_s: u64,
    /// How many customers they are of.
    pub customers: u64,
    /// The id of one of them, if one has an id.
    pub example: Option<String>,
}

/// How a row stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fate {
    /// The row.
    pub key: EventKey,
    /// Its state.
    pub state: RowState,
    /// Its generation.
    pub generation: i32,
}

/// What is known of one dead letter beside its line in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Story {
    /// When it was accepted, milliseconds since 1970 by the ledger's clock.
    pub accepted_at: i64,
    /// Its first failure.
    pub first_failed_at: Option<i64>,
    /// Whether it may have been sent before it was accepted here.
    pub possibly_sent: bool,
    /// Whether its token was converted: a replay never does that again.
    pub converted: bool,
    /// Lines of [`crate::domain::timeline`].
    pub timeline: String,
    /// The id of the event whose place it took, while that has a row.
    pub replaces: Option<String>,
    /// Whether another event took its place once a person edited it: then it stays discarded.
    pub is_replaced: bool,
    /// The id of that event, while it has a row.
    pub replaced_by: Option<String>,
}

/// Where a page of the audit table begins, and which way it goes. Lines are known by their numbers, which only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditFrom {
    /// The latest first.
    Latest,
    /// The latest first, of those before this line.
    Before(i64),
    /// The earliest first, of those after this line; 0: from the first one.
    After(i64),
}

impl AuditFrom {
    /// The number behind which, or before which, the page begins.
    pub(super) fn number(self) -> i64 {
        match self {
            Self::Latest => i64::MAX,
            Self::Before(number) | Self::After(number) => number,
        }
    }
}

/// Which acts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this person only.
    pub actor: Option<String>,
    /// This act only.
    pub act: Option<String>,
    /// On the row of this key only, in hex.
    pub target: Option<String>,
    /// At or after this time, milliseconds since 1970 by the ledger's clock.
    pub since: Option<i64>,
    /// At or before this time.
    pub until: Option<i64>,
}

/// An act, as it was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Its number; they grow.
    pub number: i64,
    /// When, milliseconds since 1970 by the ledger's clock.
    pub at: i64,
    /// Who.
    pub actor: String,
    /// What: `replay`, `discard`, `restore`, `edit`, `intake-pause`, ...
    pub act: String,
    /// On what: a row's key in hex, or a name.
    pub target: String,
    /// The id of the event that the target is, while it has a row.
    pub event_id: Option<String>,
    /// Why, if a reason was given.
    pub why: Option<String>,
}

impl DeadLetter {
    /// Its place among the others.
    #[must_use]
    pub fn place(&self) -> DeadLetterPlace {
        DeadLetterPlace { accepted_at: self.accepted_at, lane: self.lane, offset: self.offset, key: self.key }
    }

    /// The generation that was dead-lettered: of one that is being replayed, the one before.
    #[must_use]
    pub fn dead_lettered_generation(&self) -> i32 {
        self.generation - i32::from(self.state == LetterState::Replaying)
    }

    /// What to ask for to change it as it was seen.
    #[must_use]
    pub fn as_seen(&self) -> Reopening {
        Reopening { key: self.key, generation: self.generation }
    }

    pub(super) fn of_row(row: &impl Columns) -> Result<Self, LedgerError> {
        Ok(Self {
            key: row.key("key")?,
            state: LetterState::of_code(row.int("state")?)?,
            generation: row.small("generation")?,
            identity: optional_identity(row)?,
            lane: row.lane()?,
            offset: row.int("record_offset")?,
            timestamp: row.int("record_timestamp")?,
            topic: row.optional_text("topic")?,
            customer: customer(row)?,
            reason: row.text("reason_code")?,
            stage: row.text("reason_stage")?,
            attempts: attempts(row)?,
            dead_lettered_at: row.int("dead_lettered_at")?,
            accepted_at: row.int("accepted_at")?,
        })
    }
}

impl DeadLetterFilter {
    /// The states' column values.
    pub(super) fn state_codes(&self) -> Vec<i16> {
        self.states.iter().map(|state| state.code()).collect()
    }

    /// No stored id holds NUL, and PostgreSQL's text cannot: such a filter admits nothing.
    pub(super) fn is_impossible(&self) -> bool {
        let texts =
            [&self.reason, &self.stage, &self.customer_system, &self.customer_id, &self.event_id, &self.place_topic];
        self.states.is_empty() || texts.into_iter().flatten().any(|text| text.contains('\0'))
    }
}

impl DeadLetterGroup {
    pub(super) fn of_row(row: &impl Columns) -> Result<Self, LedgerError> {
        Ok(Self {
            reason: row.text("reason_code")?,
            stage: row.text("reason_stage")?,
            count: row.int("count")?.unsigned_abs(),
            oldest_age_s: row.int("oldest_age_s")?.unsigned_abs(),
            newest_age_s: row.int("newest_age_s")?.unsigned_abs(),
            customers: row.int("customers")?.unsigned_abs(),
            example: row.optional_text("example")?,
        })
    }
}

impl Fate {
    pub(super) fn of_row(row: &impl Columns) -> Result<Self, LedgerError> {
        let state = RowState::of_code(row.int("state")?)?;
        Ok(Self { key: row.key("key")?, state, generation: row.small("generation")? })
    }
}

impl Story {
    pub(super) fn of_row(row: &impl Columns) -> Result<Self, LedgerError> {
        Ok(Self {
            accepted_at: row.int("accepted_at")?,
            first_failed_at: row.optional_int("first_failed_at")?,
            possibly_sent: row.flag("possibly_sent")?,
            converted: row.flag("converted")?,
            timeline: row.optional_text("timeline")?.unwrap_or_default(),
            replaces: row.optional_text("replaces")?,
            is_replaced: row.flag("is_replaced")?,
            replaced_by: row.optional_text("replaced_by")?,
        })
    }
}

impl AuditLine {
    pub(super) fn of_row(row: &impl Columns) -> Result<Self, LedgerError> {
        Ok(Self {
            number: row.int("n")?,
            at: row.int("at")?,
            actor: row.text("actor")?,
            act: row.text("act")?,
            target: row.text("target")?,
            event_id: row.optional_text("event_id")?,
            why: row.optional_text("why")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_back_as_they_were_written_and_others_are_damage() {
        for state in LetterState::ALL {
            assert_eq!(LetterState::of_code(i64::from(state.code())).unwrap(), state);
        }
        assert!(matches!(LetterState::of_code(4), Err(LedgerError::Damaged(_))));
    }

    #[test]
    fn a_filter_that_no_row_can_fit_is_known_without_asking() {
        let states = LetterState::ALL.to_vec();
        assert!(!DeadLetterFilter { states: states.clone(), ..DeadLetterFilter::default() }.is_impossible());
        assert!(DeadLetterFilter::default().is_impossible());
        let event_id = Some("a\0".to_owned());
        assert!(DeadLetterFilter { states, event_id, ..DeadLetterFilter::default() }.is_impossible());
    }
}
