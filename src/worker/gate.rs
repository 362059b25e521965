//! The last step before a changing call's bytes: is this lane still ours, as far as the ledger knew a moment ago?
//!
//! A fence stops writes, not calls. So a call leaves only if the ledger confirmed the lane's epoch in answer to a request
//! *sent* less than [`OWNERSHIP_FRESH`] ago by the boot-time clock. Otherwise it waits for a new confirmation, until the
//! lane is given up.
//! Known residue: a freeze between this check and the kernel's send.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::domain::{Epoch, Lane};
use crate::ledger::Claim;
use crate::upstream::Gate;

/// How old a confirmation may be. A successor waits this long plus the longest time-out of a call.
pub const OWNERSHIP_FRESH: Duration = Duration::from_secs(5);

/// When the ledger last confirmed each lane of ours.
pub(super) struct Confirmations {
    clock: Arc<dyn Clock>,
    lanes: Mutex<BTreeMap<Lane, Confirmed>>,
    /// Wakes those that wait in the order in which they came, as a `watch` would not: a simulated history must replay.
    changed: Notify,
}

#[derive(Clone, Copy)]
struct Confirmed {
    epoch: Epoch,
    asked_at: Duration,
    /// We gave the lane up: no call of this epoch leaves any more, whatever is confirmed later.
    given_up: bool,
}

impl Confirmations {
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { clock, lanes: Mutex::new(BTreeMap::new()), changed: Notify::new() })
    }

    /// The time to pass to [`Confirmations::confirm`], taken before the request is sent.
    pub fn asking(&self) -> Duration {
        self.clock.tick()
    }

    /// The ledger answered that these claims are the lanes' own.
    pub fn confirm(&self, claims: impl IntoIterator<Item = Claim>, asked_at: Duration) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        for claim in claims {
            let new = Confirmed { epoch: claim.epoch, asked_at, given_up: false };
            let confirmed = lanes.entry(claim.lane).or_insert(new);
            if confirmed.epoch < claim.epoch {
                *confirmed = new;
            } else if confirmed.epoch == claim.epoch {
                confirmed.asked_at = confirmed.asked_at.max(asked_at);
            }
        }
        drop(lanes);
        self.changed.notify_waiters();
    }

    /// Calls of this claim that still wait are withdrawn: nobody will confirm it again, and each holds a slot.
    pub fn give_up(&self, claim: Claim) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(confirmed) = lanes.get_mut(&claim.lane).filter(|confirmed| confirmed.epoch == claim.epoch) {
            confirmed.given_up = true;
        }
        drop(lanes);
        self.changed.notify_waiters();
    }

    fn state(&self, claim: Claim) -> Freshness {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        match lanes.get(&claim.lane) {
            Some(confirmed) if confirmed.epoch != claim.epoch || confirmed.given_up => Freshness::Gone,
            Some(confirmed) if self.clock.tick().saturating_sub(confirmed.asked_at) < OWNERSHIP_FRESH => {
                Freshness::Fresh
            }
            _ => Freshness::Stale,
        }
    }
}

#[derive(PartialEq, Eq)]
enum Freshness {
    Fresh,
    Stale,
    Gone,
}

/// The gate of one lane's calls.
pub(super) struct LaneGate {
    pub claim: Claim,
    pub confirmations: Arc<Confirmations>,
}

#[async_trait]
impl Gate for LaneGate {
    async fn opens(&self) -> bool {
        loop {
            let mut changed = pin!(self.confirmations.changed.notified());
            // From here on no change is missed, also one between the look and the wait.
            changed.as_mut().enable();
            match self.confirmations.state(self.claim) {
                Freshness::Fresh => return true,
                Freshness::Gone => return false,
                Freshness::Stale => changed.await,
            }
        }
    }
}

#[cfg(test)]
mod tests;
