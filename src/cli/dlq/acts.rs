//! `dlq discard` and `dlq restore`: dead letters set aside, and taken back.

use serde_json::json;

use super::Desk;
use super::pages::Pages;
use super::selection::Selection;
use super::shown::{event_id, origin, origin_json};
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::system;
use crate::cli::text::{counted, escaped};
use crate::domain::EventKey;
use crate::ledger::{Act, DeadLetter, LedgerError, LetterState, Reopening};

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
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

/// What differs between the two.
struct Kind {
    from: LetterState,
    verb: &'static str,
    done: &'static str,
}

/// Sets aside.
///
/// # Errors
/// Nothing is selected (2), or the ledger is unreachable (69).
pub async fn discard(args: &Args, desk: &Desk, shell: &Shell) -> anyhow::Result<Exit> {
    let kind = Kind { from: LetterState::DeadLettered, verb: "discard", done: "discarded" };
    change(args, &kind, desk, shell).await
}

/// Takes back.
///
/// # Errors
/// Nothing is selected (2), or the ledger is unreachable (69).
pub async fn restore(args: &Args, desk: &Desk, shell: &Shell) -> anyhow::Result<Exit> {
    let kind = Kind { from: LetterState::Discarded, verb: "restore", done: "restored" };
    change(args, &kind, desk, shell).await
}

async fn change(args: &Args, kind: &Kind, desk: &Desk, shell: &Shell) -> anyhow::Result<Exit> {
    if args.selection.is_everything() && !args.all {
        return Err(Failure::new(Exit::Usage, format!("nothing says what to {}", kind.verb))
            .fix("name an event, a reason, a customer, a time or an origin; or --all")
            .into());
    }
    let filter = args.selection.filter(desk, &[kind.from]).await?;
    let groups = desk.letters.stats(&filter).await.map_err(|error| desk.failed(&error))?;
    let limit = args.limit.unwrap_or(usize::MAX);
    let count = usize::try_from(groups.iter().map(|group| group.count).sum::<u64>()).unwrap_or(limit).min(limit);
    if count > 0 && !shell.confirm(&format!("{} {}?", kind.verb, counted(count, "dead letter", "dead letters")))? {
        return Ok(Exit::Interrupted);
    }
    let act = Act { actor: args.by.clone().unwrap_or_else(system::actor), why: args.why.clone() };
    let (mut pages, mut tally) = (Pages::of(desk, filter, args.limit, BATCH), [0, 0]);
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        let seen: Vec<Reopening> = page.iter().map(DeadLetter::as_seen).collect();
        let changed = apply(kind, desk, &seen, &act).await.map_err(|error| desk.failed(&error))?;
        for letter in &page {
            let is_done = changed.contains(&letter.key);
            tally[usize::from(!is_done)] += 1;
            tell(letter, if is_done { kind.done } else { "skipped" }, desk, shell)?;
        }
    }
    let [done, skipped] = tally;
    let json = json!({ kind.done: done, "skipped": skipped });
    shell.line(&json, || format!("{} {done}, skipped {skipped}", kind.done))?;
    Ok(Exit::Done)
}

async fn apply(kind: &Kind, desk: &Desk, seen: &[Reopening], act: &Act) -> Result<Vec<EventKey>, LedgerError> {
    match kind.from {
        LetterState::Discarded => desk.letters.restore(seen, act).await,
        _ => desk.letters.discard(seen, act).await,
    }
}

fn tell(letter: &DeadLetter, action: &str, desk: &Desk, shell: &Shell) -> anyhow::Result<()> {
    let json = json!({"eventId": event_id(letter), "origin": origin_json(letter, &desk.topic), "action": action});
    let name = || event_id(letter).map_or_else(|| origin(letter, &desk.topic), str::to_owned);
    shell.line(&json, || format!("{action} {}", escaped(&name())))
}
