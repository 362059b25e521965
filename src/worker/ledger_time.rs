//! What time it is by the ledger's clock: as it showed it in its answers, and by the boot-time clock since.
//!
//! An end cannot be taken back, and a row that was removed does not come back. So no clock that somebody may set decides about
//! them alone. This machine's wall clock has no say at all. The ledger's is read about once a second, and each reading is held
//! against the boot-time clock, which nobody sets: the ledger's clock at its zero lies between what the answer shows less when
//! it came and less when it was asked for. All readings of a clock that goes right have such a zero in common. One that shows
//! later than all of them allow was put forward, or another server answers, with a clock of its own; it is not believed for as long
//! as this process lives. One that shows an earlier time is believed: what waits for a time then waits longer, and a token that
//! is dead is sent, which costs a call, since the converter says so itself.
//!
//! Known residue: the first reading is believed. A ledger's clock that is wrong when the worker starts is wrong until it ends.

use std::time::Duration;

/// The ledger's clock, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct LedgerTime {
    zero: Option<Zero>,
    /// By how much the last reading was later than can be.
    ahead_ms: i64,
}

/// What the ledger's clock showed when the boot-time clock was at zero.
#[derive(Debug, Clone, Copy)]
struct Zero {
    earliest: i64,
    latest: i64,
}

impl LedgerTime {
    /// The ledger's clock showed this time, between two readings of the boot-time clock. Answers by how much it was put forward
    /// since the reading before.
    pub fn hear(&mut self, shown_ms: i64, asked_at: Duration, answered_at: Duration) -> Duration {
        // What it shows is rounded down, and so is the time of asking: both away from the narrower.
        let shown =
            Zero { earliest: shown_ms - rounded_up(answered_at), latest: shown_ms + 1 - rounded_down(asked_at) };
        let known = self.zero.unwrap_or(shown);
        let latest = known.latest.min(shown.latest);
        let ahead_ms = (shown.earliest - latest).max(0);
        let earliest = match known.earliest {
            known if ahead_ms > 0 => known,
            // Put back: of what was known nothing holds any more.
            known if known > shown.latest => shown.earliest,
            known => known.max(shown.earliest),
        };
        self.zero = Some(Zero { earliest, latest });
        let before = std::mem::replace(&mut self.ahead_ms, ahead_ms);
        duration(ahead_ms - before)
    }

    /// The earliest that it can be at this time of the boot-time clock. Before the ledger was heard nothing is over.
    pub fn earliest_ms(&self, tick: Duration) -> i64 {
        self.zero.map_or(i64::MIN, |zero| zero.earliest + rounded_down(tick))
    }

    /// How much later than can be the ledger's clock showed, when it was read last: by so much older than it is takes it everything.
    pub fn ahead(&self) -> Duration {
        duration(self.ahead_ms)
    }
}

fn duration(milliseconds: i64) -> Duration {
    Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
}

fn rounded_down(tick: Duration) -> i64 {
    i64::try_from(tick.as_millis()).unwrap_or(i64::MAX)
}

fn rounded_up(tick: Duration) -> i64 {
    i64::try_from(tick.as_micros().div_ceil(1_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;
    /// What a right clock shows at tick 0.
    const ZERO: i64 = 1_800_000_000_000;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A reading of a clock that is so far from right, asked for and answered at once.
    fn hear(time: &mut LedgerTime, seconds: u64, wrong_by_ms: i64) -> Duration {
        let shown = ZERO + wrong_by_ms + rounded_down(at(seconds));
        time.hear(shown, at(seconds), at(seconds) + Duration::from_millis(2))
    }

    #[test]
    fn before_the_ledger_was_heard_nothing_is_over() {
        assert_eq!(LedgerTime::default().earliest_ms(at(1_000)), i64::MIN);
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
        hear(&mut time, 1, 0);
        let told = hear(&mut time, 2, HOUR_MS);
        assert!(told > at(3_599), "{told:?}");
        assert_eq!(hear(&mut time, 3, HOUR_MS), Duration::ZERO, "it is told once");
        assert_eq!(time.earliest_ms(at(3)), ZERO + 3_000 - 2);
        assert!(time.ahead() > at(3_599), "{:?}", time.ahead());
        hear(&mut time, 4, 0);
        assert_eq!(time.ahead(), Duration::ZERO, "it is right again");
    }

    #[test]
    fn a_clock_that_is_put_back_is_believed() {
        let mut time = LedgerTime::default();
        hear(&mut time, 1, HOUR_MS);
        hear(&mut time, 2, 0);
        let now = time.earliest_ms(at(2));
        assert!((ZERO + 1_990..=ZERO + 2_001).contains(&now), "{}", now - ZERO);
        hear(&mut time, 3, HOUR_MS);
        assert!(time.earliest_ms(at(3)) <= ZERO + 3_001, "once it was seen to be right, forward is wrong");
    }
}
