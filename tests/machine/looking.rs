//! Look-ups that fail, and customers that may be missing.

use std::time::Duration;

use profile_linker::domain::ReasonCode;
use profile_linker::domain::machine::{Effect, Next, Observation, State};
use profile_linker::domain::outcome::{CustomerCheck, LookOutcome};

use crate::driver::{
    Driver, LOOKS, SETTLE, absent, code, customer_missing, found, link, linked, look_failed, misconfigured, refused,
    to_linking, unclear, unknown, unwitnessed,
};

/// Looking after a refusal that nothing unseen precedes.
fn looking() -> Driver {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.see(link(refused(ReasonCode::LinkRefused)));
    event
}

/// Looking after a link whose outcome was not seen.
fn looking_after_unseen() -> Driver {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.see_all([link(unknown()), Observation::Due]);
    event
}

#[test]
fn a_failed_look_up_is_repeated_and_proves_nothing() {
    let mut event = looking_after_unseen();
    for _ in 0..LOOKS {
        assert!(matches!(event.see(look_failed()), Effect::BackOff(_)));
        assert!(matches!(event.flow.state, State::Waiting(Next::Look(_), true)));
        assert_eq!(event.see(Observation::Due), Effect::LookUp);
    }
    assert_eq!(event.see(absent()), Effect::Wait(SETTLE), "the first look that says absent");
}

#[test]
fn a_misconfigured_look_up_waits_and_looks_again() {
    let mut event = looking();
    let outcome = LookOutcome::Misconfigured { detail: "401".to_owned() };
    assert!(matches!(event.see(Observation::Looked(outcome)), Effect::BackOff(_)));
    assert!(matches!(event.flow.state, State::Waiting(Next::Look(_), false)));
    assert_eq!(event.see(Observation::Due), Effect::LookUp);
}

#[test]
fn a_missing_customer_is_rejected_only_behind_the_probe() {
    let mut event = looking();
    assert_eq!(event.see(customer_missing()), Effect::CheckCustomer);
    let end = event.see(Observation::Customer(CustomerCheck::Missing));
    assert_eq!(code(&end), ReasonCode::CustomerNotFound);
    // Of Aloha's customers it is told in the same words, and Aloha has no probe.
    assert!(!format!("{end:?}").contains("probe"), "{end:?}");
}

#[test]
fn a_missing_customer_after_an_unseen_link_is_final_only_after_every_look() {
    let mut event = looking_after_unseen();
    for _ in 1..LOOKS {
        event.see(customer_missing());
        assert_eq!(event.see(Observation::Customer(CustomerCheck::Missing)), Effect::Wait(SETTLE));
        assert_eq!(event.see(Observation::Due), Effect::LookUp);
    }
    event.see(customer_missing());
    assert_eq!(code(&event.see(Observation::Customer(CustomerCheck::Missing))), ReasonCode::CustomerNotFound);
}

#[test]
fn a_customer_said_missing_that_exists_is_not_an_absent_profile() {
    let mut event = looking_after_unseen();
    for _ in 0..LOOKS {
        event.see(customer_missing());
        assert!(matches!(event.see(Observation::Customer(CustomerCheck::Exists)), Effect::BackOff(_)));
        assert_eq!(event.see(Observation::Due), Effect::LookUp, "never a link on a look that listed nothing");
    }
    assert_eq!(linked(&event.see(found())), Some(true));
}

#[test]
fn an_unclear_check_looks_again_and_a_misconfigured_one_waits() {
    let mut event = looking();
    event.see(customer_missing());
    assert!(matches!(event.see(unclear()), Effect::BackOff(_)));
    assert!(matches!(event.flow.state, State::Waiting(Next::Look(_), true)));
    assert_eq!(event.see(Observation::Due), Effect::LookUp);
    event.see(customer_missing());
    event.see(Observation::Customer(CustomerCheck::Misconfigured { detail: "no probe".to_owned() }));
    assert!(matches!(event.flow.state, State::Waiting(Next::Look(_), false)));
}

#[test]
fn a_refusal_under_a_wrong_tenant_is_forgotten_once_that_is_mended() {
    let mut driver = Driver::permanent();
    driver.see_all(to_linking());
    driver.see(link(refused(ReasonCode::LinkRefused)));
    assert_eq!(driver.see(customer_missing()), Effect::CheckCustomer);
    let wrong = CustomerCheck::Misconfigured { detail: "the probe is not found".to_owned() };
    assert!(matches!(driver.see(Observation::Customer(wrong)), Effect::BackOff(_)));
    let mut effect = driver.see(Observation::Due);
    while effect == Effect::LookUp {
        effect = match driver.see(absent()) {
            Effect::Wait(_) => driver.see(Observation::Due),
            other => other,
        };
    }
    assert!(matches!(effect, Effect::BackOff(_)), "{effect:?}");
    assert_eq!(driver.see(Observation::Due), Effect::Link);
}

/// It may be a wrong tenant's that refuses to be looked at, too, and is mended by the next look.
#[test]
fn a_refusal_whose_look_fails_is_sent_again() {
    for failures in [vec![look_failed()], vec![absent(), unclear()]] {
        let mut event = Driver::permanent();
        event.facts.refusal_needs_customer = true;
        event.see_all(to_linking());
        event.see(link(refused(ReasonCode::LinkRefused)));
        let effect = failures.into_iter().map(|failure| event.see(failure)).last();
        assert!(matches!(effect, Some(Effect::BackOff(_))), "{effect:?}");
        assert_eq!(links_after_looks(&mut event), Effect::Link);
    }
}

/// All answers of the looks that follow are that it is not there: what comes then.
fn links_after_looks(event: &mut Driver) -> Effect {
    let mut effect = event.see(Observation::Due);
    loop {
        effect = match effect {
            Effect::LookUp => event.see(absent()),
            Effect::Wait(_) | Effect::BackOff(_) => event.see(Observation::Due),
            other => return other,
        };
    }
}

/// What its target falls ill or recovers from meanwhile may have been the refusal's cause.
#[test]
fn a_refusal_is_doubted_when_its_target_turns_out_to_be_misconfigured_while_it_is_looked_after() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    assert_eq!(event.see(link(refused(ReasonCode::LinkRefused))), Effect::LookUp);
    event.flow.doubt_failure();
    let mut effect = event.see(absent());
    while matches!(effect, Effect::Wait(_) | Effect::LookUp) {
        effect = event.see(if effect == Effect::LookUp { absent() } else { Observation::Due });
    }
    assert!(matches!(effect, Effect::BackOff(_)), "{effect:?}");
    assert_eq!(event.see(Observation::Due), Effect::Link);
}

/// A connection that breaks early ends our wait, not the target's work on what it was sent.
#[test]
fn an_unseen_link_is_taken_for_absent_only_once_it_cannot_be_under_way_any_more() {
    const LONGEST_CALL: Duration = Duration::from_secs(10);
    let mut event = Driver::permanent();
    event.rules.longest_call = LONGEST_CALL;
    event.see_all(to_linking());
    event.see(link(unknown()));
    let (sent, mut wait) = (event.now.tick, SETTLE);
    for _ in 1..LOOKS {
        event.pass(wait);
        event.see(Observation::Due);
        wait = match event.see(absent()) {
            Effect::Wait(wait) => wait,
            other => panic!("more looks, not {other:?}"),
        };
    }
    let last_look = event.now.tick + wait - sent;
    assert_eq!(last_look, LONGEST_CALL + SETTLE);
}

/// LoanPro refuses in a wrong tenant, too, with any text: its refusals count only once the customer was seen.
#[test]
fn where_a_wrong_tenant_may_refuse_a_refusal_stands_only_behind_a_witness() {
    let refused_and_absent = || {
        let mut event = Driver::permanent();
        event.facts.refusal_needs_customer = true;
        event.see_all(to_linking());
        event.see(link(refused(ReasonCode::LinkRefused)));
        assert_eq!(event.see(absent()), Effect::CheckCustomer);
        event
    };
    let missing = refused_and_absent().see(Observation::Customer(CustomerCheck::Missing));
    assert_eq!(code(&missing), ReasonCode::CustomerNotFound);
    let mut event = refused_and_absent();
    assert!(matches!(event.see(unwitnessed()), Effect::BackOff(_)));
    assert!(matches!(event.flow.state, State::Waiting(Next::Look(_), false)), "no budget is spent on our doubt");
    assert_eq!(event.see(Observation::Due), Effect::LookUp);
    assert!(matches!(event.see(absent()), Effect::Wait(_)), "the refusal itself is doubted: it will be sent again");
}

#[test]
fn a_missing_customer_without_a_witness_waits_and_spends_nothing() {
    let mut event = looking();
    for _ in 0..100 {
        assert_eq!(event.see(customer_missing()), Effect::CheckCustomer);
        assert!(matches!(event.see(unwitnessed()), Effect::BackOff(_)));
        event.pass(SETTLE * 100);
        assert_eq!(event.see(Observation::Due), Effect::LookUp);
    }
    event.see(customer_missing());
    assert_eq!(code(&event.see(Observation::Customer(CustomerCheck::Missing))), ReasonCode::CustomerNotFound);
}

/// The link was sent to a wrong tenant, which was mended before the look.
#[test]
fn a_refused_link_whose_customer_is_found_is_sent_once_more() {
    let exists = || Observation::Customer(CustomerCheck::Exists);
    for word in [ReasonCode::CustomerNotFound, ReasonCode::LinkRefused] {
        let mut event = Driver::permanent();
        event.facts.refusal_needs_customer = true;
        event.see_all(to_linking());
        event.see(link(refused(word)));
        event.see(absent());
        assert!(matches!(event.see(exists()), Effect::BackOff(_)));
        assert_eq!(event.see(Observation::Due), Effect::Link);
        event.see(link(refused(word)));
        event.see(absent());
        assert_eq!(code(&event.see(exists())), ReasonCode::LinkRefused, "the customer was known before it was sent");
    }
}

#[test]
fn a_customer_who_was_found_before_our_configuration_was_doubted_proves_nothing_after_it() {
    let mut event = Driver::permanent();
    event.facts.refusal_needs_customer = true;
    event.see_all(to_linking());
    let exists = || Observation::Customer(CustomerCheck::Exists);
    let refused_as_missing = || link(refused(ReasonCode::CustomerNotFound));
    event.see_all([
        refused_as_missing(),
        absent(),
        exists(),
        Observation::Due,
        link(misconfigured()),
        Observation::Due,
    ]);
    event.see_all([refused_as_missing(), absent()]);
    assert!(matches!(event.see(exists()), Effect::BackOff(_)), "the tenant may have been another meanwhile");
    assert_eq!(event.see(Observation::Due), Effect::Link);
}
