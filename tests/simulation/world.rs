//! The world of one history: everything outside of the workers, under one lock that is never held across an await.
//!
//! All randomness comes from the plan's seed and all time from the paused runtime, so that a seed is a history.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::asking::Asked;
use crate::broker::Broker;
use crate::chance::Chance;
use crate::coverage::Coverage;
use crate::duties::Duties;
use crate::flood::Floods;
use crate::group::Group;
use crate::mutations::Mutation;
use crate::open_calls::OpenCalls;
use crate::plan::{Plan, Trouble};
use crate::process::Process;
use crate::purging::Acceptances;
use crate::refusing::Refusals;
use crate::restoring::Restoring;
use crate::tables::Tables;
use crate::trace::Trace;
use crate::vendors::{Vendor, Vendors};
use crate::wire::Wire;
use crate::yielding::Yielding;

/// What everything in a history shares.
pub struct World {
    state: Mutex<State>,
    began: Instant,
    /// Wakes statements that wait for a lane's lock.
    pub unlocked: tokio::sync::Notify,
}

/// The lock's content.
pub struct State {
    pub plan: Plan,
    pub mutation: Option<Mutation>,
    pub chance: Chance,
    pub now: Duration,
    /// While true, faults happen.
    pub chaos: bool,
    /// Until then a part is away.
    pub ledger_down: Duration,
    pub vendors_down: (Duration, Trouble, Option<Vendor>),
    pub publishing_down: Duration,
    pub seats: Vec<Seat>,
    pub broker: Broker,
    pub group: Group,
    pub tables: Tables,
    pub acceptances: Acceptances,
    pub restoring: Restoring,
    pub vendors: Vendors,
    pub asked: Asked,
    pub open_calls: OpenCalls,
    pub wire: Wire,
    pub duties: Duties,
    pub yielding: Yielding,
    pub refusals: Refusals,
    pub floods: Floods,
    /// When anything last came in the way of a worker.
    pub disturbed_at: Duration,
    pub coverage: Coverage,
    pub trace: Trace,
    /// Something happened since the last check.
    pub changed: bool,
    /// The first broken invariant.
    pub violation: Option<Violation>,
    /// Calls that were sent although the process froze between the gate and the send: the named residue.
    pub residue: u32,
    pub crashes: u32,
    pub freezes: u32,
    next_number: u32,
}

/// A place for a worker: one process after the other sits on it.
pub struct Seat {
    pub process: Option<Arc<Process>>,
    pub start_at: Duration,
    /// By how much its machine's wall clock was stepped: whoever sits there next finds it so.
    pub wall_step_ms: i64,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub invariant: &'static str,
    pub detail: String,
}

impl World {
    pub fn new(plan: Plan, mutation: Option<Mutation>, record: bool) -> Arc<Self> {
        let chance = Chance::new(plan.seed ^ 0x05ee_d0fc_4a05);
        let seats =
            (0..plan.workers).map(|_| Seat { process: None, start_at: Duration::ZERO, wall_step_ms: 0 }).collect();
        let state = State {
            chance,
            mutation,
            now: Duration::ZERO,
            chaos: true,
            ledger_down: Duration::ZERO,
            vendors_down: (Duration::ZERO, Trouble::Failing, None),
            publishing_down: Duration::ZERO,
            seats,
            broker: Broker::new(plan.partitions),
            group: Group::default(),
            tables: Tables::default(),
            acceptances: Acceptances::default(),
            restoring: Restoring::default(),
            vendors: Vendors::new(&plan),
            asked: Asked::default(),
            open_calls: OpenCalls::default(),
            wire: Wire::default(),
            duties: Duties::default(),
            yielding: Yielding::default(),
            refusals: Refusals::default(),
            floods: Floods::default(),
            disturbed_at: Duration::ZERO,
            coverage: Coverage::default(),
            trace: Trace::new(record),
            changed: false,
            violation: None,
            residue: 0,
            crashes: 0,
            freezes: 0,
            next_number: 0,
            plan,
        };
        Arc::new(Self { state: Mutex::new(state), began: Instant::now(), unlocked: tokio::sync::Notify::new() })
    }

    pub fn lock(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = self.began.elapsed();
        state
    }

    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Lets a random time between these pass, in milliseconds.
    pub async fn pass(&self, from_ms: u64, to_ms: u64) {
        let wait = self.lock().chance.between(from_ms, to_ms);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }

    /// Whether a fault with this rate happens now.
    pub fn strikes(&self, rate: impl Fn(&crate::plan::Rates) -> u64) -> bool {
        self.lock().strikes(rate)
    }
}

impl State {
    /// The next number of anything that is counted.
    pub fn number(&mut self) -> u32 {
        self.next_number += 1;
        self.next_number
    }

    pub fn strikes(&mut self, rate: impl Fn(&crate::plan::Rates) -> u64) -> bool {
        let rate = rate(&self.plan.rates);
        self.chaos && rate > 0 && self.chance.permille(rate)
    }

    /// A process has ended, however: nobody expects anything of it.
    pub fn forget_process(&mut self, number: u32) {
        self.forget_open_calls(number);
        self.forget_duties(number);
        self.forget_yielding(number);
        self.forget_flood(number);
        self.disturbed_at = self.now;
    }

    pub fn is(&self, mutation: Mutation) -> bool {
        self.mutation == Some(mutation)
    }

    /// How this vendor is away now.
    pub fn trouble_of(&self, vendor: Vendor) -> Option<Trouble> {
        let (until, trouble, which) = self.vendors_down;
        (self.now < until && which.is_none_or(|which| which == vendor)).then_some(trouble)
    }

    pub fn say(&mut self, line: impl FnOnce() -> String) {
        self.trace.say(self.now, line);
    }

    pub fn remark(&mut self, text: &str) {
        self.trace.remark(self.now, text);
    }

    /// Notes the first broken invariant.
    pub fn violated(&mut self, invariant: &'static str, detail: String) {
        if self.violation.is_none() {
            self.say(|| format!("VIOLATED {invariant}: {detail}"));
            self.violation = Some(Violation { invariant, detail });
        }
    }
}
