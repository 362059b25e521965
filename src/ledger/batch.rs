//! What both ledgers think about a batch, before and after their statements.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use super::{AcceptLane, Acceptance, Accepted, Claim, LedgerError, NewRow, Refused, RowState, StoredRow};
use crate::domain::{Epoch, EventKey, Lane, PublishSeq};

/// How long a ledger may look for what overtook replays: it looks at all input since the oldest of them, and a take-over waits
/// for the answer with its lanes shut.
pub(super) const OVERTAKEN_LIMIT: Duration = Duration::from_secs(2);

/// A row that stood in the ledger where a new one was to go.
pub(super) struct Standing {
    /// With sealed bytes only if it has the new row's origin.
    pub row: StoredRow,
    /// Hash of its payload.
    pub payload_hash: Vec<u8>,
}

/// What the inserting statement said.
#[derive(Default)]
pub(super) struct Inserted {
    /// The lanes that are still ours.
    pub held: BTreeSet<Lane>,
    /// Places of the rows inserted; a number where the row ended at once.
    pub numbers: BTreeMap<usize, Option<PublishSeq>>,
}

/// Records to accept.
pub(super) struct Batch<'a> {
    pub lanes: &'a [AcceptLane],
    pub rows: &'a [NewRow],
}

impl<'a> Batch<'a> {
    pub fn new(lanes: &'a [AcceptLane], rows: &'a [NewRow]) -> Result<Self, LedgerError> {
        each_is_claimed(lanes.iter().map(|lane| lane.claim), rows.iter().map(|row| (row.key, row.lane)))?;
        Ok(Self { lanes, rows })
    }

    /// Places of the first row of each key, sorted by key, so that two batches never wait for each other in a circle.
    pub fn firsts(&self) -> Vec<usize> {
        let mut first = BTreeMap::new();
        for (place, row) in self.rows.iter().enumerate() {
            first.entry(row.key).or_insert(place);
        }
        first.into_values().collect()
    }

    /// How many rows of a lane must be inserted before its position may be stored: all, a repeated key included.
    pub fn wanted(&self, lane: Lane) -> usize {
        self.rows.iter().filter(|row| row.lane == lane).count()
    }

    /// Places of the rows that were neither inserted nor refused: something stands in their place.
    pub fn left(&self, inserted: &Inserted) -> Vec<usize> {
        let is_left =
            |place: &usize| inserted.held.contains(&self.rows[*place].lane) && !inserted.numbers.contains_key(place);
        (0..self.rows.len()).filter(is_left).collect()
    }

    /// What became of each row. `standing` holds what stands in the place of the rows left.
    pub fn acceptance(
        &self,
        inserted: &Inserted,
        standing: &HashMap<EventKey, Standing>,
    ) -> Result<Acceptance, LedgerError> {
        let claims: Vec<_> = self.lanes.iter().map(|lane| lane.claim).collect();
        let mut refused = refused(&claims, &inserted.held);
        let mut rows = Vec::with_capacity(self.rows.len());
        for (place, row) in self.rows.iter().enumerate() {
            rows.push(match inserted.numbers.get(&place) {
                Some(number) => Accepted::New { publish_seq: *number },
                None if refused.contains(&row.lane) => Accepted::Refused,
                None => classify(row, standing)?,
            });
        }
        // A row accepted under a higher epoch than ours is never acted on: the lane was lost between the statements.
        let lost: BTreeSet<_> = rows.iter().filter_map(|row| self.lost(row)).collect();
        for (row, accepted) in self.rows.iter().zip(&mut rows) {
            if lost.contains(&row.lane) && !matches!(accepted, Accepted::New { .. }) {
                *accepted = Accepted::Refused;
            }
        }
        refused.extend(lost);
        Ok(Acceptance { rows, refused })
    }

    fn lost(&self, accepted: &Accepted) -> Option<Lane> {
        let Accepted::Ours(row) = accepted else { return None };
        (row.epoch > self.epoch(row.lane)?).then_some(row.lane)
    }

    fn epoch(&self, lane: Lane) -> Option<Epoch> {
        self.lanes.iter().find(|one| one.claim.lane == lane).map(|one| one.claim.epoch)
    }
}

/// A row's place is taken: by itself, by the same event again, or by another event of the same name.
fn classify(new: &NewRow, standing: &HashMap<EventKey, Standing>) -> Result<Accepted, LedgerError> {
    // Only a purge could have removed it between the two statements; then the repeat inserts the new one.
    let there = standing
        .get(&new.key)
        .ok_or_else(|| LedgerError::Unavailable(format!("row {:?} went away while it was looked at", new.key)))?;
    if new.generation > 1 && there.payload_hash == new.payload_hash && is_next(new, &there.row) {
        return Ok(Accepted::Replays);
    }
    let origin = (there.row.partition, there.row.offset, there.row.timestamp);
    // A replay with another payload is none, whatever it says of its origin.
    let is_same = new.generation == 1 || there.payload_hash == new.payload_hash;
    let is_same_record = is_same && origin == (new.lane.0, new.offset, new.timestamp);
    Ok(if is_same_record && there.row.lane == new.lane {
        Accepted::Ours(Box::new(there.row.clone()))
    } else if is_same_record {
        // Another lane has it since this one was lost to the topic, and ends it.
        Accepted::Duplicate
    } else if there.payload_hash == new.payload_hash {
        Accepted::Duplicate
    } else {
        Accepted::Conflict
    })
}

/// Whether a replay that came by the topic is of the generation behind a dead letter's.
fn is_next(new: &NewRow, there: &StoredRow) -> bool {
    there.state == RowState::DeadLettered && there.generation + 1 == new.generation
}

/// Marks the replays that were overtaken; without an answer all of them, which at worst leaves a profile secondary.
pub(super) fn mark_overtaken(rows: &mut [StoredRow], answer: Result<BTreeSet<EventKey>, LedgerError>) {
    if let Err(error) = &answer {
        tracing::warn!(error = %error, "what overtook the replays was not found out; they are linked as if all were");
    }
    for row in rows.iter_mut().filter(|row| row.is_replay()) {
        row.overtaken = answer.as_ref().map_or(true, |overtaken| overtaken.contains(&row.key));
    }
}

/// The lanes claimed and not held.
pub(super) fn refused(claims: &[Claim], held: &BTreeSet<Lane>) -> Refused {
    claims.iter().map(|claim| claim.lane).filter(|lane| !held.contains(lane)).collect()
}

/// A row without a claim to its lane would silently not be written.
pub(super) fn each_is_claimed(
    claims: impl Iterator<Item = Claim>,
    rows: impl Iterator<Item = (EventKey, Lane)>,
) -> Result<(), LedgerError> {
    let claimed: BTreeSet<_> = claims.map(|claim| claim.lane).collect();
    for (key, lane) in rows {
        if !claimed.contains(&lane) {
            return Err(LedgerError::Damaged(format!("row {key:?} of lane {} without a claim to it", lane.0)));
        }
    }
    Ok(())
}
