//! Whose drafts the ledger is asked to accept next.
//!
//! What cannot be worked on ends as it is accepted, so the flood guard's limit would mean little if much more were on its way
//! than is in flight elsewhere: no more records are asked for at once than events may be in flight. Within that the lanes take
//! turns, since one whose records keep coming would else have all of it. And room is given out by the quarter, or for all that
//! is ready: to fill each gap at once would cut the drafts into ever smaller pieces, each a statement of its own.

use std::collections::BTreeMap;

use crate::config::WorkerSettings;

/// Parts in which room is given out.
const PARTS: usize = 4;

/// The turns.
pub(super) struct Turns {
    /// Records that the ledger may be asked to accept at once.
    most: usize,
    /// The lane that goes first.
    first: i32,
}

impl Turns {
    pub fn of(settings: &WorkerSettings) -> Self {
        Self { most: settings.max_in_flight, first: 0 }
    }

    /// How many drafts of which lane may go, by how many each has ready, where so many are on their way.
    pub fn grant(&mut self, ready: &BTreeMap<i32, usize>, asked: usize) -> Vec<(i32, usize)> {
        let mut room = self.most.saturating_sub(asked);
        let mut granted = Vec::new();
        if room < ready.values().sum::<usize>().min(self.most / PARTS) {
            return granted;
        }
        for (lane, drafts) in ready.range(self.first..).chain(ready.range(..self.first)) {
            let count = room.min(*drafts);
            if count == 0 {
                break;
            }
            room -= count;
            granted.push((*lane, count));
        }
        if let Some((last, _)) = granted.last() {
            self.first = last.saturating_add(1);
        }
        granted
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    fn turns(most: usize) -> Turns {
        Turns { most, first: 0 }
    }

    fn ready(lanes: &[(i32, usize)]) -> BTreeMap<i32, usize> {
        lanes.iter().copied().collect()
    }

    #[test]
    fn lanes_that_always_have_more_take_turns() {
        let (mut turns, ready) = (turns(10), ready(&[(0, 500), (3, 10), (7, 500)]));
        let granted: Vec<_> = (0..6).flat_map(|_| turns.grant(&ready, 0)).collect();
        assert_eq!(granted, [(0, 10), (3, 10), (7, 10), (0, 10), (3, 10), (7, 10)]);
    }

    #[test]
    fn no_more_is_asked_for_at_once_than_may_be() {
        let mut turns = turns(10);
        assert_eq!(turns.grant(&ready(&[(0, 4), (1, 500)]), 1), [(0, 4), (1, 5)]);
        assert_eq!(turns.grant(&ready(&[(0, 4), (1, 495)]), 10), []);
        assert_eq!(turns.grant(&ready(&[(0, 4), (1, 495)]), 9), [], "too little room to be worth a statement");
        assert_eq!(turns.grant(&ready(&[(0, 1)]), 9), [(0, 1)], "but for all that is ready");
        assert_eq!(turns.grant(&ready(&[(0, 4), (1, 495)]), 700), [], "as after a take-over with less room");
    }

    /// Batches of an odd size, and answers one by one: statements stay worth their while for as long as it goes on.
    #[test]
    fn what_is_asked_for_is_not_cut_into_ever_smaller_pieces() {
        let mut turns = turns(40);
        let mut lanes = ready(&[(0, 97), (1, 97), (2, 97)]);
        let (mut out, mut pieces, mut records) = (VecDeque::new(), 0, 0);
        while pieces < 5_000 {
            for (lane, count) in turns.grant(&lanes, out.iter().sum()) {
                (pieces, records) = (pieces + 1, records + count);
                out.push_back(count);
                lanes.entry(lane).and_modify(|left| *left = if *left == count { 97 } else { *left - count });
            }
            out.pop_front();
        }
        assert!(records / pieces >= 8, "{records} records in {pieces} pieces");
    }

    /// Whatever has drafts ready goes within as many rounds as there are lanes.
    #[test]
    fn a_lane_that_was_passed_over_comes_before_those_that_went() {
        let mut turns = turns(10);
        assert_eq!(turns.grant(&ready(&[(1, 8), (2, 8), (5, 8)]), 0), [(1, 8), (2, 2)]);
        assert_eq!(turns.grant(&ready(&[(1, 8), (2, 6), (5, 8)]), 0), [(5, 8), (1, 2)]);
        assert_eq!(turns.grant(&ready(&[(1, 6), (2, 6), (5, 8)]), 0), [(2, 6), (5, 4)]);
    }
}
