//! `dlq discard` and `dlq restore`: dead letters set aside, and taken back.
//!
//! Each page is one write, and a signal ends the command between two of them. However it ends, the last line tells what was done.

use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use serde_json::json;

use super::Desk;
use super::pages::Pages;
use super::selection::Selection;
use super::shown::{event_id, origin, origin_json};
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::signals::Signals;
use crate::cli::system;
use crate::cli::text::{counted, escaped};
use crate::domain::EventKey;
use crate::ledger::{Act, DeadLetter, DeadLetterFilter, LedgerError, LetterState, Reopening};

/// Changed in one write.
const BATCH: usize = 200;
/// A signal waits so long for the write that is under way, so that it is counted: one takes milliseconds.
const LAST_WRITE: Duration = Duration::from_secs(3);

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
    let mut signals = Signals::listen()?;
    let ready = async {
        let desk = desk.await?;
        let (filter, count) = selected(args, kind, &desk).await?;
        Ok::<_, Failure>((desk, filter, count))
    };
    let mut tally = Tally::default();
    let (desk, filter, count) = tokio::select! {
        biased;
        _ = signals.next() => return tally.tell(kind, Exit::Interrupted, shell),
        ready = ready => ready?,
    };
    if count > 0 && !shell.confirm(&format!("{} {}?", kind.verb, counted(count, "dead letter", "dead letters")))? {
        return Ok(Exit::Interrupted);
    }
    let act = Act { actor: args.by.clone().unwrap_or_else(system::actor), why: args.why.clone() };
    let (pages, work) = (Pages::of(&desk, filter, args.limit, BATCH), Work { kind, act, desk: &desk, shell });
    match work.through(pages, &mut signals, &mut tally).await {
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
    async fn through(&self, mut pages: Pages<'_>, signals: &mut Signals, tally: &mut Tally) -> anyhow::Result<Exit> {
        loop {
            let page = tokio::select! {
                biased;
                _ = signals.next() => return Ok(Exit::Interrupted),
                page = pages.next() => page?,
            };
            if page.is_empty() {
                return Ok(Exit::Done);
            }
            let (changed, exit) = self.write(&page, signals).await?;
            if let Some(changed) = changed {
                page.iter().try_for_each(|letter| self.tell(letter, changed.contains(&letter.key), tally))?;
            }
            if exit == Exit::Interrupted {
                return Ok(exit);
            }
        }
    }

    /// Which of a page were changed; `None`: a signal, or two, did not wait for the answer.
    async fn write(
        &self,
        page: &[DeadLetter],
        signals: &mut Signals,
    ) -> Result<(Option<Vec<EventKey>>, Exit), Failure> {
        let seen: Vec<Reopening> = page.iter().map(DeadLetter::as_seen).collect();
        let failed = |error: LedgerError| {
            let fix = "when the ledger is back, start the same command again: it goes on where it ended";
            self.desk.failed(&error).fix(fix)
        };
        let mut written = std::pin::pin!(self.apply(&seen));
        tokio::select! {
            biased;
            changed = &mut written => return Ok((Some(changed.map_err(failed)?), Exit::Done)),
            _ = signals.next() => {}
        }
        tokio::select! {
            biased;
            changed = &mut written => return Ok((Some(changed.map_err(failed)?), Exit::Interrupted)),
            _ = signals.next() => {}
            () = tokio::time::sleep(LAST_WRITE) => {}
        }
        self.shell.warn(&format!("not counted are {} more: the ledger has not answered yet", page.len()));
        Ok((None, Exit::Interrupted))
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
