//! Linking: what each answer leads to.

use std::time::Duration;

use profile_linker::domain::ReasonCode;
use profile_linker::domain::machine::{Effect, Next, Observation, State};
use profile_linker::domain::outcome::LinkAnswer;

use crate::driver::{
    Driver, LOOKS, SETTLE, absent, asked_to_wait, code, done, found, link, linked, misconfigured, not_applied, refused,
    resumed, to_linking, unknown,
};

fn linking() -> Driver {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event
}

#[test]
fn a_link_that_names_its_profile_is_the_end() {
    let end = linking().see(link(done(LinkAnswer::Named("9".to_owned()))));
    assert_eq!(linked(&end), Some(false));
}

#[test]
fn a_link_that_names_nothing_is_read_back_at_once_and_counts_as_answered() {
    let mut event = linking();
    assert_eq!(event.see(link(done(LinkAnswer::Unnamed))), Effect::LookUp);
    assert_eq!(linked(&event.see(found())), Some(false));
}

#[test]
fn a_timed_out_link_is_looked_up_before_it_is_sent_again() {
    let mut event = linking();
    assert_eq!(event.see(link(unknown())), Effect::Wait(SETTLE));
    for _ in 1..LOOKS {
        assert_eq!(event.see(Observation::Due), Effect::LookUp);
        assert_eq!(event.see(absent()), Effect::Wait(SETTLE));
    }
    assert_eq!(event.see(Observation::Due), Effect::LookUp);
    assert!(matches!(event.see(absent()), Effect::BackOff(_)));
    assert_eq!(event.see(Observation::Due), Effect::Link);
    assert_eq!(event.flow.attempts.lookup, LOOKS);
}

#[test]
fn a_timed_out_link_that_is_found_is_linked_by_look_up() {
    let mut event = linking();
    event.see_all([link(unknown()), Observation::Due]);
    assert_eq!(linked(&event.see(found())), Some(true));
}

#[test]
fn a_link_that_said_done_and_is_not_there_counts_as_unseen() {
    let mut event = linking();
    event.see(link(done(LinkAnswer::Unnamed)));
    for _ in 1..LOOKS {
        event.see_all([absent(), Observation::Due]);
    }
    assert!(matches!(event.see(absent()), Effect::BackOff(_)));
    assert_eq!(event.see(Observation::Due), Effect::Link);
    assert_eq!(event.see(link(refused(ReasonCode::LinkRefused))), Effect::Wait(SETTLE), "looked up first");
}

#[test]
fn a_link_that_was_not_applied_is_sent_again_after_a_back_off() {
    let mut event = linking();
    assert_eq!(event.see(link(not_applied())), Effect::BackOff(Duration::from_millis(200)));
    assert_eq!(event.see(Observation::Due), Effect::Link);
    assert_eq!(event.see(link(asked_to_wait(9))), Effect::BackOff(Duration::from_millis(9_400)));
    assert_eq!(event.flow.state, State::Waiting(Next::Link, false));
    assert_eq!(event.see(Observation::Due), Effect::Link);
}

#[test]
fn a_first_refusal_is_read_back_once_and_stands() {
    let mut event = linking();
    assert_eq!(event.see(link(refused(ReasonCode::LinkRefused))), Effect::LookUp);
    assert_eq!(code(&event.see(absent())), ReasonCode::LinkRefused);
}

#[test]
fn a_refusal_of_what_is_there_already_is_linked() {
    let mut event = linking();
    event.see(link(refused(ReasonCode::LinkRefused)));
    assert_eq!(linked(&event.see(found())), Some(true));
}

#[test]
fn a_refusal_after_an_unseen_link_stands_only_after_settling_and_every_look() {
    let mut event = linking();
    event.see(link(unknown()));
    for _ in 0..LOOKS {
        event.see_all([Observation::Due, absent()]);
    }
    assert_eq!(event.see(Observation::Due), Effect::Link);
    assert_eq!(event.see(link(refused(ReasonCode::LinkRefused))), Effect::Wait(SETTLE));
    for _ in 1..LOOKS {
        event.see(Observation::Due);
        assert_eq!(event.see(absent()), Effect::Wait(SETTLE));
    }
    event.see(Observation::Due);
    assert_eq!(code(&event.see(absent())), ReasonCode::LinkRefused);
}

#[test]
fn a_misconfigured_target_waits_and_links_again() {
    let mut event = linking();
    assert!(matches!(event.see(link(misconfigured())), Effect::BackOff(_)));
    assert_eq!(event.flow.state, State::Waiting(Next::Link, false));
    assert_eq!(event.see(Observation::Due), Effect::Link);
}

#[test]
fn a_resumed_event_looks_before_it_links() {
    for mut event in [Driver::permanent(), Driver::converted()] {
        assert_eq!(event.see(resumed()), Effect::AwaitTurn);
        assert_eq!(event.see(Observation::Turn), Effect::Wait(SETTLE));
        assert_eq!(event.see(Observation::Due), Effect::LookUp);
        assert_eq!(linked(&event.see(found())), Some(true));
    }
}
