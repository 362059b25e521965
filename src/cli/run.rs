//! `run`: the worker.

use super::exit::{Exit, Failure};
use super::shell::Shell;

/// Run the worker: take events, convert, link, publish results
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker run --config worker.toml")]
pub struct Args {
    /// Take a ledger over that served another cluster, group or topic, or was restored from the past: it starts at Kafka's
    /// position and looks before it links
    #[arg(long)]
    pub adopt_ledger: bool,
}

/// Runs the worker until it is stopped.
///
/// # Errors
/// This branch does not contain the worker.
#[expect(clippy::unused_async, reason = "the worker takes its place")]
pub async fn execute(_args: Args, _shell: &Shell) -> anyhow::Result<Exit> {
    Err(Failure::new(Exit::Failed, "the worker is not built in this branch").into())
}
