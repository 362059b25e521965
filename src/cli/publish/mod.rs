//! `publish`: validates events, all of them first, and publishes them.

mod check;
mod earlier;
mod input;
mod sample;
mod send;
mod wait;

use std::path::PathBuf;
use std::time::Duration;

use super::exit::Exit;
use super::shell::Shell;
use crate::config::parse_duration;
use input::Draft;

/// Validate ProfileCreated events and publish them; nothing is published if one is bad
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: three sample events, and their results:\n  profile-linker publish --sample 3 --wait\n\n\
    Without --config and PROFILE_LINKER_KAFKA__BROKERS, events go to the `dev` that runs on this machine."
)]
pub struct Args {
    /// JSON or NDJSON file of CloudEvents in structured mode; `-` or nothing: standard input
    #[arg(value_name = "FILE|-", conflicts_with = "sample")]
    file: Option<PathBuf>,
    /// Publish so many valid sample events instead
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    sample: Option<u64>,
    /// Wait for each event's result and print it, also one that was there before; exit 1 if any was rejected
    #[arg(long)]
    wait: bool,
    /// How long to wait for results after publishing; then exit 75
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = limit, requires = "wait")]
    timeout: Duration,
}

fn limit(text: &str) -> Result<Duration, String> {
    let fitting = parse_duration(text).filter(|limit| *limit >= Duration::from_millis(1));
    fitting.ok_or_else(|| "a duration such as 500ms, 60s, 5m".to_owned())
}

/// Publishes.
///
/// # Errors
/// Bad events (65), no such file (66), the broker is unreachable (69), no result in time (75), wrong configuration (78).
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let read = match args.sample {
        Some(_) => Vec::new(),
        None => input::read(args.file.as_deref())?,
    };
    check::all(&read)?;
    let endpoint = shell.endpoint()?;
    let drafts: Vec<Draft> = match args.sample {
        Some(count) => sample::make(count, &endpoint, shell).await?,
        None => read,
    };
    // Before anything is published, so that no result can be missed.
    let waiting = if args.wait { Some(wait::Waiting::prepare(&endpoint, &drafts).await?) } else { None };
    let sent = send::all(&drafts, &endpoint, shell).await?;
    shell.note(&format!("published {} to {}", input::count(sent.len()), endpoint.topics.created));
    match waiting {
        Some(waiting) => waiting.finish(args.timeout, shell).await,
        None => send::print(&drafts, &sent, &endpoint.topics.created, shell),
    }
}
