//! A primary profile: linked as not primary, then promoted; linked it stays, whatever becomes of the promotion.

use profile_linker::domain::ReasonCode;
use profile_linker::domain::machine::{Effect, End, Observation};
use profile_linker::domain::outcome::{CustomerCheck, LinkAnswer};

use crate::driver::{
    BUDGET, Driver, LOOKS, absent, customer_missing, done, found, found_primary, link, not_applied, profile, refused,
    resumed, to_linking, unknown,
};

fn wanting() -> Driver {
    let mut driver = Driver::permanent();
    driver.facts.wants_primary = true;
    driver
}

fn linked(driver: &mut Driver) -> Effect {
    driver.see_all(to_linking());
    driver.see(link(done(LinkAnswer::Unnamed)));
    driver.see(found())
}

fn is_linked_as(effect: &Effect, primary: bool) -> bool {
    matches!(effect, Effect::End(End::Linked { profile, by_look_up: false }) if profile.primary == primary)
}

#[test]
fn a_linked_profile_is_promoted_and_read_back() {
    let mut driver = wanting();
    assert_eq!(linked(&mut driver), Effect::Promote(profile()));
    assert_eq!(driver.see(Observation::Promotion(done(()))), Effect::LookUp);
    assert!(is_linked_as(&driver.see(found_primary()), true));
}

#[test]
fn a_profile_that_is_primary_already_is_not_promoted() {
    let mut driver = wanting();
    driver.see_all(to_linking());
    driver.see(link(done(LinkAnswer::Unnamed)));
    assert!(is_linked_as(&driver.see(found_primary()), true));
}

#[test]
fn a_crash_between_link_and_promotion_goes_on_with_the_promotion() {
    let mut driver = Driver::converted();
    driver.facts.wants_primary = true;
    driver.see_all([resumed(), Observation::Turn]);
    driver.see(Observation::Due);
    assert_eq!(driver.see(found()), Effect::Promote(profile()));
}

#[test]
fn an_unseen_promotion_is_looked_up_before_it_is_sent_again() {
    let mut driver = wanting();
    linked(&mut driver);
    assert!(matches!(driver.see(Observation::Promotion(unknown())), Effect::BackOff(_)));
    assert_eq!(driver.see(Observation::Due), Effect::LookUp);
    assert_eq!(driver.see(found()), Effect::Promote(profile()));
}

#[test]
fn a_refused_or_hopeless_promotion_ends_as_linked() {
    let mut driver = wanting();
    linked(&mut driver);
    assert!(is_linked_as(&driver.see(Observation::Promotion(refused(ReasonCode::LinkRefused))), false));
    let mut driver = wanting();
    linked(&mut driver);
    driver.pass(BUDGET);
    assert!(is_linked_as(&driver.see(Observation::Promotion(not_applied())), false));
    let mut driver = wanting();
    linked(&mut driver);
    driver.see(Observation::Promotion(done(())));
    for _ in 1..LOOKS {
        assert!(matches!(driver.see_all([absent(), Observation::Due]), Effect::LookUp));
    }
    assert!(is_linked_as(&driver.see(absent()), false), "removed by hand meanwhile: it was linked");
}

/// A wrong tenant says so, too.
#[test]
fn a_promoted_profile_whose_customer_is_missing_is_looked_for_again_and_is_linked_in_the_end() {
    let mut driver = wanting();
    linked(&mut driver);
    driver.see(Observation::Promotion(done(())));
    assert!(matches!(driver.see(customer_missing()), Effect::BackOff(_)));
    assert_eq!(driver.see(Observation::Due), Effect::LookUp);
    driver.pass(BUDGET);
    assert!(is_linked_as(&driver.see(customer_missing()), false));
}

/// A wrong tenant lists nothing of ours.
#[test]
fn a_promoted_profile_that_is_not_found_is_gone_only_between_two_sights_of_the_customer() {
    let not_found = |by: [CustomerCheck; 2]| {
        let mut driver = wanting();
        driver.facts.refusal_needs_customer = true;
        linked(&mut driver);
        driver.see(Observation::Promotion(unknown()));
        let mut effect = driver.see(Observation::Due);
        let mut checks = by.into_iter();
        loop {
            effect = match effect {
                Effect::LookUp => driver.see(absent()),
                Effect::Wait(_) => driver.see(Observation::Due),
                Effect::CheckCustomer => driver.see(Observation::Customer(checks.next().unwrap())),
                other => return (driver, other),
            };
        }
    };
    let (_, gone) = not_found([CustomerCheck::Exists, CustomerCheck::Exists]);
    assert!(is_linked_as(&gone, false), "removed by hand meanwhile: it was linked");
    for doubt in [CustomerCheck::Missing, CustomerCheck::Misconfigured { detail: "401".to_owned() }] {
        let (mut driver, waits) = not_found([CustomerCheck::Exists, doubt]);
        assert!(matches!(waits, Effect::BackOff(_)), "{waits:?}");
        assert_eq!(driver.see(Observation::Due), Effect::LookUp);
        assert_eq!(driver.see(found()), Effect::Promote(profile()), "it is promoted now");
    }
}

#[test]
fn a_promotion_without_effect_backs_off_before_it_is_sent_again() {
    let mut driver = wanting();
    linked(&mut driver);
    driver.see(Observation::Promotion(done(())));
    assert!(matches!(driver.see(found()), Effect::BackOff(_)));
    assert_eq!(driver.see(Observation::Due), Effect::Promote(profile()));
}
