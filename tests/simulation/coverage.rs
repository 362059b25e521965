//! Which transitions, faults and pairs of faults were visited.

use std::collections::{BTreeMap, BTreeSet};

/// Counts by what was visited.
#[derive(Default, Clone)]
pub struct Coverage {
    /// Kind of fault and place.
    pub faults: BTreeMap<(&'static str, &'static str), u64>,
    /// Kinds of faults that met in one history.
    pub pairs: BTreeMap<(&'static str, &'static str), u64>,
    /// Transitions of the state machine.
    pub edges: BTreeMap<(String, String), u64>,
}

impl Coverage {
    pub fn fault(&mut self, kind: &'static str, place: &'static str) {
        *self.faults.entry((kind, place)).or_default() += 1;
    }

    /// At the end of a history: which kinds met.
    pub fn close(&mut self) {
        let kinds: BTreeSet<&'static str> = self.faults.keys().map(|(kind, _)| *kind).collect();
        for one in &kinds {
            for other in kinds.iter().filter(|other| *other > one) {
                *self.pairs.entry((one, other)).or_default() += 1;
            }
        }
    }

    pub fn add(&mut self, other: &Self) {
        add(&mut self.faults, &other.faults);
        add(&mut self.pairs, &other.pairs);
        add(&mut self.edges, &other.edges);
    }
}

fn add<K: Ord + Clone>(to: &mut BTreeMap<K, u64>, from: &BTreeMap<K, u64>) {
    for (key, count) in from {
        *to.entry(key.clone()).or_default() += count;
    }
}
