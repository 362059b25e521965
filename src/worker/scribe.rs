//! The scribe gathers the writes of many events into one statement each: group commit. One scribe a write connection, so
//! that a lane's writes follow each other.
//!
//! A flush whose outcome is unknown is repeated with the same rows and numbers before anything else of its lanes: the
//! durable results of a lane are always a prefix of its numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use self::flush::{Flush, Refusing, claim_of, split};
use super::gate::Confirmations;
use super::outcome::Ending;
use super::prepare::{Draft, Preparer};
use crate::conditions::{Conditions, Health, Part};
use crate::contract::OutgoingRecord;
use crate::domain::{Attempts, EventKey, Lane, PublishSeq};
use crate::ledger::{
    AcceptLane, Accepted, BackOffRow, Claim, ConvertedRow, EndedRow, Ledger, LedgerError, Refused, RowState, StartedRow,
};
use crate::metrics::Metrics;

/// Jobs of one flush: a few hundred rows a statement.
const MAX_FLUSH: usize = 500;
/// Pause before a write is repeated that met an unavailable ledger.
const REPEAT_PAUSE: Duration = Duration::from_millis(200);

/// What a scribe is asked to do; in the order of asking within a kind.
pub(super) enum Job {
    /// The lane's results are numbered from here on.
    Open { claim: Claim, next_seq: i64 },
    /// Report when everything before it is durable.
    Barrier(Claim),
    /// Accept fetched records; `position` is the offset after the last.
    Accept { claim: Claim, position: i64, drafts: Vec<Draft> },
    /// Write a permanent token down.
    Converted(Claim, ConvertedRow),
    /// Write an end down.
    End(Claim, End),
    /// Write a wait down.
    BackOff(Claim, BackOffRow),
    /// Count rows that are started once more.
    Started(Claim, Vec<StartedRow>),
    /// Store a published cursor.
    Cursor(Claim, i64),
}

/// An end to write down.
pub(super) struct End {
    pub key: EventKey,
    pub lane: Lane,
    pub ending: Ending,
    pub attempts: Attempts,
    pub timeline: String,
}

/// What a scribe reports.
pub(super) enum Written {
    /// Records were accepted, or not; conflicts are accepted already.
    Accepted { claim: Claim, position: i64, outcomes: Vec<(Draft, Accepted)>, ended: Vec<EndedResult> },
    /// A permanent token is durable.
    Converted(Claim, EventKey),
    /// An end is durable.
    Ended(Claim, EventKey, EndedResult),
    /// Counts are durable.
    Started(Claim, Vec<EventKey>),
    /// The end of a linked event was refused: its lane is another's.
    LinkRefused(EventKey),
    /// Everything before the barrier is durable.
    Barrier(Claim),
    /// The lane is another's.
    Fenced(Claim),
    /// The ledger holds what cannot be.
    Damaged(String),
}

/// A durable result that waits to be published.
pub(super) struct EndedResult {
    pub seq: PublishSeq,
    pub records: Vec<OutgoingRecord>,
}

pub(super) struct Scribe {
    pub ledger: Arc<dyn Ledger>,
    pub preparer: Arc<Preparer>,
    pub confirmations: Arc<Confirmations>,
    pub conditions: Conditions,
    pub metrics: Metrics,
    pub jobs: UnboundedReceiver<Job>,
    pub reports: UnboundedSender<Written>,
    /// Each lane's present claim and the number of its next result.
    pub numbering: BTreeMap<Lane, (Claim, i64)>,
}

impl Scribe {
    /// Runs until every sender of jobs is gone.
    pub async fn run(mut self) {
        let mut jobs = Vec::new();
        while self.jobs.recv_many(&mut jobs, MAX_FLUSH).await > 0 {
            let began = self.preparer.clock.tick();
            if let Err(error) = self.flush(jobs.drain(..)).await {
                self.report(Written::Damaged(error.to_string()));
                return;
            }
            self.metrics.flushed(self.preparer.clock.tick().saturating_sub(began));
        }
    }

    async fn flush(&mut self, jobs: impl Iterator<Item = Job>) -> Result<(), LedgerError> {
        let mut flush = Flush::default();
        for job in jobs {
            match job {
                Job::Open { claim, next_seq } => {
                    self.numbering.insert(claim.lane, (claim, next_seq));
                    flush.drop_older(claim);
                }
                Job::Barrier(claim) => flush.barriers.push(claim),
                Job::Accept { claim, position, drafts } => flush.accepts.push((claim, position, drafts)),
                Job::Converted(claim, row) => flush.converted.push((claim, row)),
                Job::End(claim, end) => flush.ends.push((claim, end)),
                Job::BackOff(claim, row) => flush.back_offs.push((claim, row)),
                Job::Started(claim, rows) => flush.started.extend(rows.into_iter().map(|row| (claim, row))),
                Job::Cursor(claim, cursor) => {
                    flush.cursors.insert(claim, cursor);
                }
            }
        }
        self.accept(flush.accepts).await?;
        self.back_off(flush.back_offs).await?;
        self.started(flush.started).await?;
        self.converted(flush.converted).await?;
        self.end(flush.ends).await?;
        self.cursors(flush.cursors).await?;
        for claim in flush.barriers {
            self.report(Written::Barrier(claim));
        }
        Ok(())
    }

    /// Batches of one lane follow each other; batches of different lanes share a statement.
    async fn accept(&mut self, mut batches: Vec<(Claim, i64, Vec<Draft>)>) -> Result<(), LedgerError> {
        while !batches.is_empty() {
            let mut round: Vec<(Claim, i64, Vec<Draft>)> = Vec::new();
            let mut later = Vec::new();
            for batch in batches {
                let taken = round.iter().any(|(claim, ..)| claim.lane == batch.0.lane);
                if taken { later.push(batch) } else { round.push(batch) }
            }
            self.accept_round(round).await?;
            batches = later;
        }
        Ok(())
    }

    async fn accept_round(&mut self, round: Vec<(Claim, i64, Vec<Draft>)>) -> Result<(), LedgerError> {
        let lanes: Vec<AcceptLane> = round.iter().map(|(claim, position, _)| self.lane(*claim, *position)).collect();
        let rows: Vec<_> = round.iter().flat_map(|(.., drafts)| drafts.iter().map(|draft| draft.row.clone())).collect();
        let acceptance = self.repeated(&lanes_claims(&lanes), || self.ledger.accept(&lanes, &rows)).await?;
        let mut outcomes = acceptance.rows.into_iter();
        for (claim, position, drafts) in round {
            let outcomes: Vec<(Draft, Accepted)> = drafts.into_iter().zip(outcomes.by_ref()).collect();
            if acceptance.refused.contains(&claim.lane) {
                self.report(Written::Fenced(claim));
                continue;
            }
            self.settle(claim, position, outcomes).await?;
        }
        Ok(())
    }

    /// Gives conflicts their own rows and stores the position, where the first statement could not.
    async fn settle(
        &mut self,
        claim: Claim,
        position: i64,
        outcomes: Vec<(Draft, Accepted)>,
    ) -> Result<(), LedgerError> {
        let mut ended = Vec::new();
        for (draft, outcome) in &outcomes {
            let records = draft.row.ended.as_ref().map(|ended| &ended.records);
            self.note_ended(claim.lane, outcome, records, &mut ended);
        }
        self.replay(&outcomes).await?;
        if outcomes.iter().any(|(_, outcome)| !matches!(outcome, Accepted::New { .. })) {
            let conflicting = outcomes.iter().filter(|(_, outcome)| matches!(outcome, Accepted::Conflict));
            let conflicts: Vec<_> = conflicting.map(|(draft, _)| self.preparer.conflict(draft)).collect();
            // A conflict that was read before stands there already: then only a statement without rows stores the position.
            for rows in [&conflicts[..], &[]] {
                let lanes = [self.lane(claim, position)];
                let acceptance = self.repeated(&[claim], || self.ledger.accept(&lanes, rows)).await?;
                if acceptance.refused.contains(&claim.lane) {
                    self.report(Written::Fenced(claim));
                    return Ok(());
                }
                for (row, outcome) in rows.iter().zip(&acceptance.rows) {
                    let records = row.ended.as_ref().map(|ended| &ended.records);
                    self.note_ended(claim.lane, outcome, records, &mut ended);
                }
                if acceptance.rows.iter().all(|outcome| matches!(outcome, Accepted::New { .. })) {
                    break;
                }
            }
        }
        self.report(Written::Accepted { claim, position, outcomes, ended });
        Ok(())
    }

    /// A row that ended at once has its number: also one that stood there, if an earlier flush of ours wrote it
    /// unseen. Its bytes are those of the first time; only ours can differ in their time, and the ledger's win at once
    /// at the next assignment.
    fn note_ended(
        &mut self,
        lane: Lane,
        outcome: &Accepted,
        records: Option<&Vec<OutgoingRecord>>,
        ended: &mut Vec<EndedResult>,
    ) {
        let (seq, records) = match (outcome, records) {
            (Accepted::New { publish_seq: Some(seq) }, Some(records)) => (*seq, records.clone()),
            (Accepted::Ours(row), Some(records)) => match row.publish_seq {
                Some(seq) if seq.0 >= self.seq(lane) => (seq, records.clone()),
                _ => return,
            },
            _ => return,
        };
        self.number_on(lane, self.seq(lane).max(seq.0 + 1));
        ended.push(EndedResult { seq, records });
    }

    async fn converted(&self, jobs: Vec<(Claim, ConvertedRow)>) -> Result<(), LedgerError> {
        let (claims, rows) = split(jobs);
        if rows.is_empty() {
            return Ok(());
        }
        let refused = self.repeated(&claims, || self.ledger.converted(&claims, &rows)).await?;
        self.fenced(&claims, &refused);
        for row in rows.iter().filter(|row| !refused.contains(&row.lane)) {
            self.report(Written::Converted(claim_of(&claims, row.lane), row.key));
        }
        Ok(())
    }

    async fn back_off(&self, jobs: Vec<(Claim, BackOffRow)>) -> Result<(), LedgerError> {
        // Of one event only its newest wait counts, with everything that happened since the last write.
        let mut newest: BTreeMap<EventKey, (Claim, BackOffRow)> = BTreeMap::new();
        for (claim, mut row) in jobs {
            if let Some((_, earlier)) = newest.remove(&row.key) {
                row.timeline.insert_str(0, &earlier.timeline);
            }
            newest.insert(row.key, (claim, row));
        }
        let (claims, rows) = split(newest.into_values().collect());
        if rows.is_empty() {
            return Ok(());
        }
        let refused = self.repeated(&claims, || self.ledger.back_off(&claims, &rows)).await?;
        self.fenced(&claims, &refused);
        Ok(())
    }

    async fn started(&self, jobs: Vec<(Claim, StartedRow)>) -> Result<(), LedgerError> {
        let (claims, rows) = split(jobs);
        if rows.is_empty() {
            return Ok(());
        }
        let refused = self.repeated(&claims, || self.ledger.started(&claims, &rows)).await?;
        self.fenced(&claims, &refused);
        for claim in claims.iter().filter(|claim| !refused.contains(&claim.lane)) {
            let keys = rows.iter().filter(|row| row.lane == claim.lane).map(|row| row.key).collect();
            self.report(Written::Started(*claim, keys));
        }
        Ok(())
    }

    async fn end(&mut self, jobs: Vec<(Claim, End)>) -> Result<(), LedgerError> {
        // Numbered after the split: a row that is dropped with an old claim must not use a number up.
        let (claims, ends) = split(jobs);
        if ends.is_empty() {
            return Ok(());
        }
        let mut rows = Vec::with_capacity(ends.len());
        for End { key, lane, ending, attempts, timeline } in ends {
            let publish_seq = PublishSeq(self.seq(lane));
            self.number_on(lane, publish_seq.0 + 1);
            let Ending { state, reason, failed_ms_ago, records } = ending;
            rows.push(EndedRow { key, lane, state, publish_seq, reason, failed_ms_ago, records, attempts, timeline });
        }
        let refused = self.repeated(&claims, || self.ledger.end(&claims, &rows)).await?;
        self.fenced(&claims, &refused);
        for row in rows {
            if !refused.contains(&row.lane) {
                let result = EndedResult { seq: row.publish_seq, records: row.records };
                self.report(Written::Ended(claim_of(&claims, row.lane), row.key, result));
            } else if row.state == RowState::Linked {
                self.report(Written::LinkRefused(row.key));
            }
        }
        Ok(())
    }

    async fn cursors(&self, cursors: BTreeMap<Claim, i64>) -> Result<(), LedgerError> {
        if cursors.is_empty() {
            return Ok(());
        }
        let rows: Vec<(Claim, i64)> = cursors.into_iter().collect();
        let claims: Vec<Claim> = rows.iter().map(|(claim, _)| *claim).collect();
        let refused = self.repeated(&claims, || self.ledger.save_cursors(&rows)).await?;
        self.fenced(&claims, &refused);
        Ok(())
    }

    /// Repeats a write until the ledger answers; a write that was answered confirms its lanes.
    async fn repeated<T: Refusing, F: Future<Output = Result<T, LedgerError>>>(
        &self,
        claims: &[Claim],
        write: impl Fn() -> F,
    ) -> Result<T, LedgerError> {
        let mut trouble = None;
        loop {
            let asked_at = self.confirmations.asking();
            match write().await {
                Ok(answer) => {
                    let ours = claims.iter().filter(|claim| !answer.refused().contains(&claim.lane));
                    self.confirmations.confirm(ours.copied(), asked_at);
                    if trouble.is_some() {
                        tracing::info!("the ledger answers again");
                    }
                    return Ok(answer);
                }
                Err(LedgerError::Unavailable(why)) => {
                    if trouble.is_none() {
                        tracing::warn!(error = %why, "the ledger is unavailable; its writes wait");
                    }
                    self.conditions.say_of(&mut trouble, Part::Ledger, Health::Down, &why);
                    tokio::time::sleep(REPEAT_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn lane(&self, claim: Claim, position: i64) -> AcceptLane {
        AcceptLane { claim, position, first_seq: PublishSeq(self.seq(claim.lane)) }
    }

    fn seq(&self, lane: Lane) -> i64 {
        self.numbering.get(&lane).map_or(1, |(_, next)| *next)
    }

    fn number_on(&mut self, lane: Lane, next: i64) {
        if let Some((_, number)) = self.numbering.get_mut(&lane) {
            *number = next;
        }
    }

    fn fenced(&self, claims: &[Claim], refused: &Refused) {
        for claim in claims.iter().filter(|claim| refused.contains(&claim.lane)) {
            self.report(Written::Fenced(*claim));
        }
    }

    fn report(&self, written: Written) {
        // The worker has ended; the ledger knows what its successor needs.
        let _ = self.reports.send(written);
    }
}

fn lanes_claims(lanes: &[AcceptLane]) -> Vec<Claim> {
    lanes.iter().map(|lane| lane.claim).collect()
}

mod flush;
mod replays;
#[cfg(test)]
mod tests;
