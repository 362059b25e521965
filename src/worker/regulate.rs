//! How much may be in memory: what is accepted ahead, what waits, and the bytes of all of it.
//!
//! Under pressure a partition above its share is not fetched; the others go on until they reach theirs, so a flood in one
//! starves nobody. As the shares add up to the limit, at most twice the limit is in memory, and what is under way. Where
//! there are so many partitions that shares would be too small to be useful, all are paused together.

use super::dispatcher::Dispatcher;
use super::lane::Lane;

/// A lane with more unpublished results than this is not fetched: its publishing is held up, and each of them stays in
/// memory until it is published.
const MAX_UNPUBLISHED: usize = 10_000;
/// The least share of a partition in records: about a tenth of a fetched batch; less would only stop and go.
const LEAST_SHARE: usize = 64;

/// A limit that something is counted against.
struct Gauge {
    now: usize,
    limit: usize,
    /// What one partition may have of it.
    share: usize,
    of: fn(&Lane) -> usize,
}

impl Gauge {
    fn is_full(&self) -> bool {
        self.now >= self.limit
    }

    fn is_drained(&self) -> bool {
        self.now <= self.limit / 2
    }
}

impl Dispatcher {
    /// Pauses and resumes fetching, by what is in memory.
    pub fn regulate(&mut self) {
        let gauges = self.gauges();
        let mut changed = Vec::new();
        for (partition, lane) in &mut self.lanes {
            let above = gauges.iter().any(|gauge| gauge.is_full() && (gauge.of)(lane) >= gauge.share);
            let below = gauges.iter().all(|gauge| gauge.is_drained() || (gauge.of)(lane) <= gauge.share / 2);
            let before = lane.is_paused();
            lane.above_share = above || (lane.above_share && !below);
            lane.note_unpublished(*partition, MAX_UNPUBLISHED);
            if lane.is_paused() != before {
                changed.push(*partition);
            }
        }
        let none_above = !self.lanes.values().any(|lane| lane.above_share);
        let full = gauges.iter().any(Gauge::is_full) && none_above;
        let drained = gauges.iter().all(Gauge::is_drained) && self.stopping.is_none();
        if (full && !self.intake_paused) || (drained && self.intake_paused) {
            self.intake_paused = full;
            self.apply_pause();
        } else {
            self.apply_pause_to(&changed);
        }
    }

    fn gauges(&self) -> [Gauge; 3] {
        let settings = &self.shared.settings;
        let accepting: usize = self.lanes.values().map(|lane| lane.accepting).sum();
        let working = self.bulkheads.runnable(self.shared.clock.tick()) + self.running;
        let runnable = working + accepting;
        let waiting = self.events.len().saturating_sub(working);
        let bytes = self.lanes.values().map(Lane::bytes).sum();
        let lanes = self.lanes.len().max(1);
        let gauge = |now, limit: usize, least: usize, of| Gauge { now, limit, share: (limit / lanes).max(least), of };
        [
            gauge(runnable, settings.max_in_flight * 2, LEAST_SHARE, Lane::records),
            gauge(waiting, settings.max_waiting, LEAST_SHARE, Lane::records),
            gauge(bytes, settings.max_bytes, 1, Lane::bytes),
        ]
    }

    /// Tells the consumer whether to fetch.
    pub fn apply_pause(&self) {
        let partitions: Vec<i32> = self.lanes.iter().filter(|(_, lane)| !lane.leaving).map(|(id, _)| *id).collect();
        self.apply_pause_to(&partitions);
    }

    /// The same for some partitions.
    pub fn apply_pause_to(&self, partitions: &[i32]) {
        if partitions.is_empty() {
            return;
        }
        let paused = |partition: &i32| self.lanes.get(partition).is_some_and(Lane::is_paused);
        let all = self.intake_paused || self.pausing.is_on();
        let (pause, resume): (Vec<i32>, Vec<i32>) = partitions.iter().partition(|partition| all || paused(partition));
        let source = &self.shared.source;
        tracing::debug!(?pause, ?resume, "intake");
        for answer in [source.pause(&pause), source.resume(&resume)] {
            if let Err(error) = answer {
                // A partition that just left cannot be paused; its successor regulates itself.
                tracing::debug!(error = %error, "pausing or resuming the intake");
            }
        }
    }

    /// Called when events end: fetching may go on.
    pub fn room_made(&mut self) {
        if self.intake_paused || self.lanes.values().any(Lane::is_paused) {
            self.regulate();
        }
    }
}
