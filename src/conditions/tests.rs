use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::*;

/// A wall clock that is set by hand.
#[derive(Default)]
struct Hand(AtomicI64);

impl Clock for Hand {
    fn wall_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn tick(&self) -> Duration {
        Duration::ZERO
    }

    fn chance(&self) -> f64 {
        0.0
    }
}

fn conditions() -> (Arc<Hand>, Conditions) {
    let clock = Arc::<Hand>::default();
    (Arc::clone(&clock), Conditions::new(clock))
}

#[test]
fn everything_is_well_at_the_start() {
    let (_, conditions) = conditions();
    let body = serde_json::to_string(&conditions.readiness()).unwrap();
    let well = r#"{"status":"ok","since":"1970-01-01T00:00:00Z","reason":""}"#;
    let parts = ["broker", "ledger", "payiq", "loanpro", "aloha", "intake"];
    let checks: Vec<String> = parts.map(|part| format!("\"{part}\":{well}")).to_vec();
    assert_eq!(body, format!("{{\"ready\":true,\"checks\":{{{}}}}}", checks.join(",")));
}

#[test]
fn a_part_that_is_down_or_paused_makes_it_unready_a_degraded_one_does_not() {
    for (health, ready) in
        [(Health::Ok, true), (Health::Degraded, true), (Health::Down, false), (Health::Paused, false)]
    {
        let (_, conditions) = conditions();
        conditions.set(Part::Aloha, health, "of a test");
        let readiness = conditions.readiness();
        let status = readiness.check(Part::Aloha).map(|check| check.status);
        assert_eq!((readiness.ready, status), (ready, Some(health.as_str())));
    }
}

#[test]
fn the_time_is_that_of_the_change_and_the_reason_the_last_one() {
    let (clock, conditions) = conditions();
    for (now, reason) in [(1_000, "connection refused"), (2_000, "no route")] {
        clock.0.store(now, Ordering::SeqCst);
        conditions.set(Part::Ledger, Health::Down, reason);
    }
    let readiness = conditions.readiness();
    let check = readiness.check(Part::Ledger).unwrap();
    assert_eq!((check.since.as_str(), check.reason.as_str()), ("1970-01-01T00:00:01Z", "no route"));
    clock.0.store(3_000, Ordering::SeqCst);
    conditions.set(Part::Ledger, Health::Ok, "");
    let readiness = conditions.readiness();
    let check = readiness.check(Part::Ledger).unwrap();
    assert_eq!((check.status, check.since.as_str()), ("ok", "1970-01-01T00:00:03Z"));
}

#[test]
fn what_began_elsewhere_has_its_own_time() {
    let (clock, conditions) = conditions();
    clock.0.store(60_000, Ordering::SeqCst);
    let _pause = conditions.trouble_since(Part::Intake, Health::Paused, "operator ada: maintenance", 5_000);
    assert_eq!(conditions.readiness().check(Part::Intake).unwrap().since, "1970-01-01T00:00:05Z");
}

#[test]
fn a_part_is_as_bad_as_its_worst_trouble_and_well_when_none_is_left() {
    let (_, conditions) = conditions();
    let slow = conditions.trouble(Part::Broker, Health::Degraded, "a cycle was aborted");
    let away = conditions.trouble(Part::Broker, Health::Down, "no answer");
    let reason = || conditions.readiness().check(Part::Broker).unwrap().reason.clone();
    assert_eq!((conditions.of(Part::Broker), reason()), (Health::Down, "no answer".to_owned()));
    drop(away);
    assert_eq!((conditions.of(Part::Broker), reason()), (Health::Degraded, "a cycle was aborted".to_owned()));
    slow.say(Health::Down, "nothing is published for a minute");
    assert_eq!(conditions.of(Part::Broker), Health::Down);
    let later = conditions.trouble(Part::Broker, Health::Down, "as bad, but later");
    assert_eq!(reason(), "nothing is published for a minute");
    drop(later);
    drop(slow);
    assert_eq!((conditions.of(Part::Broker), reason()), (Health::Ok, String::new()));
}

#[test]
fn a_trouble_that_is_said_again_is_the_same_one_with_its_last_reason() {
    let (clock, conditions) = conditions();
    let mut open = None;
    for (now, reason) in [(1_000, "connection refused"), (2_000, "the disk is full")] {
        clock.0.store(now, Ordering::SeqCst);
        conditions.say_of(&mut open, Part::Ledger, Health::Down, reason);
    }
    let readiness = conditions.readiness();
    let check = readiness.check(Part::Ledger).unwrap();
    assert_eq!((check.since.as_str(), check.reason.as_str()), ("1970-01-01T00:00:01Z", "the disk is full"));
    drop(open);
    assert_eq!(conditions.of(Part::Ledger), Health::Ok, "it was one trouble");
}

#[test]
fn the_end_of_a_trouble_does_not_take_back_what_was_set() {
    let (_, conditions) = conditions();
    conditions.set(Part::Payiq, Health::Degraded, "throttled");
    drop(conditions.trouble(Part::Payiq, Health::Down, "the breaker is open"));
    assert_eq!(conditions.of(Part::Payiq), Health::Degraded);
}

#[test]
fn only_a_change_is_logged_and_once() {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let told = Arc::clone(&lines);
    let tell = move |part: Part, condition: &Condition| {
        let line = format!("{} {} {}", part.as_str(), condition.health.as_str(), condition.reason);
        told.lock().unwrap().push(line);
    };
    let conditions = Conditions::telling(Arc::<Hand>::default(), Arc::new(tell));
    conditions.set(Part::Broker, Health::Ok, "");
    for attempt in 1..=3 {
        conditions.set(Part::Broker, Health::Down, &format!("no answer to request {attempt}"));
    }
    let trouble = conditions.trouble(Part::Broker, Health::Down, "nothing is published");
    conditions.set(Part::Broker, Health::Ok, "");
    drop(trouble);
    conditions.set(Part::Broker, Health::Ok, "");
    assert_eq!(*lines.lock().unwrap(), ["broker down no answer to request 1", "broker ok "]);
}

#[test]
fn a_reason_shows_no_card_number_and_no_control_character() {
    let (_, conditions) = conditions();
    conditions.set(Part::Payiq, Health::Down, "bad\u{1b}[2J 4111111111111111");
    let readiness = conditions.readiness();
    let reason = &readiness.check(Part::Payiq).unwrap().reason;
    assert!(!reason.contains("4111111111111111") && !reason.contains('\u{1b}'), "{reason:?}");
}

#[test]
fn a_clone_tells_and_is_told_the_same() {
    let (_, conditions) = conditions();
    let other = conditions.clone();
    other.set(Part::Loanpro, Health::Degraded, "half open");
    assert_eq!(conditions.of(Part::Loanpro), Health::Degraded);
}
