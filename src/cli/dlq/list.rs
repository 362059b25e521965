//! `dlq list`: one line a dead letter.

use super::View;
use super::pages::Pages;
use super::selection::{Selection, States};
use super::shown::{Shown, customer, event_id, origin, time};
use super::table::{self, Cell};
use crate::cli::exit::Exit;
use crate::cli::shell::{self, Shell};
use crate::cli::text::escaped;
use crate::ledger::DeadLetter;

/// Read at once; a table has the column widths of such a page.
const PAGE: usize = 1000;

const HEAD: [&str; 8] = ["DEAD-LETTERED AT", "STATE", "REASON", "STAGE", "GEN", "CUSTOMER", "EVENT", "ORIGIN"];

/// List dead letters, the first accepted first
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  profile-linker dlq list --reason retries_exhausted --since 1h --config worker.toml"
)]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// In these states only
    #[arg(long, value_enum, default_value = "open")]
    pub(super) state: States,
    /// So many at most
    #[arg(long, value_name = "N")]
    pub(super) limit: Option<usize>,
    /// Ask the dead-letter topic, not the ledger: for a ledger that is lost
    #[arg(long)]
    pub(super) from_topic: bool,
}

/// Lists.
///
/// # Errors
/// The ledger is unreachable (69).
pub async fn execute(args: &Args, desk: &View, shell: &Shell) -> anyhow::Result<Exit> {
    let filter = args.selection.filter(desk, args.state.states()).await?;
    let mut pages = Pages::of(desk, filter, args.limit, PAGE);
    let mut is_first = true;
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        print(&page, is_first, desk, shell)?;
        is_first = false;
    }
    if is_first && args.limit != Some(0) {
        shell.note("no dead letters");
    }
    Ok(Exit::Done)
}

fn print(page: &[DeadLetter], first: bool, desk: &View, shell: &Shell) -> anyhow::Result<()> {
    if shell.is_json() {
        // A page is written at once: a hundred thousand lines are a hundred writes.
        let mut lines = String::new();
        for letter in page {
            lines += &escaped(&serde_json::to_string(&Shown::of(letter, &desk.topic))?);
            lines.push('\n');
        }
        return shell::print(lines.as_bytes());
    }
    let lines = table::lines(HEAD, page.iter().map(|letter| row(letter, &desk.topic)).collect());
    let shown = if first { 0 } else { 1 };
    lines.into_iter().skip(shown).try_for_each(|line| shell.line(&(), || line))
}

fn row(letter: &DeadLetter, topic: &str) -> [Cell; 8] {
    [
        time(letter.dead_lettered_at).into(),
        letter.state.into(),
        letter.reason.as_str().into(),
        letter.stage.as_str().into(),
        letter.generation.to_string().into(),
        customer(letter.customer.as_ref()).into(),
        event_id(letter).map_or_else(|| "-".to_owned(), escaped).into(),
        escaped(&origin(letter, topic)).into(),
    ]
}
