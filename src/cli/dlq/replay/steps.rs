//! A replay at once or in the steps of a ramp, and how it comes to its end: the same for both of its sources.

use serde_json::{Value, json};

use super::advice::{Source, advice};
use super::progress::Progress;
use crate::cli::dlq::shown::{event_id, origin_json};
use crate::cli::dlq::stop::Stop;
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::dead_letters::{Ramp, Results};
use crate::ledger::DeadLetter;

/// Dead letters that are replayed a batch at a time.
pub trait Steps {
    /// Replays the next ones when their time has come, `most` at most; `None`: a stop was asked for.
    async fn batch(&mut self, most: usize, stop: &mut Stop) -> anyhow::Result<Option<Batch>>;

    /// Waits for the results of a step, however long they take; `None`: a stop was asked for.
    async fn results(&mut self, step: &[DeadLetter], stop: &mut Stop) -> anyhow::Result<Option<Results>>;

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
    /// A step of a ramp went wrong.
    FailedAgain(Box<Wrong>),
}

/// A step of a ramp that went wrong.
pub struct Wrong {
    /// So many were not linked.
    failed: usize,
    /// Of so many.
    of: usize,
    /// So many of the failed have their end: they were finally rejected.
    rejected: usize,
    /// One of the failed: one that is a dead letter again, if there is one.
    example: Option<DeadLetter>,
}

/// One batch after the other.
///
/// # Errors
/// Those of a batch.
pub async fn straight(replay: &mut impl Steps, stop: &mut Stop) -> anyhow::Result<End> {
    loop {
        match replay.batch(usize::MAX, stop).await? {
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
pub async fn climb(replay: &mut impl Steps, stop: &mut Stop) -> anyhow::Result<End> {
    let mut ramp = Ramp::default();
    loop {
        let (mut left, mut step) = (ramp.size(), Vec::new());
        while left > 0 {
            match replay.batch(left, stop).await? {
                None => return Ok(End::Interrupted),
                Some(batch) if batch.tried == 0 => break,
                Some(batch) => {
                    left -= batch.tried.min(left);
                    step.extend(batch.replayed);
                }
            }
        }
        let at_end = left > 0;
        let Some(results) = replay.results(&step, stop).await? else { return Ok(End::Interrupted) };
        if !results.go_well() {
            return Ok(End::FailedAgain(Box::new(Wrong::of(&step, &results))));
        }
        if !step.is_empty() {
            replay.progress().say(&went(&results));
        }
        ramp.heard(&results);
        if at_end {
            return Ok(End::Through);
        }
    }
}

fn went(results: &Results) -> String {
    let Results { linked, failed, rejected, .. } = results;
    let told = format!("{linked} linked, {} failed again", failed.len() - rejected.len());
    if rejected.is_empty() { told } else { format!("{told}, {} finally rejected", rejected.len()) }
}

impl Wrong {
    fn of(step: &[DeadLetter], results: &Results) -> Self {
        let is_over = |letter: &DeadLetter| results.rejected.contains(&letter.key);
        let failed = || step.iter().filter(|letter| results.failed.contains(&letter.key));
        let example = failed().find(|letter| !is_over(letter)).or_else(|| failed().next()).cloned();
        let rejected = results.rejected.len();
        Self { failed: results.failed.len(), of: step.len(), rejected, example }
    }

    fn failure(&self, source: Source, served: &str) -> Failure {
        let Self { failed, of, rejected, example } = self;
        let again = failed - rejected;
        let what = match (again, rejected) {
            (_, 0) => format!("stopped: {failed} of the last {of} failed again"),
            (0, _) => format!("stopped: {failed} of the last {of} not linked: finally rejected"),
            _ => format!(
                "stopped: {failed} of the last {of} not linked: {again} failed again, {rejected} finally rejected"
            ),
        };
        Failure::new(Exit::Failed, what).fix(advice(source, example.as_ref(), again == 0, served))
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

    /// Says what was done, last of all, and how the command ends, however it came to it. `served`: the input topic.
    ///
    /// # Errors
    /// That to which it came; the replayed ones failed again (1), or the output is closed.
    pub fn finish(self, end: anyhow::Result<End>, source: Source, served: &str, shell: &Shell) -> anyhow::Result<Exit> {
        let told = self.tell(shell);
        // Where it failed, that is to be heard of, also if it was the output that failed.
        let end = end?;
        told?;
        match end {
            End::Through => Ok(Exit::Done),
            End::Interrupted => {
                let done = if source == Source::Ledger { "replayed" } else { "published" };
                shell.note(&format!(
                    "interrupted: what was {done} goes on by itself; start the same command again for the rest"
                ));
                Ok(Exit::Interrupted)
            }
            End::FailedAgain(wrong) => Err(wrong.failure(source, served).into()),
        }
    }

    fn tell(self, shell: &Shell) -> anyhow::Result<()> {
        let Self { done: replayed, skipped, unreadable } = self;
        let skipped = skipped + unreadable;
        let (mut json, mut text) =
            (json!({"replayed": replayed, "skipped": skipped}), format!("replayed {replayed}, skipped {skipped}"));
        if unreadable > 0 {
            json["unreadable"] = json!(unreadable);
            text.push_str(&format!(", of them {unreadable} unreadable"));
        }
        shell.line(&json, || text)
    }
}

/// What was done with one, for scripts; `generation`: that of the replay, or of the dead letter that stays.
pub fn act_as_json(letter: &DeadLetter, served: &str, action: &str, generation: i32) -> Value {
    let (id, origin) = (event_id(letter), origin_json(letter, served));
    json!({"eventId": id, "origin": origin, "generation": generation, "action": action})
}
