//! Waiting, and what of it counts: an event spends its budget while it is worked on in vain, not while it waits in a queue,
//! for a vendor's `Retry-After`, for our own configuration, or for an upstream that is known to be away.

use std::time::Duration;

use super::{Cause, Effect, Facts, Flow, Look, Moment, Next, Rules, State};
use crate::domain::{ReasonCode, Stage};

impl Flow {
    /// So much of the time since its last step was nobody's work: it stood in a queue.
    pub fn stand_still(&mut self, waited: Duration) {
        self.since += waited;
    }

    /// A call is asked for: from here on its time counts.
    pub(super) fn begin_call(&mut self, now: Moment) {
        self.since = now.tick;
        self.in_doubt = false;
    }

    fn spend(&mut self, now: Moment) {
        if !self.in_doubt {
            self.spent += now.tick.saturating_sub(self.since);
        }
        self.since = now.tick;
    }

    /// A look waits until a write would be visible. The last one, whose "not there" counts, also until no link of ours can
    /// still be under way: a connection that broke early, or a gateway's 502, ends the wait for an answer and not the call.
    pub(super) fn wait_before_look(&self, absent: u32, rules: &Rules, now: Moment) -> Duration {
        let is_last = absent + 1 >= rules.looks;
        let under_way = self.under_way_until.saturating_sub(now.tick);
        rules.settle + if is_last { under_way } else { Duration::ZERO }
    }

    pub(super) fn settle(&mut self, cause: Cause, wait: Duration) -> Effect {
        self.become_(State::Settling(Look { cause, absent: 0 }), Effect::Wait(wait))
    }

    pub(super) fn go_on(&mut self, next: Next, counts: bool, facts: Facts, now: Moment) -> Effect {
        if counts {
            self.spend(now);
        }
        self.since = now.tick;
        match next {
            Next::Convert => self.convert(facts, now),
            Next::Link => self.link(now),
            Next::Look(look) => self.look(look),
            Next::Promote(linked) => self.promote(linked, now),
        }
    }

    /// Waits after a transient failure, or ends the event if its budget is spent.
    pub(super) fn back_off(
        &mut self,
        next: Next,
        retry_after: Option<Duration>,
        detail: String,
        rules: &Rules,
        now: Moment,
    ) -> Effect {
        self.spend(now);
        self.failures = self.failures.saturating_add(1);
        let is_free = std::mem::take(&mut self.in_doubt);
        if !is_free && !now.outage && self.spent >= rules.retry.budget() {
            return self.give_up(next, &detail);
        }
        self.last_trouble = detail;
        let delay = if now.outage { Duration::ZERO } else { rules.retry.delay(self.failures, now.chance) };
        // Asked to wait for no time at all, it waits by itself: else such an answer would keep the event for ever.
        let retry_after = retry_after.filter(|asked| !asked.is_zero());
        let wait = retry_after.map_or(delay, |asked| asked.saturating_add(delay));
        let counts = retry_after.is_none() && !is_free;
        self.become_(State::Waiting(next, counts), Effect::BackOff(wait))
    }

    fn give_up(&mut self, next: Next, detail: &str) -> Effect {
        let (code, stage) = match next {
            Next::Promote(linked) | Next::Look(Look { cause: Cause::Promoted(linked), .. }) => {
                return self.end_as_linked(linked);
            }
            Next::Convert => (ReasonCode::RetriesExhausted, Stage::Convert),
            Next::Link => (ReasonCode::RetriesExhausted, Stage::Link),
            Next::Look(_) => (ReasonCode::LinkUnknown, Stage::Link),
        };
        self.reject(code, stage, format!("the retry budget is spent; last: {detail}"))
    }

    /// Waits for our own configuration to be mended: no budget is spent.
    pub(super) fn stand_by(&mut self, next: Next, detail: String, rules: &Rules, now: Moment) -> Effect {
        self.failures = self.failures.saturating_add(1);
        self.last_trouble = detail;
        // Whoever was found before, and whatever was not: what comes next may be another tenant.
        self.customer_seen = false;
        self.doubt_absence();
        // What a look for an earlier link costs is our mistake's, too.
        self.in_doubt |= !matches!(next, Next::Look(_));
        self.since = now.tick;
        let wait = if now.outage { Duration::ZERO } else { rules.retry.interval(self.failures) };
        self.become_(State::Waiting(next, false), Effect::BackOff(wait))
    }
}
