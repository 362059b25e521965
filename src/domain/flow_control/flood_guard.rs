//! The flood guard: too many dead letters mean that something is broken (a producer's deployment, a vendor), and emptying
//! the topic into the dead-letter queue would only move the heap.

use std::time::Duration;

use super::window::Window;

/// `[dead_letters] pause_*` of the configuration.
#[derive(Debug, Clone, Copy)]
pub struct FloodRules {
    /// So many in a row.
    pub run: u32,
    /// Such a share over the window.
    pub share: f64,
    /// The window.
    pub window: Duration,
    /// The share counts from so many ended events on.
    pub least: u32,
}

/// Limits that an operator named when the worker was resumed, each in the place of the configured one.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct FloodLimits {
    /// So many in a row.
    pub run: Option<u32>,
    /// Such a share over the window.
    pub share: Option<f64>,
}

impl FloodLimits {
    /// Which were named, in words.
    #[must_use]
    pub fn named(self) -> Vec<String> {
        let run = self.run.map(|run| format!("limit {run}"));
        let share = self.share.map(|share| format!("share {share}"));
        [run, share].into_iter().flatten().collect()
    }
}

impl FloodRules {
    /// These rules but for what was named. Whoever names a run wants that many dead letters to go by: the share counts from so
    /// many ended events on, too, since of a flood it would else stop the first few.
    #[must_use]
    pub fn with(self, named: FloodLimits) -> Self {
        Self {
            run: named.run.unwrap_or(self.run),
            share: named.share.unwrap_or(self.share),
            least: self.least.max(named.run.unwrap_or(0)),
            window: self.window,
        }
    }
}

/// Counts how events end.
#[derive(Debug, Clone)]
pub struct FloodGuard {
    rules: FloodRules,
    run: u32,
    window: Window,
}

impl FloodGuard {
    /// One that has seen nothing.
    #[must_use]
    pub fn new(rules: FloodRules) -> Self {
        Self { rules, run: 0, window: Window::new(rules.window) }
    }

    /// Counts anew, by these rules.
    pub fn follow(&mut self, rules: FloodRules) {
        self.rules = rules;
        self.reset();
    }

    /// An event ended. Answers why no more may be started, once a limit is reached.
    pub fn count(&mut self, dead_letter: bool, now: Duration) -> Option<String> {
        self.run = if dead_letter { self.run.saturating_add(1) } else { 0 };
        self.window.count(dead_letter, now);
        if !dead_letter {
            return None;
        }
        if self.run >= self.rules.run {
            return Some(format!("{} dead letters in a row", self.run));
        }
        let (all, dead) = self.window.counts();
        let within = self.rules.window.as_secs();
        self.window
            .reaches(self.rules.share, self.rules.least)
            .then(|| format!("{dead} of the last {all} events within {within} s are dead letters"))
    }

    /// Forgets everything: an operator has looked.
    pub fn reset(&mut self) {
        self.run = 0;
        self.window.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: FloodRules = FloodRules { run: 4, share: 0.5, window: Duration::from_secs(60), least: 6 };

    /// Ends, a second apart: `d` a dead letter, `.` not; answers after how many of them it said stop.
    fn stops_after(guard: &mut FloodGuard, ends: &str, from_second: u64) -> Option<usize> {
        let ends = ends.bytes().zip(from_second..);
        let mut said = ends.map(|(end, second)| guard.count(end == b'd', Duration::from_secs(second)));
        said.position(|why| why.is_some()).map(|index| index + 1)
    }

    #[test]
    fn it_stops_by_the_table() {
        let cases = [
            ("dddd", Some(4)),
            ("ddd.ddd", Some(6)),
            ("d.d.d", None),
            ("..d.d.dd", Some(8)),
            (".....d..d..d..d", None),
            ("................", None),
        ];
        for (ends, expected) in cases {
            assert_eq!(stops_after(&mut FloodGuard::new(RULES), ends, 0), expected, "{ends}");
        }
    }

    #[test]
    fn dead_letters_that_are_older_than_the_window_are_not_in_the_share() {
        let mut guard = FloodGuard::new(RULES);
        assert_eq!(stops_after(&mut guard, "ddd..", 0), None);
        assert_eq!(stops_after(&mut guard, "...ddd", 100), Some(6));
        guard.reset();
        assert_eq!(stops_after(&mut guard, "d.", 200), None);
    }

    #[test]
    fn after_a_reset_it_counts_anew() {
        let mut guard = FloodGuard::new(RULES);
        assert_eq!(stops_after(&mut guard, "dddd", 0), Some(4));
        guard.reset();
        assert_eq!(stops_after(&mut guard, "ddd", 5), None);
        assert_eq!(stops_after(&mut guard, "d", 9), Some(1));
    }

    #[test]
    fn limits_that_were_named_count_until_they_are_taken_back() {
        let mut guard = FloodGuard::new(RULES);
        guard.follow(RULES.with(FloodLimits { run: Some(9), share: None }));
        assert_eq!(stops_after(&mut guard, "dddddddd", 0), None, "neither the run nor the share");
        assert_eq!(stops_after(&mut guard, "d", 8), Some(1));
        guard.follow(RULES.with(FloodLimits { run: None, share: Some(1.0) }));
        assert_eq!(stops_after(&mut guard, ".ddd.ddd", 10), None, "it counts anew");
        guard.follow(RULES.with(FloodLimits::default()));
        assert_eq!(stops_after(&mut guard, "dddd", 20), Some(4));
        let lower = RULES.with(FloodLimits { run: Some(2), share: None });
        assert_eq!((lower.run, lower.least), (2, RULES.least), "a lower run makes the share no touchier");
    }

    #[test]
    fn it_says_which_limit_was_reached() {
        let mut guard = FloodGuard::new(RULES);
        let run: Vec<_> = (0..4).filter_map(|second| guard.count(true, Duration::from_secs(second))).collect();
        assert_eq!(run, ["4 dead letters in a row"]);
    }
}
