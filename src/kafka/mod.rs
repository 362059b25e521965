//! Kafka: the polled consumer, the positions with their cursor, and the two ways to publish.
//!
//! The worker sees Kafka through two seams, [`Source`] and [`Publisher`]. A position is committed together with the
//! *cursor* of its lane, the highest `publish_seq` that is published with it.

pub mod backlog;
pub mod client;
pub mod consumer;
mod credentials;
pub mod cursor;
pub mod idempotent;
mod log_ends;
pub mod membership;
mod polling;
mod producing;
pub mod rotation;
pub mod topic_id;
pub mod transactional;
mod watch;
mod watchdog;

use std::collections::BTreeSet;

use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;

use crate::contract::OutgoingRecord;
use backlog::Batch;

/// What the consumer reports, in order.
pub enum SourceEvent {
    /// Records, in offset order within a partition.
    Records(Batch),
    /// Partitions are ours; fetching starts when [`Source::assign`] answers.
    Assigned(Vec<i32>),
    /// Partitions go, when [`Source::unassign`] answers. `lost`: they are gone already, nothing may be committed.
    Revoked {
        /// Which.
        partitions: Vec<i32>,
        /// Whether the group already gave them to others.
        lost: bool,
    },
    /// Fetching of a partition was taken up anew by [`Source::restart`]: its records before this are stale.
    Restarted(i32),
    /// The topic is another than [`Source::topic`] told first, or since this was last said: it was deleted and made again.
    /// Said also where [`Source::topic`] told the new one meanwhile, since others asked before.
    Remade,
    /// Something that passes or needs a person; said once per change.
    Trouble(String),
    /// The client cannot go on.
    Fatal(String),
}

/// A committed position as it stands in Kafka.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// Partition of the input topic.
    pub partition: i32,
    /// The next offset; `None` if nothing is committed.
    pub offset: Option<i64>,
    /// The commit's metadata.
    pub metadata: String,
}

/// A position to commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Partition of the input topic.
    pub partition: i32,
    /// The next offset.
    pub offset: i64,
    /// The cursor, encoded.
    pub metadata: String,
}

/// A membership of the group. What it holds only the source that gave it and the publisher beside it know: the client's
/// metadata cannot be made without a group, and a simulated group has none.
#[derive(Clone)]
pub struct GroupMetadata(Arc<dyn Any + Send + Sync>);

impl GroupMetadata {
    /// Wraps what the source knows of its membership.
    #[must_use]
    pub fn new<T: Any + Send + Sync>(inner: T) -> Self {
        Self(Arc::new(inner))
    }

    /// What it holds, for a publisher of the same kind as the source.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

/// A topic in one answer of one broker: what two brokers tell may be of two topics, where it was made anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownTopic {
    /// Tells it from another of the same name; in the text form of Kafka's tools.
    pub id: String,
    /// How many partitions it has; `None` where that cannot be told, so that none counts as lost.
    pub partitions: Option<i32>,
}

/// The consuming side.
#[async_trait]
pub trait Source: Send + Sync + 'static {
    /// Answers an assignment: fetching starts at these offsets; `None`: at the earliest record.
    fn assign(&self, starts: &[(i32, Option<i64>)]) -> Result<(), KafkaTrouble>;
    /// Answers a revocation.
    fn unassign(&self, partitions: &[i32]) -> Result<(), KafkaTrouble>;
    /// Fetches a partition that we hold from another offset; [`SourceEvent::Restarted`] tells from when on.
    fn restart(&self, partition: i32, start: Option<i64>) -> Result<(), KafkaTrouble>;
    /// Stops fetching.
    fn pause(&self, partitions: &[i32]) -> Result<(), KafkaTrouble>;
    /// Fetches again.
    fn resume(&self, partitions: &[i32]) -> Result<(), KafkaTrouble>;
    /// The stable committed positions: waits while a transaction holds them open.
    async fn committed(&self, partitions: &[i32]) -> Result<Vec<Committed>, KafkaTrouble>;
    /// The offset after the last record of each of these partitions' logs.
    async fn log_ends(&self, partitions: &[i32]) -> Result<Vec<(i32, i64)>, KafkaTrouble>;
    /// Commits positions outside of a transaction and waits for the answer.
    async fn commit(&self, positions: &[Position]) -> Result<(), KafkaTrouble>;
    /// The membership under which a cycle is put together; `None` without one, once the group gave our partitions away, and
    /// while a rebalance is under way whose gifts and takings are not told and answered.
    fn group(&self) -> Option<GroupMetadata>;
    /// Which topic the input topic is; `None` where the broker has no ids of topics.
    async fn topic(&self) -> Result<Option<KnownTopic>, KafkaTrouble>;
    /// Leaves the group; every partition must have been given up.
    async fn close(&self);
}

/// Results and positions that are published as one.
pub struct Cycle {
    /// Results, by lane in `publish_seq` order.
    pub records: Vec<OutgoingRecord>,
    /// What time it is, in milliseconds since 1970: brokers keep a record by the time in it, and refuse one from the future.
    /// `None`: as this machine's clock has it, which somebody may step.
    pub at_ms: Option<i64>,
    /// One position a lane.
    pub positions: Vec<Position>,
    /// The membership at the time when the cycle was put together, never at its commit.
    pub group: Option<GroupMetadata>,
}

/// The publishing side.
#[async_trait]
pub trait Publisher: Send + Sync + 'static {
    /// Publishes a cycle.
    async fn publish(&self, cycle: Cycle) -> Result<(), CycleError>;
}

/// Why a cycle was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CycleError {
    /// Nothing of it is visible; it may be put together again.
    #[error("aborted: {0}")]
    Aborted(String),
    /// Not published because the broker refused one record.
    #[error("the broker refused record {index}: {error}")]
    Refused {
        /// Which of the cycle's records.
        index: usize,
        /// Why.
        error: String,
        /// Those that are there all the same: of a cycle without a transaction. Their cursor is not committed yet.
        delivered: BTreeSet<usize>,
        /// Whether it is larger than its topic takes, with what was sent beside it.
        too_large: bool,
    },
    /// Aborted because the broker refused a record, or its topic, and did not say which.
    #[error("the broker refused a record: {0}")]
    RefusedSomewhere(String),
    /// Whether it is visible is unknown; the producer has been made anew since, so that the committed cursor now tells.
    #[error("in doubt: {0}")]
    InDoubt(String),
    /// Calls of the client do not come back, time and again: the process is to end.
    #[error("stuck: {0}")]
    Stuck(String),
}

/// A call to Kafka that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("kafka: {0}")]
pub struct KafkaTrouble(pub String);

impl From<rdkafka::error::KafkaError> for KafkaTrouble {
    fn from(error: rdkafka::error::KafkaError) -> Self {
        Self(error.to_string())
    }
}
