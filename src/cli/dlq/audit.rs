//! `dlq audit`: who did what to the ledger, when and why.

use serde_json::json;

use super::Desk;
use super::selection::{Moment, moment};
use super::shown::time;
use super::table::{self, Cell};
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::Shell;
use crate::cli::text::escaped;
use crate::ledger::{AuditFilter, AuditLine};

/// Read at once.
const PAGE: usize = 1000;
/// The longest reading: a table of more has no reader.
const MOST: usize = 100_000;

const HEAD: [&str; 6] = ["FROM", "UNTIL", "WHO", "ACT", "ON", "WHY"];

/// Show what people did: replays, discards, pauses; who, when, why and on how many events
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker dlq audit --act replay --since 1d --config worker.toml")]
pub struct Args {
    /// On the event with this CloudEvents id only
    #[arg(long, value_name = "ID")]
    event_id: Option<String>,
    /// Of this person only
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// This act only: replay, replay-from-topic, edit, discard, restore, intake-pause, intake-resume, adopt-ledger, keys-rotate or erase-customer
    #[arg(long, value_name = "ACT")]
    act: Option<String>,
    /// Done since then: RFC 3339, or `1h` ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Moment>,
    /// Done until then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Moment>,
    /// The latest N acts at most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

/// Shows, the earliest first.
///
/// # Errors
/// The ledger is unreachable (69).
pub async fn execute(args: &Args, desk: &Desk, shell: &Shell) -> anyhow::Result<Exit> {
    let lines = lines(args, desk).await?;
    if args.limit.is_none() && lines.len() >= MOST {
        shell.note(&format!("only the latest {MOST} acts are told; narrow them with --since, --until, --by or --act"));
    }
    if shell.is_json() {
        lines.iter().try_for_each(|line| shell.line(&as_json(line), String::new))?;
    } else if lines.is_empty() {
        shell.note("no acts");
    } else {
        let rows = groups(&lines).iter().map(|group| row(group)).collect();
        table::lines(HEAD, rows).into_iter().try_for_each(|line| shell.line(&(), || line))?;
    }
    Ok(Exit::Done)
}

async fn lines(args: &Args, desk: &Desk) -> Result<Vec<AuditLine>, Failure> {
    let failed = |error| desk.failed(&error);
    let now = desk.letters.now_ms().await.map_err(failed)?;
    let base = AuditFilter {
        actor: args.by.clone(),
        act: args.act.clone(),
        target: None,
        since: args.since.map(|moment| moment.before(now)),
        until: args.until.map(|moment| moment.before(now)),
    };
    let mut filters = vec![base.clone()];
    if let Some(event_id) = &args.event_id {
        let events = desk.ledger.find(event_id).await.map_err(failed)?;
        let target = |key| AuditFilter { target: Some(format!("{key:?}")), ..base.clone() };
        filters = events.iter().map(|event| target(event.key)).collect();
    }
    let mut found = Vec::new();
    for filter in &filters {
        found.extend(latest(filter, args.limit.unwrap_or(MOST), desk).await?);
    }
    found.sort_by_key(|line| line.number);
    Ok(found)
}

async fn latest(filter: &AuditFilter, limit: usize, desk: &Desk) -> Result<Vec<AuditLine>, Failure> {
    let (mut found, mut before) = (Vec::<AuditLine>::new(), None);
    while found.len() < limit {
        let asked = PAGE.min(limit - found.len());
        let page = desk.letters.audit(filter, before, asked).await.map_err(|error| desk.failed(&error))?;
        before = page.last().map(|line| line.number);
        let is_last = page.len() < asked;
        found.extend(page);
        if is_last {
            break;
        }
    }
    Ok(found)
}

fn as_json(line: &AuditLine) -> serde_json::Value {
    json!({
        "at": time(line.at),
        "actor": line.actor,
        "act": line.act,
        "target": line.target,
        "eventId": line.event_id,
        "why": line.why,
    })
}

/// For people, what somebody did for one reason is one line, however many events it was.
fn groups(lines: &[AuditLine]) -> Vec<Vec<&AuditLine>> {
    let mut groups: Vec<Vec<&AuditLine>> = Vec::new();
    for line in lines {
        let is_same = |group: &&mut Vec<&AuditLine>| {
            group
                .first()
                .is_some_and(|first| (&first.actor, &first.act, &first.why) == (&line.actor, &line.act, &line.why))
        };
        match groups.last_mut().filter(is_same) {
            Some(group) => group.push(line),
            None => groups.push(vec![line]),
        }
    }
    groups
}

fn row(group: &[&AuditLine]) -> [Cell; 6] {
    let at = |line: Option<&&AuditLine>| line.map_or_else(String::new, |line| time(line.at));
    let text = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), escaped);
    let first = group.first();
    let on = match group {
        [one] => text(one.event_id.as_deref().or(Some(&one.target))),
        many => format!("{} events", many.len()),
    };
    [
        at(first).into(),
        at(group.last()).into(),
        text(first.map(|line| line.actor.as_str())).into(),
        text(first.map(|line| line.act.as_str())).into(),
        on.into(),
        text(first.and_then(|line| line.why.as_deref())).into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(number: i64, actor: &str, act: &str) -> AuditLine {
        let (actor, act, target) = (actor.to_owned(), act.to_owned(), "00".to_owned());
        AuditLine { number, at: number, actor, act, target, event_id: None, why: None }
    }

    #[test]
    fn what_one_person_did_in_a_row_is_one_line() {
        let lines =
            [line(1, "ada", "replay"), line(2, "ada", "replay"), line(3, "bob", "replay"), line(4, "bob", "discard")];
        let sizes: Vec<usize> = groups(&lines).iter().map(Vec::len).collect();
        assert_eq!(sizes, [2, 1, 1]);
    }
}
