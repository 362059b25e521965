//! `dev`: the whole system in one process.

use std::path::PathBuf;

use super::exit::{Exit, Failure};
use super::shell::Shell;

/// Run the whole system in one process: broker, ledger, sandbox, worker, console; publish samples and show results
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker dev --data-dir .dev-data")]
pub struct Args {
    /// Keep the ledger and the sandbox's books here between runs
    #[arg(long, value_name = "DIR", env = "PROFILE_LINKER_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// End when the sample events have their results
    #[arg(long)]
    pub exit_after_samples: bool,
}

/// Runs the whole system until it is stopped.
///
/// # Errors
/// This branch does not contain the worker.
#[expect(clippy::unused_async, reason = "the whole system takes its place")]
pub async fn execute(_args: Args, _shell: &Shell) -> anyhow::Result<Exit> {
    Err(Failure::new(Exit::Failed, "`dev` is not built in this branch").into())
}
