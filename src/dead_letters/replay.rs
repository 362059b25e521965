//! A replay: the dead letters that a filter admits, the first accepted first, reopened in batches.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use super::opening::Opener;
use crate::domain::EventKey;
use crate::ledger::{
    Act, DeadLetter, DeadLetterFilter, DeadLetterPlace, DeadLetters, Ledger, LedgerError, LetterState, Reopening,
};

/// Dead letters read at once: they are small, and a page is one question.
const PAGE: usize = 500;
/// Sealed records read at once: one may have a megabyte.
const ROWS_AT_ONCE: usize = 16;

/// What is to be replayed.
#[derive(Debug, Clone)]
pub struct Order {
    /// Which dead letters.
    pub filter: DeadLetterFilter,
    /// So many are reopened at most. What is passed over, or does not open, is not counted: it would stand first each time.
    pub limit: Option<u64>,
    /// Who wants it, and why.
    pub act: Act,
}

/// A dead letter, and what this replay did with it.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// As it was read.
    pub letter: DeadLetter,
    /// What was done.
    pub taken: Taken,
}

/// What a replay did with a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is replayed now.
    Reopened,
    /// Somebody else replayed or discarded it since it was read.
    PassedOver,
    /// Its record, or its token, does not open: no worker could take it up, so it stays a dead letter.
    Unreadable,
}

/// A replay under way. Dropped, it has done what it told of, and perhaps the batch that it was asked for last.
pub struct Replay {
    ledger: Arc<dyn Ledger>,
    letters: Arc<dyn DeadLetters>,
    opener: Opener,
    order: Order,
    after: Option<DeadLetterPlace>,
    ahead: VecDeque<DeadLetter>,
    /// How many more may be reopened.
    left: u64,
    at_end: bool,
}

impl Replay {
    /// Begins. What is dead-lettered from now on is not part of it: a replay ends, whatever goes wrong meanwhile.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn begin(
        ledger: Arc<dyn Ledger>,
        letters: Arc<dyn DeadLetters>,
        opener: Opener,
        mut order: Order,
    ) -> Result<Self, LedgerError> {
        let latest = letters.latest_ms().await?;
        let until = order.filter.until.map_or(latest, |until| until.min(latest));
        order.filter.until = Some(until);
        order.filter.states.retain(|state| *state == LetterState::DeadLettered);
        let left = order.limit.unwrap_or(u64::MAX);
        Ok(Self { ledger, letters, opener, order, after: None, ahead: VecDeque::new(), left, at_end: false })
    }

    /// How many there are to replay.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn count(&self) -> Result<u64, LedgerError> {
        let groups = self.letters.stats(&self.order.filter).await?;
        Ok(groups.iter().map(|group| group.count).sum::<u64>().min(self.left))
    }

    /// The next dead letters, at most so many, without doing anything to them. None: there are no more, or the limit is
    /// reached.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn candidates(&mut self, most: usize) -> Result<Vec<DeadLetter>, LedgerError> {
        if self.ahead.is_empty() && !self.at_end {
            let page = self.letters.page(&self.order.filter, self.after, PAGE).await?;
            self.at_end = page.len() < PAGE;
            self.after = page.last().map(DeadLetter::place).or(self.after);
            self.ahead.extend(page);
        }
        let most = u64::try_from(most).unwrap_or(u64::MAX).min(self.left);
        Ok(self.ahead.drain(..self.ahead.len().min(usize::try_from(most).unwrap_or(usize::MAX))).collect())
    }

    /// So many of the candidates count for the limit.
    pub fn count_in(&mut self, taken: usize) {
        self.left = self.left.saturating_sub(taken as u64);
    }

    /// Reopens the next dead letters, at most so many, in one write. None: there are no more.
    ///
    /// # Errors
    /// The ledger's; whether the batch was reopened is then unknown, and the next replay tells.
    pub async fn step(&mut self, most: usize) -> Result<Vec<Replayed>, LedgerError> {
        let letters = self.candidates(most).await?;
        if letters.is_empty() {
            return Ok(Vec::new());
        }
        let unreadable = self.unreadable(&letters).await?;
        let readable = letters.iter().filter(|letter| !unreadable.contains(&letter.key));
        let asked: Vec<Reopening> = readable.map(DeadLetter::as_seen).collect();
        let reopened: BTreeSet<EventKey> = match asked.is_empty() {
            true => BTreeSet::new(),
            false => self.ledger.reopen(&asked, &self.order.act).await?.into_iter().collect(),
        };
        self.count_in(reopened.len());
        let taken = |key: &EventKey| match (unreadable.contains(key), reopened.contains(key)) {
            (true, _) => Taken::Unreadable,
            (false, true) => Taken::Reopened,
            (false, false) => Taken::PassedOver,
        };
        Ok(letters.into_iter().map(|letter| Replayed { taken: taken(&letter.key), letter }).collect())
    }

    /// Those whose record is there and does not open. One that is gone is for the ledger to refuse.
    ///
    /// # Errors
    /// The ledger's.
    pub async fn unreadable(&self, letters: &[DeadLetter]) -> Result<BTreeSet<EventKey>, LedgerError> {
        let mut unreadable = BTreeSet::new();
        let keys: Vec<EventKey> = letters.iter().map(|letter| letter.key).collect();
        for keys in keys.chunks(ROWS_AT_ONCE) {
            let rows = self.letters.rows(keys).await?;
            let closed = rows.iter().filter(|row| !row.sealed_record.is_empty() && !self.opener.opens(row));
            unreadable.extend(closed.map(|row| row.key));
        }
        Ok(unreadable)
    }
}
