use super::*;

const HOUR_MS: i64 = 3_600_000;
/// What a right clock shows at tick 0.
const ZERO: i64 = 1_800_000_000_000;
const HOURS_A_DAY: u64 = 24;

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A reading of a clock that is so far from right, asked for and answered at once.
fn hear(time: &mut LedgerTime, seconds: u64, wrong_by_ms: i64) -> Option<Step> {
    let shown = ZERO + wrong_by_ms + rounded_down(at(seconds));
    time.hear(shown, at(seconds), at(seconds) + Duration::from_millis(2))
}

/// How far from right the time is that is believed.
fn wrong_by(time: &LedgerTime, seconds: u64) -> i64 {
    time.earliest_ms(at(seconds)) - ZERO - rounded_down(at(seconds))
}

/// Readings each minute from that hour's start to that one's, of a clock that is so far from right; what they told.
fn hours(time: &mut LedgerTime, hours: std::ops::Range<u64>, wrong_by_ms: i64) -> Vec<Step> {
    (hours.start * 60..hours.end * 60).filter_map(|minute| hear(time, minute * 60, wrong_by_ms)).collect()
}

/// A step of an hour, give or take what answers take.
fn is_an_hour(step: Option<Step>, kind: fn(Duration) -> Step) -> bool {
    let near = |by: Duration| by > at(3_599) && by <= at(3_600) && step == Some(kind(by));
    matches!(step, Some(Step::Forward(by) | Step::Back(by) | Step::Believed(by)) if near(by))
}

#[test]
fn before_the_ledger_was_heard_nothing_is_over() {
    let time = LedgerTime::default();
    assert_eq!(time.earliest_ms(at(1_000)), i64::MIN);
    assert!(!time.is_known());
}

#[test]
fn between_readings_the_boot_time_clock_counts() {
    let mut time = LedgerTime::default();
    hear(&mut time, 10, 0);
    assert_eq!(time.earliest_ms(at(10)), ZERO + 10_000 - 2);
    assert_eq!(time.earliest_ms(at(70)), ZERO + 70_000 - 2);
}

#[test]
fn a_slow_answer_makes_it_no_later_than_it_is_and_a_quick_one_mends_that() {
    let mut time = LedgerTime::default();
    time.hear(ZERO + 1_000, at(1), at(4));
    assert_eq!(time.earliest_ms(at(4)), ZERO + 1_000, "it may have looked at its clock as the answer left");
    hear(&mut time, 5, 0);
    assert_eq!(time.earliest_ms(at(5)), ZERO + 5_000 - 2);
    time.hear(ZERO + 6_000, at(6), at(9));
    assert_eq!(time.earliest_ms(at(9)), ZERO + 9_000 - 2);
}

#[test]
fn a_clock_that_is_put_forward_is_not_believed() {
    let mut time = LedgerTime::default();
    assert_eq!(hear(&mut time, 1, 0), None);
    assert!(is_an_hour(hear(&mut time, 2, HOUR_MS), Step::Forward));
    assert_eq!(hear(&mut time, 3, HOUR_MS), None, "it is told once");
    assert_eq!(wrong_by(&time, 3), -2);
    assert!(is_an_hour(hear(&mut time, 4, 0), Step::Back), "and so is that it is right again");
    assert_eq!(wrong_by(&time, 4), -2);
}

#[test]
fn a_clock_that_is_put_back_is_believed() {
    let mut time = LedgerTime::default();
    hear(&mut time, 1, HOUR_MS);
    assert!(is_an_hour(hear(&mut time, 2, 0), Step::Back));
    assert!((-10..=1).contains(&wrong_by(&time, 2)), "{}", wrong_by(&time, 2));
    hear(&mut time, 3, HOUR_MS);
    assert!(wrong_by(&time, 3) <= 1, "once it was seen to be right, forward is wrong");
}

#[test]
fn a_clock_that_was_behind_and_is_mended_is_believed_after_a_day_and_not_before() {
    let mut time = LedgerTime::default();
    hours(&mut time, 0..3, -HOUR_MS);
    assert!(is_an_hour(hear(&mut time, 3 * 3_600, 0), Step::Forward));
    assert_eq!(hours(&mut time, 3..3 + HOURS_A_DAY, 0), []);
    assert_eq!(wrong_by(&time, 26 * 3_600), -HOUR_MS - 2, "not for a day");
    let told = hours(&mut time, 27..28, 0);
    assert!(told.len() == 1 && is_an_hour(told.first().copied(), Step::Believed), "{told:?}");
    assert_eq!(wrong_by(&time, 28 * 3_600), -2);
}

#[test]
fn a_wrong_step_forward_of_less_than_a_day_makes_nothing_later_at_any_time() {
    for step_ms in [10_000, HOUR_MS, 24 * HOUR_MS, 365 * 24 * HOUR_MS] {
        let mut time = LedgerTime::default();
        let wrong = |hour: u64| if (5..5 + HOURS_A_DAY).contains(&hour) { step_ms } else { 0 };
        for hour in 0..60 {
            hours(&mut time, hour..hour + 1, wrong(hour));
            assert_eq!(wrong_by(&time, hour * 3_600), -2, "{step_ms} in hour {hour}");
        }
    }
}

#[test]
fn of_two_servers_that_take_turns_the_earlier_ones_time_counts() {
    let mut time = LedgerTime::default();
    for hour in 0..100 {
        hours(&mut time, hour..hour + 1, if hour % 20 == 0 { 0 } else { HOUR_MS });
        assert_eq!(wrong_by(&time, hour * 3_600), -2, "hour {hour}");
    }
}

#[test]
fn days_without_a_reading_make_nobody_believe_a_step() {
    let mut time = LedgerTime::default();
    hear(&mut time, 1, 0);
    hears_nothing_for_days_and_then(&mut time, HOUR_MS);
    assert_eq!(wrong_by(&time, 100 * 3_600), -2);
}

fn hears_nothing_for_days_and_then(time: &mut LedgerTime, wrong_by_ms: i64) {
    assert!(is_an_hour(hear(time, 100 * 3_600, wrong_by_ms), Step::Forward));
}

#[test]
fn clocks_that_run_apart_are_never_more_than_a_days_difference_apart() {
    let mut time = LedgerTime::default();
    // The ledger's gains 100 microseconds a second: more than a bad quartz.
    for hour in 0..24 * 60 {
        assert_eq!(hear(&mut time, hour * 3_600, i64::try_from(hour * 360).unwrap()), None, "no step");
        let now = i64::try_from(hour * 360).unwrap();
        assert!(wrong_by(&time, hour * 3_600) - now >= -25 * 360, "hour {hour}");
    }
}

#[test]
fn results_are_dated_by_a_clock_that_shows_again_what_it_showed_before_it_was_put_back() {
    let mut time = LedgerTime::default();
    let dated = |time: &LedgerTime, seconds: u64| time.likely_ms(at(seconds)) - ZERO - rounded_down(at(seconds));
    hear(&mut time, 1, 0);
    hear(&mut time, 2, -HOUR_MS);
    assert!(dated(&time, 2) < -3_599_000, "as long as it shows that");
    hear(&mut time, 3, 0);
    assert_eq!(dated(&time, 3), -2);
    assert!(wrong_by(&time, 3) < -3_599_000, "ends go by the earliest");
    hear(&mut time, 4, HOUR_MS);
    assert!(dated(&time, 4) <= 0, "forward is not believed");
}

#[test]
fn a_clock_that_was_put_forward_and_right_again_dates_nothing_wrongly() {
    let mut time = LedgerTime::default();
    for (second, wrong) in [(1, 0), (2, HOUR_MS), (3, 0), (4, HOUR_MS), (5, 0)] {
        hear(&mut time, second, wrong);
        let dated = time.likely_ms(at(second)) - ZERO - rounded_down(at(second));
        assert_eq!(dated, -2, "second {second}");
    }
}
