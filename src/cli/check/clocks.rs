//! How far another clock is from ours.

use jiff::{SignedDuration, Timestamp};

use super::finding::Finding;

/// From here on a log-in that is signed with the time may be refused, and `expiresAt` is judged wrongly by as much.
const NOTABLE: SignedDuration = SignedDuration::from_secs(5);
/// No service that signs with the time takes as much.
const TOO_FAR: SignedDuration = SignedDuration::from_secs(60);

/// Another clock's time, known to lie between two moments, seen between two readings of ours.
#[derive(Debug, Clone, Copy)]
pub struct Reading {
    /// Ours before the question.
    pub before: Timestamp,
    /// Theirs, at the earliest.
    pub earliest: Timestamp,
    /// Theirs, at the latest: a `Date` has whole seconds.
    pub latest: Timestamp,
    /// Ours after the answer.
    pub after: Timestamp,
}

impl Reading {
    /// How far they are ahead (above 0) or behind for certain.
    fn skew(self) -> SignedDuration {
        let ahead = self.earliest.duration_since(self.after);
        let behind = self.latest.duration_since(self.before);
        if ahead.is_positive() {
            ahead
        } else if behind.is_negative() {
            behind
        } else {
            SignedDuration::ZERO
        }
    }
}

/// What `check` says about a clock.
#[must_use]
pub fn finding(whose: &str, reading: Reading) -> Finding {
    let check = format!("clock {whose}");
    let skew = reading.skew();
    let seconds = skew.abs().as_secs_f64();
    if skew.abs() < NOTABLE {
        return Finding::ok(check, "it agrees with ours");
    }
    let direction = if skew.is_positive() { "ahead of" } else { "behind" };
    let detail = format!(
        "it is {seconds:.0} s {direction} ours: log-ins are signed with the time, and `expiresAt` is judged by it"
    );
    let fix = "synchronise this machine's clock (NTP); if it is right, tell whoever runs the other";
    if skew.abs() < TOO_FAR { Finding::warn(check, detail, fix) } else { Finding::fail(check, detail, fix) }
}

/// What `check` says where an answer came without a time.
#[must_use]
pub fn untold(whose: &str) -> Finding {
    let detail = "not to be told: it answered, but sent no time (no `Date` in its answer)";
    Finding::warn(format!("clock {whose}"), detail, "nothing, if this machine's clock is synchronised (NTP)")
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    fn judged(theirs_ms: i64) -> Status {
        let at = |ms: i64| Timestamp::from_millisecond(1_800_000_000_000 + ms).unwrap();
        let reading = Reading { before: at(0), earliest: at(theirs_ms), latest: at(theirs_ms + 1000), after: at(2000) };
        finding("x", reading).status
    }

    #[test]
    fn only_what_is_certain_counts_as_skew() {
        // The answer took 2 s and the date has whole seconds: neither is a difference of clocks.
        for theirs in [-1000, 0, 2000, 6999, -5999] {
            assert_eq!(judged(theirs), Status::Ok, "{theirs}");
        }
        for theirs in [7000, -6000, 61_999, -60_999] {
            assert_eq!(judged(theirs), Status::Warn, "{theirs}");
        }
        for theirs in [62_000, -61_000] {
            assert_eq!(judged(theirs), Status::Fail, "{theirs}");
        }
    }
}
