//! `dlq export`: dead letters as the events that others know, one a line.

use super::Desk;
use super::pages::Pages;
use super::selection::{Selection, States};
use crate::cli::exit::Exit;
use crate::cli::shell::{Shell, print};
use crate::cli::system;
use crate::cli::text::escaped;
use crate::config::Config;
use crate::dead_letters;
use crate::ledger::{DeadLetter, LedgerError, Vault};

/// Read at once.
const PAGE: usize = 200;

/// Print dead letters as `DeadLetter` events, one a line, whatever the output mode; sealed payloads stay sealed
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker dlq export --since 1d --config worker.toml > dead-letters.ndjson")]
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

/// Prints them.
///
/// # Errors
/// The ledger is unreachable (69), or a key file cannot be used (78).
pub async fn execute(args: &Args, desk: &Desk, config: &Config, shell: &Shell) -> anyhow::Result<Exit> {
    let vault = system::vault(config)?;
    let filter = args.selection.filter(desk, args.state.states()).await?;
    let (mut pages, mut count) = (Pages::of(desk, filter, args.limit, PAGE), 0);
    loop {
        let page = pages.next().await?;
        if page.is_empty() {
            break;
        }
        for letter in &page {
            if let Some(line) = line(letter, desk, &vault).await.map_err(|error| desk.failed(&error))? {
                print(line.as_bytes())?;
                count += 1;
            }
        }
    }
    shell.note(&format!("exported {count}"));
    Ok(Exit::Done)
}

/// None if it has gone since it was listed: linked by a replay, or removed.
async fn line(letter: &DeadLetter, desk: &Desk, vault: &Vault) -> Result<Option<String>, LedgerError> {
    let (story, row) = (desk.letters.story(letter.key).await?, desk.ledger.row(letter.key).await?);
    let there = story.zip(row).filter(|(_, row)| !row.sealed_record.is_empty());
    let event = there.map(|(story, row)| dead_letters::event(letter, &story, &row, &desk.topic, vault));
    Ok(event.map(|event| escaped(&event.to_string()) + "\n"))
}
