//! The input topic is deleted and made anew while workers run or are down.
//!
//! Its committed positions go with it, but a transaction that is open meanwhile can commit its old position afterwards. A
//! client that fetches goes on at its old offset in the new log, and passes over what is written below it; where its offset
//! is beyond the new log's end it begins at the start by itself. Within two seconds it notices that the topic is another.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use profile_linker::contract::InputRecord;
use profile_linker::domain::Lane;
use profile_linker::kafka::SourceEvent;
use profile_linker::kafka::cursor::{self, CursorText};
use profile_linker::ledger::NewRow;

use crate::broker::Broker;
use crate::ledger::LEDGER_ID;
use crate::mutations::Mutation;
use crate::process::wall_ms;
use crate::tables::{LaneState, Row};
use crate::world::State;

/// How often a client asks for the topic's id.
const EVERY_MS: u64 = 2_000;

/// A topic's log when it was deleted.
pub struct Deleted {
    at_ms: i64,
    log: Vec<Vec<InputRecord>>,
}

/// What a process knows of the topics, by their numbers.
#[derive(Default)]
pub struct Knowledge {
    /// The one that the worker was told first, or that it heard of last.
    told: Option<usize>,
    /// When its client asks next.
    asks_at: Duration,
    /// Under which it opened its lanes: what it commits for them is of that topic.
    pub lanes: BTreeMap<i32, usize>,
}

impl Broker {
    /// How often the topic was made anew.
    pub fn topic(&self) -> usize {
        self.deleted.len()
    }

    pub fn topic_id(&self) -> String {
        format!("topic {}", self.topic())
    }

    /// The topic that a record with this timestamp was written to.
    pub fn topic_of(&self, timestamp: i64) -> usize {
        self.deleted.iter().filter(|deleted| deleted.at_ms < timestamp).count()
    }

    /// The record that a row was made of, also of a topic that is no more.
    pub fn record_of(&self, row: &Row) -> Option<&InputRecord> {
        let stored = &row.stored;
        let log = match self.deleted.get(self.topic_of(stored.timestamp)) {
            Some(deleted) => deleted.log.get(usize::try_from(stored.partition).ok()?)?.as_slice(),
            None => self.partition(stored.partition),
        };
        log.get(usize::try_from(stored.offset).ok()?)
    }

    /// Whether the committed position is one of the topic that is there.
    pub fn commit_is_of_this_topic(&self, partition: i32) -> bool {
        self.committed_of.get(&partition) == Some(&self.topic())
    }

    /// Whether this lane's position is one of the topic that is there.
    pub fn knows(&self, lane: &LaneState) -> bool {
        lane.topic_id.as_ref() == Some(&self.topic_id())
    }
}

impl State {
    pub fn make_topic_anew(&mut self, partitions: i32) {
        self.forget_commits();
        self.broker.passed_before.clear();
        let log = self.broker.log.iter_mut().map(std::mem::take).collect();
        self.broker.identities.iter_mut().for_each(Vec::clear);
        self.broker.deleted.push(Deleted { at_ms: wall_ms(self.now), log });
        let now = self.now;
        for client in self.group.clients.values_mut() {
            client.topics.asks_at = now + Duration::from_millis(self.chance.between(0, EVERY_MS));
        }
        self.resize(partitions);
        // Clients may see it leave and come back.
        self.group.unsettled |= self.chance.permille(300);
        let running = self.group.clients.values().any(|client| !client.fetching.is_empty());
        self.coverage.fault("the topic is made anew", if running { "fetched" } else { "unfetched" });
        self.changed = true;
    }

    /// The topic's commits go, and with them what they said of results that the ledger does not know to be published.
    fn forget_commits(&mut self) {
        for (partition, (_, metadata)) in std::mem::take(&mut self.broker.committed) {
            let CursorText::Ours(cursor) = cursor::decode(&metadata, LEDGER_ID) else { continue };
            self.results_may_repeat(partition, cursor);
        }
    }

    /// Answers the topic's id to a worker that asks.
    pub fn tell_topic(&mut self, number: u32) -> String {
        let topic = if self.is(Mutation::TopicMadeAnewIsNotSeen) { 0 } else { self.broker.topic() };
        if let Some(client) = self.group.clients.get_mut(&number) {
            client.topics.told.get_or_insert(topic);
        }
        format!("topic {topic}")
    }

    /// A worker has opened these lanes under the topic that it was told of.
    pub fn lanes_are_of(&mut self, number: u32, lanes: &[(Lane, Option<i64>)], topic_id: &str) {
        let topic = topic_id.rsplit(' ').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        if let Some(client) = self.group.clients.get_mut(&number) {
            client.topics.lanes.extend(lanes.iter().map(|(lane, _)| (lane.0, topic)));
        }
    }

    /// Clients notice that the topic is another than they told.
    pub fn notice_topics(&mut self) {
        let (now, topic) = (self.now, self.broker.topic());
        if topic == 0 || self.is(Mutation::TopicMadeAnewIsNotSeen) {
            return;
        }
        for client in self.group.clients.values_mut().filter(|client| client.process.is_running()) {
            let knows = client.topics.told.is_none_or(|told| told == topic);
            if knows || client.topics.asks_at > now {
                continue;
            }
            client.topics.told = Some(topic);
            let _ = client.events.send(SourceEvent::Remade);
            self.coverage.fault("the topic is another", "noticed");
        }
    }

    /// Where a client goes on in this log: from its start by itself, if its offset is not there.
    pub fn tell_of_offset(&mut self, partition: i32, number: u32) {
        let end = i64::try_from(self.broker.partition(partition).len()).unwrap_or(i64::MAX);
        let topic = self.broker.topic();
        let Some(client) = self.group.clients.get_mut(&number) else { return };
        let unknowing = client.topics.lanes.get(&partition).is_some_and(|known| *known != topic);
        let Some(fetch) = client.fetching.get_mut(&partition).filter(|fetch| !fetch.paused) else { return };
        if fetch.next > end {
            fetch.next = 0;
            self.coverage.fault("fetching begins anew by itself", "topic");
        } else if unknowing && (1..end).contains(&fetch.next) {
            self.coverage.fault("new records are passed over", "topic");
        }
    }

    /// Marks rows of the new topic that were accepted before the worker heard of it.
    pub fn mark_early(&mut self, rows: &[NewRow], inserted: impl Iterator<Item = usize>) {
        let topic = self.broker.topic();
        for row in inserted.map(|place| &rows[place]) {
            let unheard = self.tables.lanes.get(&row.lane.0).is_some_and(|lane| !self.broker.knows(lane));
            let of_new = self.broker.topic_of(row.timestamp) == topic;
            if let Some(row) = self.tables.rows.get_mut(&row.key).filter(|_| unheard && of_new) {
                row.early = true;
            }
        }
    }

    /// The offset up to which the ledger has accepted what the topic holds.
    pub fn accepted_up_to(&self, partition: i32) -> i64 {
        let lane = self.tables.lanes.get(&partition).filter(|lane| self.broker.knows(lane));
        lane.and_then(|lane| lane.position).unwrap_or(0)
    }

    /// The results of what was accepted of topics that are no more; what was not is gone, and nobody owes it anything.
    pub fn owed_to_deleted_topics(&self) -> BTreeSet<String> {
        let topic = self.broker.topic();
        let rows = self.tables.ever().filter(|row| self.broker.topic_of(row.stored.timestamp) != topic);
        rows.flat_map(|row| self.ids_of(row)).collect()
    }

    /// The ids of a row's own results, one a generation.
    pub fn ids_of(&self, row: &Row) -> Vec<String> {
        let origin = self.broker.record_of(row).map(|record| &record.origin);
        let id = |generation| match (&row.identity, origin) {
            (Some(identity), _) => Some(identity.result_id(generation).to_string()),
            (None, origin) => origin.map(|origin| origin.result_id(generation).to_string()),
        };
        (1..=row.stored.generation).filter_map(id).collect()
    }
}
