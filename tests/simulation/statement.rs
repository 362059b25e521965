//! How a statement gets through a database, and what can happen to it and to its answer on the way.
//!
//! On the PostgreSQL-like ledger a statement that arrived goes on by itself, whoever dies; a connection may be lost while
//! it is under way, and then it may commit after its own repeat. The serial one, like SQLite, does one after the other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use profile_linker::domain::Lane;
use profile_linker::ledger::{Claim, LedgerError, Refused};

use crate::mutations::Mutation;
use crate::process::Process;
use crate::tables::Tables;
use crate::world::{State, World};

/// A process's connections to the ledger.
pub struct WorldLedger {
    pub process: Arc<Process>,
    pub sealed_hash_key: Vec<u8>,
}

pub type Answer<T> = Result<T, LedgerError>;

/// What a statement does once it holds its lanes; `held` is what its condition said.
pub type Work<T> = Box<dyn FnOnce(&mut State, &BTreeSet<Lane>) -> Answer<T> + Send>;

impl WorldLedger {
    /// A statement that writes under these claims.
    pub async fn write<T: Send + 'static>(&self, name: &'static str, claims: &[Claim], work: Work<T>) -> Answer<T> {
        let number = self.process.number;
        let counts = matches!(name, "accept" | "converted");
        if counts {
            self.process.world.lock().write_begins(number, claims);
        }
        let answer =
            self.statement(name, claims.to_vec(), claims.iter().map(|claim| claim.lane.0).collect(), work).await;
        if counts {
            self.process.world.lock().write_ends(number, claims);
        }
        answer
    }

    pub async fn statement<T: Send + 'static>(
        &self,
        name: &'static str,
        claims: Vec<Claim>,
        locks: BTreeSet<i32>,
        work: Work<T>,
    ) -> Answer<T> {
        self.process.boundary(name).await;
        if self.is_lost_before() {
            self.process.world.pass(1, 500).await;
            self.process.running().await;
            return Err(LedgerError::Unavailable(format!("{name}: no connection")));
        }
        let (answer, answered) = tokio::sync::oneshot::channel();
        let incarnation = self.process.world.lock().restoring.incarnation;
        let statement = Statement { world: Arc::clone(&self.process.world), name, claims, locks, incarnation };
        let number = self.process.number;
        tokio::spawn(async move {
            // Whoever asked may be gone; what was done is done.
            let _ = answer.send(statement.run(number, work).await);
        });
        let answer = if self.is_lost_after() {
            self.process.world.pass(0, 300).await;
            Err(LedgerError::Unavailable(format!("{name}: the connection was lost")))
        } else {
            answered.await.unwrap_or_else(|_| Err(LedgerError::Unavailable(name.to_owned())))
        };
        self.process.answered(name).await;
        answer
    }

    fn is_lost_before(&self) -> bool {
        let mut state = self.process.world.lock();
        let down = state.now < state.ledger_down;
        let lost = down || state.strikes(|rates| rates.ledger_lost_before);
        if lost {
            state.coverage.fault("lost before", "ledger");
        }
        lost
    }

    fn is_lost_after(&self) -> bool {
        let mut state = self.process.world.lock();
        let lost = state.strikes(|rates| rates.ledger_lost_after);
        if lost {
            state.coverage.fault("lost after", "ledger");
        }
        lost
    }

    pub async fn read<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl FnOnce(&Tables, Duration) -> T + Send + 'static,
    ) -> Answer<T> {
        self.process.boundary(name).await;
        if self.is_lost_before() {
            self.process.world.pass(1, 500).await;
            self.process.running().await;
            return Err(LedgerError::Unavailable(format!("{name}: no connection")));
        }
        self.travel_to_read().await;
        let read = {
            let state = self.process.world.lock();
            work(&state.tables, state.now)
        };
        self.travel_to_read().await;
        self.process.answered(name).await;
        Ok(read)
    }

    /// What was read may be old by the time that it is there.
    async fn travel_to_read(&self) {
        let slow = self.process.world.strikes(|rates| rates.ledger_slow / 2);
        self.process.world.pass(0, if slow { 2_000 } else { 3 }).await;
    }

    pub fn is(&self, mutation: Mutation) -> bool {
        self.process.world.lock().is(mutation)
    }
}

/// A statement on its way through the database.
pub struct Statement {
    pub world: Arc<World>,
    pub name: &'static str,
    pub claims: Vec<Claim>,
    pub locks: BTreeSet<i32>,
    /// The database that it was sent to.
    pub incarnation: u32,
}

impl Statement {
    pub async fn run<T>(self, number: u32, work: Work<T>) -> Answer<T> {
        let (serial, unlocked) = {
            let state = self.world.lock();
            (state.plan.serial, state.is(Mutation::UnlockedEpoch) && !self.claims.is_empty())
        };
        if !serial {
            self.travel().await;
        }
        let seen = self.world.lock().tables.held(&self.claims);
        if !unlocked {
            self.take_locks().await;
        }
        if !serial {
            self.travel().await;
        }
        let mut state = self.world.lock();
        if state.restoring.incarnation != self.incarnation {
            return Err(LedgerError::Unavailable(format!("{}: that database is no more", self.name)));
        }
        // The condition is judged again on the rows as they are once they are locked.
        let held = if unlocked { seen } else { state.tables.held(&self.claims) };
        if held != state.tables.held(&self.claims) {
            state.coverage.fault("a fenced write commits", self.name);
        }
        state.tables.clock = state.now;
        let answer = work(&mut state, &held);
        let (name, locks) = (self.name, &self.locks);
        let outcome = answer.as_ref().err().map(ToString::to_string).unwrap_or_default();
        state.say(|| format!("ledger: {name} of {number} on {locks:?}, held {held:?} {outcome}"));
        state.changed = true;
        state.check_step();
        if !unlocked {
            for lane in &self.locks {
                state.tables.locked.remove(lane);
            }
        }
        drop(state);
        self.world.unlocked.notify_waiters();
        answer
    }

    async fn travel(&self) {
        let slow = self.world.strikes(|rates| rates.ledger_slow);
        self.world.pass(0, if slow { 4_000 } else { 3 }).await;
    }

    async fn take_locks(&self) {
        loop {
            let mut unlocked = std::pin::pin!(self.world.unlocked.notified());
            unlocked.as_mut().enable();
            {
                let mut state = self.world.lock();
                if state.restoring.incarnation != self.incarnation {
                    return;
                }
                if state.tables.locked.is_disjoint(&self.locks) {
                    state.tables.locked.extend(&self.locks);
                    return;
                }
            }
            unlocked.await;
        }
    }
}

impl WorldLedger {
    /// The mutation that takes an end for durable before it is.
    pub async fn end_unseen(&self, claims: &[Claim], work: Work<Refused>) -> Answer<Refused> {
        let other = Self { process: Arc::clone(&self.process), sealed_hash_key: Vec::new() };
        let claims = claims.to_vec();
        tokio::spawn(async move {
            other.process.world.pass(0, 300).await;
            other.write("end", &claims, work).await
        });
        Ok(Refused::new())
    }
}
