use super::*;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A round trip with as many calls as may be in flight, all answered.
fn round(limit: &mut Limit) {
    let in_flight = limit.get();
    (0..in_flight).for_each(|_| limit.grow(in_flight, 1));
}

/// What happens to a limit of at most 1,000, second by second, and the limit after each: `r` a round trip that is answered,
/// `x` a sign of too much, `o` the end of an outage.
fn story(events: &str) -> Vec<usize> {
    let mut limit = Limit::new(1_000);
    let mut seen = Vec::new();
    for (event, second) in events.bytes().zip(1..) {
        match event {
            b'r' => round(&mut limit),
            b'x' => limit.halve(at(second), at(second)),
            _ => limit.restart(at(second)),
        }
        seen.push(limit.get());
    }
    seen
}

#[test]
fn it_grows_and_shrinks_by_the_table() {
    let cases: [(&str, &str, &[usize]); 12] = [
        ("from a start it doubles as far as it may", "rrrrrrr", &[32, 64, 128, 256, 512, 1_000, 1_000]),
        ("after a sign it grows by one", "rxrrr", &[32, 16, 17, 18, 19]),
        (
            "several signs are one trouble: it doubles back to the first one's half",
            "rrxxxrrrr",
            &[32, 64, 32, 16, 8, 16, 32, 33, 34],
        ),
        ("signs between answered round trips are several troubles", "rrxrxrr", &[32, 64, 32, 33, 16, 17, 18]),
        ("a time-out on a cold start binds it to nothing", "xrrr", &[8, 16, 32, 64]),
        ("nor do several", "xxxrrrr", &[8, 4, 2, 4, 8, 16, 32]),
        ("after an outage it begins low, and doubles", "rxorrr", &[32, 16, 4, 8, 16, 32]),
        ("where it took many it begins with an eighth", "rrrrrorrr", &[32, 64, 128, 256, 512, 64, 128, 256, 512]),
        ("however often it was away in between", "rrrrrooxor", &[32, 64, 128, 256, 512, 64, 64, 32, 64, 128]),
        (
            "and with no more than a threshold that it had",
            "rrrrrrxrxrxrxrxo",
            &[32, 64, 128, 256, 512, 1_000, 500, 501, 250, 251, 125, 126, 63, 64, 32, 32],
        ),
        ("and a sign before anything was answered binds it to nothing", "oxrrr", &[2, 1, 2, 4, 8]),
        ("and a later one does", "orrxrr", &[2, 4, 8, 4, 5, 6]),
    ];
    for (name, events, expected) in cases {
        assert_eq!(story(events), expected, "{name}");
    }
}

#[test]
fn it_halves_once_per_round_trip_and_never_below_one() {
    let mut limit = Limit::new(1_000);
    limit.halve(at(0), at(2));
    limit.halve(at(1), at(3));
    assert_eq!(limit.get(), 8, "what began before the halving does not count");
    for second in 4..20 {
        limit.halve(at(second), at(second));
    }
    assert_eq!(limit.get(), 1);
}

#[test]
fn a_call_that_hangs_while_others_are_answered_is_no_sign() {
    let mut limit = Limit::new(1_000);
    let began = limit.answered();
    assert!(limit.believes_time_out(began), "nobody was answered");
    (0..START).for_each(|_| limit.grow(1, 0));
    assert!(!limit.believes_time_out(began));
    assert!(limit.believes_time_out(limit.answered()), "nobody since this one");
}

#[test]
fn what_is_not_used_does_not_grow() {
    let mut limit = Limit::new(1_000);
    (0..1_000).for_each(|_| limit.grow(1, 0));
    assert_eq!(limit.get(), START);
}

#[test]
fn a_time_out_from_before_the_end_of_an_outage_does_not_count() {
    let mut limit = Limit::new(1_000);
    limit.restart(at(5));
    round(&mut limit);
    limit.halve(at(2), at(6));
    assert_eq!(limit.get(), 4);
}

/// A vendor that takes so many calls at once is never sent many more, whatever it begins with.
#[test]
fn it_settles_where_the_vendor_does() {
    for takes in [1, 3, 10, 100] {
        let mut limit = Limit::new(1_000);
        let mut highest = 0;
        for second in 1..200 {
            let in_flight = limit.get();
            (0..in_flight.min(takes)).for_each(|_| limit.grow(in_flight, 1));
            if in_flight > takes {
                limit.halve(at(second), at(second));
            }
            if second > 50 {
                highest = highest.max(limit.get());
            }
        }
        assert!(highest <= takes + 1, "{takes}: {highest}");
    }
}

#[test]
fn a_limit_of_one_lets_one_pass() {
    assert_eq!(Limit::new(0).get(), 1);
}
