//! What a campaign did and saw.

use std::collections::BTreeMap;
use std::fmt;

use super::plan::{Blow, Class, Stop};
use super::shim::Place;

/// Counted by each cell and added up.
#[derive(Debug, Default)]
pub struct Tally {
    /// Stops outside of the residue, by class.
    pub stops: BTreeMap<Class, usize>,
    /// Freezes before the send of a link.
    pub inside: usize,
    /// Links that left a frozen worker at its thaw, having been between gate and kernel: those inside among them.
    pub late: usize,
    /// Second profiles that such links made.
    pub residue: usize,
    pub results: usize,
    pub linked: usize,
    pub rejected: usize,
    pub dead_lettered: usize,
    pub links: usize,
    pub links_again: usize,
    pub look_ups: usize,
    /// Answers that the sandbox lost, and calls that it refused to take.
    pub faults: usize,
}

impl Tally {
    /// Counts a stop.
    pub fn stopped(&mut self, stop: &Stop, place: Place) {
        match place {
            Place::Inside => self.inside += 1,
            Place::Outside => *self.stops.entry(stop.class).or_default() += 1,
        }
    }

    /// Stops by this blow, outside of the residue.
    pub fn blows(&self, blow: Blow) -> usize {
        self.stops.iter().filter(|(class, _)| class.blow == blow).map(|(_, count)| count).sum()
    }

    /// Adds another cell's.
    pub fn add(&mut self, other: Self) {
        for (class, count) in other.stops {
            *self.stops.entry(class).or_default() += count;
        }
        self.inside += other.inside;
        self.late += other.late;
        self.residue += other.residue;
        self.results += other.results;
        self.linked += other.linked;
        self.rejected += other.rejected;
        self.dead_lettered += other.dead_lettered;
        self.links += other.links;
        self.links_again += other.links_again;
        self.look_ups += other.look_ups;
        self.faults += other.faults;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kills, freezes) = (self.blows(Blow::Kill), self.blows(Blow::Freeze));
        writeln!(f, "{} stops outside of the residue: {kills} kills, {freezes} freezes", kills + freezes)?;
        let Self { inside, late, residue, .. } = self;
        writeln!(
            f,
            "inside: {inside} freezes before a link's send; {late} links left late, {residue} second profiles"
        )?;
        let Self { results, linked, rejected, dead_lettered, .. } = self;
        writeln!(f, "{results} results: {linked} linked, {rejected} rejected, {dead_lettered} dead-lettered")?;
        let Self { links, links_again, look_ups, faults, .. } = self;
        write!(
            f,
            "{links} links sent, {links_again} of them again; {look_ups} look-ups; {faults} faults of the vendors"
        )
    }
}
