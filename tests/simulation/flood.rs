//! Two dead letters in a row of a touchy worker pause everything.

use std::collections::BTreeMap;
use std::time::Duration;

use profile_linker::domain::EventKey;
use profile_linker::ledger::{EndedRow, Refused, RowState};

use crate::world::State;

/// As the touchy workers are configured.
const RUN: u32 = 2;
/// A worker that lives has paused by then.
const PAUSED_WITHIN: Duration = Duration::from_secs(60);

/// Runs of dead letters as each process must see them.
#[derive(Default)]
pub struct Floods {
    runs: BTreeMap<u32, u32>,
    /// Who owes a pause, and since when.
    due: BTreeMap<u32, Duration>,
    /// Who was told last that nothing pauses.
    going: BTreeMap<u32, bool>,
    /// Since when each one counts anew.
    anew: BTreeMap<u32, Duration>,
    /// When a worker decided last that an event ends; the write may come much later.
    decided: BTreeMap<EventKey, Duration>,
}

impl State {
    /// Ends are durable, and their worker is told. What it may not count counts nothing here, and ends a run.
    pub fn ends_are_told(&mut self, number: u32, rows: &[EndedRow], refused: &Refused) {
        // A place among its customer's next few may have become free.
        self.disturbed_at = self.now;
        let anew = self.floods.anew.get(&number).copied().unwrap_or_default();
        for row in rows {
            // It counted when it was decided, and the pause that came of it has been since.
            if self.floods.decided.get(&row.key).is_some_and(|decided| *decided <= anew) {
                continue;
            }
            let is_first = self.tables.rows.get(&row.key).is_some_and(|row| row.stored.generation == 1);
            let counts = is_first && !refused.contains(&row.lane) && self.holds(number, row.lane);
            self.count_end(number, counts && row.state == RowState::DeadLettered);
        }
    }

    fn count_end(&mut self, number: u32, dead_letter: bool) {
        let run = self.floods.runs.entry(number).or_default();
        *run = if dead_letter { *run + 1 } else { 0 };
        let going = self.floods.going.get(&number) == Some(&true);
        if *run >= RUN && going && self.plan.touchy && self.broker.topic() == 0 {
            let now = self.now;
            self.floods.due.entry(number).or_insert(now);
        }
    }

    /// A worker decides that an event ends.
    pub fn end_is_decided(&mut self, key: EventKey) {
        self.floods.decided.insert(key, self.now);
    }

    /// Records were accepted: some may have ended at once, in an order that is not told here.
    pub fn forget_run(&mut self, number: u32) {
        self.floods.runs.remove(&number);
    }

    /// A process was told of pauses, or pauses by itself.
    pub fn flood_is_answered(&mut self, number: u32, holds: bool) {
        let went = self.floods.going.insert(number, !holds);
        if holds || went == Some(false) {
            self.floods.anew.insert(number, self.now);
        }
        if holds {
            self.floods.runs.remove(&number);
            self.floods.due.remove(&number);
        }
    }

    pub fn forget_flood(&mut self, number: u32) {
        self.floods.runs.remove(&number);
        self.floods.due.remove(&number);
        self.floods.going.remove(&number);
        self.floods.anew.remove(&number);
    }
}

pub fn invariant_a_flood_of_dead_letters_pauses(state: &State) -> Result<(), String> {
    match state.floods.due.iter().find(|(_, since)| **since + PAUSED_WITHIN < state.now) {
        Some((number, _)) => Err(format!("{number} goes on after {RUN} dead letters in a row")),
        None => Ok(()),
    }
}
