//! `dlq replay`: one, a selection or all; in steps, at a rate, or at once.
//!
//! Each batch is one write of the ledger, and the command is asked to end between two of them: what it told of is done, and the
//! same command goes on where it ended, since what is replayed is no dead letter any more.

pub(super) mod dry;
pub(super) mod progress;

use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::rate::{Pace, Rate};
use super::selection::Selection;
use super::shown::{event_id, origin, origin_json};
use super::{Desk, edit};
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::signals::Signals;
use crate::cli::system;
use crate::cli::text::{counted, escaped};
use crate::config::Config;
use crate::dead_letters::{Opener, Order, Ramp, Replay, Replayed, Results, Taken};
use crate::ledger::{Act, LetterState};
use progress::Progress;

/// Between two looks at the results of a step.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Replay dead letters: the first accepted first, each as the next generation of its event
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: what would be replayed, then a careful replay, then the rest at a rate:\n  profile-linker dlq replay --reason retries_exhausted --dry-run --config worker.toml\n  profile-linker dlq replay --reason retries_exhausted --ramp --why outage --config worker.toml\n  profile-linker dlq replay --all --rate 50/s --yes --config worker.toml\n\nStarted again it goes on: what is replayed is no dead letter any more. A dead letter that failed again is one again."
)]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// All of them; the same as no selection
    #[arg(long)]
    pub(super) all: bool,
    /// Only tell what would be replayed; change nothing
    #[arg(long)]
    pub(super) dry_run: bool,
    /// So many at most
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<u64>,
    /// So many a second (or minute, or hour)
    #[arg(long, value_name = "N/s")]
    pub(super) rate: Option<Rate>,
    /// 1, 2, 5, 10, ... at a time, each step after the results of the one before; stops if half of a step fails again (exit 1)
    #[arg(long)]
    pub(super) ramp: bool,
    /// Put an edited event in the place of the one dead letter selected: FILE holds it, in structured mode without `token.value`,
    /// which is kept; without FILE it is opened in `$EDITOR`. Needs `[dead_letters] allow_edit` and a reason
    #[arg(long, value_name = "FILE", num_args = 0..=1, requires = "why", conflicts_with_all = ["all", "dry_run", "limit", "rate", "ramp", "from_topic"])]
    edit: Option<Option<PathBuf>>,
    /// Why; kept in the ledger's audit table
    #[arg(long, value_name = "TEXT")]
    pub(super) why: Option<String>,
    /// Who does it, for the audit table; the user, if not said
    #[arg(long, value_name = "NAME")]
    pub(super) by: Option<String>,
    /// Read the dead-letter topic, not the ledger, and publish the originals to the input topic once more: for a ledger that is
    /// lost
    #[arg(long)]
    pub(super) from_topic: bool,
}

/// Replays.
///
/// # Errors
/// The replayed ones fail again (1), the ledger is unreachable (69), a key file cannot be used (78); a signal ends it with 130.
pub async fn execute(args: Args, desk: &Desk, config: &Config, shell: &Shell) -> anyhow::Result<Exit> {
    let act = Act { actor: args.by.clone().unwrap_or_else(system::actor), why: args.why.clone() };
    if let Some(file) = &args.edit {
        let asked = edit::Asked { selection: &args.selection, file: file.as_deref(), act };
        return edit::execute(asked, desk, config, shell).await;
    }
    let filter = args.selection.filter(desk, &[LetterState::DeadLettered]).await?;
    let order = Order { filter, limit: args.limit, act };
    let opener = Opener { topic: desk.topic.clone(), vault: system::vault(config)? };
    let begun = Replay::begin(desk.ledger.clone(), desk.letters.clone(), opener, order).await;
    let mut replay = begun.map_err(|error| desk.failed(&error))?;
    if args.dry_run {
        return dry::tell(&mut replay, desk, shell).await;
    }
    let count = replay.count().await.map_err(|error| desk.failed(&error))?;
    if args.ramp && count > 0 && !desk.is_shared {
        return Err(Failure::new(
            Exit::Usage,
            "a ramp waits for results, and no worker can have this ledger meanwhile",
        )
        .at(&desk.place)
        .fix("replay without --ramp, then start the worker; or use PostgreSQL, which serves many processes")
        .into());
    }
    let told = counted(usize::try_from(count).unwrap_or(usize::MAX), "dead letter", "dead letters");
    if count > 0 && !shell.confirm(&format!("replay {told}?"))? {
        return Ok(Exit::Interrupted);
    }
    // From here on a signal ends it between two writes; before, at once.
    let mut signals = Signals::listen()?;
    let progress = Progress::new(count, shell);
    let mut run = Run { desk, shell, replay, pace: Pace::new(args.rate), progress, done: 0, skipped: 0, unreadable: 0 };
    let end = if args.ramp { run.climb(&mut signals).await } else { run.straight(&mut signals).await }?;
    run.finish(end)
}

/// How a replay came to its end.
enum End {
    /// There are no more.
    Through,
    /// A signal.
    Interrupted,
    /// A step of a ramp went wrong: so many of so many.
    FailedAgain { failed: usize, of: usize, example: Option<String> },
}

struct Run<'a> {
    desk: &'a Desk,
    shell: &'a Shell,
    replay: Replay,
    pace: Pace,
    progress: Progress,
    done: u64,
    skipped: u64,
    unreadable: u64,
}

impl Run<'_> {
    async fn straight(&mut self, signals: &mut Signals) -> anyhow::Result<End> {
        loop {
            match self.batch(usize::MAX, signals).await? {
                Batch::Interrupted => return Ok(End::Interrupted),
                Batch::Done(batch) if batch.is_empty() => return Ok(End::Through),
                Batch::Done(_) => {}
            }
        }
    }

    async fn climb(&mut self, signals: &mut Signals) -> anyhow::Result<End> {
        let mut ramp = Ramp::default();
        loop {
            let (mut left, mut step) = (ramp.size(), Vec::new());
            while left > 0 {
                match self.batch(left, signals).await? {
                    Batch::Interrupted => return Ok(End::Interrupted),
                    Batch::Done(batch) if batch.is_empty() => break,
                    Batch::Done(batch) => {
                        left -= batch.len().min(left);
                        step.extend(batch.into_iter().filter(|one| one.taken == Taken::Reopened));
                    }
                }
            }
            let at_end = left > 0;
            let Some(results) = self.results(&step, signals).await? else { return Ok(End::Interrupted) };
            if !results.go_well() {
                let example = step.iter().find(|one| results.failed.contains(&one.letter.key));
                let example = example.and_then(|one| event_id(&one.letter)).map(str::to_owned);
                return Ok(End::FailedAgain { failed: results.failed.len(), of: step.len(), example });
            }
            if !step.is_empty() {
                self.progress.say(&format!("{} linked, {} failed again", results.linked, results.failed.len()));
            }
            ramp.heard(&results);
            if at_end {
                return Ok(End::Through);
            }
        }
    }

    /// Reopens the next ones when their time has come, `most` at most; a signal comes between two writes only.
    async fn batch(&mut self, most: usize, signals: &mut Signals) -> anyhow::Result<Batch> {
        tokio::select! {
            biased;
            _ = signals.next() => return Ok(Batch::Interrupted),
            () = self.pace.wait() => {}
        }
        let size = self.pace.batch().min(most);
        let batch = self.replay.step(size).await.map_err(|error| {
            self.desk
                .failed(&error)
                .fix("when the ledger is back, start the same command again: it goes on where it ended")
        })?;
        self.pace.went(batch.len());
        for one in &batch {
            *match one.taken {
                Taken::Reopened => &mut self.done,
                Taken::PassedOver => &mut self.skipped,
                Taken::Unreadable => &mut self.unreadable,
            } += 1;
            self.tell(one)?;
        }
        self.progress.at(self.done + self.skipped + self.unreadable);
        Ok(Batch::Done(batch))
    }

    /// Waits for the results of a step, however long they take; `None`: a signal came first.
    async fn results(&mut self, step: &[Replayed], signals: &mut Signals) -> anyhow::Result<Option<Results>> {
        let mut results = Results::of(step.iter().map(|one| (one.letter.key, one.letter.generation + 1)));
        loop {
            results.look(&*self.desk.letters).await.map_err(|error| self.desk.failed(&error))?;
            if results.missing() == 0 {
                return Ok(Some(results));
            }
            self.progress.waits_for(results.missing());
            tokio::select! {
                biased;
                _ = signals.next() => return Ok(None),
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// For scripts a line each; people are told how many, and by name what was passed over.
    fn tell(&self, one: &Replayed) -> anyhow::Result<()> {
        let letter = &one.letter;
        let (action, generation) = match one.taken {
            Taken::Reopened => ("replayed", letter.generation + 1),
            Taken::PassedOver => ("skipped", letter.generation),
            Taken::Unreadable => ("unreadable", letter.generation),
        };
        if !self.shell.is_json() {
            let name = event_id(letter).map_or_else(|| origin(letter, &self.desk.topic), str::to_owned);
            let name = escaped(&name);
            match one.taken {
                Taken::Reopened => {}
                Taken::PassedOver => {
                    self.progress.say(&format!("skipped {name}: somebody else replayed or discarded it"));
                }
                Taken::Unreadable => self.progress.say(&format!(
                    "unreadable {name}: it does not open under the keys of [keys], or is damaged; it stays as it is"
                )),
            }
            return Ok(());
        }
        let place = origin_json(letter, &self.desk.topic);
        let json = json!({"eventId": event_id(letter), "origin": place, "generation": generation, "action": action});
        self.shell.line(&json, String::new)
    }

    fn finish(self, end: End) -> anyhow::Result<Exit> {
        let Self { shell, progress, done, skipped, unreadable, .. } = self;
        progress.finish();
        let (mut json, mut text) =
            (json!({"replayed": done, "skipped": skipped}), format!("replayed {done}, skipped {skipped}"));
        if unreadable > 0 {
            json["unreadable"] = json!(unreadable);
            text.push_str(&format!(", unreadable {unreadable}"));
        }
        shell.line(&json, || text)?;
        match end {
            End::Through => Ok(Exit::Done),
            End::Interrupted => {
                shell.note(
                    "interrupted: what was replayed goes on by itself; start the same command again for the rest",
                );
                Ok(Exit::Interrupted)
            }
            End::FailedAgain { failed, of, example } => {
                let look = example.map_or_else(|| "dlq list".to_owned(), |id| format!("dlq show {}", escaped(&id)));
                Err(Failure::new(Exit::Failed, format!("stopped: {failed} of the last {of} failed again"))
                    .fix(format!(
                        "`profile-linker {look}` tells why; mend it, then start the same command again, or without --ramp for all"
                    ))
                    .into())
            }
        }
    }
}

enum Batch {
    Done(Vec<Replayed>),
    Interrupted,
}
