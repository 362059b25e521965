//! Lanes that the topic no longer has, since it was made anew with fewer partitions: nobody will ever be assigned them, so the owner
//! of the first partition takes over what is left in them, when it takes that one over.
//!
//! How many partitions there are is not enough to know which are lost: an answer may be of a moment ago. A lane that knows the
//! present topic is never gathered, whatever the count says; and where a broker has no ids of topics, none is.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::WorkerError;
use super::dispatcher::Shared;
use super::starting::Start;
use super::takeover::answered;
use crate::domain::PublishSeq;
use crate::ledger::{Gathering, LaneRow};

/// Gathers lost lanes into the one that is just taken over, before its rows and results are read. Answers when their epochs were
/// raised, by the monotonic clock, if they may have been.
pub(super) async fn gather(
    shared: &Shared,
    topic_id: String,
    partitions: i32,
    start: &mut Start,
    row: &mut LaneRow,
) -> Result<Option<Duration>, WorkerError> {
    let gathering = Gathering {
        into: row.claim,
        first_seq: PublishSeq(start.last_seq + 1),
        partitions,
        topic_id,
        restored: start.restored,
    };
    let tries = AtomicU32::new(0);
    let try_once = || {
        tries.fetch_add(1, Ordering::Relaxed);
        shared.ledger.gather(&gathering)
    };
    let gathered = answered(shared, "gathering lost partitions", try_once).await?;
    start.last_seq = start.last_seq.max(gathered.last_seq);
    // Whoever had them may be calling for their rows still. A try without an answer may have been the one that gathered.
    let tries = tries.into_inner();
    row.clean &= gathered.clean && tries == 1;
    let raised_at = Some(shared.clock.tick()).filter(|_| !gathered.lanes.is_empty() || tries > 1);
    if gathered.lanes.is_empty() {
        return Ok(raised_at);
    }
    tracing::warn!(
        partitions,
        lost = gathered.lanes.len(),
        rows = gathered.rows,
        unpublished = gathered.numbers,
        "the topic has fewer partitions than before: what was left of the lost ones goes on in partition 0",
    );
    Ok(raised_at)
}
