//! How far a replay is: a bar with an estimate on a terminal, a line now and then where it is piped, nothing beside JSON.

use std::cell::Cell;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::Instant;

use crate::cli::shell::Shell;
use crate::cli::text::counted;

/// Between two lines.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where it is told.
pub struct Progress {
    shell: Shell,
    bar: Option<ProgressBar>,
    total: u64,
    told: Cell<Instant>,
}

impl Progress {
    /// Of so many.
    pub fn new(total: u64, shell: &Shell) -> Self {
        let bar = (shell.shows_progress() && !shell.is_json()).then(|| bar(total));
        Self { shell: shell.clone(), bar, total, told: Cell::new(Instant::now()) }
    }

    /// So many are done.
    pub fn at(&self, done: u64) {
        match &self.bar {
            Some(bar) => bar.set_position(done),
            None => self.now_and_then(|| format!("{done} of {} replayed", self.total)),
        }
    }

    /// Results are missing.
    pub fn waits_for(&self, missing: usize) {
        let told = || {
            let results = counted(missing, "result", "results");
            format!("waiting for {results}; `profile-linker status` tells what holds a worker up")
        };
        match &self.bar {
            Some(bar) => bar.set_message(counted(missing, "result", "results") + " missing"),
            None => self.now_and_then(told),
        }
    }

    /// Something worth a line of its own.
    pub fn say(&self, text: &str) {
        self.print(text, Shell::note);
    }

    /// The same of what scripts have to know, too.
    pub fn warn(&self, text: &str) {
        self.print(text, Shell::warn);
    }

    fn print(&self, text: &str, without_bar: fn(&Shell, &str)) {
        match &self.bar {
            Some(bar) => {
                bar.set_message(String::new());
                bar.println(text);
            }
            None => without_bar(&self.shell, text),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn now_and_then(&self, text: impl FnOnce() -> String) {
        if self.told.get().elapsed() >= LINE_EVERY {
            self.told.set(Instant::now());
            self.shell.note(&text());
        }
    }
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    // A template that is wrong leaves the bar as it is by default.
    if let Ok(style) = ProgressStyle::with_template("replaying {bar:40} {pos}/{len} {per_sec} {eta} {msg}") {
        bar.set_style(style);
    }
    bar
}
