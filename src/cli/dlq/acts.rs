//! `dlq discard` and `dlq restore`: dead letters set aside, and taken back.
//!
//! Each page is one write, and a signal ends the command between two of them. However it ends, the last line tells what was done.

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::Desk;
use super::pages::Pages;
use super::selection::Selection;
use super::shown::{event_id, origin, origin_json};
use super::stop::Stop;
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::system;
use crate::cli::text::{counted, escaped};
use crate::domain::EventKey;
use crate::ledger::{Act, DeadLetter, DeadLetterFilter, LedgerError, LetterState, Reopening};

/// Changed in one write.
const BATCH: usize = 200;

/// What both take.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// All of them: needed where nothing else is said
    #[arg(long)]
    all: bool,
    /// So many at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Why; kept in the ledger's audit table
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// Who does it, for the audit table; the user, if not said
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    by: Option<String>,
}

/// What differs between the two.
struct Kind {
    from: LetterState,
    verb: &'static str,
    done: &'static str,
}

/// Sets aside; `desk` is opened by it.
///
/// # Errors
/// Nothing is selected (2), or the ledger is unreachable (69); a signal ends it with 130.
pub async fn discard(
    args: &Args,
    desk: impl Future<Output = Result<Desk, Failure>>,
    shell: &Shell,
) -> anyhow::Result<Exit> {
    let kind = Kind { from: LetterState::DeadLettered, verb: "discard", done: "discarded" };
    change(args, &kind, desk, shell).await
}

/// Takes back; `desk` is opened by it.
///
/// # Errors
/// Nothing is selected (2), or the ledger is unreachable (69); a signal ends it with 130.
pub async fn restore(
    args: &Args,
    desk: impl Future<Output = Result<Desk, Failure>>,
    shell: &Shell,
) -> anyhow::Result<Exit> {
    let kind = Kind { from: LetterState::Discarded, verb: "restore", done: "restored" };
    change(args, &kind, desk, shell).await
}

async fn change(
    args: &Args,
    kind: &Kind,
    desk: impl Future<Output = Result<Desk, Failure>>,
    shell: &Shell,
) -> anyhow::Result<Exit> {
    if args.selection.is_everything() && !args.all {
        return Err(Failure::new(Exit::Usage, format!("nothing says what to {}", kind.verb))
            .fix("name an event, a reason, a customer, a time or an origin; or --all")
            .into());
    }
    let mut stop = Stop::listen()?;
    let ready = async {
        let desk = desk.await?;
        let (filter, count) = selected(args, kind, &desk).await?;
        Ok::<_, Failure>((desk, filter, count))
    };
    let mut tally = Tally::default();
    let Some(ready) = stop.or(ready).await else { return tally.tell(kind, Exit::Interrupted, shell) };
    let (desk, filter, count) = ready?;
    if count > 0 && !shell.confirm(&format!("{} {}?", kind.verb, counted(count, "dead letter", "dead letters")))? {
        return Ok(Exit::Interrupted);
    }
    let act = Act { actor: args.by.clone().unwrap_or_else(system::actor), why: args.why.clone() };
    let (pages, work) = (Pages::of(&desk, filter, args.limit, BATCH), Work { kind, act, desk: &desk, shell });
    match work.through(pages, &mut stop, &mut tally).await {
        Ok(exit) => tally.tell(kind, exit, shell),
        Err(error) => {
            // What went wrong is told in any case.
            let _ = tally.tell(kind, Exit::Failed, shell);
            Err(error)
        }
    }
}

/// What is asked for, and how many that is.
async fn selected(args: &Args, kind: &Kind, desk: &Desk) -> Result<(DeadLetterFilter, usize), Failure> {
    let filter = args.selection.filter(desk, &[kind.from]).await?;
    let groups = desk.letters.stats(&filter).await.map_err(|error| desk.failed(&error))?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let count = usize::try_from(groups.iter().map(|group| group.count).sum::<u64>()).unwrap_or(limit).min(limit);
    Ok((filter, count))
}

/// What was done with how many.
#[derive(Default)]
struct Tally {
    done: usize,
    skipped: usize,
}

impl Tally {
    /// Says it, last of all, and how the command ends.
    fn tell(&self, kind: &Kind, exit: Exit, shell: &Shell) -> anyhow::Result<Exit> {
        let Self { done, skipped } = self;
        let json = json!({ kind.done: done, "skipped": skipped });
        shell.line(&json, || format!("{} {done}, skipped {skipped}", kind.done))?;
        if exit == Exit::Interrupted {
            shell.note("interrupted: start the same command again for the rest");
        }
        Ok(exit)
    }
}

struct Work<'a> {
    kind: &'a Kind,
    act: Act,
    desk: &'a Desk,
    shell: &'a Shell,
}

impl Work<'_> {
    /// A page after the other; the tally counts what was told of.
    async fn through(&self, mut pages: Pages<'_>, stop: &mut Stop, tally: &mut Tally) -> anyhow::Result<Exit> {
        loop {
            let Some(page) = stop.or(pages.next()).await else { return Ok(Exit::Interrupted) };
            let page = page?;
            if page.is_empty() {
                return Ok(Exit::Done);
            }
            let seen: Vec<Reopening> = page.iter().map(DeadLetter::as_seen).collect();
            let Some(changed) = stop.after(self.apply(&seen)).await else {
                self.shell.warn(&format!("not counted are {} more: the ledger has not answered yet", page.len()));
                return Ok(Exit::Interrupted);
            };
            let changed = changed.map_err(|error| self.desk.write_failed(&error))?;
            page.iter().try_for_each(|letter| self.tell(letter, changed.contains(&letter.key), tally))?;
        }
    }

    async fn apply(&self, seen: &[Reopening]) -> Result<Vec<EventKey>, LedgerError> {
        match self.kind.from {
            LetterState::Discarded => self.desk.letters.restore(seen, &self.act).await,
            _ => self.desk.letters.discard(seen, &self.act).await,
        }
    }

    fn tell(&self, letter: &DeadLetter, is_done: bool, tally: &mut Tally) -> anyhow::Result<()> {
        let (count, action) = if is_done { (&mut tally.done, self.kind.done) } else { (&mut tally.skipped, "skipped") };
        *count += 1;
        let topic = &self.desk.topic;
        let json = json!({"eventId": event_id(letter), "origin": origin_json(letter, topic), "action": action});
        let name = || event_id(letter).map_or_else(|| origin(letter, topic), str::to_owned);
        self.shell.line(&json, || format!("{action} {}", escaped(&name())))
    }
}
