//! A replay at once or in the steps of a ramp, and how it comes to its end: the same for both of its sources.

use serde_json::{Value, json};

use super::progress::Progress;
use crate::cli::dlq::shown::{event_id, origin_json};
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::signals::Signals;
use crate::dead_letters::{Ramp, Results};
use crate::ledger::DeadLetter;

/// Dead letters that are replayed a batch at a time.
pub trait Steps {
    /// Replays the next ones when their time has come, `most` at most; `None`: a signal came first.
    async fn batch(&mut self, most: usize, signals: &mut Signals) -> anyhow::Result<Option<Batch>>;

    /// Waits for the results of a step, however long they take; `None`: a signal came first.
    async fn results(&mut self, step: &[DeadLetter], signals: &mut Signals) -> anyhow::Result<Option<Results>>;

    /// Where it is told how far it is.
    fn progress(&self) -> &Progress;
}

/// What a batch was.
pub struct Batch {
    /// So many were tried; none: there are no more.
    pub tried: usize,
    /// Those of them that are replayed now.
    pub replayed: Vec<DeadLetter>,
}

/// How a replay came to its end.
pub enum End {
    /// There are no more.
    Through,
    /// A signal.
    Interrupted,
    /// A step of a ramp went wrong: so many of so many; one of them, if it has an id.
    FailedAgain { failed: usize, of: usize, example: Option<String> },
}

/// One batch after the other.
///
/// # Errors
/// Those of a batch.
pub async fn straight(replay: &mut impl Steps, signals: &mut Signals) -> anyhow::Result<End> {
    loop {
        match replay.batch(usize::MAX, signals).await? {
            None => return Ok(End::Interrupted),
            Some(batch) if batch.tried == 0 => return Ok(End::Through),
            Some(_) => {}
        }
    }
}

/// Step by step, each after the results of the one before.
///
/// # Errors
/// Those of a batch, or of waiting for results.
pub async fn climb(replay: &mut impl Steps, signals: &mut Signals) -> anyhow::Result<End> {
    let mut ramp = Ramp::default();
    loop {
        let (mut left, mut step) = (ramp.size(), Vec::new());
        while left > 0 {
            match replay.batch(left, signals).await? {
                None => return Ok(End::Interrupted),
                Some(batch) if batch.tried == 0 => break,
                Some(batch) => {
                    left -= batch.tried.min(left);
                    step.extend(batch.replayed);
                }
            }
        }
        let at_end = left > 0;
        let Some(results) = replay.results(&step, signals).await? else { return Ok(End::Interrupted) };
        if !results.go_well() {
            let example = step.iter().find(|letter| results.failed.contains(&letter.key));
            let example = example.and_then(|letter| event_id(letter)).map(str::to_owned);
            return Ok(End::FailedAgain { failed: results.failed.len(), of: step.len(), example });
        }
        if !step.is_empty() {
            replay.progress().say(&format!("{} linked, {} failed again", results.linked, results.failed.len()));
        }
        ramp.heard(&results);
        if at_end {
            return Ok(End::Through);
        }
    }
}

/// What was done with how many.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    /// Replayed.
    pub done: u64,
    /// Somebody else was first, or there is no place for them.
    pub skipped: u64,
    /// They do not open, or are damaged.
    pub unreadable: u64,
}

impl Tally {
    /// Of how many it is known.
    #[must_use]
    pub fn all(self) -> u64 {
        self.done + self.skipped + self.unreadable
    }

    /// Says what was done, last of all, and how the command ends. `done`: what was done to them; `look`: the command that tells why
    /// some failed again.
    ///
    /// # Errors
    /// The replayed ones failed again (1), or the output is closed.
    pub fn finish(self, end: &End, done: &str, look: &str, shell: &Shell) -> anyhow::Result<Exit> {
        let Self { done: replayed, skipped, unreadable } = self;
        let skipped = skipped + unreadable;
        let (mut json, mut text) =
            (json!({"replayed": replayed, "skipped": skipped}), format!("replayed {replayed}, skipped {skipped}"));
        if unreadable > 0 {
            json["unreadable"] = json!(unreadable);
            text.push_str(&format!(", of them {unreadable} unreadable"));
        }
        shell.line(&json, || text)?;
        match end {
            End::Through => Ok(Exit::Done),
            End::Interrupted => {
                shell.note(&format!(
                    "interrupted: what was {done} goes on by itself; start the same command again for the rest"
                ));
                Ok(Exit::Interrupted)
            }
            End::FailedAgain { failed, of, .. } => {
                Err(Failure::new(Exit::Failed, format!("stopped: {failed} of the last {of} failed again"))
                    .fix(format!(
                        "`profile-linker {look}` tells why; mend it, then start the same command again, or without --ramp for all"
                    ))
                    .into())
            }
        }
    }
}

/// What was done with one, for scripts; `generation`: that of the replay, or of the dead letter that stays.
pub fn act_as_json(letter: &DeadLetter, served: &str, action: &str, generation: i32) -> Value {
    let (id, origin) = (event_id(letter), origin_json(letter, served));
    json!({"eventId": id, "origin": origin, "generation": generation, "action": action})
}
