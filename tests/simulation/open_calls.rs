//! Calls that workers make, from a worker's asking to its answer: not too many at once, and what ended its process several
//! times is called for alone.

use std::collections::BTreeMap;
use std::time::Duration;

use profile_linker::domain::EventKey;

use crate::parts;
use crate::world::State;

/// From so many unclean ends on an event runs alone.
const ALONE_FROM_STARTS: i32 = 5;

/// What a worker is about to do may have been decided so long ago.
const A_MOMENT: Duration = Duration::from_secs(15);

/// Calls that are out.
#[derive(Default)]
pub struct OpenCalls {
    open: Vec<OpenCall>,
    /// When a process's last one ended.
    ended: BTreeMap<u32, Duration>,
}

struct OpenCall {
    call: u32,
    number: u32,
    /// For an event that runs alone.
    alone: bool,
}

impl State {
    /// A process asks for a call; answers its number.
    pub fn call_begins(&mut self, number: u32, operation: &'static str, key: Option<EventKey>) -> u32 {
        self.invariant_a_pause_and_a_stop_begin_nothing(number, operation);
        if let Some(key) = key.filter(|_| operation == "convert") {
            self.invariant_a_dead_token_is_not_converted(number, key);
        }
        // What another owner counted meanwhile, it cannot know.
        let row = key.and_then(|key| self.tables.rows.get(&key)).filter(|row| self.holds(number, row.stored.lane));
        let starts = row.map_or(0, |row| row.stored.starts);
        let alone = starts >= ALONE_FROM_STARTS;
        self.invariant_what_ended_its_process_runs_alone(number, alone);
        let call = self.number();
        self.open_calls.open.push(OpenCall { call, number, alone });
        self.invariant_calls_in_flight_are_bounded(number);
        call
    }

    pub fn call_ends(&mut self, call: u32) {
        let place = self.open_calls.open.iter().position(|open| open.call == call);
        if let Some(open) = place.map(|place| self.open_calls.open.remove(place)) {
            self.open_calls.ended.insert(open.number, self.now);
        }
    }

    /// Whether a process may take a call of its own for one that is out: it was a moment ago.
    pub fn may_be_calling(&self, number: u32) -> bool {
        let just_now = self.open_calls.ended.get(&number).is_some_and(|at| *at + A_MOMENT > self.now);
        just_now || self.open_calls.open.iter().any(|open| open.number == number)
    }

    pub fn forget_open_calls(&mut self, number: u32) {
        self.open_calls.open.retain(|open| open.number != number);
    }

    fn invariant_what_ended_its_process_runs_alone(&mut self, number: u32, alone: bool) {
        let beside = self.open_calls.open.iter().any(|open| open.number == number && (alone || open.alone));
        if beside {
            self.violated("what_ended_its_process_runs_alone", format!("{number} has another call out beside it"));
        }
    }

    fn invariant_calls_in_flight_are_bounded(&mut self, number: u32) {
        let most = parts::max_in_flight(self.plan.tight);
        let out = self.open_calls.open.iter().filter(|open| open.number == number).count();
        if out > most {
            self.violated("calls_in_flight_are_bounded", format!("{number} has {out} calls out, of {most}"));
        }
    }
}
