//! What is checked after every step of a walk: the machine's promises, kept by a second, simpler book.

use profile_linker::domain::ReasonCode;
use profile_linker::domain::machine::{Effect, End, Observation, State};
use profile_linker::domain::outcome::{CallOutcome, CustomerCheck, LinkAnswer, LookOutcome};

use crate::driver::{LOOKS, MAX_INTERVAL};

/// What an onlooker knows of an event.
#[derive(Default)]
pub struct Book {
    conversion_unseen: bool,
    link_unseen: bool,
    /// Look-ups that said "not there" since the last link that may have been applied.
    absent_since_unseen: u32,
    /// The same, since the last link's answer.
    absent_since_answer: u32,
    token_rejected: bool,
    /// Our profile was seen at the target.
    found: bool,
}

impl Book {
    /// Notes what is about to be seen.
    pub fn note(&mut self, observation: &Observation, converted: bool) {
        self.token_rejected = false;
        match observation {
            Observation::Begun(past) if past.possibly_sent || (past.resumed && converted) => self.note_unseen_link(),
            Observation::Begun(past) if past.resumed => self.conversion_unseen = true,
            Observation::Conversion(CallOutcome::Unknown { .. }) => self.conversion_unseen = true,
            Observation::Conversion(CallOutcome::Refused(refusal)) => {
                self.token_rejected = refusal.code == ReasonCode::TokenRejected;
            }
            Observation::Link(outcome) => self.note_link(outcome),
            Observation::Looked(LookOutcome::Found { .. }) => self.found = true,
            Observation::Looked(LookOutcome::Absent) | Observation::Customer(CustomerCheck::Missing) => {
                self.absent_since_unseen += 1;
                self.absent_since_answer += 1;
            }
            _ => {}
        }
    }

    fn note_link(&mut self, outcome: &CallOutcome<LinkAnswer>) {
        self.absent_since_answer = 0;
        if matches!(outcome, CallOutcome::Unknown { .. } | CallOutcome::Done(LinkAnswer::Unnamed)) {
            self.note_unseen_link();
        }
    }

    /// A link of this event may have been applied, and nobody saw it.
    pub fn note_unseen_link(&mut self) {
        self.link_unseen = true;
        self.absent_since_unseen = 0;
        self.absent_since_answer = 0;
    }

    /// What was asked until now may have been another tenant.
    pub fn doubt_absence(&mut self) {
        self.absent_since_unseen = 0;
        self.absent_since_answer = 0;
    }

    /// Checks what the machine made of it.
    pub fn check(&self, effect: &Effect, state: &State) {
        invariant_one_effect_that_fits_the_state(effect, state);
        if *effect == Effect::Link {
            let enough = !self.link_unseen || self.absent_since_unseen >= LOOKS;
            assert!(enough, "linked again after {} looks", self.absent_since_unseen);
        }
        let Effect::End(End::Rejected(reason)) = effect else { return };
        assert!(!self.found, "rejected as {} although it is linked", reason.code);
        if matches!(reason.code, ReasonCode::CustomerNotFound | ReasonCode::LinkRefused) && self.link_unseen {
            let looks = self.absent_since_answer;
            assert!(looks >= LOOKS, "{} after an unseen link and {looks} looks", reason.code);
        }
        if self.token_rejected && self.conversion_unseen {
            assert_eq!(reason.code, ReasonCode::ConversionUnknown);
        }
    }
}

fn invariant_one_effect_that_fits_the_state(effect: &Effect, state: &State) {
    let fits = match effect {
        Effect::Convert => *state == State::Converting,
        Effect::Store => *state == State::Storing,
        Effect::AwaitTurn => matches!(state, State::Converted(_)),
        Effect::Link => *state == State::Linking,
        Effect::LookUp => matches!(state, State::Looking(_)),
        Effect::Promote(_) => matches!(state, State::Promoting(_)),
        Effect::CheckCustomer => matches!(state, State::CheckingCustomer(_)),
        Effect::Wait(_) => matches!(state, State::Settling(_)),
        Effect::BackOff(wait) => {
            // The longest `Retry-After` of a walk is 30 s.
            *wait <= MAX_INTERVAL + std::time::Duration::from_secs(30) && matches!(state, State::Waiting(..))
        }
        Effect::End(_) => *state == State::Ending,
        Effect::Nothing => true,
    };
    assert!(fits, "{effect:?} in {state:?}");
}
