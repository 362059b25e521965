//! The shell that drives the domain: accepts records, performs effects, writes ends down, publishes.
//!
//! One task, the `dispatcher`, owns all state in memory; nothing is shared, so there is nothing to lock. It never waits:
//! calls, writes, cycles and rebalances run beside it and report back. The pieces, in the order in which an event meets
//! them:
//!
//! - `intake`: fetched records become rows (`prepare`) and are accepted, the lanes taking `turns`; positions advance after that.
//! - `pausing`: nothing is taken in or begun while a pause holds (read by `pause_watch`); the flood guard.
//! - `regulate`: too much in memory pauses the fetching, the greediest partition first.
//! - `running`: the state machine's effects, within the limits of slots and of the customer's order (`customers`).
//! - `ledger_time`: what time it is, where an end depends on it.
//! - `upstreams`: which call goes next. Each upstream has its `bulkheads` (queue, breaker, limit); a `verdict` on it is what
//!   an event's answer says of it.
//! - `scribe`: group commit; `gate`: the last look at the fence before a changing call.
//! - `publishing`: durable results, positions and cursors, cycle by cycle.
//! - `ownership`: taking partitions over (`takeover`, `starting`, `resuming`) and giving them up; `notes` between owners.
//! - `replaying`: what an operator reopened, beside live events and behind them.
//! - `retention`: old rows are removed. `measure`: what the metrics are told.

mod bulkheads;
mod call;
mod customers;
mod dispatcher;
mod event;
mod gate;
mod gathering;
mod intake;
mod lane;
mod ledger_time;
mod load;
mod measure;
mod milestone;
mod notes;
mod outcome;
mod ownership;
mod pause_watch;
mod pausing;
mod positions;
mod prepare;
mod publishing;
mod regulate;
mod replaying;
mod resuming;
mod retaking;
mod retention;
mod running;
mod scribe;
mod start;
mod starting;
mod takeover;
mod timeline;
mod turns;
mod upstreams;
mod verdict;

pub use milestone::{Milestone, Step};
pub use pause_watch::PauseWatch;
pub use start::{StartError, Worker, WorkerParts};

/// Why a running worker ended by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WorkerError {
    /// Another ledger's positions, or a ledger that serves something else: a person must decide.
    #[error("{0}")]
    Misconfigured(String),
    /// The Kafka client cannot go on.
    #[error("the kafka client ended: {0}")]
    Kafka(String),
    /// The ledger holds what cannot be, or sealed bytes do not open.
    #[error("the ledger cannot be used: {0}")]
    Ledger(String),
}
