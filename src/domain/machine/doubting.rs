//! What was seen, and may prove nothing: an upstream that was ill, or another one than ours, answered it.

use super::{Cause, Effect, Flow, Look, Next, Refusal, State};

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

    pub(super) fn after_refusal(&self, refusal: Refusal) -> Look {
        let look = Look { cause: Cause::Refused(refusal), absent: 0 };
        if self.in_doubt { look.doubting_refusal() } else { look }
    }
}
