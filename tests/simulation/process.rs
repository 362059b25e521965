//! A worker's process as the world sees it: it runs, is frozen, or is dead.
//!
//! A dead process's seam calls never return and have no effect, so nothing of it reaches the world any more; its main task
//! is dropped. A frozen one's seam calls wait, before their effect or before their answer, and its main task is not
//! polled; its clock goes on.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use profile_linker::clock::Clock;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::mutations::Mutation;
use crate::world::World;

/// 2026-01-01 in milliseconds: when every history begins.
const BEGINNING_MS: i64 = 1_767_225_600_000;
/// Faults of one history at most: more only make it longer.
const MAX_CRASHES: u32 = 8;
const MAX_FREEZES: u32 = 6;

/// One run of a worker.
pub struct Process {
    pub world: Arc<World>,
    pub number: u32,
    pub seat: usize,
    pub stop: CancellationToken,
    life: Mutex<Life>,
    changed: Notify,
}

#[derive(Default)]
struct Life {
    dead: bool,
    frozen_until: Option<Duration>,
    wall_step_ms: i64,
    main: Option<Waker>,
}

impl Process {
    pub fn new(world: Arc<World>, number: u32, seat: usize) -> Arc<Self> {
        let life = Mutex::new(Life::default());
        Arc::new(Self { world, number, seat, stop: CancellationToken::new(), life, changed: Notify::new() })
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_dead(&self) -> bool {
        self.life().dead
    }

    pub fn is_frozen(&self) -> bool {
        self.life().frozen_until.is_some()
    }

    pub fn is_running(&self) -> bool {
        let life = self.life();
        !life.dead && life.frozen_until.is_none()
    }

    /// A place where this process may die or freeze: just before an effect.
    pub async fn boundary(&self, place: &'static str) {
        self.draw(place, ("crash before", "freeze before"));
        self.running().await;
    }

    /// The same before a call to a vendor, where a freeze is worth more than elsewhere.
    pub async fn before_call(&self, operation: &'static str) {
        self.boundary(operation).await;
        let freezes = self.world.strikes(|rates| rates.freeze_at_call);
        if freezes && self.may_freeze() {
            let seconds = self.world.lock().chance.pick(&[4, 12, 40, 60]);
            self.freeze(Duration::from_secs(seconds), operation);
        }
        self.running().await;
    }

    fn may_freeze(&self) -> bool {
        self.is_running() && self.world.lock().freezes < MAX_FREEZES
    }

    /// The same just after an effect, before its answer is known.
    pub async fn answered(&self, place: &'static str) {
        self.draw(place, ("crash after", "freeze after"));
        self.running().await;
    }

    /// Waits while the process is frozen; for ever once it is dead.
    pub async fn running(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.is_dead() {
                std::future::pending::<()>().await;
            }
            if !self.is_frozen() {
                return;
            }
            changed.await;
        }
    }

    fn draw(&self, place: &'static str, (crash, freeze): (&'static str, &'static str)) {
        if !self.is_running() {
            return;
        }
        let mut state = self.world.lock();
        if state.crashes < MAX_CRASHES && state.strikes(|rates| rates.crash) {
            state.coverage.fault(crash, place);
            drop(state);
            self.crash(place);
        } else if state.freezes < MAX_FREEZES && state.strikes(|rates| rates.freeze) {
            state.coverage.fault(freeze, place);
            let seconds = state.chance.pick(&[1, 3, 4, 6, 9, 15, 30, 60]);
            drop(state);
            self.freeze(Duration::from_secs(seconds), place);
        }
    }

    pub fn crash(&self, place: &'static str) {
        let mut state = self.world.lock();
        state.crashes += 1;
        let slowest = if state.plan.killer.is_some() { 2 } else { 5 };
        let restart = state.chance.pick(&[100, 1_000, 5_000, 20_000, 40_000][..slowest]);
        let start_at = state.now + Duration::from_millis(restart);
        let (number, seat) = (self.number, self.seat);
        state.seats[seat].start_at = start_at;
        state.say(|| format!("process {number} crashes at {place}"));
        state.forget_process(number);
        drop(state);
        let mut life = self.life();
        life.dead = true;
        let main = life.main.take();
        drop(life);
        self.changed.notify_waiters();
        main.into_iter().for_each(Waker::wake);
    }

    /// It ended by itself: its seat is free, and what still runs of it reaches nobody.
    pub fn end(&self) {
        let mut state = self.world.lock();
        let now = state.now;
        state.seats[self.seat].start_at = now;
        state.forget_process(self.number);
        drop(state);
        self.life().dead = true;
        self.changed.notify_waiters();
    }

    pub fn freeze(&self, time: Duration, place: &'static str) {
        let mut state = self.world.lock();
        state.freezes += 1;
        state.disturbed_at = state.now;
        let (number, until) = (self.number, state.now + time);
        state.say(|| format!("process {number} freezes at {place} for {} s", time.as_secs()));
        drop(state);
        self.life().frozen_until = Some(until);
    }

    /// Wakes up if it is time.
    pub fn thaw(&self, now: Duration) {
        let mut life = self.life();
        if life.dead || life.frozen_until.is_none_or(|until| until > now) {
            return;
        }
        life.frozen_until = None;
        let main = life.main.take();
        drop(life);
        let mut state = self.world.lock();
        let number = self.number;
        state.say(|| format!("process {number} wakes up"));
        drop(state);
        self.changed.notify_waiters();
        main.into_iter().for_each(Waker::wake);
    }

    /// Its wall clock, at this true time.
    pub fn wall_ms(&self, now: Duration) -> i64 {
        wall_ms(now) + self.life().wall_step_ms
    }

    /// As if this clock were set together with the wall clock.
    fn stepped(&self, ticks: Duration) -> Duration {
        let step_ms = self.life().wall_step_ms;
        let step = Duration::from_millis(step_ms.unsigned_abs());
        if step_ms < 0 { ticks.saturating_sub(step) } else { ticks + step }
    }

    pub fn step_clock(&self, by_ms: i64) {
        self.life().wall_step_ms += by_ms;
    }
}

/// The process's clocks: the boot-time clock is the world's, the wall clock may be stepped.
pub struct ProcessClock(pub Arc<Process>);

impl Clock for ProcessClock {
    fn wall_ms(&self) -> i64 {
        self.0.wall_ms(self.0.world.now())
    }

    fn tick(&self) -> Duration {
        // A machine's boot time is its own: no two clocks may be compared.
        let ticks = self.0.world.now() + Duration::from_secs(10_000 * u64::from(self.0.number));
        if self.0.world.lock().is(Mutation::TimeByTheWallClock) { self.0.stepped(ticks) } else { ticks }
    }

    fn chance(&self) -> f64 {
        self.0.world.lock().chance.unit()
    }
}

/// The true time.
pub fn wall_ms(now: Duration) -> i64 {
    BEGINNING_MS + i64::try_from(now.as_millis()).unwrap_or(0)
}

/// The main task of a process: not polled while it is frozen, dropped once it is dead.
pub struct Main<F> {
    process: Arc<Process>,
    inner: Option<Pin<Box<F>>>,
}

impl<F> Main<F> {
    pub fn new(process: Arc<Process>, inner: F) -> Self {
        Self { process, inner: Some(Box::pin(inner)) }
    }
}

impl<F: Future> Future for Main<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let process = Arc::clone(&self.process);
        if process.is_dead() {
            self.inner = None;
            return Poll::Ready(None);
        }
        process.life().main = Some(context.waker().clone());
        if process.is_frozen() {
            return Poll::Pending;
        }
        match &mut self.inner {
            Some(inner) => inner.as_mut().poll(context).map(Some),
            None => Poll::Ready(None),
        }
    }
}
