//! What was seen, and may prove nothing: an upstream that was ill, or another one than ours, answered it.

use super::{Cause, Effect, Facts, Flow, Look, Moment, Next, ReasonCode, Refusal, Rules, Stage, State};

impl Flow {
    /// Its upstream falls ill or is well again. What its last call met may have been part of that: until the next one it
    /// spends no budget, and a refusal counts for nothing (see [`Look::doubting_refusal`]).
    pub fn doubt_failure(&mut self) {
        self.in_doubt = true;
        self.customer_seen = false;
        if let State::Settling(look)
        | State::Looking(look)
        | State::CheckingCustomer(look)
        | State::Waiting(Next::Look(look), _) = &mut self.state
        {
            *look = look.clone().doubting_refusal();
        }
    }

    /// Its target turns out to be misconfigured, or is mended: a wrong tenant finds nobody's profiles. So a link whose outcome
    /// was not seen is looked for anew.
    pub fn doubt_absence(&mut self) {
        self.owes_look |= self.link_unseen;
    }

    /// Whether a link that waits to be sent must not be: see [`Self::look_instead`].
    #[must_use]
    pub fn owes_look(&self) -> bool {
        self.owes_look
    }

    /// The link that still waits to be sent is not: a look is.
    #[must_use]
    pub fn look_instead(&mut self) -> Effect {
        self.attempts.link -= 1;
        self.look(Look::UNSEEN)
    }

    /// Another worker left a note: its link of this event may have been applied. A look comes before the next step.
    pub fn note_link(&mut self) {
        self.link_unseen = true;
        self.noted = true;
        self.owes_look = true;
    }

    /// What was asked in the place of its call was not answered. It is not an event that never failed any more: such ones probe
    /// before all others, and would each time.
    pub fn probed_in_vain(&mut self, detail: &str) {
        self.failures = self.failures.saturating_add(1);
        detail.clone_into(&mut self.last_trouble);
    }

    pub(super) fn after_refusal(&self, refusal: Refusal) -> Look {
        let look = Look { cause: Cause::Refused(refusal), absent: 0 };
        if self.in_doubt { look.doubting_refusal() } else { look }
    }

    /// The customer is there, so the tenant is right now. What was seen before may have been another's, and only what lies between
    /// two such sights counts: a refused link is sent once more, and before a second link is sent one more look is taken. A look
    /// that called the customer missing listed no profiles, so it cannot say that ours is not among them.
    pub(super) fn on_existing(&mut self, look: Look, facts: Facts, rules: &Rules, now: Moment) -> Effect {
        let seen_before = std::mem::replace(&mut self.customer_seen, true);
        match look.cause {
            Cause::Refused(Refusal { detail, .. }) if !seen_before => {
                self.back_off(Next::Link, None, detail, rules, now)
            }
            Cause::Refused(refusal) => self.reject(ReasonCode::LinkRefused, Stage::Link, refusal.detail),
            cause if look.absent > rules.looks => self.go_on_without(cause, facts, rules, now),
            cause if look.absent == rules.looks => self.look(Look { cause, ..look }),
            cause => {
                let detail = "the look-up says that the customer is missing, but it is found".to_owned();
                self.back_off(Next::Look(Look { cause, ..look }), None, detail, rules, now)
            }
        }
    }

    /// What is looked for is not there. A profile that was there was removed by hand: it was linked.
    pub(super) fn go_on_without(&mut self, cause: Cause, facts: Facts, rules: &Rules, now: Moment) -> Effect {
        let detail = match cause {
            Cause::BeforeConversion => return self.convert(facts, now),
            Cause::Promoted(linked) => return self.end_as_linked(linked),
            // What an earlier run of the event may have sent is not there: nothing failed in this one.
            Cause::Unseen if !self.link_sent => return self.link(now),
            Cause::Unseen => self.unseen_and_absent(),
            _ => "the link was answered as done, but the profile is not there".to_owned(),
        };
        self.back_off(Next::Link, None, detail, rules, now)
    }

    /// With what went wrong before, where this process saw it: a link of an earlier one left no words.
    fn unseen_and_absent(&self) -> String {
        let told = "the link's outcome was not seen and the profile is not there";
        if self.last_trouble.is_empty() { told.to_owned() } else { format!("{told}: {}", self.last_trouble) }
    }
}
