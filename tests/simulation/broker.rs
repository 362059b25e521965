//! Kafka's brokers: the input log, transactions on the results, and the group's committed positions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use profile_linker::contract::{InputRecord, OutgoingRecord, TopicRole};
use profile_linker::domain::{EventKey, Origin, Secret};
use profile_linker::kafka::{Committed, Position};
use serde_json::Value;

use crate::inputs::{Input, TOPIC};
use crate::process::wall_ms;
use crate::remaking::Deleted;
use crate::validity::{self, Published};
use crate::world::State;

/// After this the broker aborts a transaction, at its next look.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(10);

/// What the brokers hold.
pub struct Broker {
    pub log: Vec<Vec<InputRecord>>,
    /// How many partitions the topic has now; behind these the logs stay empty.
    pub partitions: i32,
    /// What identifies each record, in the log's order.
    pub identities: Vec<Vec<Option<EventKey>>>,
    /// The logs of topics of this name that were deleted, oldest first.
    pub deleted: Vec<Deleted>,
    pub committed: BTreeMap<i32, (i64, String)>,
    /// Which topic each committed position is of.
    pub committed_of: BTreeMap<i32, usize>,
    /// Partitions that somebody has noticed to be of another topic: they are read from its start, also where a client, before
    /// that, had read and committed something of it already.
    pub begins_anew: BTreeSet<i32>,
    /// Results that may come again: what remembered their publication went with its topic.
    pub may_repeat: BTreeSet<String>,
    pub open: BTreeMap<u32, Transaction>,
    /// Results as a read_committed reader sees them, in order.
    pub visible: Vec<Visible>,
    /// Positions were lost or set: results may come again.
    pub forgetful: bool,
    /// What was committed before a restore: the restored ledger need not know of it.
    pub passed_before: BTreeMap<i32, i64>,
    /// Ids that a cycle carried: for one of the mutations.
    pub tried: BTreeSet<String>,
}

/// A producer's open transaction.
pub struct Transaction {
    pub since: Duration,
    pub records: Vec<OutgoingRecord>,
    pub positions: Vec<Position>,
}

/// A result that everybody can read.
pub struct Visible {
    pub topic: TopicRole,
    pub id: String,
    pub body: Value,
    /// Which commit showed it.
    pub commit: u64,
}

impl Broker {
    pub fn new(partitions: i32) -> Self {
        let log: Vec<Vec<InputRecord>> = (0..partitions).map(|_| Vec::new()).collect();
        Self {
            identities: log.clone().into_iter().map(|_: Vec<InputRecord>| Vec::new()).collect(),
            log,
            partitions,
            deleted: Vec::new(),
            committed: BTreeMap::new(),
            committed_of: BTreeMap::new(),
            begins_anew: BTreeSet::new(),
            may_repeat: BTreeSet::new(),
            open: BTreeMap::new(),
            visible: Vec::new(),
            forgetful: false,
            passed_before: BTreeMap::new(),
            tried: BTreeSet::new(),
        }
    }

    pub fn partition(&self, partition: i32) -> &[InputRecord] {
        usize::try_from(partition).ok().and_then(|place| self.log.get(place)).map_or(&[], Vec::as_slice)
    }

    pub fn append(&mut self, input: &Input, now: Duration) {
        let partition = input.partition % self.partitions;
        let Some(log) = usize::try_from(partition).ok().and_then(|place| self.log.get_mut(place)) else { return };
        let origin = Origin {
            topic: TOPIC.to_owned(),
            partition,
            offset: i64::try_from(log.len()).unwrap_or(i64::MAX),
            timestamp: wall_ms(now),
        };
        if let Some(identities) = self.identities.get_mut(usize::try_from(partition).unwrap_or(0)) {
            identities.push(input.event_key());
        }
        log.push(InputRecord {
            origin,
            key: Some(input.key.clone().into_bytes()),
            value: Some(Secret::from(input.value.clone())),
            headers: vec![("content-type".to_owned(), Some(b"application/cloudevents+json".to_vec()))],
        });
    }

    /// The stable positions; `None` while a transaction holds one of them open.
    pub fn stable(&self, partitions: &[i32]) -> Option<Vec<Committed>> {
        let held = |partition: &i32| {
            self.open.values().any(|open| open.positions.iter().any(|position| position.partition == *partition))
        };
        if partitions.iter().any(held) {
            return None;
        }
        Some(partitions.iter().map(|partition| self.position(*partition)).collect())
    }

    fn position(&self, partition: i32) -> Committed {
        let stands = self.committed.get(&partition);
        Committed {
            partition,
            offset: stands.map(|(offset, _)| *offset),
            metadata: stands.map(|(_, metadata)| metadata.clone()).unwrap_or_default(),
        }
    }
}

impl State {
    /// Shows records to everybody.
    pub fn show(&mut self, records: &[OutgoingRecord]) {
        let commit = u64::from(self.number());
        for record in records {
            self.invariant_what_is_published_is_valid_by_its_schema(record);
            let body: Value = serde_json::from_slice(&record.value).unwrap_or_default();
            let id = body["id"].as_str().unwrap_or_default().to_owned();
            self.say(|| format!("visible: {:?} {id} {}", record.topic, body["data"]["reason"]["code"]));
            self.broker.visible.push(Visible { topic: record.topic, id, body, commit });
        }
        self.changed = true;
    }

    fn invariant_what_is_published_is_valid_by_its_schema(&mut self, record: &OutgoingRecord) {
        let published = match record.topic {
            TopicRole::Linked => Published::Linked,
            TopicRole::Rejected => Published::Rejected,
            TopicRole::DeadLetter => Published::DeadLetter,
        };
        let headers = record.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        if let Err(detail) = validity::holds(published, &record.value, headers) {
            self.violated("what_is_published_is_valid_by_its_schema", detail);
        }
    }

    /// Stores what this process committed.
    pub fn store_positions(&mut self, number: u32, positions: Vec<Position>) {
        for position in positions {
            self.say(|| format!("committed: {position:?}"));
            let client = self.group.clients.get(&number);
            let topic = client.and_then(|client| client.topics.lanes.get(&position.partition).copied());
            self.invariant_a_committed_position_never_goes_back(&position, topic.unwrap_or(0));
            self.note_late_commit(&position);
            self.broker.committed_of.insert(position.partition, topic.unwrap_or(0));
            self.broker.committed.insert(position.partition, (position.offset, position.metadata));
        }
        self.changed = true;
    }

    /// What was committed was accepted: only another topic, or a ledger of the past, begins before it again.
    fn invariant_a_committed_position_never_goes_back(&mut self, position: &Position, topic: usize) {
        let begins = self.broker.begins_anew.remove(&position.partition) || self.restoring.happened();
        let same = self.broker.committed_of.get(&position.partition) == Some(&topic) && !begins;
        let stands = self.broker.committed.get(&position.partition).filter(|_| same).map(|(offset, _)| *offset);
        if let Some(stands) = stands.filter(|stands| *stands > position.offset) {
            let detail = format!("{position:?} takes the place of {stands}");
            self.violated("a_committed_position_never_goes_back", detail);
        }
    }

    /// Ends a producer's transaction; `false` if the broker has aborted it already.
    pub fn end_transaction(&mut self, producer: u32, commit: bool) -> bool {
        let Some(open) = self.broker.open.remove(&producer) else { return false };
        self.say(|| format!("transaction of {producer} {}", if commit { "commits" } else { "aborts" }));
        if commit {
            self.show(&open.records);
            self.store_positions(producer, open.positions);
        }
        true
    }

    /// Aborts transactions that nobody ended in time.
    pub fn expire_transactions(&mut self) {
        let now = self.now;
        let late = |open: &Transaction| now.saturating_sub(open.since) > TRANSACTION_TIMEOUT;
        let expired: Vec<u32> =
            self.broker.open.iter().filter(|(_, open)| late(open)).map(|(producer, _)| *producer).collect();
        for producer in expired {
            self.end_transaction(producer, false);
        }
    }
}
