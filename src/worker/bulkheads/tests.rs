use super::*;

const NOW: Duration = Duration::from_secs(100);
const RULES: BreakerRules = BreakerRules {
    failures: 2,
    failure_rate: 1.0,
    window: Duration::from_secs(30),
    probe_interval: Duration::from_secs(5),
};

fn bulkheads(most: usize) -> Bulkheads {
    let all = Upstream::ALL.map(|_| Bulkhead {
        queue: VecDeque::new(),
        breaker: Breaker::new(RULES),
        limit: Limit::new(most),
        in_flight: 0,
        own: 0,
        called_at: None,
    });
    Bulkheads { all, turn: 0, slots: 100 }
}

fn key(n: u8) -> EventKey {
    EventKey([n; 16])
}

fn heard(verdict: Verdict) -> Heard {
    Heard { verdict, timed_out: false, again: false }
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
        bulkheads.push(upstream, key(n));
        let ticket = bulkheads.take(upstream, key(n), NOW).expect("it is closed");
        bulkheads.hear(ticket, &failed(), NOW);
    }
    assert!(bulkheads.is_away(upstream));
}

#[test]
fn upstreams_take_turns_and_each_keeps_its_order() {
    let mut bulkheads = bulkheads(9);
    for n in 1..=3 {
        bulkheads.push(Upstream::Loanpro, key(n));
    }
    bulkheads.push(Upstream::Payiq, key(9));
    let taken: Vec<u8> = std::iter::from_fn(|| take(&mut bulkheads, NOW, fresh)).map(|(key, _)| key.0[0]).collect();
    assert_eq!(taken, [9, 1, 2, 3]);
}

#[test]
fn an_upstream_that_is_away_is_not_called_and_the_others_are() {
    let mut bulkheads = bulkheads(9);
    open(&mut bulkheads, Upstream::Loanpro);
    bulkheads.push(Upstream::Loanpro, key(1));
    bulkheads.push(Upstream::Aloha, key(2));
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
        bulkheads.push(Upstream::Loanpro, key(n));
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
fn after_an_outage_few_go_at_first() {
    let mut bulkheads = bulkheads(100);
    open(&mut bulkheads, Upstream::Payiq);
    for n in 1..=50 {
        bulkheads.push(Upstream::Payiq, key(n));
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
        bulkheads.push(Upstream::Payiq, key(n));
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
    bulkheads.push(Upstream::Payiq, key(1));
    bulkheads.push(Upstream::Payiq, key(2));
    let standing = |n| if n == 1 { Standing::Gone } else { Standing::Fresh };
    assert_eq!(take(&mut bulkheads, NOW, standing).map(|(key, _)| key), Some(key(2)));
    bulkheads.push(Upstream::Payiq, key(3));
    bulkheads.retain(|_| false);
    assert!(take(&mut bulkheads, NOW, fresh).is_none());
}

#[test]
fn an_upstream_that_hangs_leaves_the_others_their_own_slots() {
    let mut bulkheads = bulkheads(100);
    bulkheads.slots = 16;
    bulkheads.all.iter_mut().for_each(|bulkhead| bulkhead.own = 2);
    for n in 1..=50 {
        bulkheads.push(Upstream::Payiq, key(n));
    }
    assert_eq!(std::iter::from_fn(|| take(&mut bulkheads, NOW, fresh)).count(), 12, "two are LoanPro's, two Aloha's");
    for n in 51..=60 {
        bulkheads.push(Upstream::Loanpro, key(n));
    }
    assert_eq!(std::iter::from_fn(|| take(&mut bulkheads, NOW, fresh)).count(), 2);
    bulkheads.push(Upstream::Aloha, key(61));
    assert!(take(&mut bulkheads, NOW, fresh).is_some(), "nobody took what is Aloha's");
}

#[test]
fn what_waits_for_a_slow_target_keeps_nothing_out_that_another_one_could_do() {
    let mut bulkheads = bulkheads(9);
    (1..=50).for_each(|n| bulkheads.push(Upstream::Loanpro, key(n)));
    assert_eq!(bulkheads.runnable(NOW), 50, "nobody else is in use");
    bulkheads.push(Upstream::Aloha, key(60));
    assert_eq!(bulkheads.runnable(NOW), 51, "the other one has something to do");
    bulkheads.take(Upstream::Aloha, key(60), NOW).expect("it goes");
    assert_eq!(bulkheads.runnable(NOW), 0, "it could do more");
    bulkheads.push(Upstream::Payiq, key(70));
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
        (0..=others).for_each(|n| upstream.push(Upstream::Payiq, key(n)));
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
