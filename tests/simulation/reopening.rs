//! What happens to a ledger beside an event's way: corrected lanes, counted starts, notes, reopened rows.

use std::collections::BTreeSet;
use std::time::Duration;

use profile_linker::domain::{Epoch, EventKey, Lane};
use profile_linker::ledger::{Claim, LaneCorrection, Note, NoteKind, Reopening, RowState, StartedRow};

use crate::restoring::is_suspect;
use crate::tables::Tables;

impl Tables {
    pub fn correct(&mut self, held: &BTreeSet<Lane>, corrections: &[LaneCorrection], marks: bool) {
        for correction in corrections.iter().filter(|one| held.contains(&one.claim.lane)) {
            let number = correction.claim.lane.0;
            if let Some(lane) = self.lanes.get_mut(&number) {
                lane.position = correction.position;
                lane.saved_cursor = lane.saved_cursor.max(correction.cursor);
                lane.suspect_below = lane.suspect_below.max(correction.suspect_below);
            }
            self.outbox.retain(|(lane, seq), _| *lane != number || *seq > correction.cursor);
            for row in self.rows.values_mut().filter(|row| row.stored.lane.0 == number && is_suspect(row)) {
                row.stored.possibly_sent |= correction.restored && marks;
            }
        }
    }

    pub fn start(&mut self, held: &BTreeSet<Lane>, rows: &[StartedRow]) {
        for row in rows.iter().filter(|row| held.contains(&row.lane)) {
            if let Some(there) = self.rows.get_mut(&row.key).filter(|there| there.is_unfinished()) {
                there.stored.starts = there.stored.starts.max(row.starts);
            }
        }
    }

    pub fn leave_notes(&mut self, notes: &[(EventKey, NoteKind)]) {
        for (key, kind) in notes.iter().filter(|(key, _)| self.rows.contains_key(key)) {
            self.last_note += 1;
            self.notes.insert(self.last_note, (*key, *kind));
        }
    }

    pub fn notes(&self, claims: &[Claim]) -> Vec<Note> {
        let held = self.held(claims);
        let note = |(number, (key, kind)): (&i64, &(EventKey, NoteKind))| {
            let lane = self.rows.get(key)?.stored.lane;
            held.contains(&lane).then_some(Note { number: *number, lane, key: *key, kind: *kind })
        };
        self.notes.iter().filter_map(note).collect()
    }

    pub fn remove_notes(&mut self, held: &BTreeSet<Lane>, numbers: &[i64]) {
        let rows = &self.rows;
        let is_held = |key: &EventKey| rows.get(key).is_some_and(|row| held.contains(&row.stored.lane));
        self.notes.retain(|number, (key, _)| !numbers.contains(number) || !is_held(key));
    }

    /// Answers the keys reopened.
    pub fn reopen(&mut self, rows: &[Reopening], overwrites: bool) -> Vec<EventKey> {
        let mut reopened = Vec::new();
        for asked in rows {
            let Some(row) = self.rows.get_mut(&asked.key) else { continue };
            let stored = &mut row.stored;
            let sealed = !stored.sealed_record.is_empty();
            if stored.state != RowState::DeadLettered || stored.generation != asked.generation || !sealed {
                continue;
            }
            let is_converted = stored.sealed_token.is_some();
            stored.state = if is_converted { RowState::Converted } else { RowState::Accepted };
            stored.generation += 1;
            stored.epoch = Epoch(self.lanes.get(&stored.lane.0).map_or(0, |lane| lane.epoch));
            (stored.spent_ms, stored.starts) = (0, 0);
            row.due_at = Duration::ZERO;
            let place = (stored.lane.0, stored.publish_seq.map_or(0, |seq| seq.0));
            if overwrites {
                self.outbox.remove(&place);
            }
            reopened.push(asked.key);
        }
        let notes: Vec<_> = reopened.iter().map(|key| (*key, NoteKind::Reopened)).collect();
        self.leave_notes(&notes);
        reopened
    }
}
