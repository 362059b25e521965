//! Which transitions, faults and pairs of faults were visited.

use std::collections::{BTreeMap, BTreeSet};

/// The state diagram of `docs/architecture.md`, edge by edge; the breakers' and the pause's changes after it.
const EDGES: [(&str, &str); 31] = [
    ("Accepted", "Converting"),
    ("Accepted", "Converted"),
    ("Converting", "Storing"),
    ("Converting", "Waiting"),
    ("Converting", "Ending"),
    ("Storing", "Converted"),
    ("Converted", "Linking"),
    ("Converted", "Settling"),
    ("Linking", "Looking"),
    ("Linking", "Settling"),
    ("Linking", "Waiting"),
    ("Linking", "Ending"),
    ("Settling", "Looking"),
    ("Looking", "Settling"),
    ("Looking", "Promoting"),
    ("Looking", "CheckingCustomer"),
    ("Looking", "Waiting"),
    ("Looking", "Ending"),
    ("CheckingCustomer", "Settling"),
    ("CheckingCustomer", "Waiting"),
    ("CheckingCustomer", "Ending"),
    ("Promoting", "Looking"),
    ("Promoting", "Waiting"),
    ("Waiting", "Converting"),
    ("Waiting", "Linking"),
    ("Waiting", "Looking"),
    ("Waiting", "Promoting"),
    ("breaker closed", "breaker open"),
    ("breaker open", "breaker closed"),
    ("going on", "paused"),
    ("paused", "going on"),
];

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

    /// The edges of the state diagram that nothing went along.
    pub fn unvisited_edges(&self) -> Vec<(&'static str, &'static str)> {
        let visited = |(from, to): &&(&str, &str)| self.edges.contains_key(&((*from).to_owned(), (*to).to_owned()));
        EDGES.iter().filter(|edge| !visited(edge)).copied().collect()
    }

    /// For people.
    pub fn report(&self) -> String {
        let mut lines = vec!["transitions:".to_owned()];
        lines.extend(self.edges.iter().map(|((from, to), count)| format!("{count:>12} {from} -> {to}")));
        lines.push("faults:".to_owned());
        lines.extend(self.faults.iter().map(|((kind, place), count)| format!("{count:>12} {kind}: {place}")));
        lines.push("histories in which two kinds of faults met:".to_owned());
        lines.extend(self.pairs.iter().map(|((one, other), count)| format!("{count:>12} {one} + {other}")));
        lines.push(format!("unvisited transitions: {:?}", self.unvisited_edges()));
        lines.join("\n")
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
