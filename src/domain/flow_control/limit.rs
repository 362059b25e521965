//! How many calls of one upstream may be in flight: additive increase, multiplicative decrease, as TCP does it.
//!
//! It grows by one for each limit's worth of answers, and halves when the upstream says "too many" or does not answer in
//! time, at most once per round trip: what was sent before the last halving says nothing of the limit after it. A call that
//! hung while a limit's worth of others was answered is one call's trouble, and no sign. From a start, and after an outage, it
//! doubles instead until the first such sign, so that full speed is some round trips away and no herd meets an upstream that
//! just stood up.
//!
//! Our own, since it is forty lines: the crates that do this read a clock, and the simulation's time is not theirs.

use std::time::Duration;

/// Where a worker starts that knows nothing of the upstream.
const START: usize = 16;
/// Where an upstream starts again that was away.
const AFTER_OUTAGE: usize = 2;

/// The limit.
#[derive(Debug, Clone)]
pub struct Limit {
    now: usize,
    most: usize,
    /// Answers since it last grew.
    answers: usize,
    /// Answers ever.
    answered: u64,
    doubling: bool,
    halved_at: Option<Duration>,
}

impl Limit {
    /// A limit that grows up to `most`.
    #[must_use]
    pub fn new(most: usize) -> Self {
        let most = most.max(1);
        Self { now: START.min(most), most, answers: 0, answered: 0, doubling: true, halved_at: None }
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
        if self.doubling || self.answers >= self.now {
            self.answers = 0;
            self.now = (self.now + 1).min(self.most);
        }
    }

    /// A call that began then was too much.
    pub fn halve(&mut self, began: Duration, now: Duration) {
        if self.halved_at.is_some_and(|halved_at| began < halved_at) {
            return;
        }
        self.now = (self.now / 2).max(1);
        self.answers = 0;
        self.doubling = false;
        self.halved_at = Some(now);
    }

    /// The upstream is back from an outage.
    pub fn restart(&mut self, now: Duration) {
        self.now = AFTER_OUTAGE.min(self.most);
        self.answers = 0;
        self.doubling = true;
        self.halved_at = Some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A round trip with as many calls as may be in flight, all answered.
    fn round(limit: &mut Limit) {
        let in_flight = limit.get();
        (0..in_flight).for_each(|_| limit.grow(in_flight, 1));
    }

    #[test]
    fn it_doubles_each_round_trip_until_the_first_sign_of_too_much() {
        let mut limit = Limit::new(1_000);
        round(&mut limit);
        assert_eq!(limit.get(), 2 * START);
        (0..10).for_each(|_| round(&mut limit));
        assert_eq!(limit.get(), 1_000, "and no further than it may");
    }

    #[test]
    fn after_a_halving_it_grows_by_one_a_round_trip() {
        let mut limit = Limit::new(1_000);
        limit.halve(at(0), at(1));
        assert_eq!(limit.get(), 8);
        round(&mut limit);
        assert_eq!(limit.get(), 9);
        round(&mut limit);
        assert_eq!(limit.get(), 10);
    }

    #[test]
    fn it_halves_once_per_round_trip_and_never_below_one() {
        let mut limit = Limit::new(1_000);
        limit.halve(at(0), at(2));
        limit.halve(at(1), at(3));
        assert_eq!(limit.get(), 8, "what began before the halving does not count");
        for second in 4..20 {
            limit.halve(at(second), at(second));
        }
        assert_eq!(limit.get(), 1);
    }

    #[test]
    fn a_call_that_hangs_while_others_are_answered_is_no_sign() {
        let mut limit = Limit::new(1_000);
        let began = limit.answered();
        assert!(limit.believes_time_out(began), "nobody was answered");
        (0..START).for_each(|_| limit.grow(1, 0));
        assert!(!limit.believes_time_out(began));
        assert!(limit.believes_time_out(limit.answered()), "nobody since this one");
    }

    #[test]
    fn what_is_not_used_does_not_grow() {
        let mut limit = Limit::new(1_000);
        (0..1_000).for_each(|_| limit.grow(1, 0));
        assert_eq!(limit.get(), START);
    }

    #[test]
    fn after_an_outage_it_starts_low_and_doubles() {
        let mut limit = Limit::new(1_000);
        limit.halve(at(0), at(1));
        limit.restart(at(5));
        assert_eq!(limit.get(), AFTER_OUTAGE);
        round(&mut limit);
        assert_eq!(limit.get(), 4);
        limit.halve(at(2), at(6));
        assert_eq!(limit.get(), 4, "a time-out from before the outage's end does not count");
    }

    #[test]
    fn a_limit_of_one_lets_one_pass() {
        assert_eq!(Limit::new(0).get(), 1);
    }
}
