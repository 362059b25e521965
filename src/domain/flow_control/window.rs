//! Counts of what went well and what did not, over the last while.

use std::collections::VecDeque;
use std::time::Duration;

/// A window is counted in so many parts: what leaves it leaves in steps of a tenth, and memory is bounded whatever happens.
const PARTS: u32 = 10;

#[derive(Debug, Clone, Copy)]
struct Part {
    since: Duration,
    good: u32,
    bad: u32,
}

/// The counts.
#[derive(Debug, Clone)]
pub(super) struct Window {
    length: Duration,
    parts: VecDeque<Part>,
}

impl Window {
    pub fn new(length: Duration) -> Self {
        Self { length, parts: VecDeque::new() }
    }

    /// Counts one more, and forgets what is older than the window.
    pub fn count(&mut self, is_bad: bool, now: Duration) {
        while self.parts.front().is_some_and(|part| part.since + self.length <= now) {
            self.parts.pop_front();
        }
        let current = self.parts.back().is_some_and(|part| now < part.since + self.length / PARTS);
        if !current {
            self.parts.push_back(Part { since: now, good: 0, bad: 0 });
        }
        if let Some(part) = self.parts.back_mut() {
            let counter = if is_bad { &mut part.bad } else { &mut part.good };
            *counter = counter.saturating_add(1);
        }
    }

    /// All, and the bad ones among them, as of the last count.
    pub fn counts(&self) -> (u32, u32) {
        let sum = |of: fn(&Part) -> u32| self.parts.iter().map(of).fold(0, u32::saturating_add);
        let bad = sum(|part| part.bad);
        (bad.saturating_add(sum(|part| part.good)), bad)
    }

    /// Whether at least `least` were counted, of which the bad ones are at least this share.
    pub fn reaches(&self, share: f64, least: u32) -> bool {
        let (all, bad) = self.counts();
        all >= least && f64::from(bad) >= share * f64::from(all)
    }

    pub fn clear(&mut self) {
        self.parts.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn what_is_older_than_the_window_does_not_count() {
        let mut window = Window::new(at(10));
        window.count(true, at(0));
        window.count(false, at(9));
        assert_eq!(window.counts(), (2, 1));
        window.count(false, at(10));
        assert_eq!(window.counts(), (2, 0));
    }

    #[test]
    fn however_much_is_counted_the_memory_is_bounded() {
        let mut window = Window::new(at(10));
        for millisecond in 0..60_000 {
            window.count(millisecond % 2 == 0, Duration::from_millis(millisecond));
        }
        assert!(window.parts.len() <= 11, "{}", window.parts.len());
    }

    #[test]
    fn a_share_counts_from_the_least_number_on() {
        let mut window = Window::new(at(10));
        window.count(true, at(0));
        assert!(!window.reaches(0.5, 2));
        window.count(false, at(0));
        assert!(window.reaches(0.5, 2));
        assert!(!window.reaches(0.51, 2));
    }
}
