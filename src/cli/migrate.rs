//! `migrate`: the ledger's schema, and missing topics.

use serde::Serialize;

use super::exit::Exit;
use super::shell::Shell;
use super::system;
use super::topics::{self, Shape};
use crate::config::Config;
use crate::ledger;

/// Bring the ledger's schema up to date; also make missing topics
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker migrate --topics --config worker.toml")]
pub struct Args {
    /// Also make topics that are missing; those that are there stay as they are
    #[arg(long)]
    topics: bool,
    /// Partitions of a new topic
    #[arg(long, value_name = "N", default_value = "6", value_parser = clap::value_parser!(i32).range(1..=10_000))]
    partitions: i32,
    /// Copies of a new topic; unset: the broker's default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=100))]
    replication_factor: Option<i32>,
}

/// One step, as it is printed.
#[derive(Debug, Serialize)]
struct Step {
    step: String,
    status: String,
}

/// Migrates.
///
/// # Errors
/// The ledger or the broker is unreachable (69), or the configuration is wrong (78).
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let config = shell.load()?;
    config.require_keys()?;
    for step in migrate_ledger(&config).await? {
        print(shell, step)?;
    }
    if args.topics {
        let endpoint = super::Endpoint::of_config(config.kafka);
        let shape = Shape { partitions: args.partitions, replication_factor: args.replication_factor };
        for (topic, made) in topics::create_missing(&endpoint, shape).await? {
            let status = if made { "created" } else { "exists" };
            print(shell, Step { step: format!("topic {topic}"), status: status.to_owned() })?;
        }
    }
    Ok(Exit::Done)
}

async fn migrate_ledger(config: &Config) -> anyhow::Result<Vec<Step>> {
    let vault = system::vault(config)?;
    let place = crate::config::ledger_shown(config.ledger.url.expose_str().unwrap_or_default());
    let steps =
        ledger::migrate(&config.ledger.url, &vault).await.map_err(|error| system::ledger_failure(&error, &place))?;
    let told = |one: ledger::MigrationStep| Step { step: one.step, status: one.status.as_str().to_owned() };
    Ok(steps.into_iter().map(told).collect())
}

fn print(shell: &Shell, step: Step) -> anyhow::Result<()> {
    shell.line(&step, || format!("{}: {}", step.step, step.status))
}
