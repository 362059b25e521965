//! From the moment when our profile is found: promoted if it shall be the primary one, and linked in any case.

use super::{CallOutcome, Cause, Effect, End, Facts, Flow, FoundProfile, Linked, Look, Moment, Next, Rules, State};

impl Flow {
    /// Our profile is there. Linked as not primary, it is promoted if it shall be; that sets what it finds, so it may be
    /// sent again, and a crash between the two steps finds the profile and goes on here.
    pub(super) fn on_found(
        &mut self,
        cause: Cause,
        profile: FoundProfile,
        facts: Facts,
        rules: &Rules,
        now: Moment,
    ) -> Effect {
        let (by_look_up, in_vain) = match &cause {
            Cause::Promoted(earlier) => (earlier.by_look_up, earlier.promoted),
            cause => (*cause != Cause::Answered, false),
        };
        let linked = Linked { profile, by_look_up, promoted: false };
        if linked.profile.primary || !facts.wants_primary {
            return self.end_as_linked(linked);
        }
        // Who is primary follows the input's order: an event that looked before its turn waits for it.
        if cause == Cause::BeforeConversion {
            return self.become_(State::Converted(Some(linked)), Effect::AwaitTurn);
        }
        if in_vain {
            let detail = "the promotion was answered as done, but the profile is not primary";
            return self.back_off(Next::Promote(linked), None, detail.to_owned(), rules, now);
        }
        self.promote(linked, now)
    }

    pub(super) fn promote(&mut self, linked: Linked, now: Moment) -> Effect {
        let profile = linked.profile.clone();
        self.begin_call(now);
        self.become_(State::Promoting(linked), Effect::Promote(profile))
    }

    pub(super) fn on_promotion(
        &mut self,
        linked: Linked,
        outcome: CallOutcome<()>,
        rules: &Rules,
        now: Moment,
    ) -> Effect {
        let look = |linked| Look { cause: Cause::Promoted(linked), absent: 0 };
        match outcome {
            CallOutcome::Done(()) => self.look(look(Linked { promoted: true, ..linked })),
            CallOutcome::NotApplied { retry_after, detail } => {
                self.back_off(Next::Promote(linked), retry_after, detail, rules, now)
            }
            CallOutcome::Unknown { retry_after, detail } => {
                self.back_off(Next::Look(look(linked)), retry_after, detail, rules, now)
            }
            // Linked it is; a result tells primary as it was achieved.
            CallOutcome::Refused(_) => self.end_as_linked(linked),
            CallOutcome::Misconfigured { detail } => self.stand_by(Next::Promote(linked), detail, rules, now),
            CallOutcome::Withdrawn => self.become_(State::Promoting(linked), Effect::Nothing),
        }
    }

    pub(super) fn end_as_linked(&mut self, Linked { profile, by_look_up, .. }: Linked) -> Effect {
        self.end(End::Linked { profile, by_look_up })
    }
}
