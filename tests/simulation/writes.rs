//! The writes of an event's way, and of a lane's: each changes rows only from the states that it expects.

use std::collections::BTreeSet;
use std::time::Duration;

use profile_linker::domain::{EventKey, Lane};
use profile_linker::ledger::{BackOffRow, Claim, ConvertedRow, EndedRow, LedgerError, RowState};

use crate::tables::{Row, Tables};

type Written = Result<(), LedgerError>;

impl Tables {
    fn unfinished_row(&mut self, key: EventKey, lane: Lane) -> Option<&mut Row> {
        self.rows.get_mut(&key).filter(|row| row.stored.lane == lane && row.is_unfinished())
    }

    pub fn convert(&mut self, held: &BTreeSet<Lane>, rows: &[ConvertedRow]) -> Written {
        for row in rows.iter().filter(|row| held.contains(&row.lane)) {
            let Some(there) = self.unfinished_row(row.key, row.lane) else { return Err(damaged(row.key)) };
            if there.stored.state == RowState::Accepted {
                there.stored.state = RowState::Converted;
                there.stored.sealed_token = Some(row.sealed_token.clone());
                there.stored.account = Some(row.account.clone());
                there.stored.attempts = row.attempts;
                there.due_at = Duration::ZERO;
            }
        }
        Ok(())
    }

    pub fn wait(&mut self, held: &BTreeSet<Lane>, rows: &[BackOffRow], now: Duration) -> Written {
        for row in rows.iter().filter(|row| held.contains(&row.lane)) {
            let Some(there) = self.unfinished_row(row.key, row.lane) else { return Err(damaged(row.key)) };
            there.due_at = now + Duration::from_millis(row.due_in_ms.unsigned_abs());
            there.stored.spent_ms = row.spent_ms;
            there.stored.attempts = row.attempts;
            let failed_at = row.failed_ms_ago.map(|ago| i64::try_from(now.as_millis()).unwrap_or(0) - ago);
            there.stored.first_failed_at = there.stored.first_failed_at.or(failed_at);
        }
        Ok(())
    }

    pub fn end(&mut self, held: &BTreeSet<Lane>, rows: &[EndedRow]) -> Written {
        for row in rows.iter().filter(|row| held.contains(&row.lane)) {
            let clock = self.clock;
            let saved = self.lanes.get(&row.lane.0).map_or(0, |lane| lane.saved_cursor);
            let stands = |there: &&Row| there.stored.publish_seq == Some(row.publish_seq);
            if self.rows.get(&row.key).filter(stands).is_some() {
                continue;
            }
            let Some(there) = self.unfinished_row(row.key, row.lane).filter(|_| row.publish_seq.0 > saved) else {
                return Err(damaged(row.key));
            };
            there.stored.state = row.state;
            there.ended_at = clock;
            there.stored.publish_seq = Some(row.publish_seq);
            there.stored.attempts = row.attempts;
            if row.state != RowState::DeadLettered {
                there.stored.sealed_record = Vec::new();
                there.stored.sealed_token = None;
            }
            self.put_out(row.lane, row.publish_seq, &row.records)?;
        }
        Ok(())
    }

    pub fn save_cursors(&mut self, held: &BTreeSet<Lane>, cursors: &[(Claim, i64)], beyond: i64) {
        for (claim, cursor) in cursors.iter().filter(|(claim, _)| held.contains(&claim.lane)) {
            if let Some(lane) = self.lanes.get_mut(&claim.lane.0) {
                lane.saved_cursor = lane.saved_cursor.max(*cursor);
            }
            let gone = |(lane, seq): &(i32, i64)| *lane == claim.lane.0 && *seq <= cursor + beyond;
            self.outbox.retain(|place, _| !gone(place));
        }
    }

    pub fn release(&mut self, held: &BTreeSet<Lane>, lanes: &[(Claim, bool)]) {
        for (claim, clean) in lanes.iter().filter(|(claim, _)| held.contains(&claim.lane)) {
            if let Some(lane) = self.lanes.get_mut(&claim.lane.0) {
                lane.clean = *clean;
            }
        }
    }
}

fn damaged(key: EventKey) -> LedgerError {
    LedgerError::Damaged(format!("row {key:?} is not in a state that this write expects"))
}
