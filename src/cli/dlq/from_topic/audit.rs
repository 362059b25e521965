//! The new ledger's audit of a replay out of the topic: a line before the first original is published, so that a replay that is
//! killed has one too, and a line with the count at its end, whatever end that is.

use std::cell::Cell;

use crate::cli::dlq::stop::Stop;
use crate::cli::shell::Shell;
use crate::cli::system;
use crate::cli::text::escaped;
use crate::config::Config;
use crate::ledger::Act;

/// Where the lines go, if there is a ledger that can be reached.
pub struct Book<'a> {
    config: &'a Config,
    shell: &'a Shell,
    act: Act,
    /// Whether people know that there is none.
    told: Cell<bool>,
}

impl<'a> Book<'a> {
    /// Of this act.
    pub fn of(act: Act, config: &'a Config, shell: &'a Shell) -> Self {
        Self { config, shell, act, told: Cell::new(false) }
    }

    /// Before the first of so many; whether it was written.
    pub async fn begun(&self, count: usize, stop: &mut Stop) -> bool {
        self.write(format!("begun, {count} at most of {}", self.config.kafka.topics.dead_letter), stop).await
    }

    /// After the last.
    pub async fn ended(&self, done: u64, stop: &mut Stop) {
        self.write(format!("{done} of {}", self.config.kafka.topics.dead_letter), stop).await;
    }

    /// The replay goes on without a line: the day on which it is needed may have no ledger yet. Its people are told.
    async fn write(&self, target: String, stop: &mut Stop) -> bool {
        let written = async {
            let (_, letters) =
                system::open_ledger_with_dead_letters(self.config).await.map_err(|failure| failure.in_one_line())?;
            letters.write_act("replay-from-topic", &target, &self.act).await.map_err(|error| error.to_string())
        };
        let written = stop.after(written).await.unwrap_or_else(|| Err("the ledger does not answer".to_owned()));
        let Err(why) = written else { return true };
        tracing::warn!(error = %why, "no audit line was written: no ledger could be reached");
        if !self.told.replace(true) {
            self.shell.note(&format!("no audit line was written: {}", escaped(&why)));
        }
        false
    }
}
