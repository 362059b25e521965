//! `sandbox`: the simulator of the vendors, alone.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::exit::{Exit, Failure};
use super::shell::Shell;
use super::signals::Signals;
use crate::sandbox::{STORY, SandboxOptions, StrictCredentials, start};

/// Run the simulator of PayIQ, LoanPro, Aloha and Secure Payments alone
// No wrapping: the story's commands are pasted.
#[derive(Debug, clap::Args)]
#[command(term_width = 0, after_help = format!("Example:\n  profile-linker sandbox --listen 127.0.0.1:8710\n\n{STORY}"))]
pub struct Args {
    /// IP address and port; port 0: a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8710")]
    listen: SocketAddr,
    /// Accept these credentials only, such as loanpro_token=t1,aloha_user=me; one that is not named may be anything
    #[arg(long, value_name = "NAME=VALUE,..")]
    strict: Option<StrictCredentials>,
    /// Keep the state in this file between runs
    #[arg(long, value_name = "FILE")]
    books: Option<PathBuf>,
}

/// Serves until it is stopped.
///
/// # Errors
/// The address cannot be listened on, or the books cannot be read or written.
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let Args { listen, strict, books } = args;
    let running = start(SandboxOptions { listen, strict, books }).await.map_err(|error| {
        Failure::new(Exit::Failed, format!("the sandbox did not start: {error}"))
            .at(listen.to_string())
            .fix("name another address by --listen, or check the file of --books")
    })?;
    // Before anything is printed: whoever reads the address may stop us at once.
    let mut stop = Signals::listen()?;
    let url = running.base_url();
    shell.line(&serde_json::json!({ "address": running.address(), "url": url }), || {
        format!("sandbox listening on {url}")
    })?;
    let exit = stop.next().await;
    running.stop().await?;
    Ok(exit)
}
