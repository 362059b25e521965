use super::*;

const RULES: BreakerRules = BreakerRules {
    failures: 3,
    failure_rate: 0.5,
    window: Duration::from_secs(30),
    probe_interval: Duration::from_secs(5),
};

/// A breaker, its time, and the permits that are out.
struct Bench {
    breaker: Breaker,
    now: Duration,
}

impl Bench {
    fn new() -> Self {
        Self { breaker: Breaker::new(RULES), now: Duration::from_secs(1_000) }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// A call from its beginning to its end.
    fn call(&mut self, verdict: &Verdict) -> Option<Change> {
        let permit = self.breaker.permit(self.now).expect("a call may go");
        self.breaker.hear(permit, verdict, false, self.now)
    }

    fn opened() -> Self {
        let mut bench = Self::new();
        for _ in 0..RULES.failures {
            bench.call(&failed());
        }
        assert!(!bench.breaker.is_closed());
        bench
    }
}

fn failed() -> Verdict {
    Verdict::Failed { detail: "503".to_owned() }
}

fn throttled(seconds: u64) -> Verdict {
    Verdict::Throttled { retry_after: Some(Duration::from_secs(seconds)), detail: "429".to_owned() }
}

fn doubtful() -> Verdict {
    Verdict::Doubtful { detail: "nobody is found".to_owned() }
}

fn misconfigured() -> Verdict {
    Verdict::Misconfigured { detail: "401".to_owned() }
}

fn opened_by(trouble: Trouble, was: Option<Trouble>, why: &str) -> Option<Change> {
    Some(Change::Opened { trouble, was, why: why.to_owned() })
}

/// What is heard, one after the other and a second apart, and after how many of them it opens.
#[test]
fn it_opens_by_the_table() {
    let (good, nothing) = (Verdict::Answered, Verdict::Nothing);
    let repeat = |verdict: &Verdict, times: usize| vec![verdict.clone(); times];
    let rounds = |of: &[Verdict], times: usize| vec![of.to_vec(); times].concat();
    let alternating = |a: &Verdict, b: &Verdict| rounds(&[a.clone(), b.clone()], 4);
    let cases: Vec<(&str, Vec<Verdict>, Option<usize>)> = vec![
        ("failures in a row", repeat(&failed(), 4), Some(3)),
        ("throttles in a row", repeat(&throttled(1), 4), Some(3)),
        ("throttles and failures in a row", vec![failed(), throttled(1), failed()], Some(3)),
        ("misconfigured once", vec![misconfigured()], Some(1)),
        ("misconfigured for one, others answered", alternating(&good, &misconfigured()), None),
        ("misconfigured in a row after an answer", [vec![good.clone()], repeat(&misconfigured(), 4)].concat(), Some(4)),
        (
            "misconfigured once, and the last answer is a probe interval ago",
            [vec![good.clone()], repeat(&nothing, 4), vec![misconfigured()]].concat(),
            Some(6),
        ),
        ("half of at least three failed", vec![good.clone(), failed(), good.clone(), failed()], Some(4)),
        ("half of them throttled", alternating(&good, &throttled(1)), None),
        ("a third failed", rounds(&[good.clone(), good.clone(), failed()], 3), None),
        (
            "doubts in a row, whatever stands between that proves nothing",
            alternating(&Verdict::Ambiguous, &doubtful()),
            Some(6),
        ),
        ("a doubt, and a proof", alternating(&doubtful(), &good), None),
        (
            "failures in a row, and reads that find the tenant between",
            alternating(&Verdict::Witnessed, &throttled(1)),
            Some(6),
        ),
        (
            "misconfigured once, and a read found the tenant just now",
            vec![Verdict::Witnessed, misconfigured()],
            Some(2),
        ),
        ("answers only", repeat(&good, 20), None),
        ("calls that never left", repeat(&nothing, 20), None),
        ("failures between calls that never left", alternating(&failed(), &nothing), Some(5)),
    ];
    for (name, verdicts, opens_after) in cases {
        let mut bench = Bench::new();
        let mut opened = None;
        for (index, verdict) in verdicts.iter().enumerate() {
            if bench.call(verdict).is_some() {
                opened = Some(index + 1);
                break;
            }
            bench.pass(1);
        }
        assert_eq!(opened, opens_after, "{name}");
        assert_eq!(bench.breaker.is_closed(), opens_after.is_none(), "{name}");
    }
}

#[test]
fn failures_that_are_older_than_the_window_are_not_in_the_share() {
    let mut bench = Bench::new();
    bench.call(&failed());
    bench.call(&Verdict::Answered);
    bench.pass(31);
    bench.call(&Verdict::Answered);
    bench.call(&Verdict::Answered);
    assert_eq!(bench.call(&failed()), None, "one of three");
}

#[test]
fn while_it_is_open_nothing_goes_until_a_probe_is_due_and_then_one() {
    let mut bench = Bench::opened();
    assert_eq!(bench.breaker.permit(bench.now), None);
    bench.pass(4);
    assert_eq!(bench.breaker.permit(bench.now), None);
    assert_eq!(bench.breaker.next_probe(), Some(bench.now + Duration::from_secs(1)));
    bench.pass(1);
    assert!(bench.breaker.permit(bench.now).is_some());
    assert!(bench.breaker.is_half_open());
    bench.pass(100);
    assert_eq!(bench.breaker.permit(bench.now), None, "one probe at a time");
}

#[test]
fn a_probe_that_is_answered_closes_it_and_one_that_fails_keeps_it_open() {
    let mut bench = Bench::opened();
    bench.pass(5);
    assert_eq!(bench.call(&failed()), None, "nothing new");
    assert_eq!(bench.breaker.permit(bench.now), None);
    bench.pass(5);
    assert_eq!(
        bench.call(&Verdict::Answered),
        Some(Change::Closed { after: Duration::from_secs(10), was: Trouble::Away })
    );
    assert!(bench.breaker.permit(bench.now).is_some());
    assert_eq!(bench.call(&failed()), None, "it counts anew");
}

#[test]
fn a_probe_that_fails_otherwise_than_before_is_told() {
    let mut bench = Bench::opened();
    bench.pass(5);
    assert_eq!(bench.call(&misconfigured()), opened_by(Trouble::Misconfigured, Some(Trouble::Away), "401"));
    bench.pass(5);
    assert_eq!(bench.call(&misconfigured()), None);
    bench.pass(5);
    assert_eq!(bench.call(&failed()), opened_by(Trouble::Away, Some(Trouble::Misconfigured), "503"));
}

#[test]
fn a_change_tells_of_misconfiguration_where_it_was_or_becomes_the_trouble() {
    let (ours, away) = (Trouble::Misconfigured, Trouble::Away);
    let opened = |trouble, was| Change::Opened { trouble, was, why: String::new() };
    let closed = |was| Change::Closed { after: Duration::ZERO, was };
    for change in [opened(ours, None), opened(ours, Some(away)), opened(away, Some(ours)), closed(ours)] {
        assert!(change.tells_of_misconfiguration(), "{change:?}");
    }
    for change in [opened(away, None), opened(Trouble::Throttling, Some(away)), closed(away)] {
        assert!(!change.tells_of_misconfiguration(), "{change:?}");
    }
}

#[test]
fn a_probe_that_says_nothing_frees_its_place_at_once() {
    let mut bench = Bench::opened();
    bench.pass(5);
    assert_eq!(bench.call(&Verdict::Nothing), None);
    assert!(bench.breaker.permit(bench.now).is_some());
}

#[test]
fn a_probe_goes_no_earlier_than_the_vendor_asks() {
    let mut bench = Bench::new();
    (0..RULES.failures).for_each(|_| drop(bench.call(&throttled(60))));
    bench.pass(59);
    assert_eq!(bench.breaker.permit(bench.now), None);
    bench.pass(1);
    assert_eq!(bench.call(&throttled(1)), None);
    bench.pass(1);
    assert_eq!(bench.breaker.permit(bench.now), None, "nor more often than the interval");
}

#[test]
fn what_began_before_a_change_changes_nothing() {
    let mut bench = Bench::new();
    let early = bench.breaker.permit(bench.now).expect("it is closed");
    bench.call(&misconfigured());
    assert_eq!(bench.breaker.hear(early, &Verdict::Answered, false, bench.now), None);
    assert!(!bench.breaker.is_closed(), "an answer from before does not close it");
    bench.pass(5);
    let probe = bench.breaker.permit(bench.now).expect("a probe is due");
    assert_eq!(bench.breaker.hear(early, &failed(), false, bench.now), None);
    assert!(bench.breaker.is_half_open(), "nor is it the probe's failure");
    bench.breaker.hear(probe, &Verdict::Answered, false, bench.now);
    assert_eq!(bench.breaker.hear(early, &misconfigured(), false, bench.now), None);
    assert!(bench.breaker.is_closed());
}

/// A call that began before the breaker closed is answered after it: what is refused now is perhaps one customer's.
#[test]
fn what_looks_like_our_mistake_while_others_are_answered_opens_only_in_numbers() {
    let mut bench = Bench::new();
    let early = bench.breaker.permit(bench.now).expect("it is closed");
    bench.call(&misconfigured());
    bench.pass(5);
    bench.call(&Verdict::Answered);
    bench.pass(5);
    bench.breaker.hear(early, &Verdict::Answered, false, bench.now);
    assert_eq!(bench.call(&misconfigured()), None, "perhaps this customer's trouble");
    assert_eq!(bench.call(&misconfigured()), None);
    assert_eq!(bench.call(&misconfigured()), opened_by(Trouble::Misconfigured, None, "401"), "three in a row are ours");
}

#[test]
fn an_answer_that_a_wrong_tenant_gives_too_ends_an_outage_but_no_misconfiguration() {
    let mut bench = Bench::opened();
    bench.pass(5);
    assert!(bench.call(&Verdict::Ambiguous).is_some());
    assert!(bench.breaker.is_closed());
    (0..RULES.failures).for_each(|_| drop(bench.call(&doubtful())));
    bench.pass(5);
    assert_eq!(bench.call(&Verdict::Ambiguous), None);
    assert_eq!(bench.breaker.permit(bench.now), None, "it waits for the next probe");
    bench.pass(5);
    assert!(bench.call(&Verdict::Witnessed).is_some(), "its tenant was found");
    assert!(bench.breaker.is_closed());
    assert!(bench.call(&misconfigured()).is_some(), "it may read and change nothing");
    bench.pass(5);
    assert!(bench.call(&Verdict::Answered).is_some());
}

#[test]
fn one_event_that_fails_again_and_again_does_not_open_it_at_once_but_after_a_while() {
    let mut bench = Bench::new();
    let (began, mut seconds) = (bench.now, 0);
    bench.call(&failed());
    while bench.breaker.is_closed() {
        bench.pass(1);
        seconds += 1;
        let permit = bench.breaker.permit(bench.now).expect("it is closed");
        bench.breaker.hear(permit, &failed(), true, bench.now);
    }
    assert_eq!(seconds, 10, "as long as two probe intervals after {began:?}");
}
