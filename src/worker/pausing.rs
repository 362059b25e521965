//! Pauses: while there is one, no records are taken in, no accepted event is begun, and no call leaves. What is on the wire
//! ends, and results are published.
//!
//! A pause is a row of the ledger, an operator's or the flood guard's, which every worker reads each second: so it holds for
//! all of them, and a restart does not forget it. The worker whose guard writes it stops at once, without waiting for its
//! own row. Before the rows were read for the first time it takes nothing in, either. With them come the guard's limits, where an
//! operator named others than the configured ones.

use std::sync::Arc;
use std::time::Duration;

use super::dispatcher::{Dispatcher, Report};
use super::ledger_time::Step;
use super::pause_watch::{PauseWatch, Reading};
use crate::conditions::{Health, Part, Trouble};
use crate::config::DeadLetterSettings;
use crate::contract::{OutgoingRecord, TopicRole};
use crate::domain::EventKey;
use crate::domain::flow_control::{FloodGuard, FloodLimits, FloodRules};
use crate::ledger::{Act, NamedLimits, Pause, PauseKind};

/// Pause before the guard's row is written again that met an unavailable ledger.
const REPEAT: Duration = Duration::from_secs(1);

/// What is known of pauses, and the guard that makes one.
pub(super) struct Pausing {
    pub watch: PauseWatch,
    guard: FloodGuard,
    /// What the guard follows where nobody named anything else.
    configured: FloodRules,
    /// What was named.
    named: FloodLimits,
    /// The ledger's rows, as they were read last; `None` before that.
    rows: Option<Vec<Pause>>,
    /// How often the guard stopped this worker.
    trips: u64,
    /// It did, and its row is being written.
    tripped: bool,
    /// What is told of that until the row is.
    trouble: Option<Trouble>,
    /// Readings up to this one began before the guard's row was written, and say nothing of it.
    stale: u64,
    reading: bool,
    /// Why the rows could not be read was said.
    said: bool,
}

impl Pausing {
    pub fn new(settings: &DeadLetterSettings, watch: PauseWatch) -> Self {
        let configured = FloodRules {
            run: settings.pause_after_run,
            share: settings.pause_share,
            window: settings.window,
            least: settings.pause_min,
        };
        Self {
            watch,
            guard: FloodGuard::new(configured),
            configured,
            named: FloodLimits::default(),
            rows: None,
            trips: 0,
            tripped: false,
            trouble: None,
            stale: 0,
            reading: false,
            said: false,
        }
    }

    /// Limits as they were read; only others than before begin the guard's counts anew.
    fn follow(&mut self, named: Option<&NamedLimits>) {
        let named = named.map(|named| named.limits).unwrap_or_default();
        if self.named != named {
            self.named = named;
            self.guard.follow(self.configured.with(named));
        }
    }

    /// Whether nothing is taken in, begun or called.
    pub fn is_on(&self) -> bool {
        self.tripped || self.rows.as_ref().is_none_or(|rows| !rows.is_empty())
    }

    /// Whether the guard stopped this worker, and nobody else knows of it yet.
    pub fn is_being_written(&self) -> bool {
        self.tripped
    }
}

/// Whether an end is a dead letter.
pub(super) fn is_dead_letter(records: &[OutgoingRecord]) -> bool {
    records.iter().any(|record| record.topic == TopicRole::DeadLetter)
}

impl Dispatcher {
    /// Counts an end by what it publishes, and stops if there are too many dead letters. A replay's are not counted: an operator
    /// is looking.
    pub fn guard_against_flood(&mut self, dead_letter: bool) {
        let now = self.shared.clock.tick();
        let Some(why) = self.pausing.guard.count(dead_letter, now) else { return };
        if self.pausing.is_on() {
            // What was in flight when it stopped.
            return;
        }
        tracing::error!(
            why,
            "the flood guard stops all workers: look at the dead letters, mend what makes them, then `intake resume`",
        );
        self.pausing.tripped = true;
        self.pausing.trips += 1;
        let told = format!("paused by the flood guard: {why}");
        self.pausing.trouble = Some(self.shared.conditions.trouble(Part::Intake, Health::Paused, &told));
        self.stop_intake();
        self.write_pause(why);
    }

    fn stop_intake(&mut self) {
        tracing::info!("paused: nothing is taken in, begun or called until everything is resumed");
        tracing::trace!(from = "going on", to = "paused", "stepped");
        self.let_go_of_drafts();
        self.apply_pause();
    }

    /// Until it is there, however often that takes: under a name of its own for each time that the guard trips, by which the
    /// ledger tells the repeat of a write whose answer was lost. So a repeat does not undo what an operator resumed meanwhile.
    fn write_pause(&self, why: String) {
        let (shared, watch) = (Arc::clone(&self.shared), self.pausing.watch.clone());
        let act = Act { actor: format!("{}#{}", shared.owner, self.pausing.trips), why: Some(why) };
        self.spawn(async move {
            let mut said = false;
            while let Err(error) = shared.ledger.pause(PauseKind::FloodGuard, &act).await {
                if !std::mem::replace(&mut said, true) {
                    tracing::error!(error = %error, "the guard's pause is not written yet: this worker stands still all the same");
                }
                tokio::time::sleep(REPEAT).await;
            }
            Report::PauseWritten(watch.begun())
        });
    }

    /// The guard's row is there: from now on the rows say how long it holds, once they are read again.
    pub fn on_pause_written(&mut self, stale: u64) {
        self.pausing.stale = stale;
        self.pausing.tripped = false;
        self.pausing.rows = None;
        self.read_pauses();
    }

    /// Reads the pauses beside the dispatcher.
    pub fn read_pauses(&mut self) {
        if std::mem::replace(&mut self.pausing.reading, true) {
            return;
        }
        let watch = self.pausing.watch.clone();
        self.spawn(async move {
            watch.refresh().await;
            Report::PausesRead
        });
    }

    /// The next reading may begin.
    pub fn on_pauses_read(&mut self) {
        self.pausing.reading = false;
    }

    /// The pauses as they stand, whoever asked for them to be read. A ledger that does not answer changes nothing.
    pub fn on_reading(&mut self, reading: Reading) {
        let said = std::mem::replace(&mut self.pausing.said, reading.orders.is_err());
        if let Ok(orders) = &reading.orders {
            self.hear_time(orders.at, reading.between);
        }
        let orders = match reading.orders {
            Ok(orders) if reading.number > self.pausing.stale => orders,
            Ok(_) => return,
            Err(error) => {
                if !said {
                    tracing::warn!(error = %error, "the pauses cannot be read; they hold as they were read last");
                }
                return;
            }
        };
        if !self.pausing.tripped {
            // The rows are told by whoever read them.
            self.pausing.trouble = None;
        }
        let before = self.pausing.is_on();
        self.pausing.follow(orders.limits.as_ref());
        self.pausing.rows = Some(orders.pauses);
        match (before, self.pausing.is_on()) {
            (false, true) => self.stop_intake(),
            (true, false) => self.go_on(),
            _ => {}
        }
    }

    /// The orders came with the time at which they stood.
    fn hear_time(&mut self, at: i64, (asked_at, answered_at): (Duration, Duration)) {
        let seconds = |by: Duration| by.as_secs();
        match self.time.hear(at, asked_at, answered_at) {
            Some(Step::Forward(by)) => tracing::warn!(
                forward_s = seconds(by),
                "the ledger's clock was put forward, which is not believed before it has shown so for a day: until then \
                 tokens die, and rows grow old, by the time that it showed before",
            ),
            Some(Step::Back(by)) => {
                tracing::warn!(
                    back_s = seconds(by),
                    "the ledger's clock was put back: tokens die, rows grow old, and results are dated by it"
                );
            }
            Some(Step::Believed(by)) => tracing::warn!(
                forward_s = seconds(by),
                "the ledger's clock has shown a later time for a day: tokens die, and rows grow old, by it from now on",
            ),
            None => {}
        }
    }

    /// Nobody pauses any more: the guard counts anew, and what was held goes on in the order of the input.
    fn go_on(&mut self) {
        tracing::info!("no pause holds: events are taken in and begun");
        tracing::trace!(from = "paused", to = "going on", "stepped");
        self.pausing.guard.reset();
        self.apply_pause();
        self.go_on_drafting();
        let waiting = self.events.values().filter(|event| !event.begun);
        let mut waiting: Vec<(i32, i64, EventKey)> =
            waiting.map(|event| (event.origin.partition, event.origin.offset, event.key)).collect();
        waiting.sort_unstable();
        for (_, _, key) in waiting {
            self.begin_if_possible(key);
        }
    }
}
