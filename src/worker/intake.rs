//! Fetched records become rows and are accepted; too many of them pause the fetching.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::dispatcher::{Dispatcher, Report};
use super::event::Event;
use super::lane::Lane;
use super::milestone::Step;
use super::pausing::is_dead_letter;
use super::prepare::{Draft, Preparer};
use super::scribe::{EndedResult, Job};
use crate::contract::InputRecord;
use crate::domain::PublishSeq;
use crate::kafka::backlog::{Batch, Share, weight};
use crate::ledger::{Accepted, Claim};

/// Records decoded and sealed before others may have the thread: about half a millisecond.
const STRETCH: usize = 32;

/// Fetched records of one lane that are to become drafts.
pub(super) struct Fetched {
    claim: Claim,
    /// Records below this offset were possibly sent before.
    suspect_below: i64,
    /// What the ledger's clock said as they came.
    now_ms: i64,
    records: Vec<InputRecord>,
    bytes: usize,
    /// Counts in the consumer's backlog until they are drafts.
    _share: Arc<Share>,
}

/// Drafts to be accepted; in the order of their records.
pub(super) struct Drafted {
    claim: Claim,
    /// The offset after the last.
    position: i64,
    drafts: Vec<Draft>,
}

impl Drafted {
    /// Keeps the first so many, with the position after them; answers the rest, if there is one.
    fn split_off(&mut self, count: usize) -> Option<Self> {
        let position = self.drafts.get(..count)?.last()?.next_offset;
        let rest = self.drafts.split_off(count);
        if rest.is_empty() {
            return None;
        }
        let position = std::mem::replace(&mut self.position, position);
        Some(Self { claim: self.claim, position, drafts: rest })
    }
}

impl Dispatcher {
    /// Takes fetched records in; those of partitions that are not ours any more will be fetched by their owner.
    pub fn take_in(&mut self, batch: Batch) {
        if self.let_go {
            return;
        }
        let (records, share) = batch.split();
        let share = Arc::new(share);
        let mut batches: BTreeMap<i32, Fetched> = BTreeMap::new();
        let now_ms = self.time.earliest_ms(self.shared.clock.tick());
        for record in records {
            let partition = record.origin.partition;
            let Some(claim) = self.claim(partition) else { continue };
            let Some(lane) = self.lanes.get(&partition).filter(|lane| !lane.stale) else { continue };
            let suspect_below = lane.suspect_below;
            let (records, share) = (Vec::new(), Arc::clone(&share));
            let new = || Fetched { claim, suspect_below, now_ms, records, bytes: 0, _share: share };
            let fetched = batches.entry(partition).or_insert_with(new);
            fetched.bytes += weight(&record);
            fetched.records.push(record);
        }
        for (partition, fetched) in batches {
            if let Some(lane) = self.lanes.get_mut(&partition) {
                lane.accepting += fetched.records.len();
                lane.accepting_bytes += fetched.bytes;
                lane.fetched.push_back(fetched);
            }
            self.draft_next(partition);
        }
        self.regulate();
    }

    /// Has a lane's next batch decoded and sealed beside the dispatcher; one at a time, so that they keep their order.
    fn draft_next(&mut self, partition: i32) {
        if self.pausing.is_on() {
            return;
        }
        let idle = |lane: &&mut Lane| !lane.drafting && lane.drafted.is_none();
        let Some(lane) = self.lanes.get_mut(&partition).filter(idle) else { return };
        let Some(fetched) = lane.fetched.pop_front() else { return };
        lane.drafting = true;
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { Report::Drafted(draft(&shared.preparer, fetched).await) });
    }

    /// Drafts are ready to be accepted, unless the lane was given up or taken anew meanwhile.
    pub fn on_drafted(&mut self, drafted: Drafted) {
        let Drafted { claim, position, drafts } = drafted;
        let partition = claim.lane.0;
        let Some(lane) = self.lanes.get_mut(&partition).filter(|lane| lane.claim == claim) else { return };
        lane.drafting = false;
        if lane.leaving || self.let_go {
            // The barrier of its last writes may be out already: its next owner fetches them.
            return;
        }
        lane.drafted = Some(Drafted { claim, position, drafts });
        self.accept_in_turn();
    }

    /// Has drafts accepted as far as there is room for them, the lanes taking turns.
    fn accept_in_turn(&mut self) {
        if self.pausing.is_on() {
            return;
        }
        let asked: usize = self.lanes.values().map(|lane| lane.asked).sum();
        let of_lane = |(partition, lane): (&i32, &Lane)| {
            let drafted = lane.drafted.as_ref().filter(|_| !lane.leaving)?;
            Some((*partition, drafted.drafts.len()))
        };
        let ready = self.lanes.iter().filter_map(of_lane).collect();
        for (partition, count) in self.turns.grant(&ready, asked) {
            self.accept(partition, count);
        }
    }

    /// Has so many of a lane's drafts accepted; the rest waits for its next turn.
    fn accept(&mut self, partition: i32, count: usize) {
        let Some(lane) = self.lanes.get_mut(&partition) else { return };
        let Some(mut drafted) = lane.drafted.take() else { return };
        lane.drafted = drafted.split_off(count);
        let Drafted { claim, position, drafts } = drafted;
        lane.asked += drafts.len();
        self.ask(claim.lane, Job::Accept { claim, position, drafts });
        self.draft_next(partition);
    }

    /// Decoding and accepting go on: a pause is over, or there is room.
    pub fn go_on_drafting(&mut self) {
        self.accept_in_turn();
        let partitions: Vec<i32> = self.lanes.keys().copied().collect();
        for partition in partitions {
            self.draft_next(partition);
        }
    }

    /// A worker that stops during a pause does not wait for what the pause holds: whoever comes next fetches it. For good,
    /// also where the pause ends before the worker does: to accept later records would pass over these.
    pub fn let_go_of_drafts(&mut self) {
        if self.stopping.is_none() || !self.pausing.is_on() {
            return;
        }
        self.let_go = true;
        for lane in self.lanes.values_mut() {
            lane.drafted = None;
            lane.fetched.clear();
            lane.accepting = 0;
            lane.accepting_bytes = 0;
        }
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
        // A replay that comes by the input topic and ends at once is a replay all the same.
        let replays: BTreeSet<_> =
            outcomes.iter().filter_map(|(draft, outcome)| number_of_replay(draft, outcome)).collect();
        for result in ended.iter().filter(|result| !replays.contains(&result.seq)) {
            self.guard_against_flood(is_dead_letter(&result.records));
        }
        if let Some(lane) = self.lanes.get_mut(&claim.lane.0) {
            lane.asked = lane.asked.saturating_sub(outcomes.len());
            lane.accepting = lane.accepting.saturating_sub(outcomes.len());
            let bytes = outcomes.iter().map(|(draft, _)| weight(&draft.record)).sum();
            lane.accepting_bytes = lane.accepting_bytes.saturating_sub(bytes);
            lane.position = lane.position.max(Some(position));
            for result in ended {
                lane.push(result.seq, result.records);
            }
        }
        self.count_ended_at_once(&outcomes);
        for (draft, outcome) in outcomes {
            match outcome {
                // Its note tells when there is room for it, as for every replay.
                outcome if outcome.waits_for_its_note(draft.row.generation) => {}
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
                Accepted::Replays | Accepted::Conflict | Accepted::Refused => {}
            }
        }
        self.go_on_drafting();
        self.regulate();
    }

    /// Puts an event behind its customer's others and begins it, not before `wait`, if it may.
    pub fn admit(&mut self, mut event: Event, wait: Duration) {
        let (key, claim) = (event.key, event.claim);
        if let Some(lane) = self.lanes.get(&claim.lane.0) {
            event.load = lane.tally.add(size_of_event(&event));
        }
        event.overtaken |= self.is_overtaken(&event);
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
}

/// Decodes and seals, with a pause now and then for what else the thread has to do.
async fn draft(preparer: &Preparer, fetched: Fetched) -> Drafted {
    let Fetched { claim, suspect_below, now_ms, records, .. } = fetched;
    let mut drafted = Drafted { claim, position: 0, drafts: Vec::with_capacity(records.len()) };
    for (index, record) in records.into_iter().enumerate() {
        if index % STRETCH == STRETCH - 1 {
            tokio::task::yield_now().await;
        }
        let draft = preparer.draft(record, suspect_below, now_ms);
        drafted.position = draft.next_offset;
        drafted.drafts.push(draft);
    }
    drafted
}

/// What an event takes in memory: its sealed record, the same opened, and the rest.
fn size_of_event(event: &Event) -> usize {
    2 * event.sealed_record.len() + size_of::<Event>()
}

/// The number of a result that a replay has at once.
fn number_of_replay(draft: &Draft, outcome: &Accepted) -> Option<PublishSeq> {
    match outcome {
        Accepted::New { publish_seq } if draft.row.generation > 1 => *publish_seq,
        // By a write of ours whose answer was lost.
        Accepted::Ours(row) if row.is_replay() => row.publish_seq,
        _ => None,
    }
}
