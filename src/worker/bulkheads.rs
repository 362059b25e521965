//! One bulkhead an upstream: the events that wait for it, its breaker, and how many of its calls may be in flight.
//!
//! An event that waits here holds a place in a queue and nothing else: no slot, no timer, and its budget stands still. An
//! upstream that is away, slow or throttled keeps the others from nothing: a part of the slots is theirs alone.

use std::time::Duration;

use self::queues::Queues;
use crate::config::Config;
use crate::domain::flow_control::{Breaker, BreakerRules, Change, Limit, Permit, Trouble, Verdict};
use crate::domain::machine::Effect;
use crate::domain::{EventKey, Upstream};
use crate::metrics::BreakerState;

/// Of the slots each upstream has so much that no other may take: with the default, 128 calls at once, which is full speed
/// for a vendor that answers, while one that hangs holds all that it can get. Of fewer than eight slots none is anybody's.
const OWN_SHARE: usize = 8;
/// A link target that was called within this time is in use. One without traffic must not make a worker take in more than can
/// be worked on, and a minute outlasts the pauses between the events of one with little.
const IN_USE: Duration = Duration::from_secs(60);

/// Where profiles are linked; every event needs one of them.
const TARGETS: [Upstream; 2] = [Upstream::Loanpro, Upstream::Aloha];

/// What is known of an event in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has nothing to call any more.
    Gone,
    /// It never failed.
    Fresh,
    /// It failed before.
    Tried,
}

/// A call that is out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ticket {
    pub upstream: Upstream,
    permit: Permit,
    /// By the monotonic clock.
    began: Duration,
    /// Answers that its upstream had given then.
    answered_then: u64,
}

impl Ticket {
    /// The period of the breaker in which the call began.
    pub fn period(&self) -> u64 {
        self.permit.period()
    }
}

/// What is heard of an upstream by a call.
#[derive(Debug)]
pub(super) struct Heard {
    pub verdict: Verdict,
    /// It was not answered in time.
    pub timed_out: bool,
    /// A failure of its event was counted before.
    pub again: bool,
    /// It was to change something.
    pub of_change: bool,
}

struct Bulkhead {
    /// Events with a call to make.
    queues: Queues,
    breaker: Breaker,
    limit: Limit,
    in_flight: usize,
    /// Slots that are its own.
    own: usize,
    /// When it was called last.
    called_at: Option<Duration>,
    /// When it did last what a call asked it to change.
    changed_at: Option<Duration>,
}

/// All of them.
pub(super) struct Bulkheads {
    /// In the order of [`Upstream::ALL`].
    all: [Bulkhead; Upstream::ALL.len()],
    /// Whose turn it is.
    turn: usize,
    /// Of all upstreams together.
    slots: usize,
}

impl Bulkheads {
    pub fn of(config: &Config) -> Self {
        let (slots, count) = (config.worker.max_in_flight, configured(config));
        let own = slots / OWN_SHARE;
        let most = (slots - own * count.saturating_sub(1)).max(1);
        let settings = &config.breaker;
        let rules = BreakerRules {
            failures: settings.failures,
            failure_rate: settings.failure_rate,
            window: settings.window,
            probe_interval: settings.probe_interval,
        };
        let all = Upstream::ALL.map(|upstream| Bulkhead {
            queues: Queues::default(),
            breaker: Breaker::new(rules),
            limit: Limit::new(most.min(usable(config, upstream))),
            in_flight: 0,
            own: if is_configured(config, upstream) { own } else { 0 },
            called_at: None,
            changed_at: None,
        });
        Self { all, turn: 0, slots }
    }

    fn at(&self, upstream: Upstream) -> &Bulkhead {
        &self.all[upstream as usize]
    }

    fn at_mut(&mut self, upstream: Upstream) -> &mut Bulkhead {
        &mut self.all[upstream as usize]
    }

    /// Puts an event behind the others that wait for this upstream with such a call: to end what they began, or to begin.
    pub fn push(&mut self, upstream: Upstream, key: EventKey, effect: &Effect) {
        self.at_mut(upstream).queues.push(key, effect);
    }

    /// Whether an upstream is known to be away.
    pub fn is_away(&self, upstream: Upstream) -> bool {
        !self.at(upstream).breaker.is_closed()
    }

    /// Whether an upstream is known to refuse our credential, tenant or address.
    pub fn is_misconfigured(&self, upstream: Upstream) -> bool {
        self.at(upstream).breaker.trouble() == Some(Trouble::Misconfigured)
    }

    /// Whether an upstream has done what any call asked it to change since then.
    pub fn changed_since(&self, upstream: Upstream, since: Duration) -> bool {
        self.at(upstream).changed_at.is_some_and(|at| at > since)
    }

    /// An upstream's breaker, as dashboards show it.
    pub fn breaker(&self, upstream: Upstream) -> BreakerState {
        let breaker = &self.at(upstream).breaker;
        match (breaker.is_closed(), breaker.is_half_open()) {
            (true, _) => BreakerState::Closed,
            (false, true) => BreakerState::HalfOpen,
            (false, false) => BreakerState::Open,
        }
    }

    /// Events that could call if there were slots. Those of an upstream that is away wait. So do those of a link target while
    /// another one that is in use has nothing to do: its events may stand behind them in the topic, and a slow target must
    /// not keep them out.
    pub fn runnable(&self, now: Duration) -> usize {
        let goes = |upstream: &Upstream| !self.is_away(*upstream) && !self.stands_in_the_way(*upstream, now);
        Upstream::ALL.iter().filter(|upstream| goes(upstream)).map(|upstream| self.at(*upstream).queues.len()).sum()
    }

    fn stands_in_the_way(&self, upstream: Upstream, now: Duration) -> bool {
        let idle = |other: &Upstream| {
            let bulkhead = self.at(*other);
            let in_use = bulkhead.called_at.is_some_and(|at| at + IN_USE > now);
            *other != upstream && in_use && bulkhead.queues.is_empty() && bulkhead.breaker.is_closed()
        };
        TARGETS.contains(&upstream) && TARGETS.iter().any(idle)
    }

    /// The next event that may call, upstream by upstream; it stays in its queue.
    pub fn next(&mut self, now: Duration, standing: impl Fn(&EventKey) -> Standing) -> Option<(Upstream, EventKey)> {
        for step in 0..Upstream::ALL.len() {
            let index = (self.turn + step) % Upstream::ALL.len();
            if !self.has_slot(index) {
                continue;
            }
            if let Some(key) = self.all[index].next(now, &standing) {
                self.turn = (index + 1) % Upstream::ALL.len();
                return Some((Upstream::ALL[index], key));
            }
        }
        None
    }

    /// Whether an upstream may be called now.
    pub fn has_room(&self, upstream: Upstream, now: Duration) -> bool {
        self.has_slot(upstream as usize) && self.at(upstream).has_room(now)
    }

    /// Whether a slot is left for this upstream beside those that are the others' own.
    fn has_slot(&self, index: usize) -> bool {
        let used = |(other, bulkhead): (usize, &Bulkhead)| {
            if other == index { bulkhead.in_flight } else { bulkhead.in_flight.max(bulkhead.own) }
        };
        self.all.iter().enumerate().map(used).sum::<usize>() < self.slots
    }

    /// Takes an event out of its queue to call.
    pub fn take(&mut self, upstream: Upstream, key: EventKey, now: Duration) -> Option<Ticket> {
        let bulkhead = self.at_mut(upstream);
        let permit = bulkhead.breaker.permit(now)?;
        bulkhead.queues.remove(key);
        bulkhead.in_flight += 1;
        bulkhead.called_at = Some(now);
        Some(Ticket { upstream, permit, began: now, answered_then: bulkhead.limit.answered() })
    }

    /// A call is over.
    pub fn hear(&mut self, ticket: Ticket, heard: &Heard, now: Duration) -> Option<Change> {
        let Heard { verdict, timed_out, again, of_change } = heard;
        let bulkhead = self.at_mut(ticket.upstream);
        if *of_change && *verdict == Verdict::Answered {
            bulkhead.changed_at = Some(now);
        }
        let too_late = *timed_out && bulkhead.limit.believes_time_out(ticket.answered_then);
        if too_late || matches!(verdict, Verdict::Throttled { .. }) {
            bulkhead.limit.halve(ticket.began, now);
        } else if matches!(verdict, Verdict::Answered | Verdict::Ambiguous | Verdict::Witnessed) {
            bulkhead.limit.grow(bulkhead.in_flight, bulkhead.queues.len());
        }
        bulkhead.in_flight = bulkhead.in_flight.saturating_sub(1);
        let change = bulkhead.breaker.hear(ticket.permit, verdict, *again, now);
        if let Some(Change::Closed { .. }) = change {
            bulkhead.limit.restart(now);
        }
        change
    }

    /// Closes the breakers of upstreams that nothing needs any more, once a probe would be due.
    pub fn forget_unasked(&mut self, now: Duration, is_needed: impl Fn(Upstream) -> bool) -> Vec<(Upstream, Change)> {
        let mut changes = Vec::new();
        for (upstream, bulkhead) in Upstream::ALL.into_iter().zip(&mut self.all) {
            let is_due = bulkhead.breaker.next_probe().is_some_and(|at| at <= now);
            if is_due
                && !is_needed(upstream)
                && let Some(change) = bulkhead.breaker.forget(now)
            {
                bulkhead.limit.restart(now);
                changes.push((upstream, change));
            }
        }
        changes
    }

    /// Forgets what waits and is not kept.
    pub fn retain(&mut self, keep: impl Fn(&EventKey) -> bool) {
        for bulkhead in &mut self.all {
            bulkhead.queues.retain(&keep);
        }
    }

    /// When something may go that may not now: the next probe that an event waits for.
    pub fn wakes_at(&self) -> Option<Duration> {
        let waited_for = self.all.iter().filter(|bulkhead| !bulkhead.queues.is_empty());
        waited_for.filter_map(|bulkhead| bulkhead.breaker.next_probe()).min()
    }
}

impl Bulkhead {
    fn has_room(&self, now: Duration) -> bool {
        self.in_flight < self.limit.get() && self.breaker.permits(now)
    }

    fn next(&mut self, now: Duration, standing: &impl Fn(&EventKey) -> Standing) -> Option<EventKey> {
        if !self.has_room(now) {
            return None;
        }
        if self.breaker.is_closed() { self.queues.first(standing) } else { self.queues.probe(standing) }
    }
}

fn configured(config: &Config) -> usize {
    Upstream::ALL.into_iter().filter(|upstream| is_configured(config, *upstream)).count()
}

fn is_configured(config: &Config, upstream: Upstream) -> bool {
    match upstream {
        Upstream::Payiq => config.converter.payiq.is_some(),
        Upstream::Loanpro => config.target.loanpro.is_some(),
        Upstream::Aloha => config.target.aloha.is_some(),
    }
}

/// What a configured rate can use: more calls than go out in one time-out would only wait with a slot in hand.
fn usable(config: &Config, upstream: Upstream) -> usize {
    let target = &config.target;
    let settings = match upstream {
        Upstream::Payiq => config.converter.payiq.as_ref().map(|payiq| &payiq.upstream),
        Upstream::Loanpro => target.loanpro.as_ref().map(|loanpro| &loanpro.upstream),
        Upstream::Aloha => target.aloha.as_ref().map(|aloha| &aloha.upstream),
    };
    let in_one_time_out = settings.and_then(|settings| Some(settings.rate_limit? * settings.timeout.as_secs_f64()));
    // A conversion from floats saturates.
    in_one_time_out.map_or(usize::MAX, |calls| calls.ceil() as usize).max(1)
}

mod queues;
#[cfg(test)]
mod tests;
