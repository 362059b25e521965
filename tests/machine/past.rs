//! What may have happened before this process began the event: resumed, possibly sent, started too often, noted by another.

use profile_linker::domain::machine::{Effect, End, MAX_STARTS, Observation, State};
use profile_linker::domain::outcome::{CustomerCheck, LinkAnswer};
use profile_linker::domain::{Reason, ReasonCode, Stage};

use crate::driver::{
    Driver, LOOKS, SETTLE, absent, code, customer_missing, done, found, found_primary, kept, link, linked, look_failed,
    not_applied, possibly_sent, profile, refused, started, to_linking, unknown, unwitnessed,
};

/// Converted and not found by any of the looks that follow.
fn converted_and_absent(event: &mut Driver) -> Effect {
    event.see_all([Observation::Conversion(done(())), Observation::Stored]);
    assert_eq!(event.see(Observation::Turn), Effect::Wait(SETTLE));
    for _ in 1..LOOKS {
        event.see_all([Observation::Due, absent()]);
    }
    event.see_all([Observation::Due, absent()])
}

#[test]
fn a_possibly_sent_event_is_looked_for_before_its_token_is_converted() {
    let mut event = Driver::temporary();
    assert_eq!(event.see(possibly_sent()), Effect::LookUp);
    assert_eq!(event.flow.attempts.convert, 0);
    assert_eq!(linked(&event.see(found())), Some(true));
}

#[test]
fn a_possibly_sent_event_that_is_not_there_is_converted_and_looked_for_again_before_its_link() {
    let mut event = Driver::temporary();
    event.see(possibly_sent());
    assert_eq!(event.see(absent()), Effect::Convert);
    assert_eq!(converted_and_absent(&mut event), Effect::Link, "behind every look, and as if nothing had failed");
}

/// Possibly sent, at a target whose wrong tenant finds nobody's profiles: its first look is out.
fn looking_in_some_tenant() -> Driver {
    let mut event = Driver::temporary();
    event.facts.refusal_needs_customer = true;
    assert_eq!(event.see(possibly_sent()), Effect::LookUp);
    event
}

fn exists() -> Observation {
    Observation::Customer(CustomerCheck::Exists)
}

#[test]
fn what_a_wrong_tenant_does_not_list_is_not_converted() {
    for first in [absent, customer_missing] {
        let mut event = looking_in_some_tenant();
        assert_eq!(event.see(first()), Effect::CheckCustomer);
        assert!(matches!(event.see(unwitnessed()), Effect::BackOff(_)));
        assert_eq!(event.see(Observation::Due), Effect::LookUp, "the tenant is mended");
        assert_eq!(linked(&event.see(found())), Some(true));
        assert_eq!(event.flow.attempts.convert, 0);
    }
}

#[test]
fn a_possibly_sent_event_is_converted_behind_a_look_between_two_sights_of_its_customer() {
    let mut event = looking_in_some_tenant();
    assert_eq!(event.see_all([absent(), exists()]), Effect::LookUp, "what was seen before may be another tenant's");
    assert_eq!(event.see_all([absent(), exists()]), Effect::Convert);
    let mut doubted = looking_in_some_tenant();
    doubted.see_all([absent(), exists()]);
    doubted.flow.doubt_absence();
    assert_eq!(doubted.see(absent()), Effect::Wait(SETTLE), "that tenant is doubted, too");
    assert_eq!(doubted.see(Observation::Due), Effect::LookUp);
}

#[test]
fn a_possibly_sent_event_whose_customer_is_really_missing_is_converted() {
    for not_there in [absent, customer_missing] {
        let mut event = looking_in_some_tenant();
        assert_eq!(event.see(not_there()), Effect::CheckCustomer);
        assert_eq!(event.see(Observation::Customer(CustomerCheck::Missing)), Effect::Convert);
    }
}

#[test]
fn what_went_wrong_before_is_told_only_where_it_was_seen() {
    let told = |event: &Driver| event.flow.in_trouble().unwrap_or_default().to_owned();
    let mut event = Driver::temporary();
    event.see_all([possibly_sent(), absent()]);
    converted_and_absent(&mut event);
    assert_eq!(told(&event), "", "what an earlier run sent is no trouble of this one");
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.see(link(unknown()));
    for _ in 0..LOOKS {
        event.see_all([Observation::Due, absent()]);
    }
    assert!(told(&event).ends_with("the profile is not there: timed out"), "{}", told(&event));
}

#[test]
fn a_used_token_of_a_possibly_sent_event_is_conversion_unknown() {
    let mut event = Driver::temporary();
    event.see_all([possibly_sent(), absent()]);
    let end = event.see(Observation::Conversion(refused(ReasonCode::TokenRejected)));
    assert_eq!(code(&end), ReasonCode::ConversionUnknown);
}

#[test]
fn a_possibly_sent_event_whose_target_needs_the_token_to_look_is_converted_first() {
    let mut event = Driver::temporary();
    event.facts.found_by_marker = false;
    assert_eq!(event.see(possibly_sent()), Effect::Convert);
    assert_eq!(converted_and_absent(&mut event), Effect::Link, "behind every look, and as if nothing had failed");
}

#[test]
fn a_look_before_the_conversion_that_fails_is_repeated_and_converts_nothing() {
    let mut event = Driver::temporary();
    event.see(possibly_sent());
    assert!(matches!(event.see(look_failed()), Effect::BackOff(_)));
    assert_eq!(event.see(Observation::Due), Effect::LookUp);
    assert_eq!(event.flow.attempts.convert, 0);
}

#[test]
fn a_possibly_sent_permanent_token_is_looked_for_before_it_is_linked() {
    let mut event = Driver::permanent();
    assert_eq!(event.see(possibly_sent()), Effect::AwaitTurn);
    assert_eq!(event.see(Observation::Turn), Effect::Wait(SETTLE));
    assert_eq!(event.see(Observation::Due), Effect::LookUp);
}

#[test]
fn a_profile_found_before_its_turn_waits_for_it_to_become_primary() {
    let mut event = Driver::temporary();
    event.facts.wants_primary = true;
    event.see(possibly_sent());
    assert_eq!(event.see(found()), Effect::AwaitTurn);
    assert_eq!(event.flow.state, State::Converted(Some(kept(true))));
    assert_eq!(event.see(Observation::Turn), Effect::Promote(profile()));
    assert_eq!(event.see(Observation::Promotion(done(()))), Effect::LookUp);
    assert_eq!(linked(&event.see(found_primary())), Some(true));
}

#[test]
fn a_row_that_was_running_in_ten_unclean_ends_is_dead_lettered() {
    for (mut event, stage) in
        [(Driver::temporary(), Stage::Convert), (Driver::permanent(), Stage::Link), (Driver::converted(), Stage::Link)]
    {
        let Effect::End(End::Rejected(Reason { code, stage: at, .. })) = event.see(started(MAX_STARTS)) else {
            panic!("not rejected")
        };
        assert_eq!((code, at), (ReasonCode::RetriesExhausted, stage));
    }
    assert_eq!(Driver::temporary().see(started(MAX_STARTS - 1)), Effect::Convert);
}

#[test]
fn a_link_that_another_worker_noted_is_looked_up_before_the_next_step() {
    let mut waiting = Driver::permanent();
    waiting.see_all(to_linking());
    waiting.see(link(not_applied()));
    waiting.flow.note_link();
    assert_eq!(waiting.see(Observation::Due), Effect::LookUp, "not the link");
    let mut in_turn = Driver::permanent();
    in_turn.see(crate::driver::begun());
    in_turn.flow.note_link();
    assert_eq!(in_turn.see(Observation::Turn), Effect::Wait(SETTLE));
}

#[test]
fn a_note_that_comes_while_a_call_is_out_is_looked_for_before_the_next_link() {
    let mut linking = Driver::permanent();
    linking.see_all(to_linking());
    linking.flow.note_link();
    linking.see(link(not_applied()));
    assert_eq!(linking.see(Observation::Due), Effect::LookUp, "not the link");
    let mut looking = Driver::permanent();
    looking.see_all(to_linking());
    looking.see_all([link(unknown()), Observation::Due, absent(), Observation::Due, absent(), Observation::Due]);
    looking.flow.note_link();
    assert_eq!(looking.see(absent()), Effect::Wait(SETTLE), "the last look may have come too early");
    assert_eq!(looking.see(Observation::Due), Effect::LookUp);
}

#[test]
fn a_note_makes_what_was_not_there_before_it_count_for_nothing() {
    let mut settling = Driver::permanent();
    settling.see_all(to_linking());
    settling.see_all([link(unknown()), Observation::Due, absent(), Observation::Due, absent()]);
    settling.flow.note_link();
    assert_eq!(settling.see_all([Observation::Due, absent()]), Effect::Wait(SETTLE), "the first look since");
    let mut checking = Driver::permanent();
    checking.facts.refusal_needs_customer = true;
    checking.see_all(to_linking());
    let asked = checking.see_all([link(refused(ReasonCode::LinkRefused)), Observation::Due, absent()]);
    assert_eq!(asked, Effect::CheckCustomer);
    let exists = Observation::Customer(profile_linker::domain::outcome::CustomerCheck::Exists);
    checking.flow.note_link();
    assert_eq!(checking.see(exists), Effect::Wait(SETTLE), "the noted link may be there");
}

#[test]
fn a_named_answer_is_no_proof_that_it_is_the_only_one_once_another_was_noted() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.flow.note_link();
    assert_eq!(event.see(link(done(LinkAnswer::Named("9".to_owned())))), Effect::LookUp);
}

#[test]
fn a_note_makes_every_refusal_go_through_all_looks() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    event.flow.note_link();
    assert_eq!(event.see(link(refused(ReasonCode::LinkRefused))), Effect::Wait(SETTLE));
}

#[test]
fn an_unseen_link_settles_at_least_as_long_as_the_vendor_asks() {
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    let asked = std::time::Duration::from_secs(20);
    let outcome =
        profile_linker::domain::outcome::CallOutcome::Unknown { retry_after: Some(asked), detail: "503".to_owned() };
    assert_eq!(event.see(link(outcome)), Effect::Wait(asked));
    let mut event = Driver::permanent();
    event.see_all(to_linking());
    assert_eq!(event.see(link(unknown())), Effect::Wait(SETTLE));
}
