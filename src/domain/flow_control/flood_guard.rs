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
    fn it_says_which_limit_was_reached() {
        let mut guard = FloodGuard::new(RULES);
        let run: Vec<_> = (0..4).filter_map(|second| guard.count(true, Duration::from_secs(second))).collect();
        assert_eq!(run, ["4 dead letters in a row"]);
    }
}
