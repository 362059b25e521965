//! What is asked of, and told by, a gathering of lanes that the topic has no longer.

use super::Claim;
use crate::domain::{Lane, PublishSeq};

/// Lanes that the topic no longer has, to be gathered into another one.
#[derive(Debug, Clone)]
pub struct Gathering {
    /// The lane that takes them, just taken over: their lowest, which every topic has.
    pub into: Claim,
    /// The first number that is free there.
    pub first_seq: PublishSeq,
    /// The partitions that the topic has now: lanes from this number on are lost ...
    pub partitions: i32,
    /// ... unless they know this topic: no topic of Kafka's loses partitions but by being made anew.
    pub topic_id: String,
    /// Whether the ledger is known to be older than Kafka: then each of their calls may have been sent.
    pub restored: bool,
}

/// What was gathered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gathered {
    /// The lost lanes.
    pub lanes: Vec<Lane>,
    /// Rows that are now the new lane's.
    pub rows: u64,
    /// How many numbers were given to results that were not published yet.
    pub numbers: i64,
    /// The highest number in the new lane's outbox now, also where an earlier gathering gave it; 0 if there is none.
    pub last_seq: i64,
    /// Whether every lost lane was cleanly released: nobody's call for one of their rows is under way.
    pub clean: bool,
}
