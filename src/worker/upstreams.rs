//! Which call goes next, and what its answer says of the upstream that gave it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::bulkheads::{Heard, Standing, Ticket};
use super::call::Call;
use super::dispatcher::{Answered, Dispatcher, Report};
use super::event::Event;
use super::gate::LaneGate;
use super::lane::Lane;
use super::measure;
use super::verdict::{timed_out, verdict};
use crate::conditions::{Health, Part};
use crate::domain::flow_control::{Change, Trouble, Verdict};
use crate::domain::machine::{Effect, Observation};
use crate::domain::{EventKey, Upstream};
use crate::upstream::journal::{self, Note};

impl Dispatcher {
    /// Puts an event into the queue of the upstream that its call goes to.
    pub fn ask_for_call(&mut self, key: EventKey, effect: Effect) {
        let now = self.shared.clock.tick();
        let Some(event) = self.events.get_mut(&key) else { return };
        self.bulkheads.push(event.upstream(), key, &effect);
        event.pending = Some(effect);
        event.asked_at = now;
    }

    /// Starts calls as long as there are slots and upstreams that take them.
    pub fn pump(&mut self) {
        let now = self.shared.clock.tick();
        let goes = self.stopping.is_none() && !self.pausing.is_on();
        if goes {
            self.start_alone();
        }
        while goes && self.running < self.shared.settings.max_in_flight {
            let Some((upstream, key)) = self.next_ready(now) else { break };
            if self.end_if_expired(key) {
                continue;
            }
            let Some(ticket) = self.bulkheads.take(upstream, key, now) else { break };
            self.show_breaker(upstream);
            self.call(key, ticket, now);
        }
        self.wake_for_probes(now);
    }

    /// The next event that may call. One that runs alone waits until all others' calls are over, and lets none begin until it
    /// waits or ends: if the process ends again, it was this one. While its upstream is away it waits, too.
    fn next_ready(&mut self, now: Duration) -> Option<(Upstream, EventKey)> {
        let (events, lanes) = (&self.events, &self.lanes);
        if let Some((key, event)) = self.alone.and_then(|key| Some((key, events.get(&key)?))) {
            let upstream = event.upstream();
            if self.running > 0 || standing(events, lanes, key) == Standing::Gone {
                // Others' calls are out, or its own, or it writes.
                return None;
            }
            if self.bulkheads.has_room(upstream, now) {
                return Some((upstream, key));
            }
            if !self.bulkheads.is_away(upstream) {
                return None;
            }
        }
        self.alone = None;
        let (upstream, key) = self.bulkheads.next(now, |key| standing(events, lanes, *key))?;
        if self.events.get(&key).is_some_and(Event::runs_alone) {
            // No other may begin until it has: others would else have its upstream's turn for ever.
            self.alone = Some(key);
            if self.running > 0 {
                return None;
            }
        }
        Some((upstream, key))
    }

    /// Waiting for a slot or for the upstream was nobody's work: the budget stands still.
    fn call(&mut self, key: EventKey, ticket: Ticket, now: Duration) {
        let Some(event) = self.events.get_mut(&key) else { return };
        let Some(effect) = event.pending.take() else { return };
        let claim = event.claim;
        event.flow.stand_still(now.saturating_sub(event.asked_at));
        if let Some(lane) = self.lanes.get_mut(&claim.lane.0) {
            lane.on_the_wire += 1;
        }
        self.running += 1;
        measure::measure_token(&self.shared, event, &effect);
        // A look that finds nothing proves no tenant, so it would keep the breaker open: the customer does.
        let is_no_proof = effect == Effect::LookUp && event.facts().refusal_needs_customer;
        let (effect, postponed) = if is_no_proof && self.bulkheads.is_misconfigured(ticket.upstream) {
            (Effect::CheckCustomer, Some(effect))
        } else {
            (effect, None)
        };
        let call = Call::of(event, effect);
        let shared = Arc::clone(&self.shared);
        self.spawn(async move {
            let gate = LaneGate { claim, confirmations: Arc::clone(&shared.confirmations) };
            let ((observation, converted), notes) = journal::noted(call.make(&shared, &gate)).await;
            Report::Observed(Box::new(Answered { key, claim, ticket, observation, converted, notes, postponed }))
        });
    }

    /// Hears what an answer says of its upstream. Answers what it means for its event.
    pub fn hear(&mut self, key: EventKey, ticket: Ticket, mut observation: Observation, notes: &[Note]) -> Observation {
        let mut verdict = verdict(ticket.upstream, &observation, notes);
        let timed_out = timed_out(notes);
        let mut again = false;
        let now = self.shared.clock.tick();
        if let Some(event) = self.events.get_mut(&key) {
            if observation.is_of_change() && matches!(verdict, Verdict::Answered | Verdict::Ambiguous) {
                event.met_misconfiguration = None;
            } else if let Verdict::Misconfigured { detail } = &verdict {
                // What it meets again while others are answered is its own trouble, and must not open the breaker each time.
                let met = event.met_misconfiguration.replace((ticket.upstream, now));
                let met = met.filter(|(upstream, _)| *upstream == ticket.upstream);
                let others_are_answered = met.is_some_and(|(_, at)| self.bulkheads.changed_since(ticket.upstream, at));
                if others_are_answered && !self.bulkheads.is_away(ticket.upstream) {
                    verdict = Verdict::Failed { detail: detail.clone() };
                    observation = observation.as_own_failure();
                }
            }
            if verdict.is_failure() {
                let counted = Some((ticket.upstream, ticket.period()));
                again = std::mem::replace(&mut event.counted_in, counted) == counted;
            }
        }
        let heard = Heard { verdict, timed_out, again, of_change: observation.is_of_change() };
        let was_away = self.bulkheads.is_away(ticket.upstream);
        if let Some(change) = self.bulkheads.hear(ticket, &heard, now) {
            let theirs = self.events.values_mut().filter(|event| event.upstream() == ticket.upstream);
            theirs.for_each(|event| event.doubt(&change));
            self.tell_change(ticket.upstream, &change, was_away);
        }
        self.show_breaker(ticket.upstream);
        observation
    }

    /// An upstream that is away, and that no event needs any more, cannot be probed: whether it is back, the next event tells.
    pub fn forget_unasked(&mut self) {
        let (now, events) = (self.shared.clock.tick(), &self.events);
        let is_needed = |upstream| events.values().any(|event| event.upstream() == upstream);
        for (upstream, change) in self.bulkheads.forget_unasked(now, is_needed) {
            tracing::info!(
                upstream = upstream.as_str(),
                "nothing waits for it any more: the next event tells whether it is back"
            );
            self.tell_change(upstream, &change, true);
            self.show_breaker(upstream);
        }
    }

    /// Ends a conversion that stood in the queue for longer than its token lives; answers whether it did.
    fn end_if_expired(&mut self, key: EventKey) -> bool {
        let now = self.time.earliest_ms(self.shared.clock.tick());
        let is_dead = |event: &&mut Event| {
            event.pending == Some(Effect::Convert) && event.facts().expires_at.is_some_and(|at| at <= now)
        };
        let Some(event) = self.events.get_mut(&key).filter(is_dead) else { return false };
        event.pending = None;
        let claim = event.claim;
        self.observe(key, claim, Observation::Expired);
        true
    }

    fn show_breaker(&self, upstream: Upstream) {
        self.shared.metrics.breaker(upstream.as_str(), self.bulkheads.breaker(upstream));
    }

    /// One line a change, not one an event: the conditions log a change of health, here a trouble that became another.
    fn tell_change(&self, upstream: Upstream, change: &Change, was_away: bool) {
        let part = part_of(upstream);
        let (from, to) = (state_name(was_away), state_name(self.bulkheads.is_away(upstream)));
        tracing::trace!(upstream = upstream.as_str(), from, to, "stepped");
        match change {
            Change::Opened { trouble, why, .. } => {
                let what = match trouble {
                    Trouble::Away => "it is away",
                    Trouble::Throttling => "it takes no calls for now",
                    Trouble::Misconfigured => "our credential, tenant, address or ca_file is wrong",
                };
                let reason = format!("{what}; its events wait, and it is probed: {why}");
                self.shared.conditions.set(part, Health::Down, &reason);
                if was_away {
                    tracing::warn!(upstream = upstream.as_str(), reason, "the trouble is another than before");
                }
            }
            Change::Closed { .. } => self.shared.conditions.set(part, Health::Ok, ""),
        }
    }

    /// Has the dispatcher woken when the next probe is due.
    fn wake_for_probes(&mut self, now: Duration) {
        let Some(at) = self.bulkheads.wakes_at() else { return };
        // What is due already waits for a slot, and the next answer gives one.
        if at <= now || self.wakes_at.is_some_and(|known| known <= at) {
            return;
        }
        self.wakes_at = Some(at);
        self.spawn(async move {
            tokio::time::sleep(at - now).await;
            Report::Wake
        });
    }
}

fn part_of(upstream: Upstream) -> Part {
    match upstream {
        Upstream::Payiq => Part::Payiq,
        Upstream::Loanpro => Part::Loanpro,
        Upstream::Aloha => Part::Aloha,
    }
}

fn state_name(is_away: bool) -> &'static str {
    if is_away { "breaker open" } else { "breaker closed" }
}

/// An event that waits for a call: it has one to make, and its lane is ours and not being given up.
fn standing(events: &BTreeMap<EventKey, Event>, lanes: &BTreeMap<i32, Lane>, key: EventKey) -> Standing {
    let Some(event) = events.get(&key).filter(|event| event.pending.is_some()) else { return Standing::Gone };
    let lane = lanes.get(&event.claim.lane.0).filter(|lane| !lane.leaving && lane.claim == event.claim);
    match (lane, event.flow.in_trouble()) {
        (None, _) => Standing::Gone,
        (Some(_), None) => Standing::Fresh,
        (Some(_), Some(_)) => Standing::Tried,
    }
}
