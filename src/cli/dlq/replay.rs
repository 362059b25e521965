//! `dlq replay`: one, a selection or all; in steps, at a rate, or at once.
//!
//! Each batch is one write of the ledger, and the command ends between two of them where it is asked to: what it told of is done,
//! and the same command goes on where it ended, since what is replayed is no dead letter any more. Where the ledger does not
//! answer it ends all the same; whether the last batch was replayed the next start tells.

pub(super) mod advice;
pub(super) mod dry;
pub(super) mod progress;
pub(super) mod steps;

use std::path::PathBuf;
use std::time::Duration;

use super::rate::{Pace, Rate};
use super::selection::Selection;
use super::shown::{event_id, origin};
use super::stop::Stop;
use super::{Desk, edit};
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::system;
use crate::cli::text::{counted, escaped};
use crate::config::Config;
use crate::dead_letters::{Opener, Order, Replay, Replayed, Results, Taken};
use crate::ledger::{Act, DeadLetter, LetterState};
use advice::Source;
use progress::Progress;
use steps::{Batch, Steps, Tally, act_as_json, climb, straight};

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
    /// So many at most; what is skipped is not counted
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
    let mut stop = Stop::listen()?;
    let progress = Progress::new(count, shell);
    let mut run = Run { desk, shell, replay, pace: Pace::new(args.rate), progress, tally: Tally::default() };
    let end = if args.ramp { climb(&mut run, &mut stop).await } else { straight(&mut run, &mut stop).await };
    run.progress.finish();
    run.tally.finish(end, Source::Ledger, &desk.topic, shell)
}

struct Run<'a> {
    desk: &'a Desk,
    shell: &'a Shell,
    replay: Replay,
    pace: Pace,
    progress: Progress,
    tally: Tally,
}

impl Steps for Run<'_> {
    async fn batch(&mut self, most: usize, stop: &mut Stop) -> anyhow::Result<Option<Batch>> {
        if stop.or(self.pace.wait()).await.is_none() {
            return Ok(None);
        }
        let size = self.pace.batch().min(most);
        let Some(batch) = stop.after(self.replay.step(size)).await else {
            self.progress.warn("the ledger did not answer the last write: whether it was done the next start tells");
            return Ok(None);
        };
        let batch = batch.map_err(|error| self.desk.write_failed(&error))?;
        self.pace.went(batch.len());
        for one in &batch {
            *match one.taken {
                Taken::Reopened => &mut self.tally.done,
                Taken::PassedOver => &mut self.tally.skipped,
                Taken::Unreadable => &mut self.tally.unreadable,
            } += 1;
            self.tell(one)?;
        }
        self.progress.at(self.tally.all());
        let tried = batch.len();
        let replayed = batch.into_iter().filter(|one| one.taken == Taken::Reopened).map(|one| one.letter).collect();
        Ok(Some(Batch { tried, replayed }))
    }

    async fn results(&mut self, step: &[DeadLetter], stop: &mut Stop) -> anyhow::Result<Option<Results>> {
        let mut results = Results::of(step.iter().map(|letter| (letter.key, letter.generation + 1)));
        loop {
            let Some(looked) = stop.or(results.look(&*self.desk.letters)).await else { return Ok(None) };
            looked.map_err(|error| self.desk.failed(&error))?;
            if results.missing() == 0 {
                return Ok(Some(results));
            }
            self.progress.waits_for(results.missing());
            if stop.or(tokio::time::sleep(LOOK_EVERY)).await.is_none() {
                return Ok(None);
            }
        }
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }
}

impl Run<'_> {
    /// For scripts a line each; people are told how many, and by name what was passed over.
    fn tell(&self, one: &Replayed) -> anyhow::Result<()> {
        let letter = &one.letter;
        let (action, generation) = match one.taken {
            Taken::Reopened => ("replayed", letter.generation + 1),
            Taken::PassedOver => ("skipped", letter.generation),
            Taken::Unreadable => ("skipped", letter.generation),
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
        self.shell.line(&act_as_json(letter, &self.desk.topic, action, generation), String::new)
    }
}
