//! Fetched records become rows and are accepted; too many of them pause the fetching.

use std::collections::BTreeMap;
use std::time::Duration;

use super::dispatcher::Dispatcher;
use super::event::Event;
use super::milestone::Step;
use super::prepare::Draft;
use super::scribe::{EndedResult, Job};
use crate::kafka::backlog::Batch;
use crate::ledger::{Accepted, Claim};

/// A lane with more unpublished results than this is not fetched: its publishing is held up, and each of them stays in
/// memory until it is published.
const MAX_UNPUBLISHED: usize = 10_000;

impl Dispatcher {
    /// Takes fetched records in; those of partitions that are not ours any more will be fetched by their owner.
    pub fn take_in(&mut self, batch: Batch) {
        let (records, _share) = batch.split();
        let mut batches: BTreeMap<i32, (Claim, i64, Vec<Draft>)> = BTreeMap::new();
        for record in records {
            let partition = record.origin.partition;
            let Some(claim) = self.claim(partition) else { continue };
            let Some(lane) = self.lanes.get(&partition).filter(|lane| !lane.stale) else { continue };
            let suspect_below = lane.suspect_below;
            let batch = batches.entry(partition).or_insert((claim, 0, Vec::new()));
            batch.1 = record.origin.offset + 1;
            batch.2.push(self.shared.preparer.draft(record, suspect_below));
        }
        for (partition, (claim, position, drafts)) in batches {
            if let Some(lane) = self.lanes.get_mut(&partition) {
                lane.accepting += drafts.len();
            }
            self.ask(claim.lane, Job::Accept { claim, position, drafts });
        }
        self.regulate();
    }

    /// Records are durable in the ledger: their lane's position may advance, their events may begin.
    pub fn on_accepted(
        &mut self,
        claim: Claim,
        position: i64,
        outcomes: Vec<(Draft, Accepted)>,
        ended: Vec<EndedResult>,
    ) {
        if !self.is_current(claim) {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(&claim.lane.0) {
            lane.accepting = lane.accepting.saturating_sub(outcomes.len());
            lane.position = lane.position.max(Some(position));
            for result in ended {
                lane.push(result.seq, result.records);
            }
        }
        for (draft, outcome) in outcomes {
            match outcome {
                Accepted::New { .. } => {
                    if let Some(event) = self.shared.preparer.event(claim, draft) {
                        self.admit(event, Duration::ZERO);
                    }
                }
                // Perhaps by a write of ours whose answer was lost.
                Accepted::Ours(row) => self.pick_up(claim, *row),
                Accepted::Duplicate => {
                    tracing::debug!(kafka.partition = claim.lane.0, kafka.offset = draft.row.offset, "a duplicate");
                }
                Accepted::Conflict | Accepted::Refused => {}
            }
        }
        self.regulate();
    }

    /// Puts an event behind its customer's others and begins it, not before `wait`, if it may.
    pub fn admit(&mut self, mut event: Event, wait: Duration) {
        let (key, claim) = (event.key, event.claim);
        let in_window = self.customers.push(claim.lane, &event.profile.customer, key);
        event.in_window = in_window || !self.shared.settings.per_customer_order;
        event.held = wait > Duration::ZERO;
        if event.held {
            self.timers.insert((key, claim), wait);
        }
        self.events.insert(key, event);
        self.tell(key, Step::Accepted);
        self.begin_if_possible(key);
    }

    /// Pauses fetching when enough is accepted ahead or waiting; resumes at half of it.
    fn regulate(&mut self) {
        let accepting: usize = self.lanes.values().map(|lane| lane.accepting).sum();
        let runnable = self.ready.len() + self.running + accepting;
        let waiting = self.events.len().saturating_sub(self.ready.len() + self.running);
        let settings = &self.shared.settings;
        let (most_runnable, most_waiting) = (settings.max_in_flight * 2, settings.max_waiting);
        let full = runnable >= most_runnable || waiting >= most_waiting;
        let drained = runnable <= most_runnable / 2 && waiting <= most_waiting / 2;
        if (full && !self.intake_paused) || (drained && self.intake_paused && self.stopping.is_none()) {
            self.intake_paused = full;
            self.apply_pause();
        }
        self.regulate_lanes();
    }

    /// Pauses single lanes whose publishing is held up; resumes them at half of the limit.
    fn regulate_lanes(&mut self) {
        let mut changed = Vec::new();
        for (partition, lane) in &mut self.lanes {
            let (waiting, paused) = (lane.unpublished.len(), lane.held_up);
            lane.held_up = waiting >= MAX_UNPUBLISHED || (paused && waiting > MAX_UNPUBLISHED / 2);
            if lane.held_up != paused {
                tracing::warn!(kafka.partition = partition, paused = lane.held_up, "publishing holds up the intake");
                changed.push(*partition);
            }
        }
        self.apply_pause_to(&changed);
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
        let held_up = |partition: &i32| self.lanes.get(partition).is_some_and(|lane| lane.held_up);
        let (pause, resume): (Vec<i32>, Vec<i32>) =
            partitions.iter().partition(|partition| self.intake_paused || held_up(partition));
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
        if self.intake_paused || self.lanes.values().any(|lane| lane.held_up) {
            self.regulate();
        }
    }
}
