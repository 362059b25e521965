//! `dlq audit`: who did what to the ledger, when and why.

use serde_json::json;

use super::Desk;
use super::selection::{Moment, moment};
use super::shown::time;
use super::table::{self, Cell};
use crate::cli::exit::{Exit, Failure};
use crate::cli::shell::{self, Shell};
use crate::cli::text::escaped;
use crate::ledger::{AuditFilter, AuditFrom, AuditLine};

/// Read at once; a table has the column widths of such a page.
const PAGE: usize = 1000;

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
    let mut printer = Printer { shell, groups: Vec::new(), lines: 0, tables: 0 };
    match &args.event_id {
        Some(event_id) => printer.take(of_event(args, event_id, desk).await?)?,
        None => {
            let mut pages = Pages::of(args, desk).await?;
            while let Some(page) = pages.next().await? {
                printer.take(page)?;
            }
        }
    }
    printer.finish()
}

async fn filter(args: &Args, desk: &Desk) -> Result<AuditFilter, Failure> {
    let now = desk.letters.now_ms().await.map_err(|error| desk.failed(&error))?;
    Ok(AuditFilter {
        actor: args.by.clone(),
        act: args.act.clone(),
        target: None,
        since: args.since.map(|moment| moment.before(now)),
        until: args.until.map(|moment| moment.before(now)),
    })
}

/// What was done to the events of this id: a few lines, so they are held.
async fn of_event(args: &Args, event_id: &str, desk: &Desk) -> Result<Vec<AuditLine>, Failure> {
    let base = filter(args, desk).await?;
    let mut found = Vec::new();
    for event in desk.ledger.find(event_id).await.map_err(|error| desk.failed(&error))? {
        let filter = AuditFilter { target: Some(format!("{:?}", event.key)), ..base.clone() };
        let mut pages = Pages { desk, filter, after: 0, left: usize::MAX };
        while let Some(page) = pages.next().await? {
            found.extend(page);
        }
    }
    found.sort_by_key(|line| line.number);
    let latest = found.len().saturating_sub(args.limit.unwrap_or(usize::MAX));
    Ok(found.split_off(latest))
}

/// Acts a page at a time, the earliest first, however many there are.
struct Pages<'a> {
    desk: &'a Desk,
    filter: AuditFilter,
    after: i64,
    left: usize,
}

impl<'a> Pages<'a> {
    async fn of(args: &Args, desk: &'a Desk) -> Result<Self, Failure> {
        let left = args.limit.unwrap_or(usize::MAX);
        let mut pages = Self { desk, filter: filter(args, desk).await?, after: 0, left };
        if args.limit.is_some() {
            pages.skip_to_latest().await?;
        }
        Ok(pages)
    }

    /// Goes back from the latest line over as many as are wanted, to know where they begin; none of them is kept.
    async fn skip_to_latest(&mut self) -> Result<(), Failure> {
        let (mut from, mut wanted) = (AuditFrom::Latest, self.left);
        while wanted > 0 {
            let asked = PAGE.min(wanted);
            let page = self.page(from, asked).await?;
            let Some(last) = page.last() else { return Ok(()) };
            from = AuditFrom::Before(last.number);
            self.after = last.number - 1;
            wanted -= page.len().min(wanted);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Vec<AuditLine>>, Failure> {
        let page = self.page(AuditFrom::After(self.after), PAGE.min(self.left)).await?;
        self.left -= page.len().min(self.left);
        let Some(last) = page.last() else { return Ok(None) };
        self.after = last.number;
        Ok(Some(page))
    }

    async fn page(&self, from: AuditFrom, most: usize) -> Result<Vec<AuditLine>, Failure> {
        if most == 0 {
            return Ok(Vec::new());
        }
        self.desk.letters.audit(&self.filter, from, most).await.map_err(|error| self.desk.failed(&error))
    }
}

/// What one person did in a row for one reason.
struct Group {
    first: AuditLine,
    until: i64,
    count: usize,
}

impl Group {
    fn takes(&self, line: &AuditLine) -> bool {
        let first = &self.first;
        // Each of its lines tells itself of how many it is.
        first.act != "replay-from-topic"
            && (&first.actor, &first.act, &first.why) == (&line.actor, &line.act, &line.why)
    }
}

/// Prints as it goes: no more than a page of lines is held, and the groups of one.
struct Printer<'a> {
    shell: &'a Shell,
    groups: Vec<Group>,
    lines: usize,
    /// How many tables were printed: the first has a head.
    tables: usize,
}

impl Printer<'_> {
    fn take(&mut self, page: Vec<AuditLine>) -> anyhow::Result<()> {
        self.lines += page.len();
        if self.shell.is_json() {
            let line = |line| escaped(&as_json(line).to_string()) + "\n";
            return shell::print(page.iter().map(line).collect::<String>().as_bytes());
        }
        page.into_iter().for_each(|line| group(&mut self.groups, line));
        // The last one may go on in the next page.
        if self.groups.len() > PAGE { self.print(self.groups.len() - 1) } else { Ok(()) }
    }

    fn print(&mut self, groups: usize) -> anyhow::Result<()> {
        let rows = self.groups.drain(..groups).map(|group| row(&group)).collect();
        let shown = if self.tables == 0 { 0 } else { 1 };
        self.tables += 1;
        table::lines(HEAD, rows).into_iter().skip(shown).try_for_each(|line| self.shell.line(&(), || line))
    }

    fn finish(mut self) -> anyhow::Result<Exit> {
        if self.lines == 0 {
            self.shell.note("no acts");
        } else if !self.groups.is_empty() {
            self.print(self.groups.len())?;
        }
        Ok(Exit::Done)
    }
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
fn group(groups: &mut Vec<Group>, line: AuditLine) {
    match groups.last_mut().filter(|group| group.takes(&line)) {
        Some(group) => (group.until, group.count) = (line.at, group.count + 1),
        None => groups.push(Group { until: line.at, count: 1, first: line }),
    }
}

fn row(group: &Group) -> [Cell; 6] {
    let text = |text: Option<&str>| text.map_or_else(|| "-".to_owned(), escaped);
    let Group { first, until, count } = group;
    let on = match count {
        1 => text(first.event_id.as_deref().or(Some(&first.target))),
        many => format!("{many} events"),
    };
    [
        time(first.at).into(),
        time(*until).into(),
        escaped(&first.actor).into(),
        escaped(&first.act).into(),
        on.into(),
        text(first.why.as_deref()).into(),
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
        let mut groups = Vec::new();
        for line in
            [line(1, "ada", "replay"), line(2, "ada", "replay"), line(3, "bob", "replay"), line(4, "bob", "discard")]
        {
            group(&mut groups, line);
        }
        let told: Vec<_> = groups.iter().map(|group| (group.first.number, group.until, group.count)).collect();
        assert_eq!(told, [(1, 2, 2), (3, 3, 1), (4, 4, 1)]);
    }
}
