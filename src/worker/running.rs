//! Performing the state machine's effects: writes through the scribe, waits, turns. Calls are asked for in `upstreams`.

use std::time::Duration;

use super::dispatcher::{Answered, Dispatcher};
use super::event::{Count, Event};
use super::measure;
use super::outcome;
use super::pausing::is_dead_letter;
use super::scribe::{End as EndJob, EndedResult, Job};
use crate::domain::EventKey;
use crate::domain::machine::{Effect, End, Moment, Observation, State};
use crate::domain::outcome::{CallOutcome, CustomerCheck, LookOutcome};
use crate::ledger::custody::token_context;
use crate::ledger::{BackOffRow, Claim, ConvertedRow};

/// A back-off that one that runs alone keeps its place through. Waiting but for a moment, it would else be taken for running
/// when the next one ends the process in that moment.
const LONE_WAIT: Duration = Duration::from_secs(2);
/// Through so many in a row: more than it takes a back-off to grow beyond, if `retry.max_interval` lets it grow so far. Else
/// one that always fails would hold all others up for as long as its budget lasts.
const LONE_WAITS: u32 = 5;

impl Dispatcher {
    /// Begins an event that is neither held nor too far behind in its customer's queue, unless a pause holds.
    pub fn begin_if_possible(&mut self, key: EventKey) {
        if self.pausing.is_on() {
            return;
        }
        let Some(event) = self.events.get_mut(&key) else { return };
        if event.begun || event.held || !event.in_window {
            return;
        }
        if event.count != Count::No {
            self.count_start(key);
            return;
        }
        event.begun = true;
        let (claim, past) = (event.claim, event.past);
        self.observe(key, claim, Observation::Begun(past));
    }

    /// A wait is over.
    pub fn on_due(&mut self, (key, claim): (EventKey, Claim)) {
        let Some(event) = self.events.get_mut(&key).filter(|event| event.claim == claim) else { return };
        if event.begun {
            self.observe(key, claim, Observation::Due);
        } else {
            event.held = false;
            self.begin_if_possible(key);
        }
    }

    /// A call's answer.
    pub fn on_answer(&mut self, answered: Answered) {
        let Answered { key, claim, ticket, observation, converted, notes, postponed } = answered;
        self.count_calls(key, &notes, &observation);
        self.running = self.running.saturating_sub(1);
        let observation = self.hear(key, ticket, observation, &notes);
        if let Some(lane) = self.lanes.get_mut(&claim.lane.0).filter(|lane| lane.claim == claim) {
            lane.on_the_wire = lane.on_the_wire.saturating_sub(1);
            if matches!(observation, Observation::Link(CallOutcome::Unknown { .. })) {
                // Its answer was lost, but it may be under way still: whoever has the lane next must wait for it.
                lane.wire_until = lane.wire_until.max(self.shared.clock.tick() + self.shared.longest_call);
            }
        }
        if !self.is_current(claim) {
            if observation.may_be_linked() {
                self.leave_note(key);
            }
            return;
        }
        if let Some(effect) = postponed {
            if let (Some(event), Some(detail)) = (self.events.get_mut(&key), in_vain(&observation)) {
                event.flow.probed_in_vain(detail);
            }
            self.ask_for_call(key, effect);
            return;
        }
        if let Some(event) = self.events.get_mut(&key).filter(|event| event.claim == claim) {
            event.flow.stand_still(notes.iter().map(|note| note.waited).sum());
            event.note_calls(self.shared.clock.wall_ms(), &notes, &observation);
            alarm_if_several(event, &observation);
            if let Some(converted) = converted {
                event.take_converted(converted);
            }
        }
        let noted = observation.may_be_linked() && self.is_passing_on(claim);
        self.observe(key, claim, observation);
        // An end that is being written is heard of by itself: it is taken, or refused.
        if noted && self.events.get(&key).is_some_and(|event| event.flow.state != State::Ending) {
            self.leave_note(key);
        }
    }

    /// Steps an event's state machine and performs what it asks for.
    pub fn observe(&mut self, key: EventKey, claim: Claim, observation: Observation) {
        if !self.is_current(claim) {
            return;
        }
        let Some(event) = self.events.get_mut(&key).filter(|event| event.claim == claim) else { return };
        let Some(rules) = self.shared.rules.get(&event.profile.customer.system) else { return };
        let facts = event.facts();
        let from = event.flow.state.name();
        let (tick, chance) = (self.shared.clock.tick(), self.shared.clock.chance());
        let (earliest_ms, outage) = (self.time.earliest_ms(tick), self.bulkheads.is_away(event.upstream()));
        let now = Moment { earliest_ms, tick, chance, outage };
        if event.first_failed_at.is_none() && observation.is_failure() {
            event.first_failed_at = Some(self.shared.clock.wall_ms());
        }
        let effect = event.flow.step(observation, facts, rules, now);
        tracing::trace!(event.key = ?key, from, to = event.flow.state.name(), "stepped");
        self.perform(key, claim, effect);
    }

    fn perform(&mut self, key: EventKey, claim: Claim, effect: Effect) {
        match effect {
            Effect::Convert | Effect::Link | Effect::LookUp | Effect::CheckCustomer | Effect::Promote(_) => {
                self.ask_for_call(key, effect);
            }
            Effect::Store => self.store(key, claim),
            Effect::AwaitTurn => self.await_turn(key, claim),
            Effect::Wait(wait) => {
                self.timers.insert((key, claim), wait);
            }
            Effect::BackOff(wait) => self.back_off(key, claim, wait),
            Effect::End(end) => self.end(key, claim, &end),
            Effect::Nothing => tracing::debug!(event.key = ?key, "an observation came late"),
        }
    }

    fn store(&mut self, key: EventKey, claim: Claim) {
        let Some(event) = self.events.get_mut(&key) else { return };
        let timeline = std::mem::take(&mut event.timeline);
        let Some(token) = &event.token else { return };
        let sealed_token = self.shared.preparer.vault.seal(&token_context(key), token.expose());
        let account = event.account.as_ref().and_then(|account| serde_json::to_string(account).ok());
        let account = account.unwrap_or_default();
        let row =
            ConvertedRow { key, lane: claim.lane, sealed_token, account, attempts: event.flow.attempts, timeline };
        self.ask(claim.lane, Job::Converted(claim, row));
    }

    fn await_turn(&mut self, key: EventKey, claim: Claim) {
        let Some(event) = self.events.get_mut(&key) else { return };
        let ordered = self.shared.settings.per_customer_order;
        if ordered && !self.customers.is_first(claim.lane, &event.profile.customer, key) {
            event.awaits_turn = true;
            self.let_others_run(key);
            return;
        }
        event.awaits_turn = false;
        self.observe(key, claim, Observation::Turn);
    }

    fn back_off(&mut self, key: EventKey, claim: Claim, wait: Duration) {
        if !self.keeps_its_place(key, wait) {
            self.let_others_run(key);
        }
        self.timers.insert((key, claim), wait);
        let now = self.shared.clock.wall_ms();
        let Some(event) = self.events.get_mut(&key) else { return };
        event.note_wait(now, wait);
        // An upstream's outage is said once, not by each event.
        if !self.bulkheads.is_away(event.upstream()) {
            log_back_off(event, wait);
        }
        let milliseconds = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        let row = BackOffRow {
            key,
            lane: claim.lane,
            due_in_ms: milliseconds(wait),
            spent_ms: milliseconds(event.flow.spent),
            failed_ms_ago: outcome::failed_ms_ago(event, now),
            attempts: event.flow.attempts,
            timeline: std::mem::take(&mut event.timeline),
        };
        self.ask(claim.lane, Job::BackOff(claim, row));
    }

    fn end(&mut self, key: EventKey, claim: Claim, end: &End) {
        let now = self.shared.clock.wall_ms();
        let Some(event) = self.events.get_mut(&key) else { return };
        log_end(event, end);
        event.note_end(now, end);
        event.ended = Some(measure::reason_of(end));
        let timeline = std::mem::take(&mut event.timeline);
        let ending = outcome::ending(&self.shared.preparer, event, end);
        let (counts, dead_letter) = (!event.is_replay, is_dead_letter(&ending.records));
        let job = EndJob { key, lane: claim.lane, ending, attempts: event.flow.attempts, timeline };
        self.ask(claim.lane, Job::End(claim, job));
        if counts {
            // Now, not when it is durable: until then as many calls more could be begun as the ledger takes time.
            self.guard_against_flood(dead_letter);
        }
    }

    /// An end is durable: it may be published, and its customer's next event has its turn.
    pub fn on_ended(&mut self, claim: Claim, key: EventKey, result: EndedResult) {
        if !self.is_current(claim) {
            return;
        }
        if let Some(lane) = self.lanes.get_mut(&claim.lane.0) {
            lane.push(result.seq, result.records);
        }
        self.ending_at_once.remove(&key);
        if self.reading_notes {
            self.ended_meanwhile.insert(key);
        }
        if let Some(event) = self.events.remove(&key) {
            self.count_end(&event);
            for next in self.customers.remove(claim.lane, &event.profile.customer, key) {
                self.on_turn_may_have_come(next, claim);
            }
            if event.is_replay {
                self.go_on_replaying();
            }
        }
        self.room_made();
    }

    fn on_turn_may_have_come(&mut self, key: EventKey, claim: Claim) {
        let Some(event) = self.events.get_mut(&key) else { return };
        event.in_window = true;
        if event.awaits_turn {
            self.await_turn(key, claim);
        } else {
            self.begin_if_possible(key);
        }
    }

    fn keeps_its_place(&mut self, key: EventKey, wait: Duration) -> bool {
        let Some(event) = self.events.get_mut(&key).filter(|_| self.alone == Some(key)) else { return false };
        event.lone_waits += 1;
        let keeps = wait <= LONE_WAIT && event.lone_waits <= LONE_WAITS;
        if !keeps {
            event.lone_waits = 0;
        }
        keeps
    }

    /// An event that ran alone waits: others may run meanwhile.
    pub fn let_others_run(&mut self, key: EventKey) {
        if self.alone == Some(key) {
            self.alone = None;
        }
    }
}

/// Why a check of a customer told nothing.
fn in_vain(observation: &Observation) -> Option<&str> {
    match observation {
        Observation::Customer(
            CustomerCheck::Unwitnessed { detail }
            | CustomerCheck::Misconfigured { detail }
            | CustomerCheck::Unclear { detail },
        ) => Some(detail),
        _ => None,
    }
}

/// Two profiles of one event: the promise is broken, or somebody made one by hand. Which, a person must tell.
fn alarm_if_several(event: &Event, observation: &Observation) {
    if let Observation::Looked(LookOutcome::Found { profile, others: others @ 1.. }) = observation {
        tracing::error!(
            event.id = %event.identity.id,
            customer.id = %event.profile.customer.id,
            account.id = %profile.id,
            others,
            "the customer has more than one profile of this event; this one counts, look at the others",
        );
    }
}

fn log_back_off(event: &Event, wait: Duration) {
    tracing::info!(
        event.id = %event.identity.id,
        customer.id = %event.profile.customer.id,
        wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        trouble = event.flow.in_trouble().unwrap_or_default(),
        "the event backs off",
    );
}

fn log_end(event: &Event, end: &End) {
    let (id, customer) = (&event.identity.id, &event.profile.customer.id);
    match end {
        End::Linked { profile, .. } if !profile.active => tracing::warn!(
            event.id = %id, customer.id = %customer, account.id = %profile.id, "linked, and deactivated by hand since"
        ),
        End::Linked { profile, .. } => tracing::info!(
            event.id = %id, customer.id = %customer, account.id = %profile.id, "linked"
        ),
        End::Rejected(reason) => tracing::info!(
            event.id = %id, customer.id = %customer, reason.code = %reason.code, detail = %reason.detail, "rejected"
        ),
    }
}
