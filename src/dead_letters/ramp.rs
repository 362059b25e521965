//! A ramp: a few first, more once those went well. A cause that still lasts then costs one replay, not a thousand.

use std::collections::BTreeMap;

use crate::domain::EventKey;
use crate::ledger::{DeadLetters, Fate, LedgerError, RowState};

/// How many are replayed in a step: the first few find a lasting cause, the last are large enough for any rate.
const STEPS: [usize; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];

/// The sizes of the steps.
#[derive(Debug, Default)]
pub struct Ramp {
    step: usize,
}

impl Ramp {
    /// How many the next step takes.
    #[must_use]
    pub fn size(&self) -> usize {
        STEPS[self.step.min(STEPS.len() - 1)]
    }

    /// After a step: the next one is larger if this one told anything. One of which nothing was replayed is no evidence.
    pub fn heard(&mut self, results: &Results) {
        self.step += usize::from(results.linked + results.failed.len() > 0);
    }
}

/// How a replay ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Linked.
    Linked,
    /// Dead-lettered again.
    DeadLettered,
    /// Finally rejected: it is no dead letter any more.
    Rejected,
}

/// What became of the replays of one step.
#[derive(Debug, Default)]
pub struct Results {
    /// Replays that have not ended, with the generation that they are of.
    awaited: BTreeMap<EventKey, i32>,
    /// Linked.
    pub linked: usize,
    /// Those that were not: dead-lettered again, or finally rejected.
    pub failed: Vec<EventKey>,
    /// Those of the failed that were finally rejected.
    pub rejected: Vec<EventKey>,
}

impl Results {
    /// Waits for these: rows with the generation that they were reopened as.
    pub fn of(awaited: impl IntoIterator<Item = (EventKey, i32)>) -> Self {
        Self { awaited: awaited.into_iter().collect(), ..Self::default() }
    }

    /// How many have not ended.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.awaited.len()
    }

    /// Looks once what has ended since.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn look(&mut self, letters: &dyn DeadLetters) -> Result<(), LedgerError> {
        let keys: Vec<EventKey> = self.awaited.keys().copied().collect();
        let fates = letters.fates(&keys).await?;
        self.hear(&keys, &fates);
        Ok(())
    }

    /// One of them has ended. What is told twice counts once.
    pub fn ended(&mut self, key: EventKey, ending: Ending) {
        if self.awaited.remove(&key).is_none() {
            return;
        }
        match ending {
            Ending::Linked => self.linked += 1,
            Ending::DeadLettered => self.failed.push(key),
            Ending::Rejected => {
                self.failed.push(key);
                self.rejected.push(key);
            }
        }
    }

    fn hear(&mut self, asked: &[EventKey], fates: &[Fate]) {
        for key in asked {
            let fate = fates.iter().find(|fate| fate.key == *key);
            let Some(generation) = self.awaited.get(key).copied() else { continue };
            match fate {
                // Replayed once more by somebody else: it failed in between.
                Some(fate) if fate.generation > generation => self.ended(*key, Ending::DeadLettered),
                Some(Fate { state: RowState::Accepted | RowState::Converted, .. }) => {}
                Some(Fate { state: RowState::Linked, .. }) => self.ended(*key, Ending::Linked),
                Some(Fate { state: RowState::Rejected, .. }) => self.ended(*key, Ending::Rejected),
                Some(_) => self.ended(*key, Ending::DeadLettered),
                // Removed for its age: nobody can tell.
                None => {
                    self.awaited.remove(key);
                }
            }
        }
    }

    /// Whether the cause seems to be gone: less than half failed again. One bad event among many stops nothing.
    #[must_use]
    pub fn go_well(&self) -> bool {
        self.failed.len() * 2 < (self.linked + self.failed.len()).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fate(key: u8, state: RowState, generation: i32) -> Fate {
        Fate { key: EventKey([key; 16]), state, generation }
    }

    #[test]
    fn steps_grow_and_stay_at_the_last() {
        let mut ramp = Ramp::default();
        let one = Results { linked: 1, ..Results::default() };
        let mut next = || {
            let size = ramp.size();
            ramp.heard(&one);
            size
        };
        let steps: Vec<usize> = (0..12).map(|_| next()).collect();
        assert_eq!(steps, [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1000, 1000]);
    }

    #[test]
    fn a_step_that_told_nothing_is_made_again() {
        let mut ramp = Ramp::default();
        ramp.heard(&Results { linked: 1, ..Results::default() });
        ramp.heard(&Results::default());
        assert_eq!(ramp.size(), 2);
        ramp.heard(&Results { failed: vec![EventKey([0; 16])], ..Results::default() });
        assert_eq!(ramp.size(), 5);
    }

    #[test]
    fn each_replay_is_heard_of_once_and_by_its_own_generation() {
        let keys: Vec<EventKey> = (0..6).map(|n| EventKey([n; 16])).collect();
        let mut results = Results::of(keys.iter().map(|key| (*key, 2)));
        let fates = [
            fate(0, RowState::Linked, 2),
            fate(1, RowState::DeadLettered, 2),
            fate(2, RowState::Accepted, 2),
            fate(3, RowState::Rejected, 2),
            fate(4, RowState::Accepted, 3),
        ];
        results.hear(&keys, &fates);
        assert_eq!((results.linked, &results.failed[..], results.missing()), (1, &[keys[1], keys[3], keys[4]][..], 1));
        assert_eq!(results.rejected, [keys[3]], "it is no dead letter any more");
        results.hear(&keys, &[fate(0, RowState::Linked, 2), fate(2, RowState::Linked, 2)]);
        assert_eq!((results.linked, results.failed.len(), results.missing()), (2, 3, 0));
    }

    #[test]
    fn a_step_goes_well_if_less_than_half_of_it_failed() {
        for (linked, failed, well) in [(1, 0, true), (0, 1, false), (1, 1, false), (2, 1, true), (0, 0, true)] {
            let results = Results { linked, failed: vec![EventKey([0; 16]); failed], ..Results::default() };
            assert_eq!(results.go_well(), well, "{linked} linked, {failed} failed");
        }
    }
}
