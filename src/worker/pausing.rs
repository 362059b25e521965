//! Pauses: while there is one, no records are taken in, no accepted event is begun, and no call leaves. What is on the wire
//! ends, and results are published.
//!
//! A pause is a row of the ledger, an operator's or the flood guard's, which every worker reads each second: so it holds for
//! all of them, and a restart does not forget it. The worker whose guard writes it stops at once, without waiting for its
//! own row. Before the rows were read for the first time it takes nothing in, either.

use std::sync::Arc;
use std::time::Duration;

use super::dispatcher::{Dispatcher, Report};
use crate::config::DeadLetterSettings;
use crate::contract::{OutgoingRecord, TopicRole};
use crate::domain::EventKey;
use crate::domain::flow_control::{FloodGuard, FloodRules};
use crate::ledger::{Act, LedgerError, Pause, PauseKind};

/// Pause before the guard's row is written again that met an unavailable ledger.
const REPEAT: Duration = Duration::from_secs(1);

/// What is known of pauses, and the guard that makes one.
pub(super) struct Pausing {
    guard: FloodGuard,
    /// The ledger's rows, as they were read last; `None` before that.
    rows: Option<Vec<Pause>>,
    /// The guard stopped this worker, and its row is being written.
    tripped: bool,
    /// A reading that began before the guard's row was written says nothing of it.
    round: u64,
    reading: bool,
    /// Why the rows could not be read was said.
    said: bool,
}

impl Pausing {
    pub fn new(settings: &DeadLetterSettings) -> Self {
        let rules = FloodRules {
            run: settings.pause_after_run,
            share: settings.pause_share,
            window: settings.window,
            least: settings.pause_min,
        };
        Self { guard: FloodGuard::new(rules), rows: None, tripped: false, round: 0, reading: false, said: false }
    }

    /// Whether nothing is taken in, begun or called.
    pub fn is_on(&self) -> bool {
        self.tripped || self.rows.as_ref().is_none_or(|rows| !rows.is_empty())
    }
}

impl Dispatcher {
    /// Counts an end, and stops if there are too many dead letters. A replay's are not counted: an operator is looking.
    pub fn guard_against_flood(&mut self, records: &[OutgoingRecord]) {
        let dead_letter = records.iter().any(|record| record.topic == TopicRole::DeadLetter);
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
        self.stop_intake();
        self.write_pause(why);
    }

    fn stop_intake(&mut self) {
        tracing::info!("paused: nothing is taken in, begun or called until everything is resumed");
        tracing::trace!(from = "going on", to = "paused", "stepped");
        self.let_go_of_drafts();
        self.apply_pause();
    }

    fn write_pause(&self, why: String) {
        let shared = Arc::clone(&self.shared);
        let act = Act { actor: shared.owner.clone(), why: Some(why) };
        self.spawn(async move {
            let mut said = false;
            while let Err(error) = shared.ledger.pause(PauseKind::FloodGuard, &act).await {
                if !std::mem::replace(&mut said, true) {
                    tracing::error!(error = %error, "the guard's pause is not written yet: this worker stands still all the same");
                }
                tokio::time::sleep(REPEAT).await;
            }
            Report::PauseWritten
        });
    }

    /// The guard's row is there: from now on the rows say how long it holds.
    pub fn on_pause_written(&mut self) {
        self.pausing.round += 1;
        self.pausing.tripped = false;
        // Until they are read again.
        self.pausing.rows = None;
        self.read_pauses();
    }

    /// Reads the pauses beside the dispatcher.
    pub fn read_pauses(&mut self) {
        if self.pausing.reading {
            return;
        }
        self.pausing.reading = true;
        let (shared, round) = (Arc::clone(&self.shared), self.pausing.round);
        self.spawn(async move { Report::Pauses(round, shared.ledger.pauses().await) });
    }

    /// The pauses as they stand. A ledger that does not answer changes nothing.
    pub fn on_pauses(&mut self, round: u64, rows: Result<Vec<Pause>, LedgerError>) {
        self.pausing.reading = false;
        let said = std::mem::replace(&mut self.pausing.said, rows.is_err());
        let rows = match rows {
            Ok(rows) if round == self.pausing.round => rows,
            Ok(_) => return,
            Err(error) => {
                if !said {
                    tracing::warn!(error = %error, "the pauses cannot be read; they hold as they were read last");
                }
                return;
            }
        };
        let before = self.pausing.is_on();
        self.pausing.rows = Some(rows);
        match (before, self.pausing.is_on()) {
            (false, true) => self.stop_intake(),
            (true, false) => self.go_on(),
            _ => {}
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
