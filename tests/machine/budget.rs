//! The retry budget: what spends it, what does not, and how it ends an event.

use std::time::Duration;

use profile_linker::domain::ReasonCode;
use profile_linker::domain::machine::{Effect, Observation};
use profile_linker::domain::outcome::CallOutcome;

use crate::driver::{
    BUDGET, Driver, LOOKS, MAX_INTERVAL, SETTLE, absent, asked_to_wait, begun, code, link, look_failed, misconfigured,
    not_applied, to_linking, unknown,
};

/// What a call takes that times out.
const CALL: Duration = Duration::from_secs(10);

/// Drives an event whose observations all come from `answer` until it ends; answers how long it worked.
fn until_its_end(
    event: &mut Driver,
    mut effect: Effect,
    answer: impl Fn(&Effect) -> Observation,
) -> (Effect, Duration) {
    let began = event.now.tick;
    loop {
        match &effect {
            Effect::End(_) => return (effect, event.now.tick - began),
            Effect::Wait(wait) | Effect::BackOff(wait) => {
                event.pass(*wait);
                effect = event.see(Observation::Due);
            }
            call => {
                let observation = answer(call);
                event.pass(CALL);
                effect = event.see(observation);
            }
        }
        assert!(event.now.tick - began < BUDGET * 10, "it does not end");
    }
}

#[test]
fn conversions_that_always_fail_exhaust_the_budget() {
    for chance in [0.0, 0.5, 1.0] {
        let mut event = Driver::temporary();
        event.now.chance = chance;
        let effect = event.see(begun());
        let (end, took) = until_its_end(&mut event, effect, |_| Observation::Conversion(not_applied()));
        assert_eq!(code(&end), ReasonCode::RetriesExhausted);
        assert!(took >= BUDGET && took <= BUDGET + MAX_INTERVAL + CALL, "{took:?}");
    }
}

#[test]
fn links_that_always_time_out_and_are_never_there_exhaust_the_budget() {
    for chance in [0.0, 0.5, 1.0] {
        let mut event = Driver::permanent();
        event.now.chance = chance;
        let effect = event.see_all(to_linking());
        let (end, took) = until_its_end(&mut event, effect, |call| match call {
            Effect::Link => link(unknown()),
            _ => absent(),
        });
        assert_eq!(code(&end), ReasonCode::RetriesExhausted);
        let round = CALL + (SETTLE + CALL) * LOOKS;
        assert!(took >= BUDGET && took <= BUDGET + MAX_INTERVAL + round, "{took:?}");
    }
}

#[test]
fn look_ups_that_always_fail_after_an_unseen_link_end_as_link_unknown() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    let effect = event.see(link(unknown()));
    let (end, took) = until_its_end(&mut event, effect, |_| look_failed());
    assert_eq!(code(&end), ReasonCode::LinkUnknown);
    assert!(took <= BUDGET + MAX_INTERVAL + CALL + SETTLE, "{took:?}");
}

#[test]
fn waiting_as_asked_does_not_spend_the_budget() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    for _ in 0..100 {
        event.see(link(asked_to_wait(60)));
        event.pass(Duration::from_secs(61));
        assert_eq!(event.see(Observation::Due), Effect::Link);
    }
    assert_eq!(event.flow.spent, Duration::ZERO);
}

/// `Retry-After: 0`, or a date that is past.
#[test]
fn being_asked_to_wait_for_no_time_at_all_spends_the_budget() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    for _ in 0..100 {
        match event.see(link(asked_to_wait(0))) {
            Effect::BackOff(wait) => event.pass(wait + CALL),
            end => return assert_eq!(code(&end), ReasonCode::RetriesExhausted),
        }
        assert_eq!(event.see(Observation::Due), Effect::Link);
    }
    panic!("it never ends");
}

#[test]
fn our_own_misconfiguration_does_not_spend_the_budget() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    for _ in 0..100 {
        event.pass(CALL);
        event.see(link(misconfigured()));
        event.pass(Duration::from_secs(60));
        assert_eq!(event.see(Observation::Due), Effect::Link);
    }
    assert_eq!(event.flow.spent, Duration::ZERO);
}

#[test]
fn waiting_for_earlier_events_of_the_customer_does_not_spend_the_budget() {
    let mut event = Driver::permanent();
    event.see(begun());
    event.pass(BUDGET * 2);
    event.see(Observation::Turn);
    assert!(matches!(event.see(link(not_applied())), Effect::BackOff(_)));
    assert_eq!(event.flow.spent, Duration::ZERO);
}

#[test]
fn a_resumed_event_does_not_spend_the_time_before_its_turn() {
    let mut event = Driver::converted();
    event.see(crate::driver::resumed());
    event.pass(BUDGET * 2);
    event.see_all([Observation::Turn, Observation::Due]);
    assert!(matches!(event.see(look_failed()), Effect::BackOff(_)));
    assert_eq!(event.flow.spent, Duration::ZERO);
}

#[test]
fn while_its_upstream_is_away_an_event_spends_nothing_and_is_not_asked_to_wait() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.now.outage = true;
    for _ in 0..100 {
        event.pass(CALL);
        assert_eq!(event.see(link(not_applied())), Effect::BackOff(Duration::ZERO));
        event.pass(MAX_INTERVAL);
        assert_eq!(event.see(Observation::Due), Effect::Link);
        event.pass(CALL);
        assert_eq!(event.see(link(misconfigured())), Effect::BackOff(Duration::ZERO));
        event.see(Observation::Due);
    }
    assert_eq!(event.flow.spent, Duration::ZERO);
}

/// A budget that was spent just when the outage was noticed ends the event only after it.
#[test]
fn an_outage_ends_no_event_whatever_it_has_spent() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.pass(BUDGET - CALL);
    event.see(link(not_applied()));
    event.pass(BUDGET);
    event.see(Observation::Due);
    event.now.outage = true;
    assert_eq!(event.see(link(not_applied())), Effect::BackOff(Duration::ZERO));
    event.see(Observation::Due);
    event.now.outage = false;
    assert_eq!(code(&event.see(link(not_applied()))), ReasonCode::RetriesExhausted);
}

#[test]
fn a_vendor_that_asks_to_wait_is_not_asked_sooner_in_an_outage() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.now.outage = true;
    assert_eq!(event.see(link(asked_to_wait(7))), Effect::BackOff(Duration::from_secs(7)));
}

#[test]
fn standing_in_a_queue_does_not_spend_the_budget() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.pass(BUDGET * 2);
    event.flow.stand_still(BUDGET * 2);
    event.pass(CALL);
    assert!(matches!(event.see(link(not_applied())), Effect::BackOff(_)));
    assert_eq!(event.flow.spent, CALL);
}

#[test]
fn what_looks_like_our_mistake_and_is_this_events_alone_spends_the_budget() {
    let mut event = Driver::permanent();
    let effect = event.see_all(to_linking());
    let (end, took) = until_its_end(&mut event, effect, |_| link(misconfigured()).as_own_failure());
    assert_eq!(code(&end), ReasonCode::RetriesExhausted);
    assert!(took >= BUDGET && took <= BUDGET + MAX_INTERVAL + CALL, "{took:?}");
}

#[test]
fn a_token_that_dies_while_its_conversion_waits_to_be_sent_is_not_sent() {
    let mut event = Driver::expiring();
    assert_eq!(event.see(begun()), Effect::Convert);
    assert_eq!(code(&event.see(Observation::Expired)), ReasonCode::TokenExpired);
    assert_eq!(event.flow.attempts.convert, 0, "nothing was sent");
    let mut unseen = Driver::expiring();
    unseen.see(begun());
    let wait = unseen.see(Observation::Conversion(unknown()));
    assert!(matches!(wait, Effect::BackOff(_)));
    assert_eq!(unseen.see(Observation::Due), Effect::Convert);
    assert_eq!(code(&unseen.see(Observation::Expired)), ReasonCode::ConversionUnknown);
}

#[test]
fn a_note_that_comes_while_a_link_waits_to_be_sent_makes_a_look_of_it() {
    let mut event = Driver::permanent();
    assert_eq!(event.see_all(to_linking()), Effect::Link);
    event.flow.note_link();
    assert!(event.flow.owes_look());
    assert_eq!(event.flow.look_instead(), Effect::LookUp);
    assert_eq!((event.flow.attempts.link, event.flow.attempts.lookup), (0, 1), "no link was sent");
    assert!(matches!(event.see(absent()), Effect::Wait(_)), "one look proves nothing");
}

#[test]
fn what_an_earlier_run_may_have_sent_is_looked_for_and_then_sent_however_short_the_budget_is() {
    for begun in [crate::driver::resumed(), crate::driver::possibly_sent()] {
        let mut event = Driver::permanent();
        event.see(begun);
        let mut effect = event.see(Observation::Turn);
        for _ in 0..LOOKS {
            let Effect::Wait(wait) = effect else { panic!("{effect:?}") };
            // Its looks take longer than the whole budget.
            event.pass(wait + BUDGET);
            assert_eq!(event.see(Observation::Due), Effect::LookUp);
            effect = event.see(absent());
        }
        assert_eq!(effect, Effect::Link);
        // From here on it counts: what this run sends and does not find is its own failure.
        event.pass(BUDGET);
        effect = event.see(link(unknown()));
        while let Effect::Wait(wait) = effect {
            event.pass(wait);
            event.see(Observation::Due);
            effect = event.see(absent());
        }
        assert_eq!(code(&effect), ReasonCode::RetriesExhausted);
    }
}

#[test]
fn waiting_as_asked_before_a_look_does_not_spend_the_budget() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    let asked = BUDGET * 3;
    let outcome = CallOutcome::Unknown { retry_after: Some(asked), detail: "503".to_owned() };
    let effect = event.see(link(outcome));
    assert_eq!(effect, Effect::Wait(asked));
    event.pass(asked);
    event.see(Observation::Due);
    assert!(matches!(event.see(look_failed()), Effect::BackOff(_)));
    assert_eq!(event.flow.spent, SETTLE, "as without being asked to");
}
