//! The ledger's tables, and what each statement does to them once its locks are held.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use profile_linker::contract::OutgoingRecord;
use profile_linker::domain::{Attempts, Epoch, EventIdentity, EventKey, Lane, PublishSeq};
use profile_linker::ledger::{
    AcceptLane, Acceptance, Accepted, Claim, LaneRow, LedgerError, NewRow, NoteKind, Pause, PauseKind, Refused,
    RowState, StoredRow, Unpublished,
};

/// Everything durable.
#[derive(Default, Clone)]
pub struct Tables {
    pub lanes: BTreeMap<i32, LaneState>,
    pub rows: BTreeMap<EventKey, Row>,
    /// Rows that were old, as they were, for the invariants.
    pub removed: BTreeMap<EventKey, Row>,
    /// The database's time, as the present statement sees it.
    pub clock: Duration,
    pub outbox: BTreeMap<(i32, i64), Vec<OutgoingRecord>>,
    /// Every number that was ever durable, for the invariants: the results that it stands for.
    pub numbered: BTreeMap<(i32, i64), Vec<String>>,
    /// Numbers whose results have one of another lane's instead.
    pub moved: BTreeSet<(i32, i64)>,
    pub notes: BTreeMap<i64, (EventKey, NoteKind)>,
    pub last_note: i64,
    pub pauses: BTreeMap<PauseKind, Pause>,
    /// By whose names the flood guard paused.
    pub guards_acts: BTreeSet<String>,
    /// When it was declared to be another one than it was, in milliseconds of the true time.
    pub adopted_at: Option<i64>,
    /// Lanes that a statement has locked.
    pub locked: BTreeSet<i32>,
}

#[derive(Clone)]
pub struct LaneState {
    pub epoch: i64,
    pub clean: bool,
    pub position: Option<i64>,
    pub saved_cursor: i64,
    pub suspect_below: i64,
    pub topic_id: Option<String>,
}

#[derive(Clone)]
pub struct Row {
    pub stored: StoredRow,
    pub identity: Option<EventIdentity>,
    pub payload_hash: [u8; 32],
    pub due_at: Duration,
    pub accepted_at: Duration,
    /// Of the last end; without meaning while it is unfinished.
    pub ended_at: Duration,
    /// Whose customer; for the order.
    pub customer: Option<profile_linker::domain::Customer>,
    /// Accepted by a worker that had not heard yet that its record's topic is a new one.
    pub early: bool,
}

impl Row {
    pub fn is_unfinished(&self) -> bool {
        matches!(self.stored.state, RowState::Accepted | RowState::Converted)
    }
}

/// Whether a row is of the record at this place.
pub fn stands_at(row: &Row, partition: i32, offset: i64, timestamp: i64) -> bool {
    (row.stored.partition, row.stored.offset, row.stored.timestamp) == (partition, offset, timestamp)
}

impl Tables {
    /// Every row that ever was, unless one of the same key took its place.
    pub fn ever(&self) -> impl Iterator<Item = &Row> {
        let gone = self.removed.iter().filter(|(key, _)| !self.rows.contains_key(key));
        self.rows.values().chain(gone.map(|(_, row)| row))
    }

    /// The claims whose epoch is their lane's.
    pub fn held(&self, claims: &[Claim]) -> BTreeSet<Lane> {
        let is_held = |claim: &&Claim| self.epoch(claim.lane) == Some(claim.epoch);
        claims.iter().filter(is_held).map(|claim| claim.lane).collect()
    }

    pub fn epoch(&self, lane: Lane) -> Option<Epoch> {
        self.lanes.get(&lane.0).map(|lane| Epoch(lane.epoch))
    }

    pub fn raise(&mut self, lanes: &[Lane]) -> Vec<LaneRow> {
        lanes.iter().map(|lane| self.raise_one(*lane)).collect()
    }

    fn raise_one(&mut self, lane: Lane) -> LaneRow {
        let state = self.lanes.entry(lane.0).or_insert(LaneState {
            epoch: 0,
            clean: true,
            position: None,
            saved_cursor: 0,
            suspect_below: 0,
            topic_id: None,
        });
        state.epoch += 1;
        let clean = std::mem::replace(&mut state.clean, false);
        LaneRow {
            claim: Claim { lane, epoch: Epoch(state.epoch) },
            clean,
            position: state.position,
            saved_cursor: state.saved_cursor,
            last_seq: state.saved_cursor,
            suspect_below: state.suspect_below,
            topic_id: state.topic_id.clone(),
        }
    }

    /// The highest number that was ever given.
    pub fn last_numbered(&self, partition: i32) -> i64 {
        let numbers = self.numbered.range((partition, 0)..=(partition, i64::MAX));
        numbers.last().map_or(0, |((_, number), _)| *number)
    }

    pub fn last_number(&self, lane: Lane) -> i64 {
        self.outbox.range((lane.0, 0)..=(lane.0, i64::MAX)).next_back().map_or(0, |((_, seq), _)| *seq)
    }

    pub fn note_topic(&mut self, held: &BTreeSet<Lane>, topic_id: &str) -> Vec<(Lane, Option<i64>)> {
        let mut positions = Vec::new();
        for lane in held {
            let Some(state) = self.lanes.get_mut(&lane.0) else { continue };
            if state.topic_id.as_deref().is_some_and(|known| known != topic_id) {
                state.position = None;
                state.suspect_below = 0;
            }
            state.topic_id = Some(topic_id.to_owned());
            positions.push((*lane, state.position));
        }
        positions
    }

    /// The inserting statement: numbers of what is new, by place.
    pub fn insert(
        &mut self,
        held: &BTreeSet<Lane>,
        lanes: &[AcceptLane],
        rows: &[NewRow],
    ) -> Result<BTreeMap<usize, Option<PublishSeq>>, LedgerError> {
        let mut inserted = BTreeMap::new();
        let mut next: BTreeMap<Lane, i64> = lanes.iter().map(|lane| (lane.claim.lane, lane.first_seq.0)).collect();
        for (place, row) in rows.iter().enumerate() {
            let claim = lanes.iter().map(|lane| lane.claim).find(|claim| claim.lane == row.lane);
            let Some(claim) = claim.filter(|claim| held.contains(&claim.lane)) else { continue };
            if self.rows.contains_key(&row.key) {
                continue;
            }
            let number = row.ended.as_ref().map(|_| {
                let number = next.entry(row.lane).or_insert(1);
                *number += 1;
                PublishSeq(*number - 1)
            });
            self.insert_one(claim, row, number)?;
            inserted.insert(place, number);
        }
        for lane in lanes.iter().filter(|lane| held.contains(&lane.claim.lane)) {
            let of_lane = |place: &usize| rows[*place].lane == lane.claim.lane;
            let wanted = (0..rows.len()).filter(of_lane).count();
            if let Some(state) = self.lanes.get_mut(&lane.claim.lane.0)
                && inserted.keys().filter(|place| of_lane(place)).count() == wanted
            {
                state.position = state.position.max(Some(lane.position));
            }
        }
        Ok(inserted)
    }

    fn insert_one(&mut self, claim: Claim, row: &NewRow, number: Option<PublishSeq>) -> Result<(), LedgerError> {
        let state = row.ended.as_ref().map_or(RowState::Accepted, |ended| ended.state);
        let stored = StoredRow {
            key: row.key,
            lane: row.lane,
            partition: row.lane.0,
            epoch: claim.epoch,
            offset: row.offset,
            timestamp: row.timestamp,
            state,
            generation: row.generation,
            attempts: Attempts::default(),
            due_in_ms: 0,
            spent_ms: 0,
            starts: 0,
            first_failed_at: None,
            possibly_sent: row.possibly_sent,
            publish_seq: number,
            topic: None,
            sealed_record: if state == RowState::Rejected { Vec::new() } else { row.sealed_record.clone() },
            sealed_token: None,
            account: None,
            replaced_markers: Vec::new(),
            overtaken: false,
        };
        let new = Row {
            stored,
            identity: row.identity.clone(),
            payload_hash: row.payload_hash,
            due_at: Duration::ZERO,
            accepted_at: self.clock,
            ended_at: self.clock,
            customer: row.customer.clone(),
            early: false,
        };
        self.rows.insert(row.key, new);
        if let (Some(number), Some(ended)) = (number, &row.ended) {
            self.put_out(row.lane, number, &ended.records)?;
        }
        Ok(())
    }

    /// A number is given once, as the outbox's primary key sees to.
    pub fn put_out(&mut self, lane: Lane, number: PublishSeq, records: &[OutgoingRecord]) -> Result<(), LedgerError> {
        if self.outbox.contains_key(&(lane.0, number.0)) {
            return Err(LedgerError::Damaged(format!("number {} of lane {} is taken", number.0, lane.0)));
        }
        let id = |record: &OutgoingRecord| {
            let body: serde_json::Value = serde_json::from_slice(&record.value).unwrap_or_default();
            body["id"].as_str().unwrap_or_default().to_owned()
        };
        self.numbered.insert((lane.0, number.0), records.iter().map(id).collect());
        self.outbox.insert((lane.0, number.0), records.to_vec());
        Ok(())
    }

    /// What became of the rows: the second statement reads what was not inserted.
    pub fn classify(
        &self,
        claims: &[Claim],
        held: &BTreeSet<Lane>,
        rows: &[NewRow],
        inserted: &BTreeMap<usize, Option<PublishSeq>>,
    ) -> Acceptance {
        let mut refused: Refused = claims.iter().map(|claim| claim.lane).filter(|lane| !held.contains(lane)).collect();
        let mut accepted = Vec::new();
        for (place, row) in rows.iter().enumerate() {
            accepted.push(match inserted.get(&place) {
                Some(number) => Accepted::New { publish_seq: *number },
                None if refused.contains(&row.lane) => Accepted::Refused,
                None => self.standing(row),
            });
        }
        let epoch = |lane| claims.iter().find(|claim| claim.lane == lane).map(|claim| claim.epoch);
        let lost: BTreeSet<Lane> = accepted
            .iter()
            .filter_map(|one| if let Accepted::Ours(row) = one { Some(row) } else { None })
            .filter(|row| Some(row.epoch) > epoch(row.lane))
            .map(|row| row.lane)
            .collect();
        for (row, one) in rows.iter().zip(&mut accepted) {
            if lost.contains(&row.lane) && !matches!(one, Accepted::New { .. }) {
                *one = Accepted::Refused;
            }
        }
        refused.extend(lost);
        Acceptance { rows: accepted, refused }
    }

    fn standing(&self, new: &NewRow) -> Accepted {
        let Some(there) = self.rows.get(&new.key) else { return Accepted::Refused };
        let stored = &there.stored;
        let is_next = stored.state == RowState::DeadLettered && stored.generation + 1 == new.generation;
        if new.generation > 1 && is_next && there.payload_hash == new.payload_hash {
            Accepted::Replays
        } else if stored.lane == new.lane && stands_at(there, new.lane.0, new.offset, new.timestamp) {
            Accepted::Ours(Box::new(stored.clone()))
        } else if there.payload_hash == new.payload_hash || stands_at(there, new.lane.0, new.offset, new.timestamp) {
            Accepted::Duplicate
        } else {
            Accepted::Conflict
        }
    }

    pub fn unfinished(&self, claims: &[Claim], only: Option<&[EventKey]>, now: Duration) -> Vec<StoredRow> {
        let held = self.held(claims);
        let mut rows: Vec<StoredRow> = self
            .rows
            .values()
            .filter(|row| row.is_unfinished() && held.contains(&row.stored.lane))
            .filter(|row| match only {
                Some(keys) => keys.contains(&row.stored.key),
                None => !self.notes.values().any(|note| *note == (row.stored.key, NoteKind::Reopened)),
            })
            .filter(|row| Some(row.stored.epoch) <= self.epoch(row.stored.lane))
            .map(|row| {
                let wait = row.due_at.saturating_sub(now);
                StoredRow { due_in_ms: i64::try_from(wait.as_millis()).unwrap_or(0), ..row.stored.clone() }
            })
            .collect();
        rows.sort_by_key(|row| (row.lane, row.offset));
        rows
    }

    pub fn unpublished(&self, claims: &[(Claim, i64)]) -> Vec<Unpublished> {
        let held = self.held(&claims.iter().map(|(claim, _)| *claim).collect::<Vec<_>>());
        let mut results = Vec::new();
        for (claim, cursor) in claims.iter().filter(|(claim, _)| held.contains(&claim.lane)) {
            for ((_, seq), records) in self.outbox.range((claim.lane.0, cursor + 1)..=(claim.lane.0, i64::MAX)) {
                let publish_seq = PublishSeq(*seq);
                results.push(Unpublished { lane: claim.lane, publish_seq, records: records.clone() });
            }
        }
        results
    }
}
