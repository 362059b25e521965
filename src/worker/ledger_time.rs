//! What time it is by the ledger's clock: as it showed it in its answers, and by the boot-time clock since.
//!
//! An end cannot be taken back, and a row that was removed does not come back. So no clock that somebody may set decides about
//! them alone. This machine's wall clock has no say in an end at all. The ledger's is read about once a second, and each reading is
//! held against the boot-time clock, which nobody sets: the ledger's clock at its zero lies between what the answer shows less when
//! it came and less when it was asked for. All readings of a clock that goes right have such a zero in common. One that shows
//! later than all of them allow was put forward, or another server answers, with a clock of its own; whether it was wrong before
//! or is wrong now nobody can tell from it. So it is believed once it has shown so for a day: by then a wrong one was noticed and
//! put back, which nobody had to pay for. One that shows an earlier time is believed at once: what waits for a time then waits
//! longer, and a token that is dead is sent, which costs a call, since the converter says so itself.
//!
//! What counts is readings: a day in which the ledger was away, or the machine asleep, makes nobody believe anything. The same day
//! lets go of what two right clocks differ by as the weeks pass.
//!
//! Known residue: the first reading is believed. A ledger's clock that is ahead when the worker starts is ahead until it is put back.

use std::collections::VecDeque;
use std::time::Duration;

/// What readings have in common is kept for each hour of the boot-time clock: so the past is let go of in pieces, and is small.
const SPAN: Duration = Duration::from_secs(3600);
/// So many hours with a reading, the present one among them: at least a day after the last reading that showed an earlier time a
/// later one is believed. No token that can be converted lives for as long as this, and an hour's mistake is found sooner.
const SPANS: usize = 25;
/// A step that is worth a line in the log: more than answers take, or clocks that are kept differ by.
const NOTABLE_MS: i64 = 5_000;

/// The ledger's clock, in milliseconds since 1970.
#[derive(Debug, Default)]
pub(super) struct LedgerTime {
    /// What the readings of an hour have in common, by the hour's number, the latest behind.
    spans: VecDeque<(u64, Zero)>,
    /// What all of these have in common.
    believed: Option<Zero>,
    /// The reading before.
    last: Option<Zero>,
    /// What was believed before the clock was put back.
    before: Option<Zero>,
}

/// What the ledger's clock showed when the boot-time clock was at zero.
#[derive(Debug, Clone, Copy)]
struct Zero {
    earliest: i64,
    latest: i64,
}

/// What a reading tells that somebody should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The clock was put forward by so much since the reading before: that is not believed yet.
    Forward(Duration),
    /// It was put back by so much: that is believed.
    Back(Duration),
    /// It has shown a later time for long enough: by so much later it is from now on.
    Believed(Duration),
}

impl LedgerTime {
    /// The ledger's clock showed this time, between two readings of the boot-time clock.
    pub fn hear(&mut self, shown_ms: i64, asked_at: Duration, answered_at: Duration) -> Option<Step> {
        // What it shows is rounded down, and so is the time of asking: both away from the narrower.
        let shown =
            Zero { earliest: shown_ms - rounded_up(answered_at), latest: shown_ms + 1 - rounded_down(asked_at) };
        self.keep(answered_at.as_secs() / SPAN.as_secs(), shown);
        let believed = self.spans.iter().map(|(_, zero)| *zero).reduce(Zero::and);
        let before = std::mem::replace(&mut self.believed, believed);
        let last = self.last.replace(shown);
        let between = |from: Option<Zero>, to: Option<Zero>| from?.until(to?);
        let forward = between(last, Some(shown)).map(Step::Forward);
        let back = between(Some(shown), last).map(Step::Back);
        let later = between(before, believed).map(Step::Believed);
        if later.is_some() {
            self.before = None;
        } else if back.is_some() {
            self.before = self.before.or(before);
        }
        forward.or(back).or(later)
    }

    fn keep(&mut self, hour: u64, shown: Zero) {
        match self.spans.back_mut() {
            Some((last, zero)) if *last == hour => *zero = zero.and(shown),
            _ => self.spans.push_back((hour, shown)),
        }
        if self.spans.len() > SPANS {
            self.spans.pop_front();
        }
    }

    /// The earliest that it can be at this time of the boot-time clock. Before the ledger was heard nothing is over.
    pub fn earliest_ms(&self, tick: Duration) -> i64 {
        self.believed.map_or(i64::MIN, |zero| zero.earliest + rounded_down(tick))
    }

    /// What time it is for dating: what nobody loses anything by. A clock that was put back for a moment, and shows again what it
    /// showed before, is right: what is dated by the earliest would look old for a day, and brokers delete what is old.
    pub fn likely_ms(&self, tick: Duration) -> i64 {
        let agree = |one: &Zero, other: Zero| one.until(other).is_none() && other.until(*one).is_none();
        let again = self.last.and_then(|last| self.before.filter(|before| agree(before, last)));
        again.or(self.believed).map_or(i64::MIN, |zero| zero.earliest + rounded_down(tick))
    }

    /// Whether the ledger was heard at all.
    pub fn is_known(&self) -> bool {
        self.believed.is_some()
    }
}

impl Zero {
    /// What two readings have in common; where that is nothing, the earlier one.
    fn and(self, other: Self) -> Self {
        if self.earliest > other.latest {
            other
        } else if other.earliest > self.latest {
            self
        } else {
            Self { earliest: self.earliest.max(other.earliest), latest: self.latest.min(other.latest) }
        }
    }

    /// By how much the other one is later, at least, if that is notable.
    fn until(self, other: Self) -> Option<Duration> {
        let later_ms = other.earliest.saturating_sub(self.latest);
        (later_ms >= NOTABLE_MS).then(|| Duration::from_millis(later_ms.unsigned_abs()))
    }
}

fn rounded_down(tick: Duration) -> i64 {
    i64::try_from(tick.as_millis()).unwrap_or(i64::MAX)
}

fn rounded_up(tick: Duration) -> i64 {
    i64::try_from(tick.as_micros().div_ceil(1_000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
