//! When temporary tokens die, held against what workers do: by the true time, whatever a machine's clock says of it.

use std::time::Duration;

use profile_linker::domain::{EventKey, ReasonCode};
use profile_linker::ledger::EndedRow;

use crate::inputs;
use crate::process::wall_ms;
use crate::world::State;

/// A conversion may stand for so long between the last look at the time and its exchange: a sign-in, or a freeze, is before it.
const LONG_BEFORE: Duration = Duration::from_secs(120);

impl State {
    /// A conversion leaves: whoever knows that its token is dead sends none.
    pub fn invariant_a_dead_token_is_not_converted(&mut self, number: u32, key: EventKey) {
        let long_ago = wall_ms(self.now.saturating_sub(LONG_BEFORE));
        if self.dies_at(key).is_some_and(|at| at < long_ago) {
            self.violated(
                "a_dead_token_is_not_converted",
                format!("{number} converts {key:?} long after its token died"),
            );
        }
    }

    /// An end cannot be taken back: a clock that was stepped is no reason for it.
    pub fn invariant_a_live_token_is_not_said_to_be_dead(&mut self, number: u32, rows: &[EndedRow]) {
        let said_dead = |row: &&EndedRow| row.reason.is_some_and(|(code, _)| code == ReasonCode::TokenExpired);
        for row in rows.iter().filter(said_dead) {
            let now = wall_ms(self.now);
            if let Some(at) = self.dies_at(row.key).filter(|at| *at > now) {
                let detail = format!("{number} ends {:?} {} ms before its token dies", row.key, at - now);
                self.violated("a_live_token_is_not_said_to_be_dead", detail);
            }
        }
    }

    /// In milliseconds since 1970.
    fn dies_at(&self, key: EventKey) -> Option<i64> {
        let record = self.broker.record_of(self.tables.rows.get(&key)?)?;
        inputs::dies_at(record.value.as_ref()?.expose())
    }
}
