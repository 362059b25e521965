//! Taking partitions over and giving them up.
//!
//! Taking over: raise the epoch; read the stable committed position and cursor; read the lane's unfinished rows and its
//! unpublished results in new statements under the new epoch; only then fetch. Giving up: begin nothing new, let calls on
//! the wire end, let their writes and the cycle end, release, and only then answer Kafka.

use std::sync::Arc;
use std::time::Duration;

use super::WorkerError;
use super::dispatcher::{Dispatcher, Report};
use super::lane::Lane;
use super::scribe::Job;
use super::takeover::{Opened, take_over};
use crate::domain;
use crate::ledger::{Claim, Ledger};

/// How long a revocation waits for calls on the wire, so that the release is clean: well below the group's patience.
const LEAVE_LIMIT: Duration = Duration::from_secs(12);
/// Partitions being given up.
pub(super) struct Leaving {
    partitions: Vec<i32>,
    lost: bool,
    until: Duration,
    /// Lanes whose last writes are not durable yet; `None` before their calls have ended.
    barriers: Option<Vec<Claim>>,
    releasing: bool,
    /// Kafka asked and waits for the answer; a stop gives up of its own accord, and leaving the group answers for it.
    asked: bool,
    /// What Kafka takes while a stop gives up already; `true`: lost.
    next: Option<(Vec<i32>, bool)>,
}

impl Dispatcher {
    /// Takes partitions over that Kafka assigned, beside the dispatcher.
    pub fn open(&mut self, partitions: Vec<i32>) {
        self.opening += 1;
        let (shared, topics) = (Arc::clone(&self.shared), self.topics);
        self.spawn(async move { Report::Opened(topics, take_over(&shared, &partitions).await) });
    }

    /// Lanes were taken over: their results are published, their events go on, their fetching starts.
    pub fn on_opened(&mut self, topics: u64, opened: Result<Vec<Opened>, WorkerError>) {
        self.opening = self.opening.saturating_sub(1);
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                self.failed = Some(error);
                return;
            }
        };
        let starts: Vec<_> = opened.iter().map(|opened| (opened.row.claim.lane.0, opened.start.offset)).collect();
        for opened in opened {
            if opened.lost {
                // Taken by another while we opened it; it may still be ours: the group is asked, as after any fence.
                self.retake_later(opened.row.claim.lane.0);
            } else {
                self.install(opened, false);
            }
        }
        self.assigned.extend(starts.iter().map(|(partition, _)| *partition));
        // This answers Kafka's assignment, an empty one too.
        if let Err(error) = self.shared.source.assign(&starts) {
            self.failed = Some(WorkerError::Kafka(error.0));
        }
        // In either direction: the client remembers a partition's pause from the last time that it was ours.
        let opened: Vec<i32> = starts.iter().map(|(partition, _)| *partition).collect();
        self.apply_pause_to(&opened);
        if topics != self.topics {
            self.open_anew(&opened);
        }
    }

    pub fn is_going(&self, partition: i32) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.partitions.contains(&partition))
    }

    pub fn install(&mut self, opened: Opened, again: bool) {
        let Opened { row, start, raised_at, unfinished, unpublished, .. } = opened;
        let (claim, partition) = (row.claim, row.claim.lane.0);
        let mut lane = Lane::new(&row, &start, self.wire_until(&row, &start, raised_at));
        for result in unpublished {
            lane.push(result.publish_seq, result.records);
        }
        lane.stale = again;
        tracing::info!(
            kafka.partition = partition,
            epoch = claim.epoch.0,
            kafka.offset = start.offset.unwrap_or(-1),
            unfinished = unfinished.len(),
            unpublished = lane.unpublished.len(),
            cursor = start.cursor,
            last_seq = start.last_seq,
            clean = row.clean,
            "took the partition over",
        );
        self.lanes.insert(partition, lane);
        self.ask(claim.lane, Job::Open { claim, next_seq: start.last_seq + 1 });
        if again {
            // Its records kept coming while another worker had it: fetch anew, and drop what is under way.
            if let Err(error) = self.shared.source.restart(partition, start.offset) {
                self.failed = Some(WorkerError::Kafka(error.0));
            }
        }
        self.resume(claim, row.clean, unfinished);
    }

    /// Another worker has the lane: its rows are dropped. If Kafka still says that it is ours, it is taken again.
    pub fn on_fenced(&mut self, claim: Claim) {
        if !self.is_current(claim) {
            return;
        }
        let partition = claim.lane.0;
        tracing::warn!(kafka.partition = partition, epoch = claim.epoch.0, "the lane was taken by another worker");
        let leaving = self.lanes.get(&partition).is_some_and(|lane| lane.leaving);
        self.forget(partition);
        if !leaving {
            self.retake_later(partition);
        }
    }

    pub fn forget(&mut self, partition: i32) {
        let lane = domain::Lane(partition);
        if let Some(lane) = self.lanes.remove(&partition) {
            self.shared.confirmations.give_up(lane.claim);
        }
        self.customers.drop_lane(lane);
        self.events.retain(|_, event| event.claim.lane != lane);
        self.bulkheads.retain(|key| self.events.contains_key(key));
        self.ending_at_once.retain(|_, claim| claim.lane != lane);
    }

    /// Kafka takes partitions away, one revocation at a time: begin nothing new, and answer when all is ended.
    pub fn on_revoked(&mut self, partitions: Vec<i32>, lost: bool) {
        let Some(leaving) = self.leaving.as_mut() else { return self.begin_leaving(partitions, lost, true) };
        if lost {
            leaving.lost = true;
            leaving.until = Duration::ZERO;
        }
        leaving.next = Some((partitions, lost));
    }

    fn begin_leaving(&mut self, partitions: Vec<i32>, lost: bool, asked: bool) {
        tracing::info!(partitions = ?partitions, lost, "giving partitions up");
        for partition in &partitions {
            if let Some(lane) = self.lanes.get_mut(partition) {
                lane.leaving = true;
                // What still waits for its turn to be sent is not begun any more.
                self.shared.confirmations.give_up(lane.claim);
            }
        }
        let until = self.shared.clock.tick() + if lost { Duration::ZERO } else { LEAVE_LIMIT };
        self.leaving = Some(Leaving { partitions, lost, until, barriers: None, releasing: false, asked, next: None });
    }

    /// Goes on with giving up: calls, then writes, then the cycle, then the release.
    pub fn leave(&mut self) {
        let now = self.shared.clock.tick();
        let Some(leaving) = self.leaving.as_mut() else { return };
        if leaving.releasing || leaving.partitions.iter().any(|partition| self.retaking.contains(partition)) {
            return;
        }
        let lanes: Vec<&Lane> = leaving.partitions.iter().filter_map(|id| self.lanes.get(id)).collect();
        let claims: Vec<Claim> = lanes.iter().map(|lane| lane.claim).collect();
        if leaving.barriers.is_none() {
            let busy = lanes.iter().any(|lane| lane.on_the_wire > 0);
            if busy && now < leaving.until {
                return;
            }
            leaving.barriers = Some(claims.clone());
            for claim in &claims {
                self.ask(claim.lane, Job::Barrier(*claim));
            }
        }
        let Some(leaving) = self.leaving.as_mut() else { return };
        let written = leaving.lost || leaving.barriers.as_ref().is_some_and(Vec::is_empty);
        if !written || self.cycle.is_some() {
            return;
        }
        leaving.releasing = true;
        let releases: Vec<(Claim, bool)> = claims.iter().map(|claim| (*claim, self.is_clean(*claim))).collect();
        let partitions = self.leaving.as_ref().map(|leaving| leaving.partitions.clone()).unwrap_or_default();
        let cursors: Vec<(Claim, i64)> =
            claims.iter().filter_map(|claim| self.lanes.get(&claim.lane.0).map(|lane| (*claim, lane.cursor))).collect();
        let shared = Arc::clone(&self.shared);
        self.spawn(async move {
            give_up(&*shared.ledger, &releases, &cursors).await;
            Report::Released(partitions)
        });
    }

    /// Whether Kafka took this lane away unasked, or it is being released: its next owner may be at work already.
    pub fn is_passing_on(&self, claim: Claim) -> bool {
        let passes = |leaving: &Leaving| leaving.lost || leaving.releasing;
        self.leaving.as_ref().is_some_and(|leaving| passes(leaving) && leaving.partitions.contains(&claim.lane.0))
    }

    /// Clean: no call of ours is on the wire, and our own wait for a predecessor's calls is over or was not needed.
    fn is_clean(&self, claim: Claim) -> bool {
        let now = self.shared.clock.tick();
        self.lanes.get(&claim.lane.0).is_some_and(|lane| lane.on_the_wire == 0 && lane.wire_until <= now)
    }

    /// The last writes of a lane are durable.
    pub fn on_barrier(&mut self, claim: Claim) {
        if let Some(barriers) = self.leaving.as_mut().and_then(|leaving| leaving.barriers.as_mut()) {
            barriers.retain(|open| *open != claim);
        }
    }

    /// Lanes were released: Kafka gets its answer, if it asked.
    pub fn on_released(&mut self, partitions: &[i32]) {
        for partition in partitions {
            self.forget(*partition);
        }
        self.assigned.retain(|partition| !partitions.contains(partition));
        let Some(leaving) = self.leaving.take() else { return };
        if leaving.asked
            && let Err(error) = self.shared.source.unassign(partitions)
        {
            self.failed = Some(WorkerError::Kafka(error.0));
        }
        if let Some((partitions, lost)) = leaving.next {
            self.begin_leaving(partitions, lost, true);
        }
    }

    /// A stop was asked: nothing new is begun, calls on the wire may end within `shutdown_timeout`.
    pub fn begin_stop(&mut self) {
        tracing::info!("stopping: calls on the wire may end, results are published");
        self.stopping = Some(self.shared.clock.tick() + self.shared.settings.shutdown_timeout);
        self.intake_paused = true;
        self.let_go_of_drafts();
        self.apply_pause();
    }

    /// Whether a stop is complete. Once calls have ended and their results are published, every lane is given up.
    pub fn has_stopped(&mut self) -> bool {
        let Some(until) = self.stopping else { return false };
        let late = self.shared.clock.tick() >= until;
        if self.leaving.is_none() && !self.lanes.is_empty() {
            let quiet = self.running == 0 && self.cycle.is_none();
            let published = self.lanes.values().all(|lane| lane.unpublished.is_empty() && lane.accepting == 0);
            if late || (quiet && published && self.writes_are_done()) {
                let partitions = self.lanes.keys().copied().collect();
                self.begin_leaving(partitions, false, false);
                if late {
                    // The time to drain is used up: what is on the wire makes the release unclean.
                    self.leaving.iter_mut().for_each(|leaving| leaving.until = Duration::ZERO);
                }
                self.leave();
            }
        }
        let given_up = self.lanes.is_empty() && self.leaving.is_none() && self.opening + self.retaking.len() == 0;
        // A guard's pause that is nowhere but here would be forgotten, and the flood go on with the next worker.
        (given_up && (late || !self.pausing.is_being_written()))
            || (late && self.shared.clock.tick() >= until + LEAVE_LIMIT)
    }

    /// Whether no event has a write out: everything that is left waits for a call, a turn or a time.
    fn writes_are_done(&self) -> bool {
        self.events.values().all(|event| !event.begun || !event.flow.is_writing())
    }

    /// Asks the ledger for the present epochs: one cheap read confirms all lanes.
    pub fn confirm_ownership(&self) {
        let lanes: Vec<domain::Lane> = self.lanes.values().map(|lane| lane.claim.lane).collect();
        if lanes.is_empty() {
            return;
        }
        let shared = Arc::clone(&self.shared);
        self.spawn(async move {
            let asked_at = shared.confirmations.asking();
            // An unavailable ledger confirms nothing: calls wait, and the scribe says why.
            Report::Epochs(shared.ledger.epochs(&lanes).await.unwrap_or_default(), asked_at)
        });
    }

    /// The present epochs: a lane with another one is not ours.
    pub fn on_epochs(&mut self, epochs: &[Claim], asked_at: Duration) {
        self.shared.confirmations.confirm(epochs.iter().copied(), asked_at);
        for claim in epochs {
            let ours = self.lanes.get(&claim.lane.0).map(|lane| lane.claim);
            if let Some(ours) = ours.filter(|ours| ours.epoch < claim.epoch) {
                self.on_fenced(ours);
            }
        }
    }
}

/// Stores what was published and releases the lanes, each over its own connection.
async fn give_up(ledger: &dyn Ledger, releases: &[(Claim, bool)], cursors: &[(Claim, i64)]) {
    for slot in 0..ledger.slots() {
        let here = |claim: &Claim| ledger.slot(claim.lane) == slot;
        let lanes: Vec<_> = releases.iter().copied().filter(|(claim, _)| here(claim)).collect();
        let published: Vec<_> = cursors.iter().copied().filter(|(claim, _)| here(claim)).collect();
        if lanes.is_empty() {
            continue;
        }
        if let Err(error) = ledger.save_cursors(&published).await {
            tracing::warn!(error = %error, "a cursor was not stored; Kafka's commit has it, too");
        }
        if let Err(error) = ledger.release(&lanes).await {
            tracing::warn!(error = %error, "a release was not written; the successor waits");
        }
    }
}
