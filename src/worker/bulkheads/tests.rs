use super::*;
use crate::domain::outcome::FoundProfile;

const NOW: Duration = Duration::from_secs(100);
const RULES: BreakerRules = BreakerRules {
    failures: 2,
    failure_rate: 1.0,
    window: Duration::from_secs(30),
    probe_interval: Duration::from_secs(5),
};

fn bulkheads(most: usize) -> Bulkheads {
    let all = Upstream::ALL.map(|_| Bulkhead {
        queues: Queues::default(),
        breaker: Breaker::new(RULES),
        limit: Limit::new(most),
        in_flight: 0,
        own: 0,
        called_at: None,
        changed_at: None,
    });
    Bulkheads { all, turn: 0, slots: 100 }
}

fn key(n: u8) -> EventKey {
    EventKey([n; 16])
}

fn heard(verdict: Verdict) -> Heard {
    Heard { verdict, timed_out: false, again: false, of_change: true }
}

fn failed() -> Heard {
    heard(Verdict::Failed { detail: "503".to_owned() })
}

fn answered() -> Heard {
    heard(Verdict::Answered)
}

/// Takes what may go, with each event's standing by its number.
fn take(bulkheads: &mut Bulkheads, now: Duration, standing: impl Fn(u8) -> Standing) -> Option<(EventKey, Ticket)> {
    let (upstream, key) = bulkheads.next(now, |key| standing(key.0[0]))?;
    Some((key, bulkheads.take(upstream, key, now)?))
}

fn fresh(_: u8) -> Standing {
    Standing::Fresh
}

fn open(bulkheads: &mut Bulkheads, upstream: Upstream) {
    for n in 200..202 {
        bulkheads.push(upstream, key(n), &Effect::Link);
        let ticket = bulkheads.take(upstream, key(n), NOW).expect("it is closed");
        bulkheads.hear(ticket, &failed(), NOW);
    }
    assert!(bulkheads.is_away(upstream));
}

#[test]
fn upstreams_take_turns_and_each_keeps_its_order() {
    let mut bulkheads = bulkheads(9);
    for n in 1..=3 {
        bulkheads.push(Upstream::Loanpro, key(n), &Effect::Link);
    }
    bulkheads.push(Upstream::Payiq, key(9), &Effect::Link);
    let taken: Vec<u8> = std::iter::from_fn(|| take(&mut bulkheads, NOW, fresh)).map(|(key, _)| key.0[0]).collect();
    assert_eq!(taken, [9, 1, 2, 3]);
}

#[test]
fn an_upstream_that_is_away_is_not_called_and_the_others_are() {
    let mut bulkheads = bulkheads(9);
    open(&mut bulkheads, Upstream::Loanpro);
    bulkheads.push(Upstream::Loanpro, key(1), &Effect::Link);
    bulkheads.push(Upstream::Aloha, key(2), &Effect::Link);
    assert_eq!(bulkheads.runnable(NOW), 1, "what waits for it is not runnable");
    assert_eq!(take(&mut bulkheads, NOW, fresh).map(|(key, _)| key), Some(key(2)));
    assert!(take(&mut bulkheads, NOW, fresh).is_none());
    assert_eq!(bulkheads.wakes_at(), Some(NOW + RULES.probe_interval));
    assert!(take(&mut bulkheads, NOW + RULES.probe_interval, fresh).is_some());
    assert_eq!(bulkheads.wakes_at(), None, "the probe is out");
}

#[test]
fn nobody_is_woken_for_an_upstream_that_nothing_waits_for() {
    let mut bulkheads = bulkheads(9);
    open(&mut bulkheads, Upstream::Loanpro);
    assert_eq!(bulkheads.wakes_at(), None);
}

#[test]
fn a_probe_is_an_event_that_never_failed_where_there_is_one() {
    let mut bulkheads = bulkheads(9);
    open(&mut bulkheads, Upstream::Loanpro);
    for n in 1..=3 {
        bulkheads.push(Upstream::Loanpro, key(n), &Effect::Link);
    }
    let standing = |n| if n == 2 { Standing::Fresh } else { Standing::Tried };
    let due = NOW + RULES.probe_interval;
    let (probe, ticket) = take(&mut bulkheads, due, standing).expect("a probe");
    assert_eq!(probe, key(2));
    bulkheads.hear(ticket, &failed(), due);
    let later = due + RULES.probe_interval;
    let probe = take(&mut bulkheads, later, |_| Standing::Tried).map(|(key, _)| key);
    assert_eq!(probe, Some(key(1)), "else the one that waits longest");
}

#[test]
fn what_ends_begun_work_goes_before_what_begins_each_in_the_order_of_asking() {
    let mut bulkheads = bulkheads(9);
    let effects = [Effect::Link, Effect::LookUp, Effect::Convert, Effect::CheckCustomer, Effect::Link, promotion()];
    for (n, effect) in (1..).zip(&effects) {
        bulkheads.push(Upstream::Loanpro, key(n), effect);
    }
    assert_eq!(bulkheads.runnable(NOW), 6);
    let taken: Vec<u8> = std::iter::from_fn(|| take(&mut bulkheads, NOW, fresh)).map(|(key, _)| key.0[0]).collect();
    assert_eq!(taken, [2, 4, 6, 1, 3, 5]);
}

fn promotion() -> Effect {
    Effect::Promote(FoundProfile::named("1".to_owned()))
}

/// The order in which events probe an upstream that stays away. A `l`ink or loo`k` never failed, an `L` or `K` did, and is asked
/// for again.
fn probes(waiting: &str) -> String {
    let mut bulkheads = bulkheads(9);
    open(&mut bulkheads, Upstream::Loanpro);
    for letter in waiting.bytes() {
        let effect = if letter.eq_ignore_ascii_case(&b'l') { Effect::Link } else { Effect::LookUp };
        bulkheads.push(Upstream::Loanpro, key(letter), &effect);
    }
    let standing = |letter: u8| if letter.is_ascii_lowercase() { Standing::Fresh } else { Standing::Tried };
    let probe = |nth: u32| {
        let at = NOW + RULES.probe_interval * nth;
        let (key, ticket) = take(&mut bulkheads, at, standing)?;
        bulkheads.hear(ticket, &failed(), at);
        let letter = char::from(key.0[0]);
        if letter.is_ascii_uppercase() {
            bulkheads.push(Upstream::Loanpro, key, if letter == 'L' { &Effect::Link } else { &Effect::LookUp });
        }
        Some(letter)
    };
    (1..7).map_while(probe).collect()
}

#[test]
fn a_probe_begins_something_where_it_can_by_an_event_that_never_failed_first() {
    assert_eq!(probes("KLkl"), "lkLKLK");
    assert_eq!(probes("KL"), "KLKLKL", "what fails each time must not be all that is ever tried");
    assert_eq!(probes("K"), "KKKKKK");
    assert_eq!(probes("L"), "LLLLLL");
    assert_eq!(probes("kl"), "lk");
}

#[test]
fn what_is_forgotten_passed_over_or_woken_for_is_of_both_queues() {
    for effect in [Effect::Link, Effect::LookUp] {
        let mut bulkheads = bulkheads(9);
        open(&mut bulkheads, Upstream::Loanpro);
        (1..=3).for_each(|n| bulkheads.push(Upstream::Loanpro, key(n), &effect));
        let due = NOW + RULES.probe_interval;
        assert_eq!(bulkheads.wakes_at(), Some(due), "{effect:?}");
        bulkheads.retain(|kept| *kept != key(2));
        let standing = |n| if n == 1 { Standing::Gone } else { Standing::Fresh };
        assert_eq!(take(&mut bulkheads, due, standing).map(|(key, _)| key), Some(key(3)), "{effect:?}");
        assert!(bulkheads.at(Upstream::Loanpro).queues.is_empty(), "{effect:?}");
    }
}

#[test]
fn after_an_outage_few_go_at_first() {
    let mut bulkheads = bulkheads(100);
    open(&mut bulkheads, Upstream::Payiq);
    for n in 1..=50 {
        bulkheads.push(Upstream::Payiq, key(n), &Effect::Link);
    }
    let due = NOW + RULES.probe_interval;
    let (_, probe) = take(&mut bulkheads, due, fresh).expect("a probe");
    assert!(bulkheads.hear(probe, &answered(), due).is_some());
    let mut out: Vec<Ticket> = std::iter::from_fn(|| take(&mut bulkheads, due, fresh)).map(|(_, t)| t).collect();
    assert_eq!(out.len(), 2);
    out.drain(..).for_each(|ticket| drop(bulkheads.hear(ticket, &answered(), due)));
    let out = std::iter::from_fn(|| take(&mut bulkheads, due, fresh)).count();
    assert_eq!(out, 4);
}

#[test]
fn an_upstream_that_throttles_gets_half() {
    let mut bulkheads = bulkheads(8);
    for n in 1..=50 {
        bulkheads.push(Upstream::Payiq, key(n), &Effect::Link);
    }
    let out: Vec<Ticket> = std::iter::from_fn(|| take(&mut bulkheads, NOW, fresh)).map(|(_, t)| t).collect();
    assert_eq!(out.len(), 8);
    let throttled = heard(Verdict::Throttled { retry_after: None, detail: "429".to_owned() });
    let nothing = heard(Verdict::Nothing);
    let later = NOW + Duration::from_secs(1);
    bulkheads.hear(out[0], &throttled, later);
    out[1..].iter().for_each(|ticket| drop(bulkheads.hear(*ticket, &nothing, later)));
    assert_eq!(std::iter::from_fn(|| take(&mut bulkheads, later, fresh)).count(), 4);
}

#[test]
fn what_has_nothing_to_call_any_more_is_passed_over() {
    let mut bulkheads = bulkheads(9);
    bulkheads.push(Upstream::Payiq, key(1), &Effect::Link);
    bulkheads.push(Upstream::Payiq, key(2), &Effect::Link);
    let standing = |n| if n == 1 { Standing::Gone } else { Standing::Fresh };
    assert_eq!(take(&mut bulkheads, NOW, standing).map(|(key, _)| key), Some(key(2)));
    bulkheads.push(Upstream::Payiq, key(3), &Effect::Link);
    bulkheads.retain(|_| false);
    assert!(take(&mut bulkheads, NOW, fresh).is_none());
}

#[test]
fn an_upstream_that_hangs_leaves_the_others_their_own_slots() {
    let mut bulkheads = bulkheads(100);
    bulkheads.slots = 16;
    bulkheads.all.iter_mut().for_each(|bulkhead| bulkhead.own = 2);
    for n in 1..=50 {
        bulkheads.push(Upstream::Payiq, key(n), &Effect::Link);
    }
    assert_eq!(std::iter::from_fn(|| take(&mut bulkheads, NOW, fresh)).count(), 12, "two are LoanPro's, two Aloha's");
    for n in 51..=60 {
        bulkheads.push(Upstream::Loanpro, key(n), &Effect::Link);
    }
    assert_eq!(std::iter::from_fn(|| take(&mut bulkheads, NOW, fresh)).count(), 2);
    bulkheads.push(Upstream::Aloha, key(61), &Effect::Link);
    assert!(take(&mut bulkheads, NOW, fresh).is_some(), "nobody took what is Aloha's");
}

#[test]
fn what_waits_for_a_slow_target_keeps_nothing_out_that_another_one_could_do() {
    let mut bulkheads = bulkheads(9);
    (1..=50).for_each(|n| bulkheads.push(Upstream::Loanpro, key(n), &Effect::Link));
    assert_eq!(bulkheads.runnable(NOW), 50, "nobody else is in use");
    bulkheads.push(Upstream::Aloha, key(60), &Effect::Link);
    assert_eq!(bulkheads.runnable(NOW), 51, "the other one has something to do");
    bulkheads.take(Upstream::Aloha, key(60), NOW).expect("it goes");
    assert_eq!(bulkheads.runnable(NOW), 0, "it could do more");
    bulkheads.push(Upstream::Payiq, key(70), &Effect::Link);
    assert_eq!(bulkheads.runnable(NOW), 1, "the converter is needed by all");
    assert_eq!(bulkheads.runnable(NOW + IN_USE), 51, "it is not in use any more");
    open(&mut bulkheads, Upstream::Aloha);
    assert_eq!(bulkheads.runnable(NOW), 51, "it is away");
}

#[test]
fn a_breaker_that_nothing_can_probe_is_closed_for_the_next_event_to_tell() {
    let mut bulkheads = bulkheads(9);
    open(&mut bulkheads, Upstream::Loanpro);
    let due = NOW + RULES.probe_interval;
    assert!(bulkheads.forget_unasked(NOW, |_| false).is_empty(), "not before a probe would be due");
    assert!(bulkheads.forget_unasked(due, |upstream| upstream == Upstream::Loanpro).is_empty(), "an event needs it");
    assert_eq!(bulkheads.forget_unasked(due, |_| false).len(), 1);
    assert!(!bulkheads.is_away(Upstream::Loanpro));
}

/// One customer's calls hang, and everybody else is answered.
#[test]
fn a_call_that_hangs_beside_others_that_are_answered_takes_nothing_from_them() {
    let mut bulkheads = bulkheads(8);
    let late = |upstream: &mut Bulkheads, others: u8| {
        (0..=others).for_each(|n| upstream.push(Upstream::Payiq, key(n), &Effect::Link));
        let (_, hangs) = take(upstream, NOW, fresh).expect("it goes");
        for _ in 0..others {
            let (_, ticket) = take(upstream, NOW, fresh).expect("it goes");
            upstream.hear(ticket, &answered(), NOW);
        }
        let timed_out = Heard { timed_out: true, ..failed() };
        upstream.hear(hangs, &timed_out, NOW + Duration::from_secs(10));
        upstream.at(Upstream::Payiq).limit.get()
    };
    assert_eq!(late(&mut bulkheads, 20), 8);
    assert_eq!(late(&mut bulkheads, 2), 4);
}

#[test]
fn only_what_it_was_asked_to_change_shows_that_an_upstream_lets_others_do_so() {
    let mut bulkheads = bulkheads(8);
    for (of_change, verdict, shows) in [
        (false, answered().verdict, false),
        (true, Verdict::Ambiguous, false),
        (true, Verdict::Misconfigured { detail: "403".to_owned() }, false),
        (true, answered().verdict, true),
    ] {
        bulkheads.push(Upstream::Loanpro, key(1), &Effect::Link);
        let (_, ticket) = take(&mut bulkheads, NOW, fresh).expect("a call");
        let heard = Heard { of_change, ..heard(verdict) };
        bulkheads.hear(ticket, &heard, NOW);
        assert_eq!(bulkheads.changed_since(Upstream::Loanpro, NOW - Duration::from_secs(1)), shows, "{heard:?}");
    }
    assert!(!bulkheads.changed_since(Upstream::Loanpro, NOW), "nor since then");
}
