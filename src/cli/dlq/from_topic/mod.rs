//! `--from-topic`: the same questions, asked of the dead-letter topic itself, and a replay out of it. For the day on which the
//! ledger is lost, or is another one.
//!
//! The topic is read from its start to its end as of now, as a member of no group, and nothing is committed. What the index
//! costs in memory is bounded; sealed originals are not part of it.

mod audit;
mod export;
mod fetch;
mod read;
mod replay;
mod results;
mod send;
mod unreadable;

use std::sync::Arc;

use super::selection::{Selection, States};
use super::{Command, View, list, show, stats};
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::config::Config;
use crate::ledger::{DeadLetterFilter, LetterState};
use read::Reading;
use unreadable::Unreadable;

/// Does it.
///
/// # Errors
/// The broker is unreachable (69), a topic is missing, or the arguments fit nothing that is there (1), a key file cannot be used
/// (78).
pub async fn execute(command: Command, config: &Config, shell: &Shell) -> anyhow::Result<Exit> {
    match command {
        Command::List(args) => {
            let asked = Asked::of(&args.selection, args.state, config, shell).await?;
            let left = args.limit.map(|limit| limit.saturating_sub(asked.readable()));
            if asked.readable() > 0 || asked.unreadable.is_empty() {
                list::execute(&args, &asked.view, shell).await?;
            }
            asked.unreadable.list(left.unwrap_or(usize::MAX), shell)
        }
        Command::Stats(args) => {
            let asked = Asked::of(&args.selection, args.state, config, shell).await?;
            stats::execute(&args, &asked.view, shell).await?;
            asked.unreadable.count(shell)
        }
        Command::Show(args) => {
            let asked = Asked::of(&args.selection, args.state, config, shell).await?;
            if asked.readable() > 0 || asked.unreadable.is_empty() {
                show::execute(&args, &asked.view, shell).await?;
            }
            asked.unreadable.list(usize::MAX, shell)
        }
        Command::Export(args) => export::execute(&args, config, shell).await,
        Command::Replay(args) => replay::execute(args, config, shell).await,
        // These have no such option.
        Command::Discard(_) | Command::Restore(_) | Command::Audit(_) => Ok(Exit::Usage),
    }
}

/// What was read for a question, and what fits it.
struct Asked {
    view: View,
    reading: Arc<Reading>,
    filter: DeadLetterFilter,
    unreadable: Unreadable,
}

impl Asked {
    async fn of(selection: &Selection, state: States, config: &Config, shell: &Shell) -> Result<Self, Failure> {
        let reading = Arc::new(Reading::of(selection, config, shell).await?);
        let view = View {
            letters: Arc::clone(&reading.index) as _,
            topic: config.kafka.topics.created.clone(),
            place: format!("{} at {}", config.kafka.topics.dead_letter, config.kafka.brokers),
            holder: "the topic",
        };
        let filter = selection.filter(&view, state.states()).await?;
        let unreadable = Unreadable::of(&reading, &filter, selection);
        Ok(Self { view, reading, filter, unreadable })
    }

    /// How many fit that can be replayed.
    fn readable(&self) -> usize {
        self.reading.index.selected(&self.filter).filter(|one| one.fault.is_none()).count()
    }
}

/// Whether a filter asks for dead letters that may be replayed: the only ones that a topic knows.
fn asks_for_dead_letters(filter: &DeadLetterFilter) -> bool {
    filter.states.contains(&LetterState::DeadLettered)
}
