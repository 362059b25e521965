//! The ledger's port over the tables: statements arrive, lock, commit and are answered, with other workers' statements in
//! between, and each of these steps may be the last.
//!
//! On the PostgreSQL-like ledger a statement that arrived goes on by itself, whoever dies; a connection may be lost while
//! it is under way, and then it may commit after its own repeat. The serial one, like SQLite, does one after the other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use profile_linker::domain::{EventKey, Lane};
use profile_linker::ledger::{
    AcceptLane, Acceptance, BackOffRow, Claim, ConvertedRow, EndedRow, EventSummary, LaneRow, Ledger, LedgerError,
    LedgerIdentity, NewRow, Refused, Serves, StoredRow, Unpublished,
};

use crate::mutations::Mutation;
use crate::process::Process;
use crate::tables::Tables;
use crate::world::{State, World};

pub const LEDGER_ID: [u8; 8] = [7; 8];

/// A process's connections to the ledger.
pub struct WorldLedger {
    pub process: Arc<Process>,
    pub sealed_hash_key: Vec<u8>,
}

type Answer<T> = Result<T, LedgerError>;

/// What a statement does once it holds its lanes; `held` is what its condition said.
type Work<T> = Box<dyn FnOnce(&mut State, &BTreeSet<Lane>) -> Answer<T> + Send>;

impl WorldLedger {
    /// A statement that writes under these claims.
    async fn write<T: Send + 'static>(&self, name: &'static str, claims: &[Claim], work: Work<T>) -> Answer<T> {
        self.statement(name, claims.to_vec(), claims.iter().map(|claim| claim.lane.0).collect(), work).await
    }

    async fn statement<T: Send + 'static>(
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
        let statement = Statement { world: Arc::clone(&self.process.world), name, claims, locks };
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

    async fn read<T: Send + 'static>(
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
        self.process.world.pass(0, 3).await;
        let read = {
            let state = self.process.world.lock();
            work(&state.tables, state.now)
        };
        self.process.world.pass(0, 3).await;
        self.process.answered(name).await;
        Ok(read)
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.process.world.lock().is(mutation)
    }
}

/// A statement on its way through the database.
struct Statement {
    world: Arc<World>,
    name: &'static str,
    claims: Vec<Claim>,
    locks: BTreeSet<i32>,
}

impl Statement {
    async fn run<T>(self, number: u32, work: Work<T>) -> Answer<T> {
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
        // The condition is judged again on the rows as they are once they are locked.
        let held = if unlocked { seen } else { state.tables.held(&self.claims) };
        let answer = work(&mut state, &held);
        let (name, locks) = (self.name, &self.locks);
        let outcome = answer.as_ref().err().map(ToString::to_string).unwrap_or_default();
        state.say(|| format!("ledger: {name} of {number} on {locks:?}, held {held:?} {outcome}"));
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
                if state.tables.locked.is_disjoint(&self.locks) {
                    state.tables.locked.extend(&self.locks);
                    return;
                }
            }
            unlocked.await;
        }
    }
}

fn refused(claims: &[Claim], held: &BTreeSet<Lane>) -> Refused {
    claims.iter().map(|claim| claim.lane).filter(|lane| !held.contains(lane)).collect()
}

#[async_trait]
impl Ledger for WorldLedger {
    async fn identity(&self) -> Answer<LedgerIdentity> {
        Ok(LedgerIdentity { ledger_id: LEDGER_ID, sealed_hash_key: self.sealed_hash_key.clone() })
    }

    async fn bind(&self, _serves: &Serves) -> Answer<()> {
        Ok(())
    }

    fn slots(&self) -> usize {
        self.process.world.lock().plan.slots
    }

    async fn raise(&self, _owner: &str, lanes: &[Lane]) -> Answer<Vec<LaneRow>> {
        let (locks, asked) = (lanes.iter().map(|lane| lane.0).collect(), lanes.to_vec());
        let work: Work<_> = Box::new(move |state, _| Ok(state.tables.raise(&asked)));
        let mut rows = self.statement("raise", Vec::new(), locks, work).await?;
        self.process.world.pass(0, 3).await;
        let state = self.process.world.lock();
        for row in &mut rows {
            row.last_seq = row.saved_cursor.max(state.tables.last_number(row.claim.lane));
            row.clean |= state.is(Mutation::NoWaitForTheWire);
        }
        Ok(rows)
    }

    async fn note_topic(&self, claims: &[Claim], topic_id: &str) -> Answer<Vec<(Lane, Option<i64>)>> {
        let topic_id = topic_id.to_owned();
        let work: Work<_> = Box::new(move |state, held| Ok(state.tables.note_topic(held, &topic_id)));
        self.write("note_topic", claims, work).await
    }

    async fn unfinished(&self, claims: &[Claim]) -> Answer<Vec<StoredRow>> {
        let claims = claims.to_vec();
        self.read("unfinished", move |tables, now| tables.unfinished(&claims, now)).await
    }

    async fn unpublished(&self, claims: &[(Claim, i64)]) -> Answer<Vec<Unpublished>> {
        let claims = claims.to_vec();
        self.read("unpublished", move |tables, _| tables.unpublished(&claims)).await
    }

    async fn accept(&self, lanes: &[AcceptLane], rows: &[NewRow]) -> Answer<Acceptance> {
        let claims: Vec<Claim> = lanes.iter().map(|lane| lane.claim).collect();
        let (lanes, new) = (lanes.to_vec(), rows.to_vec());
        let work: Work<_> = Box::new(move |state, held| Ok((held.clone(), state.tables.insert(held, &lanes, &new))));
        let (held, inserted) = self.write("accept", &claims, work).await?;
        self.process.world.pass(0, 3).await;
        let state = self.process.world.lock();
        let mut acceptance = state.tables.classify(&claims, &held, rows, &inserted);
        crate::mutations::mistake(&state, &mut acceptance);
        Ok(acceptance)
    }

    async fn converted(&self, claims: &[Claim], rows: &[ConvertedRow]) -> Answer<Refused> {
        if self.is(Mutation::SkipWriteAhead) {
            return Ok(Refused::new());
        }
        let (asked, rows) = (claims.to_vec(), rows.to_vec());
        let work: Work<_> = Box::new(move |state, held| {
            state.tables.convert(held, &rows).map(|()| refused(&asked, held))
        });
        self.write("converted", claims, work).await
    }

    async fn end(&self, claims: &[Claim], rows: &[EndedRow]) -> Answer<Refused> {
        let (asked, ended) = (claims.to_vec(), rows.to_vec());
        let work: Work<_> =
            Box::new(move |state, held| state.tables.end(held, &ended).map(|()| refused(&asked, held)));
        if self.is(Mutation::CursorBeforeDurable) {
            return self.end_unseen(claims, work).await;
        }
        self.write("end", claims, work).await
    }

    async fn back_off(&self, claims: &[Claim], rows: &[BackOffRow]) -> Answer<Refused> {
        let (asked, rows) = (claims.to_vec(), rows.to_vec());
        let work: Work<_> = Box::new(move |state, held| {
            let now = state.now;
            state.tables.wait(held, &rows, now).map(|()| refused(&asked, held))
        });
        self.write("back_off", claims, work).await
    }

    async fn save_cursors(&self, cursors: &[(Claim, i64)]) -> Answer<Refused> {
        let claims: Vec<Claim> = cursors.iter().map(|(claim, _)| *claim).collect();
        let (asked, cursors) = (claims.clone(), cursors.to_vec());
        let work: Work<_> = Box::new(move |state, held| {
            let beyond = if state.is(Mutation::RemovesUnpublished) { 1 } else { 0 };
            state.tables.save_cursors(held, &cursors, beyond);
            Ok(refused(&asked, held))
        });
        self.write("save_cursors", &claims, work).await
    }

    async fn epochs(&self, lanes: &[Lane]) -> Answer<Vec<Claim>> {
        let lanes = lanes.to_vec();
        self.read("epochs", move |tables, _| {
            let claim = |lane: &Lane| tables.epoch(*lane).map(|epoch| Claim { lane: *lane, epoch });
            lanes.iter().filter_map(claim).collect()
        })
        .await
    }

    async fn release(&self, lanes: &[(Claim, bool)]) -> Answer<Refused> {
        let claims: Vec<Claim> = lanes.iter().map(|(claim, _)| *claim).collect();
        let (asked, lanes) = (claims.clone(), lanes.to_vec());
        let work: Work<_> = Box::new(move |state, held| {
            state.tables.release(held, &lanes);
            Ok(refused(&asked, held))
        });
        self.write("release", &claims, work).await
    }

    async fn find(&self, _event_id: &str) -> Answer<Vec<EventSummary>> {
        Ok(Vec::new())
    }

    async fn row(&self, key: EventKey) -> Answer<Option<StoredRow>> {
        Ok(self.process.world.lock().tables.rows.get(&key).map(|row| row.stored.clone()))
    }
}

impl WorldLedger {
    /// The mutation that takes an end for durable before it is.
    async fn end_unseen(&self, claims: &[Claim], work: Work<Refused>) -> Answer<Refused> {
        let other = Self { process: Arc::clone(&self.process), sealed_hash_key: Vec::new() };
        let claims = claims.to_vec();
        tokio::spawn(async move {
            other.process.world.pass(0, 300).await;
            other.write("end", &claims, work).await
        });
        Ok(Refused::new())
    }
}
