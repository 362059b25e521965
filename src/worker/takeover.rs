//! The steps of a take-over: raise, read Kafka's stable word, read the lane's rows in new statements under the new epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::WorkerError;
use super::dispatcher::Shared;
use super::gathering;
use super::positions;
use super::starting::{Start, starting_point};
use crate::conditions::{Health, Part};
use crate::domain;
use crate::kafka::{Committed, KnownTopic};
use crate::ledger::{Claim, LaneCorrection, LaneRow, LedgerError, StoredRow, Unpublished};

/// Pause before a step of a take-over is tried again.
const PAUSE: Duration = Duration::from_millis(500);
/// Every topic has this partition: its owner gathers what is left of those that the topic has no longer.
const FIRST: domain::Lane = domain::Lane(0);

/// A lane that was taken over.
pub(super) struct Opened {
    pub row: LaneRow,
    pub start: Start,
    /// When the raise, of all whose rows it has now, was answered, by the monotonic clock.
    pub raised_at: Duration,
    pub unfinished: Vec<StoredRow>,
    pub unpublished: Vec<Unpublished>,
    /// Another worker took it meanwhile.
    pub lost: bool,
}

/// The steps of a take-over, each repeated until it is answered.
pub(super) async fn take_over(shared: &Shared, partitions: &[i32]) -> Result<Vec<Opened>, WorkerError> {
    let lanes: Vec<domain::Lane> = partitions.iter().map(|partition| domain::Lane(*partition)).collect();
    let asked_at = shared.confirmations.asking();
    let mut rows = answered(shared, "raising the epochs", || shared.ledger.raise(&shared.owner, &lanes)).await?;
    let raised_at = shared.clock.tick();
    shared.confirmations.confirm(rows.iter().map(|row| row.claim), asked_at);
    let Topic { anew, lost, id, partitions: there } = forget_old_topic(shared, &mut rows).await?;
    let asked: Vec<i32> = partitions.iter().copied().filter(|one| is_there(*one, there)).collect();
    let committed = positions::committed(shared, &asked).await;
    let beyond = beyond_the_end(shared, &committed).await;
    let mut starts = BTreeMap::new();
    for row in rows {
        let stands = committed.iter().find(|committed| committed.partition == row.claim.lane.0);
        let anew = anew.contains(&row.claim.lane) || beyond.contains(&row.claim.lane.0);
        starts.insert(row.claim.lane, (starting_point(shared.ledger_id, shared.adopting, &row, anew, stands)?, row));
    }
    suspect_whole_logs(shared, &mut starts).await;
    correct(shared, starts.values()).await?;
    let mut gathered_at = None;
    if let (Some(id), Some(there), Some((start, row))) = (id, there, starts.get_mut(&FIRST)) {
        gathered_at = gathering::gather(shared, id, there, start, row).await?;
    }
    let claims: Vec<Claim> = starts.values().map(|(_, row)| row.claim).collect();
    let cursors: Vec<(Claim, i64)> = starts.values().map(|(start, row)| (row.claim, start.cursor)).collect();
    let mut unfinished =
        by_lane(answered(shared, "reading unfinished rows", || shared.ledger.unfinished(&claims, None)).await?);
    let outbox = answered(shared, "reading unpublished results", || shared.ledger.unpublished(&cursors)).await?;
    let mut opened = Vec::new();
    for (lane, (start, row)) in starts {
        let unpublished = outbox.iter().filter(|result| result.lane == lane).cloned().collect();
        let unfinished = unfinished.remove(&lane).unwrap_or_default();
        let raised_at = gathered_at.filter(|_| lane == FIRST).unwrap_or(raised_at);
        opened.push(Opened { lost: lost.contains(&lane), row, start, raised_at, unfinished, unpublished });
    }
    Ok(opened)
}

/// Partitions whose commit is beyond their log's end: it is of a topic that was before this one. An adopted ledger cannot tell that
/// by the topic that it knows.
async fn beyond_the_end(shared: &Shared, committed: &[Committed]) -> BTreeSet<i32> {
    let stands: Vec<(i32, i64)> =
        committed.iter().filter_map(|committed| Some((committed.partition, committed.offset?))).collect();
    if !shared.adopting || stands.is_empty() {
        return BTreeSet::new();
    }
    let partitions: Vec<i32> = stands.iter().map(|(partition, _)| *partition).collect();
    let ends = positions::log_ends(shared, &partitions).await;
    let is_beyond = |(partition, offset): &(i32, i64)| ends.iter().any(|(of, end)| of == partition && offset > end);
    stands.into_iter().filter(is_beyond).map(|(partition, _)| partition).collect()
}

/// What a restored ledger lost was accepted before this moment, also what was sent before its position was committed: so
/// everything that the log holds now is suspect, not only what is below Kafka's position.
async fn suspect_whole_logs(shared: &Shared, starts: &mut BTreeMap<domain::Lane, (Start, LaneRow)>) {
    let restored: Vec<i32> = starts.iter().filter(|(_, (start, _))| start.restored).map(|(lane, _)| lane.0).collect();
    if restored.is_empty() {
        return;
    }
    for (partition, end) in positions::log_ends(shared, &restored).await {
        if let Some((start, _)) = starts.get_mut(&domain::Lane(partition)) {
            start.suspect_below = start.suspect_below.max(end);
        }
    }
}

/// Writes down what Kafka's word changes; each over its lane's own connection. A lane that is refused was lost meanwhile,
/// and the next write or reading of the epochs says so.
async fn correct(shared: &Shared, starts: impl Iterator<Item = &(Start, LaneRow)>) -> Result<(), WorkerError> {
    let mut slots: BTreeMap<usize, Vec<LaneCorrection>> = BTreeMap::new();
    for (start, row) in starts {
        if let Some(correction) = start.correction(row) {
            slots.entry(shared.ledger.slot(row.claim.lane)).or_default().push(correction);
        }
    }
    for corrections in slots.into_values() {
        answered(shared, "correcting lanes", || shared.ledger.correct_lanes(&corrections)).await?;
    }
    Ok(())
}

/// What became of lanes when the topic's id was noted.
#[derive(Default)]
struct Topic {
    /// They knew another topic.
    anew: BTreeSet<domain::Lane>,
    /// They are another worker's, or the topic's no longer.
    lost: BTreeSet<domain::Lane>,
    /// The topic's id, if it can be told.
    id: Option<String>,
    /// How many partitions it has, if that can be told.
    partitions: Option<i32>,
}

/// A topic that was made anew begins at its start again, whatever the ledger accepted of the old one.
async fn forget_old_topic(shared: &Shared, rows: &mut [LaneRow]) -> Result<Topic, WorkerError> {
    let mut topic = Topic::default();
    let Some(KnownTopic { id: topic_id, partitions }) = positions::topic(shared).await else { return Ok(topic) };
    (topic.id, topic.partitions) = (Some(topic_id.clone()), partitions);
    // A client can take partitions for its own for a while that the new topic does not have. They keep the old one's id: they are
    // for the first one's owner to gather.
    let claims: Vec<Claim> =
        rows.iter().map(|row| row.claim).filter(|claim| is_there(claim.lane.0, topic.partitions)).collect();
    let positions = answered(shared, "noting the topic", || shared.ledger.note_topic(&claims, &topic_id)).await?;
    for row in rows.iter_mut() {
        // What stands there now, also where an earlier answer to the same question was lost.
        let Some((_, stands)) = positions.iter().find(|(lane, _)| *lane == row.claim.lane) else {
            // An answer that does not name it is no answer of "no position": the topic's start would be committed.
            topic.lost.insert(row.claim.lane);
            continue;
        };
        // By what the raise found: a repeated answer to the note tells of one topic only, and so does "no position".
        if row.topic_id.as_ref().is_some_and(|known| *known != topic_id) {
            tracing::warn!(kafka.partition = row.claim.lane.0, "the topic was made anew: it is read from its start");
            row.suspect_below = 0;
            topic.anew.insert(row.claim.lane);
        }
        row.position = *stands;
    }
    Ok(topic)
}

fn is_there(partition: i32, partitions: Option<i32>) -> bool {
    partitions.is_none_or(|partitions| partition < partitions)
}

fn by_lane(rows: Vec<StoredRow>) -> BTreeMap<domain::Lane, Vec<StoredRow>> {
    let mut lanes: BTreeMap<domain::Lane, Vec<StoredRow>> = BTreeMap::new();
    for row in rows {
        lanes.entry(row.lane).or_default().push(row);
    }
    lanes
}

pub(super) async fn answered<T, F: Future<Output = Result<T, LedgerError>>>(
    shared: &Shared,
    what: &str,
    step: impl Fn() -> F,
) -> Result<T, WorkerError> {
    let mut trouble = None;
    loop {
        match step().await {
            Ok(answer) => return Ok(answer),
            Err(LedgerError::Unavailable(why)) => {
                if trouble.is_none() {
                    tracing::warn!(error = %why, "the ledger is unavailable while {what}; trying again");
                }
                shared.conditions.say_of(&mut trouble, Part::Ledger, Health::Down, &why);
                tokio::time::sleep(PAUSE).await;
            }
            Err(error) => return Err(WorkerError::Ledger(error.to_string())),
        }
    }
}
