//! How many calls of one upstream may be in flight: slow start, additive increase, multiplicative decrease, as TCP does it.
//!
//! It halves when the upstream says "too many" or does not answer in time, at most once per round trip: what was sent before
//! the last halving says nothing of the limit after it. A call that hung while a limit's worth of others was answered is one
//! call's trouble, and no sign. The first halving of a trouble is remembered as the threshold: below it the limit doubles each
//! round trip, from there on it grows by one. Signs go on being of one trouble until a limit's worth of calls was answered;
//! so a stall of several time-outs, or one on a cold start, does not bind an upstream to slow growth from next to nothing.
//! From a start, and after an outage, there is no threshold yet: full speed is some round trips away, and no herd meets an
//! upstream that just stood up. After an outage that is three of them, however slow the upstream is: it begins at an eighth of
//! the most that it ever took here, and not above the threshold that it had.
//!
//! Our own, since it is forty lines: the crates that do this read a clock, and the simulation's time is not theirs.

use std::time::Duration;

/// Where a worker starts that knows nothing of the upstream.
const START: usize = 16;
/// Where an upstream starts again that was away: at this part of the most that it took, ...
const PART_AFTER_OUTAGE: usize = 8;
/// ... and at no less than this.
const AFTER_OUTAGE: usize = 2;

/// The limit.
#[derive(Debug, Clone)]
pub struct Limit {
    now: usize,
    most: usize,
    /// The greatest that it grew to.
    took: usize,
    /// Answers since it last grew.
    answers: usize,
    /// Answers ever.
    answered: u64,
    /// Below it, it doubles each round trip; from there on it grows by one.
    threshold: usize,
    /// Until there were so many answers, a sign of too much is of the same trouble as the one before.
    same_until: u64,
    halved_at: Option<Duration>,
}

impl Limit {
    /// A limit that grows up to `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        let now = START.min(most);
        Self { now, most, took: 0, answers: 0, answered: 0, threshold: most, same_until: now as u64, halved_at: None }
    }

    /// Calls that may be in flight.
    #[must_use]
    pub fn get(&self) -> usize {
        self.now
    }

    /// Answers so far: what a call is to remember from its beginning.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.answered
    }

    /// Whether a call that timed out is a sign of too many, by the answers that there were when it began.
    #[must_use]
    pub fn believes_time_out(&self, answered_then: u64) -> bool {
        self.answered.saturating_sub(answered_then) < self.now as u64
    }

    /// A call was answered while so many, itself included, were in flight and so many more waited to be. A limit that is not
    /// used does not grow: nothing was learnt about it.
    pub fn grow(&mut self, in_flight: usize, waiting: usize) {
        self.answered += 1;
        if waiting == 0 && in_flight * 2 < self.now {
            return;
        }
        self.answers += 1;
        if self.now < self.threshold || self.answers >= self.now {
            self.answers = 0;
            self.now = (self.now + 1).min(self.most);
            self.took = self.took.max(self.now);
        }
    }

    /// A call that began then was too much.
    pub fn halve(&mut self, began: Duration, now: Duration) {
        if self.halved_at.is_some_and(|halved_at| began < halved_at) {
            return;
        }
        self.now = (self.now / 2).max(1);
        if self.answered >= self.same_until {
            self.threshold = self.now;
        }
        self.begin_again(now);
    }

    /// The upstream is back from an outage.
    pub fn restart(&mut self, now: Duration) {
        self.now = (self.took / PART_AFTER_OUTAGE).min(self.threshold).max(AFTER_OUTAGE).min(self.most);
        self.threshold = self.most;
        self.begin_again(now);
    }

    /// What is out was sent under another limit.
    fn begin_again(&mut self, now: Duration) {
        self.answers = 0;
        self.same_until = self.answered + self.now as u64;
        self.halved_at = Some(now);
    }
}

#[cfg(test)]
mod tests;
