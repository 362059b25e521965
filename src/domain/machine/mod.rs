//! The state machine of one event. `step` is the only place where an event changes its state.
//!
//! ```text
//!  Accepted --> Converting --> Storing --> Converted --> Linking --> Looking --> Ending
//!   | |  |         |  ^                      ^  ^ |        |  ^      | ^ | |       ^
//!   | |  |         v  |                      |  | |        v  |      v | | v       |
//!   | |  |       Waiting (back-off)          |  | |     Waiting  Settling| Promoting
//!   | |  |                                   |  | +-- resumed: look first v        |
//!   | |  +-- permanent token ----------------+  |          CheckingCustomer        |
//!   | +-- possibly sent: Looking, and if found and to be primary                   |
//!   +-- expired, refused, budget spent, resumed too often -------------------------+
//! ```
//!
//! Properties: a link whose outcome was not seen is looked up before it is sent again; after such an attempt every refusal
//! is looked up too; a "used or unknown" token is a rejection only if no conversion's outcome was missed; outages that are
//! not the event's fault (misconfiguration, `Retry-After`, an upstream known to be away) do not spend its budget.

mod doubting;
mod promotion;
mod waiting;
mod words;

use std::time::Duration;

pub use words::{Cause, Effect, End, Facts, Linked, Look, Moment, Next, Observation, Past, Rules, State};

use super::outcome::{CallOutcome, CustomerCheck, FoundProfile, LinkAnswer, LookOutcome, Refusal};
use super::{Attempts, Reason, ReasonCode, Stage};

/// A row that was running in so many unclean ends of its process is dead-lettered (guarantees, section 3).
pub const MAX_STARTS: u32 = 10;
/// From so many on it runs alone in its process, so that only the guilty one's count goes on.
pub const ALONE_FROM_STARTS: u32 = 5;

/// An event's state and what it has used up.
#[derive(Debug, Clone)]
pub struct Flow {
    /// Where it stands.
    pub state: State,
    /// Calls made.
    pub attempts: Attempts,
    /// Working time spent on failures.
    pub spent: Duration,
    failures: u32,
    since: Duration,
    conversion_unseen: bool,
    link_unseen: bool,
    /// Another worker's link of this event was noted: an answer that names ours does not rule a second one out.
    noted: bool,
    /// A link was sent since this process took the event up.
    link_sent: bool,
    /// One was answered as done.
    link_accepted: bool,
    /// What the last look did not find proves nothing: a link was noted since it began, or it asked a wrong tenant.
    owes_look: bool,
    /// Its upstream fell ill or recovered since its last call was asked for.
    in_doubt: bool,
    /// The customer was found: the tenant is right.
    customer_seen: bool,
    /// Until then a link whose answer was lost may still be applied.
    under_way_until: Duration,
    last_trouble: String,
}

impl Flow {
    /// An event just accepted, or one read back from the ledger in state `Accepted`.
    #[must_use]
    pub fn accepted(attempts: Attempts, spent: Duration) -> Self {
        Self::at(State::Accepted, attempts, spent)
    }

    /// An event read back from the ledger with its permanent token.
    #[must_use]
    pub fn converted(attempts: Attempts, spent: Duration) -> Self {
        Self::at(State::Converted(None), attempts, spent)
    }

    fn at(state: State, attempts: Attempts, spent: Duration) -> Self {
        Self {
            state,
            attempts,
            spent,
            failures: 0,
            since: Duration::ZERO,
            conversion_unseen: false,
            link_unseen: false,
            noted: false,
            owes_look: false,
            in_doubt: false,
            customer_seen: false,
            link_sent: false,
            link_accepted: false,
            under_way_until: Duration::ZERO,
            last_trouble: String::new(),
        }
    }

    /// Whether the event ever failed and waits for another try.
    #[must_use]
    pub fn in_trouble(&self) -> Option<&str> {
        (self.failures > 0).then_some(self.last_trouble.as_str())
    }

    /// Whether it waits for a write of its own.
    #[must_use]
    pub fn is_writing(&self) -> bool {
        matches!(self.state, State::Storing | State::Ending)
    }

    /// Whether its next call goes to the converter; else to its target.
    #[must_use]
    pub fn needs_converter(&self) -> bool {
        matches!(self.state, State::Converting | State::Waiting(Next::Convert, _))
    }

    /// The one transition function.
    pub fn step(&mut self, observation: Observation, facts: Facts, rules: &Rules, now: Moment) -> Effect {
        if now.outage {
            // Whatever passed was not working time.
            self.since = now.tick;
        }
        let state = std::mem::replace(&mut self.state, State::Ending);
        match (state, observation) {
            (State::Accepted, Observation::Begun(past)) if facts.temporary => self.begin(past, facts, now),
            (State::Accepted | State::Converted(None), Observation::Begun(past)) => self.begin_converted(past),
            (State::Converting, Observation::Expired) => self.expire(),
            (State::Converting, Observation::Conversion(outcome)) => self.on_conversion(outcome, rules, now),
            (State::Storing, Observation::Stored) => self.become_(State::Converted(None), Effect::AwaitTurn),
            (State::Converted(Some(linked)), Observation::Turn) => self.promote(linked, now),
            (State::Converted(None), Observation::Turn) if self.link_unseen => {
                self.since = now.tick;
                self.settle(Cause::Unseen, rules.settle)
            }
            (State::Converted(None), Observation::Turn) => self.link(now),
            (State::Linking, Observation::Link(outcome)) => self.on_link(outcome, rules, now),
            (State::Settling(look), Observation::Due) => self.look(look),
            (State::Looking(look), Observation::Looked(outcome)) => self.on_look(look, outcome, facts, rules, now),
            (State::CheckingCustomer(look), Observation::Customer(check)) => {
                self.on_check(look, check, facts, rules, now)
            }
            (State::Promoting(linked), Observation::Promotion(outcome)) => {
                self.on_promotion(linked, outcome, rules, now)
            }
            (State::Waiting(next, counts), Observation::Due) => self.go_on(next, counts, facts, now),
            (state, _) => self.become_(state, Effect::Nothing),
        }
    }

    fn become_(&mut self, state: State, effect: Effect) -> Effect {
        self.state = state;
        effect
    }

    /// A temporary token. What may have been linked before it was accepted here is looked for before the token is used.
    fn begin(&mut self, past: Past, facts: Facts, now: Moment) -> Effect {
        if past.starts >= MAX_STARTS {
            return self.reject_as_poison(Stage::Convert);
        }
        self.conversion_unseen |= past.resumed || past.possibly_sent;
        self.link_unseen |= past.possibly_sent;
        if past.possibly_sent && facts.found_by_marker {
            self.since = now.tick;
            return self.look(Look { cause: Cause::BeforeConversion, absent: 0 });
        }
        self.convert(facts, now)
    }

    /// A permanent token, or one that was converted already: its acceptance was the intent to link.
    fn begin_converted(&mut self, past: Past) -> Effect {
        if past.starts >= MAX_STARTS {
            return self.reject_as_poison(Stage::Link);
        }
        self.link_unseen |= past.resumed || past.possibly_sent;
        self.become_(State::Converted(None), Effect::AwaitTurn)
    }

    fn reject_as_poison(&mut self, stage: Stage) -> Effect {
        let detail = format!("it was being worked on in {MAX_STARTS} unclean ends of the worker's process");
        self.reject(ReasonCode::RetriesExhausted, stage, detail)
    }

    fn convert(&mut self, facts: Facts, now: Moment) -> Effect {
        if facts.expires_at.is_some_and(|at| at <= now.earliest_ms) {
            return self.reject_expired();
        }
        self.attempts.convert += 1;
        self.begin_call(now);
        self.become_(State::Converting, Effect::Convert)
    }

    /// The conversion was never sent.
    fn expire(&mut self) -> Effect {
        self.attempts.convert -= 1;
        self.reject_expired()
    }

    fn reject_expired(&mut self) -> Effect {
        if self.conversion_unseen {
            let detail = "the temporary token expired after a conversion whose outcome was never seen";
            return self.reject(ReasonCode::ConversionUnknown, Stage::Convert, detail);
        }
        self.reject(ReasonCode::TokenExpired, Stage::Convert, "expiresAt was past before the conversion was tried")
    }

    fn on_conversion(&mut self, outcome: CallOutcome<()>, rules: &Rules, now: Moment) -> Effect {
        match outcome {
            CallOutcome::Done(()) => {
                self.failures = 0;
                self.become_(State::Storing, Effect::Store)
            }
            CallOutcome::NotApplied { retry_after, detail } => {
                self.back_off(Next::Convert, retry_after, detail, rules, now)
            }
            CallOutcome::Unknown { retry_after, detail } => {
                self.conversion_unseen = true;
                self.back_off(Next::Convert, retry_after, detail, rules, now)
            }
            CallOutcome::Refused(Refusal { code: ReasonCode::TokenRejected, detail }) if self.conversion_unseen => {
                self.reject(ReasonCode::ConversionUnknown, Stage::Convert, detail)
            }
            CallOutcome::Refused(Refusal { code, detail }) => self.reject(code, Stage::Convert, detail),
            CallOutcome::Misconfigured { detail } => self.stand_by(Next::Convert, detail, rules, now),
            CallOutcome::Withdrawn => self.become_(State::Converting, Effect::Nothing),
        }
    }

    fn link(&mut self, now: Moment) -> Effect {
        if self.owes_look {
            return self.look(Look::UNSEEN);
        }
        self.attempts.link += 1;
        self.begin_call(now);
        self.become_(State::Linking, Effect::Link)
    }

    fn on_link(&mut self, outcome: CallOutcome<LinkAnswer>, rules: &Rules, now: Moment) -> Effect {
        self.link_sent |= !matches!(outcome, CallOutcome::Withdrawn);
        match outcome {
            CallOutcome::Done(LinkAnswer::Named(id)) if !self.noted => {
                self.end(End::Linked { profile: FoundProfile::named(id), by_look_up: false })
            }
            // Its word is no proof: until the profile is found, its outcome was not seen.
            CallOutcome::Done(_) => {
                self.link_unseen = true;
                self.link_accepted = true;
                self.look(Look { cause: Cause::Answered, absent: 0 })
            }
            CallOutcome::NotApplied { retry_after, detail } => {
                self.back_off(Next::Link, retry_after, detail, rules, now)
            }
            CallOutcome::Unknown { retry_after, detail } => {
                self.link_unseen = true;
                self.under_way_until = now.tick + rules.longest_call;
                self.last_trouble = detail;
                let wait = self.wait_before_look(0, rules, now);
                // What goes beyond is waited because it was asked for.
                let asked = retry_after.unwrap_or_default().saturating_sub(wait);
                self.stand_still(asked);
                self.settle(Cause::Unseen, wait + asked)
            }
            CallOutcome::Refused(refusal) if self.link_unseen => {
                self.settle(self.after_refusal(refusal).cause, self.wait_before_look(0, rules, now))
            }
            CallOutcome::Refused(refusal) => self.look(self.after_refusal(refusal)),
            CallOutcome::Misconfigured { detail } => self.stand_by(Next::Link, detail, rules, now),
            CallOutcome::Withdrawn => self.become_(State::Linking, Effect::Nothing),
        }
    }

    /// Working time runs on from the call that is looked after: settling and looking are part of its failure.
    fn look(&mut self, look: Look) -> Effect {
        self.attempts.lookup += 1;
        let look = if std::mem::take(&mut self.owes_look) { look.anew() } else { look };
        self.become_(State::Looking(look), Effect::LookUp)
    }

    fn on_look(&mut self, look: Look, outcome: LookOutcome, facts: Facts, rules: &Rules, now: Moment) -> Effect {
        match (outcome, look.cause) {
            (LookOutcome::Found { profile, .. }, cause) => self.on_found(cause, profile, facts, rules, now),
            (LookOutcome::CustomerMissing { detail }, cause @ Cause::Promoted(_)) => {
                self.back_off(Next::Look(Look { cause, ..look }.unproved(rules)), None, detail, rules, now)
            }
            (LookOutcome::Absent, cause) => self.on_absent(Look { cause, ..look }, facts, rules, now),
            (LookOutcome::CustomerMissing { detail }, cause) => {
                self.last_trouble = detail;
                let look = Look { cause, ..look }.doubting_refusal().unproved(rules);
                self.become_(State::CheckingCustomer(look), Effect::CheckCustomer)
            }
            (LookOutcome::Failed { retry_after, detail }, cause) => {
                self.back_off(Next::Look(Look { cause, ..look }.doubting_refusal()), retry_after, detail, rules, now)
            }
            (LookOutcome::Misconfigured { detail }, cause) => {
                self.stand_by(Next::Look(Look { cause, ..look }.doubting_refusal()), detail, rules, now)
            }
        }
    }

    /// One more look said "not there". A refusal that nothing unseen precedes needs one, and so does what may have been linked long
    /// ago; everything else `looks`.
    fn on_absent(&mut self, look: Look, facts: Facts, rules: &Rules, now: Moment) -> Effect {
        if self.owes_look {
            return self.settle(look.cause, rules.settle);
        }
        let is_old = look.cause == Cause::BeforeConversion;
        let absent = (look.absent + 1).max(if is_old { rules.looks } else { 0 });
        let refusal_stands = matches!(look.cause, Cause::Refused(_)) && !self.link_unseen;
        if absent < rules.looks && !refusal_stands {
            let again = Look { cause: look.cause, absent };
            let wait = self.wait_before_look(absent, rules, now);
            return self.become_(State::Settling(again), Effect::Wait(wait));
        }
        let look = Look { cause: look.cause, absent };
        match look.cause {
            Cause::Refused(_) if facts.refusal_needs_customer => {
                self.become_(State::CheckingCustomer(look), Effect::CheckCustomer)
            }
            Cause::Refused(refusal) => self.reject(refusal.code, Stage::Link, refusal.detail),
            // A wrong tenant lists nothing of ours: see `on_existing`.
            Cause::BeforeConversion | Cause::Unseen | Cause::Answered | Cause::Promoted(_)
                if facts.refusal_needs_customer && self.link_unseen =>
            {
                self.become_(State::CheckingCustomer(look), Effect::CheckCustomer)
            }
            cause => self.go_on_without(cause, facts, rules, now),
        }
    }

    fn on_check(&mut self, look: Look, check: CustomerCheck, facts: Facts, rules: &Rules, now: Moment) -> Effect {
        match check {
            CustomerCheck::Exists if self.owes_look => self.settle(look.cause, rules.settle),
            CustomerCheck::Exists => self.on_existing(look, facts, rules, now),
            // Nobody has its profile. That it cannot be linked now is the link's to tell.
            CustomerCheck::Missing if look.cause == Cause::BeforeConversion && !self.owes_look => {
                self.convert(facts, now)
            }
            CustomerCheck::Missing if self.owes_look || (self.link_unseen && look.absent + 1 < rules.looks) => {
                let again = Look { cause: look.cause, absent: look.absent + 1 };
                let wait = self.wait_before_look(again.absent, rules, now);
                self.become_(State::Settling(again), Effect::Wait(wait))
            }
            CustomerCheck::Missing if self.link_accepted || matches!(look.cause, Cause::Promoted(_)) => {
                let detail = "the profile was linked, and now its customer is said to be missing".to_owned();
                self.back_off(Next::Look(look.unproved(rules)), None, detail, rules, now)
            }
            CustomerCheck::Missing => {
                // LoanPro was asked behind a witness, Aloha has none: these words fit both.
                let detail = "asked for this customer alone, the link target still says that there is none";
                self.reject(ReasonCode::CustomerNotFound, Stage::Link, detail)
            }
            CustomerCheck::Unclear { detail } => {
                self.back_off(Next::Look(look.doubting_refusal().unproved(rules)), None, detail, rules, now)
            }
            CustomerCheck::Unwitnessed { detail } | CustomerCheck::Misconfigured { detail } => {
                self.stand_by(Next::Look(look.doubting_refusal().unproved(rules)), detail, rules, now)
            }
        }
    }

    fn reject(&mut self, code: ReasonCode, stage: Stage, detail: impl Into<String>) -> Effect {
        self.end(End::Rejected(Reason::new(code, stage, detail)))
    }

    fn end(&mut self, end: End) -> Effect {
        self.become_(State::Ending, Effect::End(end))
    }
}
