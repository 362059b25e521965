//! The circuit breaker of one upstream.
//!
//! ```text
//!   Closed --failures in a row, their share, or our own misconfiguration--> Open --probe is due--> HalfOpen
//!     ^                                                                      ^                       |  |
//!     |                                                                      +---- it failed --------+  |
//!     +------------------------------------ it was answered -------------------------------------------+
//! ```
//!
//! What one event gets wrong alone must not open it: a failure counts if its event was not counted since the breaker's last
//! change, or if none counted for a probe interval. So many events open it at once, and a lone one whose upstream is really
//! away does after a while, long before its budget is spent. Likewise what looks like our own mistake while others are
//! answered may be one customer's trouble: so many in a row as of failures make a mistake of ours of it.
//!
//! Properties: while it is not closed at most one call is out, the probe. What a call says that began before the last change
//! changes nothing: it is about an upstream that was. A probe that says nothing (its lane was lost) frees its place at once.

use std::time::Duration;

use super::window::Window;

/// `[breaker]` of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct BreakerRules {
    /// Failures in a row that open it.
    pub failures: u32,
    /// Share of failures over the window that opens it, from `failures` calls on.
    pub failure_rate: f64,
    /// The window.
    pub window: Duration,
    /// Time between probes while it is open.
    pub probe_interval: Duration,
}

/// What is wrong with an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It does not answer, or answers with its own failure.
    Away,
    /// It takes no more calls for now.
    Throttling,
    /// It refuses our credential, tenant or address.
    Misconfigured,
}

/// What a call says of its upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is there: done, or refused for the event's own reason.
    Answered,
    /// It is there, but with a wrong tenant it would answer so, too: it ends an outage, and proves no configuration.
    Ambiguous,
    /// It is there, and so is the tenant: as a probe it proves the configuration. It is a read, so among other calls it must not
    /// hide that those which change something fail: it ends no run of failures.
    Witnessed,
    /// It failed.
    Failed {
        /// For people; scrubbed.
        detail: String,
    },
    /// "Too many requests". In a row they open the breaker; their share does not: a vendor that takes half of the calls is
    /// worth calling, less often.
    Throttled {
        /// When the vendor wants to be asked again.
        retry_after: Option<Duration>,
        /// For people; scrubbed.
        detail: String,
    },
    /// Perhaps our own mistake: so many of them in a row as of failures, and it is taken for one.
    Doubtful {
        /// For people; scrubbed.
        detail: String,
    },
    /// Our own mistake: opens at once, unless somebody was answered within the last probe interval.
    Misconfigured {
        /// For people; scrubbed.
        detail: String,
    },
    /// Nothing: the call never left.
    Nothing,
}

/// Leave to make one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permit {
    change: u64,
}

impl Permit {
    /// Which of the breaker's periods it is of: a change begins a new one.
    #[must_use]
    pub fn period(self) -> u64 {
        self.change
    }
}

impl Change {
    /// Whether what was asked until now may have been asked of another tenant than ours.
    #[must_use]
    pub fn tells_of_misconfiguration(&self) -> bool {
        let troubles = match self {
            Self::Opened { trouble, was, .. } => [Some(*trouble), *was],
            Self::Closed { was, .. } => [Some(*was), None],
        };
        troubles.contains(&Some(Trouble::Misconfigured))
    }
}

impl Verdict {
    /// Whether it counts against the upstream.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. } | Self::Throttled { .. } | Self::Doubtful { .. } | Self::Misconfigured { .. }
        )
    }
}

/// A change that people and waiting events want to know of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It opened, or is still open for another trouble than before.
    Opened {
        /// What is wrong.
        trouble: Trouble,
        /// What was wrong until now.
        was: Option<Trouble>,
        /// For people; scrubbed.
        why: String,
    },
    /// A probe was answered.
    Closed {
        /// How long it was open.
        after: Duration,
        /// What was wrong last.
        was: Trouble,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    Open { since: Duration, probe_at: Duration, trouble: Trouble },
    HalfOpen { since: Duration, trouble: Trouble },
}

/// The breaker.
#[derive(Debug, Clone)]
pub struct Breaker {
    rules: BreakerRules,
    state: State,
    /// Counts changes of state: a permit is worth something only until the next.
    change: u64,
    run: u32,
    /// When a failure was counted last.
    counted_at: Option<Duration>,
    /// When its upstream answered last, by whichever call.
    answered_at: Option<Duration>,
    window: Window,
}

impl Breaker {
    /// A closed one.
    #[must_use]
    pub fn new(rules: BreakerRules) -> Self {
        let window = Window::new(rules.window);
        Self { rules, state: State::Closed, change: 0, run: 0, counted_at: None, answered_at: None, window }
    }

    /// Whether its upstream is taken for well.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.state == State::Closed
    }

    /// What is wrong with its upstream, while it is not closed.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        match self.state {
            State::Closed => None,
            State::Open { trouble, .. } | State::HalfOpen { trouble, .. } => Some(trouble),
        }
    }

    /// Whether a probe is out.
    #[must_use]
    pub fn is_half_open(&self) -> bool {
        matches!(self.state, State::HalfOpen { .. })
    }

    /// Whether a call may go now.
    #[must_use]
    pub fn permits(&self, now: Duration) -> bool {
        match self.state {
            State::Closed => true,
            State::Open { probe_at, .. } => probe_at <= now,
            State::HalfOpen { .. } => false,
        }
    }

    /// When the next probe may go, while none may.
    #[must_use]
    pub fn next_probe(&self) -> Option<Duration> {
        match self.state {
            State::Open { probe_at, .. } => Some(probe_at),
            State::Closed | State::HalfOpen { .. } => None,
        }
    }

    /// Leave for a call, if one may go now.
    pub fn permit(&mut self, now: Duration) -> Option<Permit> {
        if !self.permits(now) {
            return None;
        }
        if let State::Open { since, trouble, .. } = self.state {
            self.become_(State::HalfOpen { since, trouble });
        }
        Some(Permit { change: self.change })
    }

    /// Hears what came of a call; `again`: a failure of an event that was counted in this permit's period.
    pub fn hear(&mut self, permit: Permit, verdict: &Verdict, again: bool, now: Duration) -> Option<Change> {
        if *verdict == Verdict::Answered {
            // Also by a call of before the last change: its credential and tenant were right just now.
            self.answered_at = Some(now);
        }
        if permit.change != self.change {
            return None;
        }
        match self.state {
            State::Closed => self.hear_closed(verdict, again, now),
            State::HalfOpen { since, trouble } => self.hear_probe(since, trouble, verdict, now),
            // A permit given while open is a probe's.
            State::Open { .. } => None,
        }
    }

    /// Nobody can tell whether its upstream is back: the next call does, as any other. Nothing changes if it is not open.
    pub fn forget(&mut self, now: Duration) -> Option<Change> {
        match self.state {
            State::Open { since, trouble, .. } => Some(self.close(since, trouble, now)),
            State::Closed | State::HalfOpen { .. } => None,
        }
    }

    fn become_(&mut self, state: State) {
        self.state = state;
        self.change += 1;
        self.run = 0;
        self.counted_at = None;
        self.window.clear();
    }

    fn answered_lately(&self, now: Duration) -> bool {
        self.answered_at.is_some_and(|at| at + self.rules.probe_interval > now)
    }

    fn counts(&mut self, again: bool, now: Duration) -> bool {
        let long_ago = |at: Duration| at + self.rules.probe_interval <= now;
        let counts = !again || self.counted_at.is_none_or(long_ago);
        if counts {
            self.counted_at = Some(now);
        }
        counts
    }

    fn hear_closed(&mut self, verdict: &Verdict, again: bool, now: Duration) -> Option<Change> {
        match verdict {
            Verdict::Nothing => return None,
            Verdict::Answered => {
                self.run = 0;
                self.window.count(false, now);
            }
            Verdict::Ambiguous | Verdict::Witnessed => self.window.count(false, now),
            Verdict::Misconfigured { .. } if !self.answered_lately(now) => return self.open(verdict, now, None, now),
            _ if !self.counts(again, now) => return None,
            Verdict::Throttled { .. } | Verdict::Doubtful { .. } | Verdict::Misconfigured { .. } => {
                self.run = self.run.saturating_add(1);
            }
            Verdict::Failed { .. } => {
                self.run = self.run.saturating_add(1);
                self.window.count(true, now);
            }
        }
        let in_a_row = self.run >= self.rules.failures;
        let is_share = matches!(verdict, Verdict::Failed { .. })
            && self.window.reaches(self.rules.failure_rate, self.rules.failures);
        if in_a_row || is_share { self.open(verdict, now, None, now) } else { None }
    }

    fn hear_probe(&mut self, since: Duration, was: Trouble, verdict: &Verdict, now: Duration) -> Option<Change> {
        let again = match verdict {
            Verdict::Answered | Verdict::Witnessed => return Some(self.close(since, was, now)),
            Verdict::Ambiguous if was != Trouble::Misconfigured => return Some(self.close(since, was, now)),
            Verdict::Ambiguous => now + self.rules.probe_interval,
            Verdict::Nothing => now,
            _ => return self.open(verdict, since, Some(was), now),
        };
        self.become_(State::Open { since, probe_at: again, trouble: was });
        None
    }

    fn close(&mut self, since: Duration, was: Trouble, now: Duration) -> Change {
        self.become_(State::Closed);
        Change::Closed { after: now.saturating_sub(since), was }
    }

    fn open(&mut self, verdict: &Verdict, since: Duration, was: Option<Trouble>, now: Duration) -> Option<Change> {
        let (trouble, asked, why) = match verdict {
            Verdict::Misconfigured { detail } | Verdict::Doubtful { detail } => (Trouble::Misconfigured, None, detail),
            Verdict::Throttled { retry_after, detail } => (Trouble::Throttling, *retry_after, detail),
            Verdict::Failed { detail } => (Trouble::Away, None, detail),
            Verdict::Answered | Verdict::Ambiguous | Verdict::Witnessed | Verdict::Nothing => return None,
        };
        let probe_at = now + self.rules.probe_interval.max(asked.unwrap_or_default());
        self.become_(State::Open { since, probe_at, trouble });
        (was != Some(trouble)).then(|| Change::Opened { trouble, was, why: why.clone() })
    }
}

#[cfg(test)]
mod tests;
