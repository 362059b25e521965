//! `dlq`: dead letters for the one who replays them. Everything is asked of the ledger, or of the dead-letter topic where the
//! ledger is lost; no token is ever shown.

mod acts;
mod audit;
mod edit;
mod export;
mod from_topic;
mod list;
mod pages;
mod rate;
mod replay;
mod selection;
mod show;
mod shown;
mod stats;
mod stop;
mod table;

use std::ops::Deref;
use std::sync::Arc;

use super::exit::{Exit, Failure};
use super::shell::{BesideDev, Shell};
use super::system;
use crate::config::Config;
use crate::ledger::{DeadLetters, Ledger, LedgerError};

/// Dead letters: what they are, why, and their replay
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: what is there, and a careful replay of what one outage left:\n  profile-linker dlq stats --config worker.toml\n  profile-linker dlq replay --reason retries_exhausted --ramp --why outage --config worker.toml"
)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::Args),
    Stats(stats::Args),
    Show(show::Args),
    Replay(replay::Args),
    /// Set dead letters aside: listed only when asked for, not replayed, removed by retention as all others
    #[command(
        after_help = "Example:\n  profile-linker dlq discard --event-id order-4711 --why duplicate --config worker.toml"
    )]
    Discard(acts::Args),
    /// Take discarded dead letters back
    #[command(
        after_help = "Example:\n  profile-linker dlq restore --event-id order-4711 --why mistaken --config worker.toml"
    )]
    Restore(acts::Args),
    Export(export::Args),
    Audit(audit::Args),
}

impl Args {
    /// Whether the command has something to say before it ends at a signal.
    pub fn has_own_end(&self) -> bool {
        matches!(self.command, Command::Replay(_) | Command::Discard(_) | Command::Restore(_))
    }

    /// Whether the command changes something.
    pub fn changes_something(&self) -> bool {
        match &self.command {
            Command::Replay(args) => !args.dry_run,
            Command::Discard(_) | Command::Restore(_) => true,
            Command::List(_) | Command::Stats(_) | Command::Show(_) | Command::Export(_) | Command::Audit(_) => false,
        }
    }
}

impl Command {
    fn asks_the_topic(&self) -> bool {
        match self {
            Self::List(args) => args.from_topic,
            Self::Stats(args) => args.from_topic,
            Self::Show(args) => args.from_topic,
            Self::Replay(args) => args.from_topic,
            Self::Export(args) => args.from_topic,
            Self::Discard(_) | Self::Restore(_) | Self::Audit(_) => false,
        }
    }
}

/// Does it.
///
/// # Errors
/// The ledger is unreachable (69) or of another version (78), or the arguments fit nothing that is there (1).
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    ask(args, shell).await.map_err(|error| shell.beside_dev(error, BesideDev::AskTopics))
}

async fn ask(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let config = shell.load()?;
    if args.command.asks_the_topic() {
        return from_topic::execute(args.command, &config, shell).await;
    }
    let desk = Desk::open(&config);
    match args.command {
        Command::List(args) => list::execute(&args, &*desk.await?, shell).await,
        Command::Stats(args) => stats::execute(&args, &*desk.await?, shell).await,
        Command::Show(args) => show::execute(&args, &*desk.await?, shell).await,
        Command::Replay(args) => replay::execute(args, &desk.await?, &config, shell).await,
        Command::Discard(args) => acts::discard(&args, desk, shell).await,
        Command::Restore(args) => acts::restore(&args, desk, shell).await,
        Command::Export(args) => export::execute(&args, &desk.await?, &config, shell).await,
        Command::Audit(args) => audit::execute(&args, &desk.await?, shell).await,
    }
}

/// What a command that only looks works with.
struct View {
    letters: Arc<dyn DeadLetters>,
    /// The input topic that the ledger serves, which every origin names that names no other.
    topic: String,
    /// Where the dead letters are, as people may see it.
    place: String,
    /// What that is.
    holder: &'static str,
}

/// What a command works with that changes something: a look, and the ledger.
struct Desk {
    ledger: Arc<dyn Ledger>,
    view: View,
    /// Whether a worker can use the ledger at the same time.
    is_shared: bool,
}

/// Whoever may change something may look.
impl Deref for Desk {
    type Target = View;

    fn deref(&self) -> &View {
        &self.view
    }
}

impl Desk {
    async fn open(config: &Config) -> Result<Self, Failure> {
        let (ledger, letters) = system::open_ledger_with_dead_letters(config).await?;
        let url = config.ledger.url.expose_str().unwrap_or_default();
        let (topic, place) = (config.kafka.topics.created.clone(), crate::config::ledger_shown(url));
        let view = View { letters, topic, place, holder: "the ledger" };
        Ok(Self { ledger, view, is_shared: !url.starts_with("sqlite:") })
    }

    fn write_failed(&self, error: &LedgerError) -> Failure {
        self.failed(error).fix("when the ledger is back, start the same command again: it goes on where it ended")
    }
}

impl View {
    fn failed(&self, error: &LedgerError) -> Failure {
        system::ledger_failure(error, &self.place)
    }
}
