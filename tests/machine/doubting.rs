//! An upstream that falls ill, recovers or turns out to be another one than ours: what was heard of it until then.

use profile_linker::domain::ReasonCode;
use profile_linker::domain::machine::{Effect, End, Observation};
use profile_linker::domain::outcome::{CallOutcome, CustomerCheck, LinkAnswer};

use crate::driver::{
    BUDGET, Driver, LOOKS, SETTLE, absent, begun, code, customer_missing, done, found, link, look_failed,
    misconfigured, not_applied, profile, refused, to_linking, unknown,
};

/// Its looks alone cost more than its budget.
fn looks_in_vain(event: &mut Driver) -> Effect {
    let mut effect = event.see(link(unknown()));
    for _ in 0..LOOKS {
        event.pass(BUDGET);
        assert_eq!(event.see(Observation::Due), Effect::LookUp);
        effect = event.see(absent());
    }
    effect
}

#[test]
fn what_an_outage_began_with_costs_no_budget_however_long_it_is_looked_for_afterwards() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.flow.doubt_failure();
    assert!(matches!(looks_in_vain(&mut event), Effect::BackOff(_)), "it is linked again");
    assert_eq!(event.see(Observation::Due), Effect::Link);
    // From here on its failures are its own.
    assert_eq!(code(&looks_in_vain(&mut event)), ReasonCode::RetriesExhausted);
}

#[test]
fn only_the_failure_that_an_outage_began_with_costs_nothing() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.see(link(unknown()));
    event.flow.doubt_failure();
    event.see(Observation::Due);
    event.pass(BUDGET * 2);
    assert!(matches!(event.see(look_failed()), Effect::BackOff(_)), "the outage's");
    event.see(Observation::Due);
    event.pass(BUDGET * 2);
    assert_eq!(code(&event.see(look_failed())), ReasonCode::LinkUnknown, "its own");
}

#[test]
fn a_wait_that_an_outage_began_with_costs_no_budget() {
    let mut event = Driver::temporary();
    event.see(begun());
    event.see(Observation::Conversion(not_applied()));
    event.flow.doubt_failure();
    event.pass(BUDGET * 2);
    assert_eq!(event.see(Observation::Due), Effect::Convert);
    assert!(event.flow.spent < BUDGET, "{:?}", event.flow.spent);
}

#[test]
fn an_event_whose_waits_took_its_budget_does_not_end_by_what_an_outage_begins_with() {
    for in_doubt in [false, true] {
        let mut event = Driver::permanent();
        event.see_all(to_linking());
        event.see(link(not_applied()));
        event.pass(BUDGET * 2);
        assert_eq!(event.see(Observation::Due), Effect::Link);
        if in_doubt {
            event.flow.doubt_failure();
        }
        let effect = event.see(link(not_applied()));
        assert_eq!(matches!(effect, Effect::BackOff(_)), in_doubt, "{effect:?}");
    }
}

#[test]
fn a_call_that_is_asked_for_after_the_change_is_the_events_own() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.see(link(not_applied()));
    event.flow.doubt_failure();
    assert_eq!(event.see(Observation::Due), Effect::Link);
    assert_eq!(event.see(link(refused(ReasonCode::LinkRefused))), Effect::LookUp);
    assert_eq!(code(&event.see(absent())), ReasonCode::LinkRefused);
}

#[test]
fn a_link_that_was_out_while_its_target_changed_is_not_taken_for_refused() {
    for unseen_before in [false, true] {
        let mut event = Driver::permanent();
        event.see_all(to_linking());
        if unseen_before {
            event.flow.note_link();
        }
        event.flow.doubt_failure();
        let mut effect = event.see(link(refused(ReasonCode::LinkRefused)));
        while matches!(effect, Effect::Wait(_) | Effect::LookUp) {
            effect = event.see(if effect == Effect::LookUp { absent() } else { Observation::Due });
        }
        assert!(matches!(effect, Effect::BackOff(_)), "{effect:?}");
        assert_eq!(event.see(Observation::Due), Effect::Link, "it is sent once more");
        // A refusal of that one stands.
        let mut effect = event.see(link(refused(ReasonCode::LinkRefused)));
        while matches!(effect, Effect::Wait(_) | Effect::LookUp) {
            effect = event.see(if effect == Effect::LookUp { absent() } else { Observation::Due });
        }
        assert_eq!(code(&effect), ReasonCode::LinkRefused);
    }
}

#[test]
fn what_a_wrong_tenant_did_not_find_is_looked_for_anew_before_the_next_link() {
    let unseen = || {
        let mut event = Driver::permanent();
        event.see_all(to_linking());
        event.see(link(unknown()));
        event
    };
    let mut waiting = unseen();
    for _ in 0..LOOKS {
        waiting.see_all([Observation::Due, absent()]);
    }
    waiting.flow.doubt_absence();
    assert_eq!(waiting.see(Observation::Due), Effect::LookUp, "not the link");
    let mut looking = unseen();
    looking.see_all([Observation::Due, absent(), Observation::Due, absent(), Observation::Due]);
    looking.flow.doubt_absence();
    assert_eq!(looking.see(absent()), Effect::Wait(SETTLE), "the wrong tenant may have been asked");
    assert_eq!(looking.see(Observation::Due), Effect::LookUp);
    let mut queued = unseen();
    for _ in 0..LOOKS {
        queued.see_all([Observation::Due, absent()]);
    }
    assert_eq!(queued.see(Observation::Due), Effect::Link);
    queued.flow.doubt_absence();
    assert!(queued.flow.owes_look());
    assert_eq!(queued.flow.look_instead(), Effect::LookUp);
    assert_eq!(queued.flow.attempts.link, 1, "the second was not sent");
}

#[test]
fn a_link_that_nothing_unseen_precedes_owes_no_look() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.flow.doubt_absence();
    assert!(!event.flow.owes_look());
}

/// Where a wrong tenant would list nothing.
fn at_loanpro_after(answer: CallOutcome<LinkAnswer>) -> (Driver, Effect) {
    let mut event = Driver::permanent();
    event.facts.refusal_needs_customer = true;
    event.see_all(to_linking());
    let mut effect = event.see(link(answer));
    while effect != Effect::CheckCustomer {
        effect = event.see(if effect == Effect::LookUp { absent() } else { Observation::Due });
    }
    (event, effect)
}

fn exists() -> Observation {
    Observation::Customer(CustomerCheck::Exists)
}

#[test]
fn a_second_link_is_sent_only_after_a_look_between_two_sights_of_the_customer() {
    for answer in [unknown(), done(LinkAnswer::Unnamed)] {
        let (mut event, _) = at_loanpro_after(answer);
        assert_eq!(event.flow.attempts.lookup, LOOKS);
        assert_eq!(event.see(exists()), Effect::LookUp, "the looks until now may have asked another tenant");
        assert_eq!(event.see(absent()), Effect::CheckCustomer, "and so may this one");
        assert!(matches!(event.see(exists()), Effect::BackOff(_)));
        assert_eq!(event.see(Observation::Due), Effect::Link);
    }
}

#[test]
fn what_a_wrong_tenant_stood_between_is_looked_for_between_two_new_sights() {
    let wrong = || CustomerCheck::Misconfigured { detail: "the probe customer is not found".to_owned() };
    for check in [wrong(), CustomerCheck::Unclear { detail: "503".to_owned() }] {
        let (mut event, _) = at_loanpro_after(done(LinkAnswer::Unnamed));
        event.see_all([exists(), absent()]);
        assert!(matches!(event.see(Observation::Customer(check)), Effect::BackOff(_)));
        let mut effect = event.see(Observation::Due);
        while effect != Effect::CheckCustomer {
            effect = event.see(if effect == Effect::LookUp { absent() } else { Observation::Due });
        }
        assert_eq!(event.see(exists()), Effect::LookUp, "the first of the two");
        assert_eq!(event.see(found()), Effect::End(End::Linked { profile: profile(), by_look_up: false }));
    }
}

#[test]
fn a_customer_whose_link_was_answered_as_done_is_not_finally_said_to_be_missing() {
    let (mut event, _) = at_loanpro_after(done(LinkAnswer::Unnamed));
    assert!(matches!(event.see(Observation::Customer(CustomerCheck::Missing)), Effect::BackOff(_)));
    assert_eq!(event.see(Observation::Due), Effect::LookUp);
    event.pass(BUDGET);
    event.see(customer_missing());
    let end = event.see(Observation::Customer(CustomerCheck::Missing));
    assert_eq!(code(&end), ReasonCode::LinkUnknown, "a dead letter");
}

#[test]
fn a_link_that_meets_our_own_misconfiguration_is_looked_for_before_it_is_sent_again_if_an_earlier_one_was_not_seen() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.see(link(unknown()));
    for _ in 0..LOOKS {
        event.see_all([Observation::Due, absent()]);
    }
    assert_eq!(event.see(Observation::Due), Effect::Link);
    event.see(link(misconfigured()));
    assert_eq!(event.see(Observation::Due), Effect::LookUp, "what was not found before may have been another tenant's");
}

/// A credential that may read and not write: each link meets it, and each is looked for first.
#[test]
fn looks_for_an_earlier_link_cost_nothing_while_it_is_our_own_mistake_that_none_is_sent() {
    let mut event = Driver::permanent();
    event.facts.refusal_needs_customer = true;
    event.see_all([crate::driver::resumed(), Observation::Turn]);
    let mut effect = event.see(Observation::Due);
    let mut refused = 0;
    while refused < 20 {
        event.pass(BUDGET / 2);
        effect = match effect {
            Effect::LookUp => event.see(absent()),
            Effect::CheckCustomer => event.see(exists()),
            Effect::Link => {
                refused += 1;
                event.see(link(misconfigured()))
            }
            Effect::Wait(_) | Effect::BackOff(_) => event.see(Observation::Due),
            other => panic!("{other:?} after {refused}"),
        };
    }
    assert!(event.flow.spent < BUDGET, "{:?}", event.flow.spent);
}

/// What was asked for and then looked for instead was not sent: it is sent at last, however short the budget.
#[test]
fn a_link_that_was_looked_for_instead_of_sent_is_none_of_this_run() {
    let mut event = Driver::permanent();
    event.see_all([crate::driver::resumed(), Observation::Turn]);
    let to_link = |event: &mut Driver, mut effect: Effect| {
        while effect != Effect::Link {
            event.pass(BUDGET);
            effect = event.see(if effect == Effect::LookUp { absent() } else { Observation::Due });
            assert!(!matches!(effect, Effect::End(_)), "{effect:?}");
        }
    };
    to_link(&mut event, Effect::Wait(SETTLE));
    event.flow.note_link();
    let looks = event.flow.look_instead();
    to_link(&mut event, looks);
}
