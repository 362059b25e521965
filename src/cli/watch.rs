//! `watch`: follows the result topics.

use super::exit::Exit;
use super::filter::Filter;
use super::follow::Follower;
use super::pipe::reader_is_gone;
use super::shell::Shell;
use super::start::Start;
use super::text;

/// Follow the result topics
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: rejected events of the last quarter of an hour, and what comes:\n  \
    profile-linker watch --type rejected --from @15m\n\n\
    Without --config and PROFILE_LINKER_KAFKA__BROKERS, the `dev` that runs on this machine is watched.")]
pub struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Where to start: start, end, -N (records back in each partition), @TIME (RFC 3339) or @15m (ago)
    #[arg(long, value_name = "WHERE", default_value = "end", allow_hyphen_values = true)]
    from: Start,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Follows until the limit, or for ever.
///
/// # Errors
/// The broker is unreachable (69), a topic is missing (1), or the configuration is wrong (78).
pub async fn execute(args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let endpoint = shell.endpoint()?;
    let topics = [endpoint.topics.linked.as_str(), endpoint.topics.rejected.as_str()];
    let follower = Follower::new(&endpoint, &topics, args.from).await?;
    shell.note(&format!("watching {} and {} at {}; ctrl-c ends", topics[0], topics[1], endpoint.brokers));
    let mut left = args.limit;
    let gone = reader_is_gone();
    tokio::pin!(gone);
    while left != Some(0) {
        let record = tokio::select! {
            record = follower.next() => record?,
            () = &mut gone => break,
        };
        if args.filter.admits(&record) {
            shell.line(&record, || text::line(&record))?;
            left = left.map(|left| left - 1);
        }
    }
    Ok(Exit::Done)
}
