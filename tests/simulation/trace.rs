//! What happened: a hash of it always, the lines themselves where somebody wants to read them.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The events of a history in order.
pub struct Trace {
    hash: u64,
    count: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    pub fn new(record: bool) -> Self {
        Self { hash: 0, count: 0, lines: record.then(Vec::new) }
    }

    pub fn say(&mut self, now: Duration, line: impl FnOnce() -> String) {
        let line = format!("{:>9.3} {}", now.as_secs_f64(), line());
        let mut hasher = DefaultHasher::new();
        (self.hash, &line).hash(&mut hasher);
        self.hash = hasher.finish();
        self.count += 1;
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    pub fn is_recorded(&self) -> bool {
        self.lines.is_some()
    }

    /// For readers only.
    pub fn remark(&mut self, now: Duration, text: &str) {
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{:>9.3}     {text}", now.as_secs_f64()));
        }
    }

    /// Two histories with the same fingerprint went the same way.
    pub fn fingerprint(&self) -> (u64, u64) {
        (self.count, self.hash)
    }

    pub fn take_lines(&mut self) -> Vec<String> {
        self.lines.take().unwrap_or_default()
    }
}
