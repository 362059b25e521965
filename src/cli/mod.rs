//! The command line: arguments -> command -> exit code. One file a command; nothing here decides what an event means.

mod admin_client;
mod backlog;
mod broker;
mod check;
mod completions;
mod config;
pub mod connection;
mod dev;
mod dlq;
mod dumps;
mod endpoint;
mod exit;
mod filter;
mod follow;
mod intake;
mod keys;
mod ledger;
mod man;
mod migrate;
mod panics;
mod pipe;
mod publish;
mod records;
mod run;
mod sandbox;
mod sandbox_client;
mod schema;
mod shell;
mod signals;
mod start;
mod status;
mod system;
pub mod telemetry;
mod text;
mod topics;
mod watch;

use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

pub use connection::Connection;
pub use endpoint::Endpoint;
pub use exit::{Exit, Failure};
pub use shell::{Output, Shell};

/// Links tokenised payment profiles to customers: ProfileCreated events in, ProfileLinked or ProfileRejected out.
#[derive(Debug, Parser)]
#[command(name = "profile-linker", version, max_term_width = 110)]
#[command(after_help = "Example: the whole system in one process, with sample events:\n  profile-linker dev")]
pub struct Cli {
    /// Configuration file (TOML); every key can also come from the environment
    #[arg(long, global = true, value_name = "FILE", env = "PROFILE_LINKER_CONFIG", hide_env_values = true)]
    config: Option<PathBuf>,
    /// How results are printed on stdout; json: one object a line
    #[arg(long, global = true, value_enum, default_value = "text")]
    output: Output,
    /// Answer every question with yes
    #[arg(long, global = true)]
    yes: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Dev(dev::Args),
    Run(run::Args),
    Publish(publish::Args),
    Watch(watch::Args),
    Status(status::Args),
    Intake(intake::Args),
    Dlq(dlq::Args),
    Check(check::Args),
    Migrate(migrate::Args),
    Sandbox(sandbox::Args),
    Schema(schema::Args),
    Keys(keys::Args),
    Ledger(ledger::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// Runs the process's arguments and tells how it ended; everything that is to be said has been printed.
#[must_use]
pub fn main() -> Exit {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            let shown = told.print();
            if told.use_stderr() {
                // Nobody is left to read a complaint that cannot be shown.
                return Exit::Usage;
            }
            return shell::written(shown).map_or_else(|error| report(&error, None), |()| Exit::Done);
        }
    };
    let rest = cli.command.rest();
    match start(cli) {
        Ok(exit) => exit,
        Err(error) => report(&error, rest),
    }
}

fn start(cli: Cli) -> anyhow::Result<Exit> {
    dumps::forbid();
    if !cli.command.has_own_logging() {
        telemetry::init(false, telemetry::COMMAND_FILTER);
    }
    panics::say_where_only();
    let runtime = tokio::runtime::Runtime::new()?;
    let end = runtime.block_on(dispatch(cli));
    // Not waited for: a question to a broker that is away may still hold a thread.
    runtime.shutdown_background();
    end
}

async fn dispatch(cli: Cli) -> anyhow::Result<Exit> {
    let Cli { config, output, yes, command } = cli;
    let shell = Shell { config, output, yes };
    if command.has_own_end() {
        return command.execute(&shell).await;
    }
    tokio::select! {
        end = command.execute(&shell) => end,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

impl Command {
    /// Whether the command starts logging itself, as its configuration says.
    fn has_own_logging(&self) -> bool {
        matches!(self, Self::Dev(_) | Self::Run(_))
    }

    /// Whether the command handles signals itself, since it has something to finish.
    fn has_own_end(&self) -> bool {
        match self {
            Self::Dev(_) | Self::Run(_) | Self::Sandbox(_) => true,
            Self::Dlq(args) => args.has_own_end(),
            _ => false,
        }
    }

    /// For a command that changes something: what is to be done when nobody reads its output any more, which ends it early.
    fn rest(&self) -> Option<&'static str> {
        const AGAIN: &str = "start the same command again: what is done stays done, and it goes on with the rest";
        match self {
            // Results are shown when all are published.
            Self::Publish(_) => Some("`profile-linker watch --from start` shows results; no event has a second one"),
            Self::Dlq(args) => args.changes_something().then_some(AGAIN),
            Self::Ledger(args) => args.changes_something().then_some(AGAIN),
            Self::Keys(args) => args.rest(AGAIN),
            Self::Migrate(_) | Self::Intake(_) => Some(AGAIN),
            Self::Dev(_) | Self::Run(_) | Self::Sandbox(_) => None,
            Self::Watch(_) | Self::Status(_) | Self::Check(_) | Self::Config(_) => None,
            Self::Schema(_) | Self::Completions(_) | Self::Man(_) => None,
        }
    }

    async fn execute(self, shell: &Shell) -> anyhow::Result<Exit> {
        match self {
            Self::Dev(args) => dev::execute(args, shell).await,
            Self::Run(args) => run::execute(args, shell).await,
            Self::Publish(args) => publish::execute(args, shell).await,
            Self::Watch(args) => watch::execute(args, shell).await,
            Self::Status(args) => status::execute(args, shell).await,
            Self::Intake(args) => intake::execute(args, shell).await,
            Self::Dlq(args) => dlq::execute(args, shell).await,
            Self::Check(args) => check::execute(args, shell).await,
            Self::Migrate(args) => migrate::execute(args, shell).await,
            Self::Sandbox(args) => sandbox::execute(args, shell).await,
            Self::Schema(args) => schema::execute(args, shell),
            Self::Ledger(args) => ledger::execute(args, shell).await,
            Self::Keys(args) => keys::execute(args, shell).await,
            Self::Config(args) => config::execute(args, shell),
            Self::Completions(args) => completions::execute(args),
            Self::Man(args) => man::execute(args),
        }
    }
}

fn report(error: &anyhow::Error, rest: Option<&str>) -> Exit {
    let (exit, text) = exit::judge(error, rest);
    if let Some(text) = text {
        let red = anstyle::AnsiColor::Red.on_default().bold();
        // A closed stderr has no reader to miss it.
        let _ = writeln!(anstream::stderr(), "{red}error{red:#}: {text}");
    }
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(words: &str) -> bool {
        let cli = Cli::try_parse_from(words.split(' ')).unwrap();
        cli.command.rest().is_some()
    }

    #[test]
    fn each_command_that_changes_something_says_so_when_nobody_reads_its_output() {
        for words in [
            "x publish --sample 1",
            "x intake pause",
            "x migrate",
            "x dlq replay",
            "x dlq replay --from-topic",
            "x dlq replay a --edit --why b",
            "x dlq discard a",
            "x dlq restore --all",
            "x ledger erase --customer loanpro:1 --why a",
            "x keys rotate",
            "x keys generate --out a",
        ] {
            assert!(changes(words), "{words}");
        }
        for words in
            ["x dlq replay --dry-run", "x dlq list", "x dlq audit", "x ledger show a", "x watch", "x check", "x config"]
        {
            assert!(!changes(words), "{words}");
        }
    }
}
