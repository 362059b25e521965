//! The group's coordinator and its clients: cooperative rebalances, one callback at a time, members that are given up.
//!
//! A rebalance happens only once every member has answered its last one and runs; one that does not run is given up after
//! the session time-out. Only a given-up member's partitions go to others unanswered.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use profile_linker::domain::Lane;
use profile_linker::kafka::SourceEvent;
use profile_linker::ledger::NewRow;
use tokio::sync::mpsc::UnboundedSender;

use crate::mutations::Mutation;
use crate::process::Process;
use crate::remaking::Knowledge;
use crate::world::State;

const SESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// A client that waits for an answer for so long leaves the group (`max.poll.interval.ms`).
const POLL_INTERVAL: Duration = Duration::from_secs(300);
/// A worker that heard so long ago that it is a member may be wrong.
const NEWS_OLD_AFTER: Duration = Duration::from_secs(6);

/// The coordinator's book and the clients' state.
#[derive(Default)]
pub struct Group {
    pub generation: i32,
    pub members: BTreeMap<u32, Member>,
    pub clients: BTreeMap<u32, Client>,
    pub unsettled: bool,
    /// When it hears that the topic has another number of partitions.
    pub resized_at: Option<Duration>,
}

/// A member as the coordinator sees it.
#[derive(Default)]
pub struct Member {
    pub assigned: BTreeSet<i32>,
    revoking: BTreeSet<i32>,
    silent_since: Option<Duration>,
}

/// The client library in a process.
pub struct Client {
    pub process: std::sync::Arc<Process>,
    pub events: UnboundedSender<SourceEvent>,
    pub fetching: BTreeMap<i32, Fetch>,
    /// The callback that the worker has not answered.
    pub open: Option<(bool, Vec<i32>, Duration)>,
    /// The generation that it joined.
    pub joined: Option<i32>,
    /// It knows that its partitions are gone.
    pub lost: bool,
    /// Its membership is gone.
    pub evicted: Option<Eviction>,
    /// Lanes that it raised under its present assignment.
    pub raised: BTreeSet<i32>,
    /// Raises without an answer, which are repeated.
    pub unanswered: BTreeSet<i32>,
    pub topics: Knowledge,
    /// Partitions to be fetched from elsewhere, which the polling thread does between two polls.
    pub restarts: Vec<(i32, Option<i64>)>,
    /// Records that its worker has and did not hear of, and how often: partition, offset, the topic's number. One that it
    /// dropped stays here.
    pub handed: BTreeMap<(i32, i64, usize), u32>,
    /// Those, and the ones that it heard of: an acceptance in two steps may be heard by half.
    pub ever_handed: BTreeSet<(i32, i64, usize)>,
}

/// When a member was given up, and when its client finds out: until then it hears nothing of the coordinator.
#[derive(Clone, Copy)]
pub struct Eviction {
    since: Duration,
    noticed_at: Duration,
}

/// Where a partition is fetched.
pub struct Fetch {
    pub next: i64,
    pub paused: bool,
}

impl Client {
    /// The first offset that its worker may accept still.
    pub fn next_to_accept(&self, partition: i32) -> Option<i64> {
        let next = self.fetching.get(&partition)?.next;
        let handed = self.handed.keys().filter(|(of, ..)| *of == partition).map(|(_, offset, _)| *offset).min();
        Some(handed.map_or(next, |offset| offset.min(next)))
    }

    /// Whether it has heard that its partitions are gone, told or not yet.
    pub fn knows_of_a_loss(&self, now: Duration) -> bool {
        self.lost || self.evicted.is_some_and(|eviction| eviction.noticed_at <= now)
    }
}

impl State {
    /// A worker hears what became of records.
    pub fn acceptance_is_heard(&mut self, number: u32, rows: &[NewRow]) {
        let place = |row: &NewRow| (row.lane.0, row.offset, self.broker.topic_of(row.timestamp));
        let places: Vec<_> = rows.iter().map(place).collect();
        let Some(client) = self.group.clients.get_mut(&number) else { return };
        for place in places {
            if let Entry::Occupied(mut times) = client.handed.entry(place) {
                *times.get_mut() -= 1;
                if *times.get() == 0 {
                    times.remove();
                }
            }
        }
    }

    pub fn join(&mut self, number: u32) {
        self.group.members.insert(number, Member::default());
        self.group.unsettled = true;
    }

    pub fn leave_group(&mut self, number: u32) {
        self.group.clients.remove(&number);
        if self.group.members.remove(&number).is_some() {
            self.group.unsettled = true;
        }
    }

    /// Gives a member up; its client finds out after `notices_in`.
    pub fn evict(&mut self, number: u32, notices_in: Duration) {
        if self.group.members.remove(&number).is_none() {
            return;
        }
        self.say(|| format!("the group gives {number} up"));
        self.group.unsettled = true;
        let eviction = Eviction { since: self.now, noticed_at: self.now + notices_in };
        if let Some(client) = self.group.clients.get_mut(&number) {
            client.evicted = Some(eviction);
        }
    }

    /// Whether the coordinator's answers reach this client. One that was given up hears of that before anything else.
    pub fn hears_the_coordinator(&self, number: u32) -> bool {
        let client = self.group.clients.get(&number);
        let deaf = client.and_then(|client| client.evicted).is_some_and(|eviction| eviction.noticed_at > self.now);
        !deaf || self.is(Mutation::RetakesUnasked)
    }

    /// A worker raises lanes. To take one again it must have heard a moment ago that it is a member still.
    pub fn invariant_a_lane_is_taken_again_by_a_member_only(&mut self, number: u32, lanes: &[i32]) {
        let now = self.now;
        let Some(client) = self.group.clients.get_mut(&number) else { return };
        let outsider = client.evicted.is_some_and(|eviction| now.saturating_sub(eviction.since) > NEWS_OLD_AFTER);
        for lane in lanes {
            let (first, repeated) = (client.raised.insert(*lane), !client.unanswered.insert(*lane));
            let again = !first && !repeated;
            if again && outsider {
                let detail = format!("{number} takes {lane} again long after the group gave it up");
                self.violated("a_lane_is_taken_again_by_a_member_only", detail);
                return;
            }
        }
    }

    /// A raise was answered.
    pub fn raise_is_answered(&mut self, number: u32, lanes: &[i32]) {
        if let Some(client) = self.group.clients.get_mut(&number) {
            client.unanswered.retain(|lane| !lanes.contains(lane));
        }
    }

    /// One look of the coordinator and of the clients.
    pub fn run_group(&mut self) {
        self.expire_sessions();
        self.notice_evictions();
        self.hear_of_partitions();
        if self.group.unsettled && self.all_can_join() {
            self.rebalance();
        }
    }

    fn expire_sessions(&mut self) {
        let now = self.now;
        let mut expired = Vec::new();
        for (number, member) in &mut self.group.members {
            let client = self.group.clients.get(number);
            let runs = client.is_some_and(|client| client.process.is_running());
            let stuck = client.and_then(|client| client.open.as_ref()).map(|(.., since)| *since);
            member.silent_since = if runs { None } else { member.silent_since.or(Some(now)) };
            let silent = member.silent_since.is_some_and(|since| now.saturating_sub(since) > SESSION_TIMEOUT);
            if silent || stuck.is_some_and(|since| now.saturating_sub(since) > POLL_INTERVAL) {
                expired.push(*number);
            }
        }
        for number in expired {
            self.evict(number, Duration::ZERO);
        }
        self.group.clients.retain(|_, client| !client.process.is_dead());
    }

    fn notice_evictions(&mut self) {
        let now = self.now;
        let noticing: Vec<u32> = self
            .group
            .clients
            .iter()
            .filter(|(_, client)| client.evicted.is_some_and(|eviction| eviction.noticed_at <= now))
            .filter(|(_, client)| client.process.is_running() && client.open.is_none())
            .map(|(number, _)| *number)
            .collect();
        for number in noticing {
            self.notice_eviction(number);
        }
    }

    fn notice_eviction(&mut self, number: u32) {
        let now = self.now;
        let Some(client) = self.group.clients.get_mut(&number) else { return };
        client.evicted = None;
        client.joined = None;
        let partitions: Vec<i32> = client.fetching.keys().copied().collect();
        if partitions.is_empty() {
            self.join(number);
            return;
        }
        client.lost = true;
        client.open = Some((false, partitions.clone(), now));
        let _ = client.events.send(SourceEvent::Revoked { partitions: partitions.clone(), lost: true });
        self.say(|| format!("{number} has lost {partitions:?}"));
        self.coverage.fault("lost", "assignment");
    }

    fn all_can_join(&self) -> bool {
        self.group.members.keys().all(|number| {
            let client = self.group.clients.get(number);
            client
                .is_some_and(|client| client.process.is_running() && client.open.is_none() && client.evicted.is_none())
        })
    }

    fn rebalance(&mut self) {
        self.group.generation += 1;
        self.group.unsettled = false;
        let mut order: Vec<u32> = self.group.members.keys().copied().collect();
        if order.is_empty() {
            return;
        }
        let turn = usize::try_from(self.chance.below(order.len() as u64)).unwrap_or(0);
        order.rotate_left(turn);
        order.sort_by_key(|number| std::cmp::Reverse(self.group.members[number].assigned.len()));
        let there = self.broker.partitions;
        let partitions = there.unsigned_abs() as usize;
        let quota = |place: usize| partitions / order.len() + usize::from(place < partitions % order.len());
        let taken: BTreeSet<i32> = self.group.members.values().flat_map(|member| member.assigned.clone()).collect();
        let mut free: Vec<i32> = (0..there).filter(|partition| !taken.contains(partition)).collect();
        self.say_generation(&order);
        for (place, number) in order.iter().enumerate() {
            let assigned = &self.group.members[number].assigned;
            // The highest ones are given up first.
            let (has, gone) = (assigned.len(), assigned.range(there..).count());
            if gone > 0 || has > quota(place) {
                self.revoke(*number, gone.max(has.saturating_sub(quota(place))));
            } else {
                let wanted = (quota(place) - has).min(free.len());
                let given: Vec<i32> = free.drain(..wanted).collect();
                self.give(*number, given);
            }
        }
    }

    fn say_generation(&mut self, order: &[u32]) {
        let generation = self.group.generation;
        self.say(|| format!("generation {generation} of {order:?}"));
    }

    fn revoke(&mut self, number: u32, count: usize) {
        let early = self.is(Mutation::MetadataAtCommit);
        let (now, generation) = (self.now, self.group.generation);
        let Some(member) = self.group.members.get_mut(&number) else { return };
        let partitions: Vec<i32> = member.assigned.iter().rev().take(count).copied().collect();
        if early {
            member.assigned.retain(|partition| !partitions.contains(partition));
            self.group.unsettled = true;
        } else {
            member.revoking.extend(&partitions);
        }
        let Some(client) = self.group.clients.get_mut(&number) else { return };
        client.joined = Some(generation);
        client.open = (!early).then(|| (false, partitions.clone(), now));
        let _ = client.events.send(SourceEvent::Revoked { partitions: partitions.clone(), lost: false });
        self.say(|| format!("{number} shall give up {partitions:?}"));
        self.coverage.fault("revoked", "assignment");
    }

    fn give(&mut self, number: u32, partitions: Vec<i32>) {
        let (now, generation) = (self.now, self.group.generation);
        let empty_too = self.chance.permille(300);
        let Some(client) = self.group.clients.get_mut(&number) else { return };
        client.joined = Some(generation);
        if partitions.is_empty() && !empty_too {
            return;
        }
        client.open = Some((true, partitions.clone(), now));
        let _ = client.events.send(SourceEvent::Assigned(partitions.clone()));
        if let Some(member) = self.group.members.get_mut(&number) {
            member.assigned.extend(&partitions);
        }
        self.say(|| format!("{number} shall take {partitions:?}"));
    }

    /// The worker answered an assignment.
    pub fn answer_assigned(&mut self, number: u32, starts: &[(i32, Option<i64>)]) {
        let Some(client) = self.group.clients.get_mut(&number) else { return };
        client.open = None;
        for (partition, start) in starts {
            client.fetching.insert(*partition, Fetch { next: start.unwrap_or(0), paused: false });
        }
        self.say(|| format!("{number} fetches {starts:?}"));
    }

    /// The worker answered a revocation.
    pub fn answer_revoked(&mut self, number: u32, partitions: &[i32]) {
        self.say(|| format!("{number} has given up {partitions:?}"));
        self.invariant_a_lane_changes_hands_after_its_cycle(number, partitions);
        self.has_yielded(number, partitions);
        self.lanes_are_known_lost(number, partitions.iter().map(|partition| Lane(*partition)));
        let Some(client) = self.group.clients.get_mut(&number) else { return };
        client.open = None;
        client.fetching.retain(|partition, _| !partitions.contains(partition));
        client.raised.retain(|partition| !partitions.contains(partition));
        let lost = std::mem::take(&mut client.lost);
        if lost {
            self.join(number);
        } else if let Some(member) = self.group.members.get_mut(&number) {
            member.assigned.retain(|partition| !partitions.contains(partition));
            member.revoking.clear();
            self.group.unsettled = true;
        }
    }

    /// Whether the coordinator takes commits of this membership.
    pub fn is_member(&self, number: u32, generation: i32) -> bool {
        self.group.members.contains_key(&number) && generation == self.group.generation
    }
}
