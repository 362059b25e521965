//! What one flush gathers, and which claim its rows go under.

use std::collections::BTreeMap;

use super::End;
use crate::domain::Lane;
use crate::ledger::{BackOffRow, Claim, ConvertedRow, Refused, StartedRow};
use crate::worker::prepare::Draft;

/// Jobs of one flush, by kind.
#[derive(Default)]
pub(super) struct Flush {
    pub accepts: Vec<(Claim, i64, Vec<Draft>)>,
    pub back_offs: Vec<(Claim, BackOffRow)>,
    pub started: Vec<(Claim, StartedRow)>,
    pub converted: Vec<(Claim, ConvertedRow)>,
    pub ends: Vec<(Claim, End)>,
    pub cursors: BTreeMap<Claim, i64>,
    pub barriers: Vec<Claim>,
}

impl Flush {
    /// A lane was taken anew: what was asked for under an older claim would be refused, and use up the new one's numbers.
    /// Barriers stay: whoever waits for one must hear of it.
    pub fn drop_older(&mut self, opened: Claim) {
        let stays = |claim: &Claim| claim.lane != opened.lane || claim.epoch >= opened.epoch;
        self.accepts.retain(|(claim, ..)| stays(claim));
        self.back_offs.retain(|(claim, _)| stays(claim));
        self.started.retain(|(claim, _)| stays(claim));
        self.converted.retain(|(claim, _)| stays(claim));
        self.ends.retain(|(claim, _)| stays(claim));
        self.cursors.retain(|claim, _| stays(claim));
    }
}

/// An answer that names the lanes refused.
pub(super) trait Refusing {
    fn refused(&self) -> &Refused;
}

impl Refusing for Refused {
    fn refused(&self) -> &Refused {
        self
    }
}

impl Refusing for crate::ledger::Acceptance {
    fn refused(&self) -> &Refused {
        &self.refused
    }
}

/// One claim a lane: the newest. Rows under an older one are dropped; their lane was taken anew since.
pub(super) fn split<R>(jobs: Vec<(Claim, R)>) -> (Vec<Claim>, Vec<R>) {
    let mut claims: BTreeMap<Lane, Claim> = BTreeMap::new();
    for (claim, _) in &jobs {
        let newest = claims.entry(claim.lane).or_insert(*claim);
        *newest = (*newest).max(*claim);
    }
    let rows = jobs.into_iter().filter(|(claim, _)| claims.get(&claim.lane) == Some(claim)).map(|(_, row)| row);
    let rows = rows.collect();
    (claims.into_values().collect(), rows)
}

pub(super) fn claim_of(claims: &[Claim], lane: Lane) -> Claim {
    // `split` made one claim for every lane of its rows.
    claims.iter().copied().find(|claim| claim.lane == lane).unwrap_or(Claim { lane, epoch: crate::domain::Epoch(0) })
}
