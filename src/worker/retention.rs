//! Removing old rows: one batch after the other, beside everything else, by the worker that has the first partition.
//!
//! Two workers that both believe to have it do no harm: a row goes once. A run goes over everything that is old enough to
//! go, from the oldest on, and pauses after each batch for a multiple of what the batch took. So a slow database has longer
//! pauses, and the job never takes more than a small share of a connection's time.

use std::sync::Arc;
use std::time::Duration;

use super::dispatcher::{Dispatcher, Report, Shared};
use crate::config::Config;
use crate::ledger::{LedgerError, Purge, PurgePlace, Purged};

/// Whose owner does it: a topic's first partition is always there, and has one owner at a time.
const LANE: i32 = 0;
/// From the end of a run to the next one: short beside the least retention (an hour).
const RUN_EVERY: Duration = Duration::from_secs(600);
/// Rows looked at by a statement: milliseconds of work, and of a file's only connection.
const BATCH: usize = 1000;
/// A pause is so many times as long as the batch before it: at most a tenth of the time is spent on old rows.
const PAUSES: u32 = 9;
/// Where a batch takes no time at all.
const LEAST_PAUSE: Duration = Duration::from_millis(50);

/// What time it is for old rows. The first reading of the ledger's clock is believed, and may be years ahead: this machine's clock is
/// the only other witness then. Where that one is behind, rows stay for longer, which costs room and nothing else.
fn earlier(ledger_ms: i64, wall_ms: i64) -> i64 {
    ledger_ms.min(wall_ms)
}

/// How long rows are kept, and the run that is under way.
pub(super) struct Retention {
    ended: Duration,
    dead_lettered: Duration,
    running: bool,
    /// When the next run may begin, by the boot-time clock.
    next_run: Duration,
}

/// A run so far.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Run {
    began: Duration,
    after: Option<PurgePlace>,
    removed: u64,
    batches: u64,
    took: Duration,
    pause: Duration,
}

impl Retention {
    pub fn of(config: &Config) -> Self {
        let ended = config.ledger.retention;
        // A dead letter's row is what tells its record from a new one, too, as long as any other row.
        let dead_lettered = config.dead_letters.retention.max(ended);
        Self { ended, dead_lettered, running: false, next_run: Duration::ZERO }
    }

    /// The next batch, at this time.
    fn purge(&self, now_ms: i64, record: Duration, after: Option<PurgePlace>) -> Purge {
        Purge { now_ms, ended: self.ended, dead_lettered: self.dead_lettered, record, after, limit: BATCH }
    }
}

impl Dispatcher {
    /// Begins a run, if it is time and ours to do.
    pub fn remove_old_rows(&mut self) {
        let now = self.shared.clock.tick();
        if !self.retention.running && now >= self.retention.next_run && self.may_remove() {
            self.retention.running = true;
            self.remove_next(Run { began: now, ..Run::default() });
        }
    }

    fn may_remove(&self) -> bool {
        self.stopping.is_none() && self.claim(LANE).is_some() && self.time.is_known()
    }

    /// After the pause, so that a stop in it begins no further batch: nobody waits for what is spawned.
    fn remove_next(&self, run: Run) {
        let shared = Arc::clone(&self.shared);
        // As of now: a clock that is put forward in the pause makes nothing older.
        let now_ms = earlier(self.time.earliest_ms(shared.clock.tick()), shared.clock.wall_ms());
        let purge = self.retention.purge(now_ms, shared.preparer.old_after, run.after);
        self.spawn(async move {
            tokio::time::sleep(run.pause).await;
            let asked_at = shared.clock.tick();
            let purged = shared.ledger.purge(&purge).await;
            Report::Purged(run.with(asked_at, &shared, purged.as_ref().ok()), purged)
        });
    }

    /// A batch is done.
    pub fn on_purged(&mut self, run: Run, purged: Result<Purged, LedgerError>) {
        match purged {
            Ok(Purged { next: Some(_), .. }) if self.may_remove() => return self.remove_next(run),
            Ok(_) => run.tell(self.shared.clock.tick()),
            // Nothing waits for it: the next run looks from the oldest row on.
            Err(error) => {
                tracing::warn!(error = %error, removed = run.removed, "old rows were not removed; trying again")
            }
        }
        self.retention.running = false;
        self.retention.next_run = self.shared.clock.tick() + RUN_EVERY;
    }
}

impl Run {
    fn with(self, asked_at: Duration, shared: &Shared, purged: Option<&Purged>) -> Self {
        let took = shared.clock.tick().saturating_sub(asked_at);
        Self {
            after: purged.and_then(|purged| purged.next),
            removed: self.removed + purged.map_or(0, |purged| purged.removed),
            batches: self.batches + 1,
            took: self.took + took,
            pause: (took * PAUSES).max(LEAST_PAUSE),
            ..self
        }
    }

    /// One line a run; nothing to remove is nothing to tell most people.
    fn tell(self, now: Duration) {
        let Self { removed, batches, took, began, .. } = self;
        let (working_ms, over_s) = (took.as_millis(), now.saturating_sub(began).as_secs());
        if removed > 0 {
            tracing::info!(removed, batches, working_ms, over_s, "old rows were removed");
        } else {
            tracing::debug!(batches, working_ms, "there are no old rows to remove");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 86_400_000;

    fn days(days: u64) -> Duration {
        Duration::from_secs(days * 86_400)
    }

    #[test]
    fn what_is_old_is_old_by_the_earlier_of_two_clocks() {
        for (ledger, wall) in [(100, 100), (140, 100), (100, 140)] {
            assert_eq!(earlier(ledger * DAY_MS, wall * DAY_MS), 100 * DAY_MS, "{ledger} {wall}");
        }
        assert_eq!(earlier(100 * DAY_MS, 0), 0, "a machine without a clock of its own removes nothing");
    }

    #[test]
    fn a_batch_asks_for_each_ages_own_time() {
        let next_run = Duration::ZERO;
        let retention = Retention { ended: days(30), dead_lettered: days(90), running: false, next_run };
        let purge = retention.purge(7, days(15), None);
        let asked = (purge.now_ms, purge.ended, purge.dead_lettered, purge.record);
        assert_eq!(asked, (7, days(30), days(90), days(15)));
    }
}
