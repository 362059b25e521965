//! `dlq stats`: dead letters by reason and stage.

use serde_json::json;

use super::View;
use super::selection::{Selection, States};
use super::shown::age;
use super::table::{self, Cell};
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::text::escaped;
use crate::ledger::{DeadLetterFilter, DeadLetterGroup, LetterState};

const HEAD: [&str; 7] = ["COUNT", "REASON", "STAGE", "OLDEST", "NEWEST", "CUSTOMERS", "EXAMPLE"];

/// Count dead letters by reason and stage, with the age of the oldest and the newest and how many customers wait
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker dlq stats --config worker.toml")]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// In these states only
    #[arg(long, value_enum, default_value = "open")]
    pub(super) state: States,
    /// Ask the dead-letter topic, not the ledger: for a ledger that is lost
    #[arg(long)]
    pub(super) from_topic: bool,
}

/// Counts.
///
/// # Errors
/// The ledger is unreachable (69).
pub async fn execute(args: &Args, desk: &View, shell: &Shell) -> anyhow::Result<Exit> {
    let filter = args.selection.filter(desk, args.state.states()).await?;
    let groups = desk.letters.stats(&filter).await.map_err(|error| desk.failed(&error))?;
    if groups.is_empty() {
        shell.note("no dead letters");
    } else if shell.is_json() {
        groups.iter().try_for_each(|group| shell.line(&as_json(group), String::new))?;
    } else {
        let lines = table::lines(HEAD, groups.iter().map(row).collect());
        lines.into_iter().try_for_each(|line| shell.line(&(), || line))?;
        if let Some(told) = replaying(&filter, &groups, desk).await? {
            shell.line(&(), || told)?;
        }
    }
    Ok(Exit::Done)
}

/// How many of those counted are being replayed, where they are counted beside others.
async fn replaying(
    filter: &DeadLetterFilter,
    groups: &[DeadLetterGroup],
    desk: &View,
) -> Result<Option<String>, Failure> {
    let states = &filter.states;
    if states.len() == 1 || !states.contains(&LetterState::Replaying) {
        return Ok(None);
    }
    let filter = DeadLetterFilter { states: vec![LetterState::Replaying], ..filter.clone() };
    let found = desk.letters.stats(&filter).await.map_err(|error| desk.failed(&error))?;
    let count = |groups: &[DeadLetterGroup]| groups.iter().map(|group| group.count).sum::<u64>();
    // Asked later than the table was: what others began to replay meanwhile may not make it more than all.
    let (all, replaying) = (count(groups), count(&found).min(count(groups)));
    Ok((replaying > 0).then(|| format!("{replaying} of these {all} are being replayed now")))
}

fn as_json(group: &DeadLetterGroup) -> serde_json::Value {
    json!({
        "reason": group.reason,
        "stage": group.stage,
        "count": group.count,
        "oldestAgeSeconds": group.oldest_age_s,
        "newestAgeSeconds": group.newest_age_s,
        "customers": group.customers,
    })
}

fn row(group: &DeadLetterGroup) -> [Cell; 7] {
    [
        group.count.to_string().into(),
        group.reason.as_str().into(),
        group.stage.as_str().into(),
        age(group.oldest_age_s).into(),
        age(group.newest_age_s).into(),
        group.customers.to_string().into(),
        group.example.as_deref().map_or_else(|| "-".to_owned(), escaped).into(),
    ]
}
