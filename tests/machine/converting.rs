//! Accepted, Converting, Storing, and the waits between.

use std::time::Duration;

use profile_linker::domain::ReasonCode;
use profile_linker::domain::machine::{Effect, Next, Observation, State};

use crate::driver::{
    Driver, EXPIRES_MS, asked_to_wait, begun, code, done, misconfigured, not_applied, refused, resumed, unknown,
};

#[test]
fn a_temporary_token_is_converted_stored_and_waits_for_its_turn() {
    let mut event = Driver::temporary();
    assert_eq!(event.see(begun()), Effect::Convert);
    assert_eq!(event.see(Observation::Conversion(done(()))), Effect::Store);
    assert!(event.flow.is_writing());
    assert_eq!(event.see(Observation::Stored), Effect::AwaitTurn);
    assert_eq!(event.see(Observation::Turn), Effect::Link);
    assert_eq!((event.flow.attempts.convert, event.flow.attempts.link), (1, 1));
}

#[test]
fn a_permanent_token_skips_the_conversion() {
    let mut event = Driver::permanent();
    assert_eq!(event.see(begun()), Effect::AwaitTurn);
    assert_eq!(event.see(Observation::Turn), Effect::Link);
    assert_eq!(event.flow.attempts.convert, 0);
}

#[test]
fn an_expired_token_is_rejected_without_a_call() {
    let mut event = Driver::expiring();
    event.now.earliest_ms = EXPIRES_MS;
    assert_eq!(code(&event.see(begun())), ReasonCode::TokenExpired);
    assert_eq!(event.flow.attempts.convert, 0);
}

#[test]
fn a_token_that_is_good_for_a_millisecond_more_is_converted() {
    let mut event = Driver::expiring();
    event.now.earliest_ms = EXPIRES_MS - 1;
    assert_eq!(event.see(begun()), Effect::Convert);
}

#[test]
fn a_token_that_expires_while_its_event_waits_is_not_converted_again() {
    let mut event = Driver::expiring();
    event.see_all([begun(), Observation::Conversion(not_applied())]);
    event.pass(Duration::from_secs(2));
    assert_eq!(code(&event.see(Observation::Due)), ReasonCode::TokenExpired);
}

#[test]
fn a_token_that_expires_after_an_unseen_conversion_may_have_been_used() {
    let mut event = Driver::expiring();
    event.see_all([begun(), Observation::Conversion(unknown())]);
    event.pass(Duration::from_secs(2));
    assert_eq!(code(&event.see(Observation::Due)), ReasonCode::ConversionUnknown);
}

#[test]
fn a_permanent_token_never_expires() {
    let mut event = Driver::permanent();
    event.facts.expires_at = Some(-1);
    assert_eq!(event.see(begun()), Effect::AwaitTurn);
}

#[test]
fn every_refusal_of_a_conversion_is_the_events_end() {
    for refusal in [
        ReasonCode::TokenRejected,
        ReasonCode::AccountDeclined,
        ReasonCode::AccountUnsupported,
        ReasonCode::UserLocked,
        ReasonCode::ConversionUnknown,
    ] {
        let mut event = Driver::temporary();
        event.see(begun());
        assert_eq!(code(&event.see(Observation::Conversion(refused(refusal)))), refusal);
    }
}

#[test]
fn a_used_token_after_an_unseen_conversion_is_conversion_unknown() {
    let mut event = Driver::temporary();
    event.see_all([begun(), Observation::Conversion(unknown()), Observation::Due]);
    let end = event.see(Observation::Conversion(refused(ReasonCode::TokenRejected)));
    assert_eq!(code(&end), ReasonCode::ConversionUnknown);
}

#[test]
fn a_used_token_of_a_resumed_event_is_conversion_unknown() {
    let mut event = Driver::temporary();
    assert_eq!(event.see(resumed()), Effect::Convert);
    let end = event.see(Observation::Conversion(refused(ReasonCode::TokenRejected)));
    assert_eq!(code(&end), ReasonCode::ConversionUnknown);
}

#[test]
fn a_used_token_after_a_conversion_that_never_left_is_a_rejection() {
    let mut event = Driver::temporary();
    event.see_all([begun(), Observation::Conversion(not_applied()), Observation::Due]);
    let end = event.see(Observation::Conversion(refused(ReasonCode::TokenRejected)));
    assert_eq!(code(&end), ReasonCode::TokenRejected);
}

#[test]
fn a_failed_conversion_backs_off_twice_as_long_each_time() {
    let mut event = Driver::temporary();
    event.see(begun());
    for milliseconds in [200, 400, 800] {
        let wait = event.see(Observation::Conversion(not_applied()));
        assert_eq!(wait, Effect::BackOff(Duration::from_millis(milliseconds)));
        assert_eq!(event.flow.state, State::Waiting(Next::Convert, true));
        assert_eq!(event.see(Observation::Due), Effect::Convert);
    }
    assert_eq!(event.flow.in_trouble(), Some("no connection"));
}

#[test]
fn a_retry_after_is_waited_for_before_the_back_off() {
    let mut event = Driver::temporary();
    event.see(begun());
    let wait = event.see(Observation::Conversion(asked_to_wait(30)));
    assert_eq!(wait, Effect::BackOff(Duration::from_millis(30_200)));
    assert_eq!(event.flow.state, State::Waiting(Next::Convert, false));
}

#[test]
fn a_misconfigured_converter_rejects_nothing() {
    let mut event = Driver::temporary();
    event.see(begun());
    for _ in 0..1_000 {
        let effect = event.see(Observation::Conversion(misconfigured()));
        let Effect::BackOff(wait) = effect else { panic!("{effect:?}") };
        event.pass(wait);
        assert_eq!(event.see(Observation::Due), Effect::Convert);
    }
    assert_eq!(event.flow.spent, Duration::ZERO);
}
