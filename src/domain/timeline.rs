//! The timeline of an event: one line a call or step, compact enough to travel in the writes that are made anyway.
//!
//! `ms since 1970 SP step SP outcome SP status or - SP duration in ms LF`. Steps and outcomes are words of ours without
//! spaces; nothing of an answer's text goes in, so no secret can.

use serde::Serialize;

/// One call or step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When it ended, milliseconds since 1970 by the worker's clock.
    #[serde(skip)]
    pub at: i64,
    /// `payiq.convert`, `loanpro.link`, `end`, ...
    pub step: String,
    /// `done`, `unknown`, `refused:user_locked`, ...
    pub outcome: String,
    /// HTTP status of a call that was answered.
    pub status: Option<u16>,
    /// How long it took, milliseconds.
    pub duration_ms: u64,
}

impl Entry {
    /// The line, its end included.
    #[must_use]
    pub fn line(&self) -> String {
        let status = self.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        format!("{} {} {} {status} {}\n", self.at, self.step, self.outcome, self.duration_ms)
    }
}

/// Reads lines; one that is not whole (the timeline is cut at its limit) is left out.
#[must_use]
pub fn read(lines: &str) -> Vec<Entry> {
    lines.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry> {
    let mut words = line.split(' ');
    let at = words.next()?.parse().ok()?;
    let (step, outcome) = (words.next()?.to_owned(), words.next()?.to_owned());
    let status = words.next()?.parse().ok();
    let duration_ms = words.next()?.parse().ok()?;
    words.next().is_none().then_some(Entry { at, step, outcome, status, duration_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeline_survives_the_round_trip_and_a_cut() {
        let call = Entry {
            at: 1_763_719_000_123,
            step: "loanpro.link".to_owned(),
            outcome: "unknown".to_owned(),
            status: Some(504),
            duration_ms: 10_001,
        };
        let step = Entry { status: None, step: "end".to_owned(), outcome: "linked".to_owned(), ..call.clone() };
        let lines = call.line() + &step.line();
        assert_eq!(read(&lines), [call.clone(), step]);
        assert_eq!(read(&lines[..lines.len() - 12]), [call]);
    }
}
