//! Observations that come late: they change nothing.

use profile_linker::domain::ReasonCode;
use profile_linker::domain::machine::{Effect, Observation};
use profile_linker::domain::outcome::{CallOutcome, CustomerCheck, LinkAnswer};

use crate::driver::{Driver, absent, begun, customer_missing, done, link, not_applied, refused, to_linking, unknown};

/// A fresh one of every kind, by number.
pub fn observation(kind: usize) -> Observation {
    match kind % 8 {
        0 => begun(),
        1 => Observation::Conversion(done(())),
        2 => Observation::Stored,
        3 => Observation::Turn,
        4 => link(done(LinkAnswer::Unnamed)),
        5 => Observation::Due,
        6 => absent(),
        _ => Observation::Customer(CustomerCheck::Exists),
    }
}

/// Every state, with the kinds of observation that it waits for.
fn every_state() -> Vec<(Driver, &'static [usize])> {
    let at = |mut event: Driver, way: Vec<Observation>| {
        event.see_all(way);
        event
    };
    let mut looking: Vec<Observation> = to_linking().into();
    looking.push(link(refused(ReasonCode::LinkRefused)));
    let mut checking: Vec<Observation> = to_linking().into();
    checking.extend([link(refused(ReasonCode::LinkRefused)), customer_missing()]);
    let mut settling: Vec<Observation> = to_linking().into();
    settling.push(link(unknown()));
    let mut ending: Vec<Observation> = to_linking().into();
    ending.push(link(done(LinkAnswer::Named("1".to_owned()))));
    vec![
        (Driver::temporary(), &[0]),
        (at(Driver::temporary(), vec![begun()]), &[1]),
        (at(Driver::temporary(), vec![begun(), Observation::Conversion(done(()))]), &[2]),
        (at(Driver::permanent(), vec![begun()]), &[0, 3]),
        (at(Driver::permanent(), to_linking().into()), &[4]),
        (at(Driver::temporary(), vec![begun(), Observation::Conversion(not_applied())]), &[5]),
        (at(Driver::permanent(), settling), &[5]),
        (at(Driver::permanent(), looking), &[6]),
        (at(Driver::permanent(), checking), &[7]),
        (at(Driver::permanent(), ending), &[]),
    ]
}

#[test]
fn what_a_state_does_not_wait_for_changes_nothing() {
    for (event, awaited) in every_state() {
        for kind in (0..8).filter(|kind| !awaited.contains(kind)) {
            let mut late = Driver { flow: event.flow.clone(), ..Driver::temporary() };
            assert_eq!(late.see(observation(kind)), Effect::Nothing, "{kind} in {:?}", event.flow.state);
            assert_eq!(format!("{:?}", late.flow), format!("{:?}", event.flow), "{kind}");
        }
    }
}

#[test]
fn what_a_state_waits_for_moves_it() {
    for (event, awaited) in every_state() {
        for kind in awaited {
            let mut moved = Driver { flow: event.flow.clone(), ..Driver::temporary() };
            assert_ne!(moved.see(observation(*kind)), Effect::Nothing, "{kind} in {:?}", event.flow.state);
        }
    }
}

#[test]
fn a_call_that_was_withdrawn_leaves_the_event_to_the_lanes_next_owner() {
    let mut converting = Driver::temporary();
    converting.see(begun());
    assert_eq!(converting.see(Observation::Conversion(CallOutcome::Withdrawn)), Effect::Nothing);
    let mut linking = Driver::permanent();
    linking.see_all(to_linking());
    assert_eq!(linking.see(link(CallOutcome::Withdrawn)), Effect::Nothing);
}
