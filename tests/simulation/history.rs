//! One history: workers on their seats, time that passes in small steps, faults for a while, then quiet until everything
//! has ended.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use profile_linker::ledger::{Reopening, RowState};
use profile_linker::worker::Worker;

use crate::coverage::Coverage;
use crate::mutations::Mutation;
use crate::observer;
use crate::parts;
use crate::pausing;
use crate::plan::{Act, Plan};
use crate::process::{Main, Process};
use crate::restoring;
use crate::statement::{Statement, Work};
use crate::tables::Row;
use crate::world::{Violation, World};

/// How long after the faults everything must have ended: above all waits of a take-over and a few back-offs.
const PATIENCE: Duration = Duration::from_secs(900);

/// What became of a history.
pub struct Told {
    pub violation: Option<Violation>,
    pub fingerprint: (u64, u64),
    pub lines: Vec<String>,
    pub coverage: Coverage,
    pub residue: u32,
    /// Virtual time.
    pub took: Duration,
}

/// Lives through a history.
pub fn tell(plan: Plan, mutation: Option<Mutation>, record: bool) -> Told {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    observer::install();
    match runtime {
        Ok(runtime) => runtime.block_on(live(plan, mutation, record)),
        Err(error) => panic!("a runtime: {error}"),
    }
}

async fn live(plan: Plan, mutation: Option<Mutation>, record: bool) -> Told {
    let world = World::new(plan, mutation, record);
    let chaos = world.lock().plan.chaos;
    observer::watch(Some(Arc::clone(&world)));
    let mut history = History { world: Arc::clone(&world), input: 0, act: 0 };
    while world.now() < chaos && !history.is_over() {
        history.step().await;
    }
    history.calm();
    while !history.is_over() && world.now() < chaos + PATIENCE {
        history.step().await;
    }
    observer::watch(None);
    let mut state = world.lock();
    state.changed = true;
    state.check_step();
    state.check_end();
    state.coverage.close();
    // They hold the world, which would else hold them: no history would ever leave the memory.
    state.seats.clear();
    state.group.clients.clear();
    Told {
        violation: state.violation.clone(),
        fingerprint: state.trace.fingerprint(),
        lines: state.trace.take_lines(),
        coverage: state.coverage.clone(),
        residue: state.residue,
        took: state.now,
    }
}

struct History {
    world: Arc<World>,
    /// The next input and the next act.
    input: usize,
    act: usize,
}

impl History {
    async fn step(&mut self) {
        let calm = !self.world.lock().chaos;
        self.world.pass(5, if calm { 600 } else { 200 }).await;
        self.thaw();
        self.produce();
        self.do_acts();
        self.remove_old_rows();
        self.resume_intake();
        self.seat_workers();
        let mut state = self.world.lock();
        state.expire_transactions();
        state.run_group();
        state.notice_topics();
        state.invariant_conversions_do_not_wait_for_links();
        state.fetch();
        state.check_step();
    }

    fn is_over(&self) -> bool {
        let state = self.world.lock();
        let all_in = self.input == state.plan.inputs.len();
        state.violation.is_some() || (all_in && self.acts_are_over(&state) && state.unended().is_none())
    }

    fn acts_are_over(&self, state: &crate::world::State) -> bool {
        self.act >= state.plan.acts.len() || !state.chaos
    }

    /// From now on nothing fails any more; who is frozen still sleeps to the end of it.
    fn calm(&self) {
        let mut state = self.world.lock();
        state.chaos = false;
        state.ledger_down = Duration::ZERO;
        state.vendors_down.0 = Duration::ZERO;
        state.publishing_down = Duration::ZERO;
        state.say(|| "the faults are over".to_owned());
    }

    fn processes(&self) -> Vec<Arc<Process>> {
        self.world.lock().seats.iter().filter_map(|seat| seat.process.clone()).collect()
    }

    fn thaw(&self) {
        for process in self.processes() {
            process.thaw(self.world.now());
        }
    }

    fn produce(&mut self) {
        let mut state = self.world.lock();
        let now = state.now;
        while let Some(input) = state.plan.inputs.get(self.input).filter(|input| input.at <= now).cloned() {
            self.input += 1;
            state.say(|| format!("input on {}: {:?}", input.partition, input.id));
            state.broker.append(&input, now);
        }
    }

    fn do_acts(&mut self) {
        loop {
            let act = {
                let state = self.world.lock();
                let next = state.plan.acts.get(self.act).copied();
                next.filter(|(at, _)| *at <= state.now && state.chaos).map(|(_, act)| act)
            };
            let Some(act) = act else { return };
            self.act += 1;
            self.world.lock().say(|| format!("{act:?}"));
            self.perform(act);
        }
    }

    /// As a worker's job does, at any time, whoever else is at work.
    fn remove_old_rows(&self) {
        let mut state = self.world.lock();
        let Some(purge) = state.draw_purge() else { return };
        let to_come = state.plan.inputs[self.input..].to_vec();
        let work: Work<()> = Box::new(move |state, _| {
            let (readable, unfinished_too) = (state.may_be_read(&to_come), state.is(Mutation::PurgesUnfinished));
            let acceptances = &state.acceptances;
            let may_return = |row: &Row| readable.has(row) || acceptances.bring(row.stored.key);
            let purged = state.tables.purge(&purge, unfinished_too, may_return);
            if purged.removed > 0 {
                state.coverage.fault("old rows are removed", "ledger");
            }
            Ok(())
        });
        let incarnation = state.restoring.incarnation;
        let (world, locks) = (Arc::clone(&self.world), BTreeSet::new());
        tokio::spawn(Statement { world, name: "purge", claims: Vec::new(), locks, incarnation }.run(0, work));
    }

    /// An operator sees that everything is paused, now and then, and resumes it.
    fn resume_intake(&self) {
        let now_and_then = {
            let mut state = self.world.lock();
            !state.tables.pauses.is_empty() && state.chance.permille(50)
        };
        if now_and_then {
            pausing::resume(&self.world);
        }
    }

    fn seated(&self, seat: usize) -> Option<Arc<Process>> {
        self.world.lock().seats[seat].process.clone().filter(|process| !process.is_dead())
    }

    /// The process on this seat, or the next one that has partitions to lose.
    fn owner_near(&self, seat: usize) -> Option<u32> {
        let mut processes = self.processes();
        let first = seat.min(processes.len().saturating_sub(1));
        processes.rotate_left(first);
        let state = self.world.lock();
        let owns = |number: &u32| state.group.members.get(number).is_some_and(|member| !member.assigned.is_empty());
        processes.iter().map(|process| process.number).find(owns)
    }

    fn perform(&self, act: Act) {
        let world = &self.world;
        match act {
            Act::Crash(seat) => self.seated(seat).into_iter().for_each(|process| process.crash("any time")),
            Act::Freeze(seat, seconds) => {
                let process = self.seated(seat).filter(|process| process.is_running());
                process.into_iter().for_each(|process| process.freeze(Duration::from_secs(seconds), "any time"));
            }
            Act::Restart(seat) => self.seated(seat).into_iter().for_each(|process| {
                process.stop.cancel();
                world.lock().stop_is_asked(process.number);
            }),
            Act::Evict(seat) => {
                let number = self.owner_near(seat);
                let mut state = world.lock();
                let notices_in = Duration::from_millis(state.chance.pick(&[0, 300, 1_000, 3_000, 20_000]));
                number.into_iter().for_each(|number| state.evict(number, notices_in));
            }
            Act::Rebalance => world.lock().group.unsettled = true,
            Act::LoseOffsets(partition) => {
                let mut state = world.lock();
                // With them the one sign of an undeclared restore would go.
                if state.restoring.happened() {
                    return;
                }
                state.broker.committed.remove(&partition);
                state.broker.forgetful = true;
            }
            Act::LedgerDown(seconds) => {
                let mut state = world.lock();
                state.ledger_down = state.now + Duration::from_secs(seconds);
            }
            Act::VendorsDown(seconds, trouble, which) => {
                let mut state = world.lock();
                state.vendors_down = (state.now + Duration::from_secs(seconds), trouble, which);
            }
            Act::PublishingDown(seconds) => {
                let mut state = world.lock();
                state.publishing_down = state.now + Duration::from_secs(seconds);
            }
            Act::Pause => pausing::pause(world),
            Act::Remake(partitions) => world.lock().make_topic_anew(partitions),
            Act::BackUp => world.lock().back_up(),
            Act::Restore(declared) => restoring::restore(world, &self.processes(), declared),
            Act::Replay(operators) => (0..operators).for_each(|_| replay(world)),
            Act::StepClock(seat, by_ms) => {
                if let Some(seat) = world.lock().seats.get_mut(seat) {
                    seat.wall_step_ms += by_ms;
                }
                self.seated(seat).into_iter().for_each(|process| process.step_clock(by_ms));
            }
        }
    }

    /// Puts a new process on each seat that is free and due.
    fn seat_workers(&self) {
        let seats = self.world.lock().seats.len();
        for seat in 0..seats {
            let process = {
                let mut state = self.world.lock();
                let free = state.seats[seat].process.as_ref().is_none_or(|process| process.is_dead());
                // One alone adopts; the others start after it.
                let waits = state.restoring.to_adopt && seat > 0;
                if !free || waits || state.seats[seat].start_at > state.now {
                    continue;
                }
                let number = state.number();
                let process = Process::new(Arc::clone(&self.world), number, seat);
                process.step_clock(state.seats[seat].wall_step_ms);
                state.seats[seat].process = Some(Arc::clone(&process));
                state.say(|| format!("process {number} starts on seat {seat}"));
                process
            };
            tokio::spawn(run(process));
        }
    }
}

/// An operator reopens what it sees; what it saw may have changed by the time that its statement is there.
fn replay(world: &Arc<World>) {
    let dead = |row: &&Row| row.stored.state == RowState::DeadLettered;
    let state = world.lock();
    let seen = state.tables.rows.values().filter(dead);
    let seen: Vec<Reopening> =
        seen.map(|row| Reopening { key: row.stored.key, generation: row.stored.generation }).collect();
    let lanes = (0..state.plan.partitions).collect();
    drop(state);
    let incarnation = world.lock().restoring.incarnation;
    let statement =
        Statement { world: Arc::clone(world), name: "reopen", claims: Vec::new(), locks: lanes, incarnation };
    let work: Work<()> = Box::new(move |state, _| {
        let overwrites = state.is(Mutation::ReopeningOverwrites);
        let reopened = state.tables.reopen(&seen, overwrites);
        state.owe_looks_of_reopened(&reopened);
        state.say(|| format!("reopened: {reopened:?}"));
        Ok(())
    });
    tokio::spawn(statement.run(0, work));
}

/// A worker from its start to its end.
async fn run(process: Arc<Process>) {
    let main = async {
        let parts = parts::of(&process);
        match Worker::prepare(parts, process.stop.clone()).await {
            Ok(worker) => worker.run().await.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        }
    };
    let ended = Main::new(Arc::clone(&process), main).await;
    let Some(ended) = ended else { return };
    process.world.lock().say(|| format!("process {} ends: {ended:?}", process.number));
    if let Err(error) = ended {
        process.world.lock().violated("a_worker_goes_on", error);
    }
    process.end();
}
