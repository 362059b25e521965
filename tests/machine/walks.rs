//! Random walks: whatever the world answers, in whatever order, the promises hold.

use std::time::Duration;

use profile_linker::domain::ReasonCode;
use profile_linker::domain::machine::{Effect, Observation};
use profile_linker::domain::outcome::{CustomerCheck, LinkAnswer, LookOutcome};
use proptest::prelude::*;

use crate::checks::Book;
use crate::driver::{
    BUDGET, Driver, LOOKS, MAX_INTERVAL, absent, asked_to_wait, begun, customer_missing, done, found, found_primary,
    link, look_failed, misconfigured, not_applied, possibly_sent, refused, resumed, unclear, unknown,
};
use crate::stale::observation;

/// One step: which answer, whether a late observation comes before it, how long it took.
type Step = (u8, Option<usize>, u64, f64);

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let late = proptest::option::weighted(0.1, 0_usize..8);
    proptest::collection::vec((any::<u8>(), late, 0_u64..12_000, 0.0_f64..1.0), 0..80)
}

fn start(kind: u8, is_resumed: bool) -> (Driver, Observation, bool) {
    let mut driver = match kind % 3 {
        0 => Driver::temporary(),
        1 => Driver::permanent(),
        _ => Driver::converted(),
    };
    driver.facts.wants_primary = kind >= 128;
    driver.facts.refusal_needs_customer = kind & 0b100 != 0;
    let first = match (is_resumed, kind & 0b1000) {
        (true, _) => resumed(),
        (false, 0) => begun(),
        (false, _) => possibly_sent(),
    };
    (driver, first, !kind.is_multiple_of(3))
}

/// An answer to what was asked for; `None` for an end.
fn answer(effect: &Effect, choice: u8) -> Option<Observation> {
    Some(match effect {
        Effect::Convert => Observation::Conversion(match choice % 8 {
            0 => done(()),
            1 | 2 => not_applied(),
            3 => asked_to_wait(30),
            4 | 5 => unknown(),
            6 => misconfigured(),
            _ => refused(ReasonCode::TokenRejected),
        }),
        Effect::Store => Observation::Stored,
        Effect::AwaitTurn => Observation::Turn,
        Effect::Link => link(match choice % 8 {
            0 | 1 => done(LinkAnswer::Unnamed),
            2 => not_applied(),
            3 => asked_to_wait(30),
            4 | 5 => unknown(),
            6 => misconfigured(),
            _ => refused(ReasonCode::LinkRefused),
        }),
        Effect::LookUp => match choice % 16 {
            0 => found(),
            13 => found_primary(),
            1..=9 => absent(),
            10 | 11 => look_failed(),
            12 => Observation::Looked(LookOutcome::Misconfigured { detail: "401".to_owned() }),
            _ => customer_missing(),
        },
        Effect::Promote(_) => Observation::Promotion(match choice % 8 {
            0 | 1 => done(()),
            2 => not_applied(),
            3 => asked_to_wait(30),
            4 | 5 => unknown(),
            6 => misconfigured(),
            _ => refused(ReasonCode::LinkRefused),
        }),
        Effect::CheckCustomer => match choice % 4 {
            0 | 1 => Observation::Customer(CustomerCheck::Missing),
            2 => Observation::Customer(CustomerCheck::Exists),
            _ => unclear(),
        },
        Effect::Wait(_) | Effect::BackOff(_) => Observation::Due,
        Effect::End(_) | Effect::Nothing => return None,
    })
}

/// What a world without faults answers: the profile is there, or is linked now.
fn good_answer(effect: &Effect, there: bool) -> Option<Observation> {
    match effect {
        Effect::Convert => Some(Observation::Conversion(done(()))),
        Effect::Link => Some(link(done(LinkAnswer::Named("1".to_owned())))),
        Effect::Promote(_) => Some(Observation::Promotion(done(()))),
        Effect::LookUp if there => Some(found_primary()),
        Effect::LookUp => Some(absent()),
        Effect::CheckCustomer => Some(Observation::Customer(CustomerCheck::Exists)),
        other => answer(other, 0),
    }
}

struct Walk {
    driver: Driver,
    book: Book,
    effect: Effect,
    /// At most one link of a former owner comes to light.
    noted: bool,
}

impl Walk {
    fn begin(kind: u8, is_resumed: bool) -> Self {
        let (mut driver, first, converted) = start(kind, is_resumed);
        let mut book = Book::default();
        book.note(&first, converted);
        let effect = driver.see(first);
        Self { driver, book, effect, noted: false }
    }

    /// Whether the walk goes on.
    fn step(&mut self, (choice, late, milliseconds, chance): Step) -> bool {
        let Some(observation) = answer(&self.effect, choice) else { return false };
        self.driver.now.chance = chance;
        self.late(late, &observation);
        if milliseconds % 16 == 3 && !std::mem::replace(&mut self.noted, true) {
            self.book.note_unseen_link();
            self.driver.flow.note_link();
        }
        self.change(milliseconds);
        let time = match &self.effect {
            Effect::Wait(wait) | Effect::BackOff(wait) => *wait,
            _ => Duration::from_millis(milliseconds),
        };
        self.driver.pass(time);
        self.see(observation);
        true
    }

    /// Now and then its upstream falls ill or recovers, or turns out to have been another than ours.
    fn change(&mut self, milliseconds: u64) {
        if matches!(milliseconds % 16, 5 | 9) {
            self.driver.flow.doubt_failure();
        }
        if milliseconds % 16 == 9 {
            self.book.doubt_absence();
            self.driver.flow.doubt_absence();
        }
    }

    /// An observation that is not awaited changes nothing.
    fn late(&mut self, kind: Option<usize>, awaited: &Observation) {
        let Some(late) = kind.map(observation) else { return };
        // A second beginning of an event that waits for its turn only repeats that it waits.
        let is_begun = matches!(late, Observation::Begun(_));
        if std::mem::discriminant(&late) != std::mem::discriminant(awaited) && !is_begun {
            let before = format!("{:?}", self.driver.flow);
            assert_eq!(self.driver.see(late), Effect::Nothing);
            assert_eq!(format!("{:?}", self.driver.flow), before);
        }
    }

    fn see(&mut self, observation: Observation) {
        self.book.note(&observation, true);
        self.effect = self.driver.see(observation);
        self.book.check(&self.effect, &self.driver.flow.state);
        assert!(self.driver.flow.spent < BUDGET + MAX_INTERVAL + CYCLE || matches!(self.effect, Effect::End(_)));
    }
}

/// The longest round of calls between two looks at the budget: a link and its looks, 12 s and a settle time each; and its looks
/// once more, for a note.
const CYCLE: Duration = Duration::from_secs(14 * (2 * LOOKS as u64 + 1));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_walk_breaks_a_promise(kind in any::<u8>(), is_resumed in any::<bool>(), steps in steps()) {
        let mut walk = Walk::begin(kind, is_resumed);
        for step in steps {
            if !walk.step(step) {
                break;
            }
        }
    }

    #[test]
    fn every_walk_ends_once_faults_stop(
        kind in any::<u8>(),
        is_resumed in any::<bool>(),
        steps in steps(),
        there in any::<bool>(),
    ) {
        let mut walk = Walk::begin(kind, is_resumed);
        for step in steps {
            if !walk.step(step) {
                break;
            }
        }
        // A round of settling and looking, a back-off, a link: and one more of each for what was under way.
        let mut left = 4 * LOOKS + 12;
        let mut there = there;
        while let Some(observation) = good_answer(&walk.effect, there) {
            there |= walk.effect == Effect::Link;
            walk.see(observation);
            left -= 1;
            prop_assert!(left > 0, "still {:?}", walk.driver.flow.state);
        }
        prop_assert!(matches!(walk.effect, Effect::End(_)));
    }
}
