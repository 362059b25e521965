//! `check`: like a doctor, who looks at everything and says what to do about each finding.

mod acls;
mod authorized;
mod clocks;
mod finding;
mod ledger;
mod limits;
mod topic_rules;
mod topic_sizes;
pub mod topics;
mod upstreams;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::consumer::Consumer;

use self::finding::{Finding, Status};
pub use self::topic_sizes::TopicSizes;
use super::broker::{ANSWER_LIMIT, Reader};
use super::endpoint::Endpoint;
use super::exit::{Exit, Failure};
use super::shell::Shell;
use super::text::counted;
use crate::config::Config;

/// No check takes longer; they run side by side, so the command ends within the contract's 35 s.
const LIMIT: Duration = Duration::from_secs(30);

/// Check broker, topics, rights, ledger, keys, upstreams, clocks and limits; exit 1 if one fails
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker check --config worker.toml\n\n\
    Nothing is changed anywhere. Each line says what was found, and what to do about it.")]
pub struct Args {}

/// A part of the check-up: its name, how it looks, and the lines that it always has. What it could not come to is told as
/// skipped, so that nobody takes a line that is missing for one that is well.
struct Part<'a> {
    name: &'static str,
    lines: Vec<String>,
    looking: Pin<Box<dyn Future<Output = Vec<Finding>> + Send + 'a>>,
}

impl<'a> Part<'a> {
    fn new(name: &'static str, lines: Vec<String>, looking: impl Future<Output = Vec<Finding>> + Send + 'a) -> Self {
        Self { name, lines, looking: Box::pin(looking) }
    }

    async fn look(self) -> Vec<Finding> {
        let mut found = tokio::time::timeout(LIMIT, self.looking).await.unwrap_or_else(|_| {
            let detail = format!("no answer within {} s", LIMIT.as_secs());
            vec![Finding::fail(self.name, detail, "see the other lines; if they are well, look again")]
        });
        let failed = found.iter().find(|finding| finding.status != Status::Ok);
        let because = failed.map_or(self.name, |finding| finding.check.as_str()).to_owned();
        let missing = |line: &String| !found.iter().any(|finding| finding.check == *line);
        let skipped: Vec<String> = self.lines.into_iter().filter(missing).collect();
        found.extend(skipped.into_iter().map(|line| Finding::skipped(line, &because)));
        found
    }
}

/// Looks at everything, whatever fails.
///
/// # Errors
/// The configuration itself is wrong (78).
pub async fn execute(_args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let config = shell.load()?;
    let endpoint = Endpoint::of_config(config.kafka.clone());
    let retention = config.ledger.retention;
    let parts = vec![
        Part::new("limits", Vec::new(), async { limits::findings(&config) }),
        Part::new("broker", Vec::new(), broker(&endpoint)),
        Part::new("topics", topics::lines(&endpoint), async {
            unless("topics", topics::findings(&endpoint, retention).await)
        }),
        Part::new("acl", acls::lines(&config.kafka), async { unless("acl", acls::findings(&config.kafka).await) }),
        Part::new("ledger", ledger::lines(&config), ledger::findings(&config)),
        Part::new("payiq", with_clock("payiq", true), upstreams::payiq(&config)),
        Part::new("loanpro", with_clock("loanpro", config.target.loanpro.is_some()), upstreams::loanpro(&config)),
        Part::new("aloha", with_clock("aloha", config.target.aloha.is_some()), upstreams::aloha(&config)),
    ];
    let found = join_all(parts.into_iter().map(Part::look)).await;
    report(&found.concat(), &config, shell)
}

/// The lines of an upstream that is configured.
fn with_clock(name: &str, configured: bool) -> Vec<String> {
    if configured { vec![name.to_owned(), format!("clock {name}")] } else { Vec::new() }
}

fn report(found: &[Finding], config: &Config, shell: &Shell) -> anyhow::Result<Exit> {
    for finding in found {
        shell.line(finding, || text(finding))?;
    }
    let count = |status: Status| found.iter().filter(|finding| finding.status == status).count();
    let (failed, warned) = (count(Status::Fail), count(Status::Warn));
    let group = &config.kafka.group;
    let checks = counted(found.len(), "check", "checks");
    shell.note(&format!("{checks} of {group}: {failed} failed, {warned} to think about"));
    Ok(if failed == 0 { Exit::Done } else { Exit::Failed })
}

fn text(finding: &Finding) -> String {
    use anstyle::AnsiColor::{Green, Red, Yellow};
    let (colour, word) = match finding.status {
        Status::Ok => (Green, "ok  "),
        Status::Warn => (Yellow, "warn"),
        Status::Fail => (Red, "fail"),
    };
    let style = colour.on_default().bold();
    let fix = finding.fix.as_ref().map(|fix| format!("\n      to do: {fix}")).unwrap_or_default();
    format!("{style}{word}{style:#}  {}: {}{fix}", finding.check, finding.detail)
}

/// A check that could not be made at all is a finding too.
fn unless(check: &str, found: Result<Vec<Finding>, Failure>) -> Vec<Finding> {
    found.unwrap_or_else(|failure| vec![of_failure(check, &failure)])
}

fn of_failure(check: &str, failure: &Failure) -> Finding {
    // Never "see the other lines": the others may say the same of this one.
    let fix = failure.fix_shown().unwrap_or("look again; if it stays so, this line is all that is known");
    Finding::fail(check, failure.in_one_line(), fix)
}

async fn broker(endpoint: &Endpoint) -> Vec<Finding> {
    let asked = async {
        let reader = Reader::new(endpoint)?;
        let count = |consumer: &rdkafka::consumer::StreamConsumer<_>| {
            Ok(consumer.fetch_metadata(None, ANSWER_LIMIT)?.brokers().len())
        };
        reader.ask("reaching the broker", count).await
    };
    match asked.await {
        Ok(1) => vec![Finding::ok("broker", format!("{} answers; it is alone", endpoint.brokers))],
        Ok(count) => vec![Finding::ok("broker", format!("{} answers for {count} brokers", endpoint.brokers))],
        Err(failure) => vec![of_failure("broker", &failure)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statuses(found: &[Finding]) -> Vec<(&str, Status)> {
        found.iter().map(|finding| (finding.check.as_str(), finding.status)).collect()
    }

    #[tokio::test]
    async fn a_line_that_could_not_be_come_to_is_told_with_the_line_that_failed() {
        let lines = ["ledger", "keys", "clock ledger"].map(str::to_owned).to_vec();
        let failing = async { vec![Finding::fail("ledger", "no such host", "start it")] };
        let found = Part::new("ledger", lines, failing).look().await;
        let skipped = Status::Warn;
        assert_eq!(statuses(&found), [("ledger", Status::Fail), ("keys", skipped), ("clock ledger", skipped)]);
        assert!(found[1].detail.contains("see the line ledger"), "{found:?}");
        assert!(found[1].fix.as_ref().is_some_and(|fix| fix.contains("mend ledger")), "{found:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_never_answers_has_all_its_lines() {
        let lines = vec!["topic a".to_owned(), "topic b".to_owned()];
        let found = Part::new("topics", lines, std::future::pending()).look().await;
        let told = [("topics", Status::Fail), ("topic a", Status::Warn), ("topic b", Status::Warn)];
        assert_eq!(statuses(&found), told);
    }

    #[tokio::test]
    async fn a_part_that_is_well_has_its_own_lines_only() {
        let found = Part::new("x", vec!["a".to_owned()], async { vec![Finding::ok("a", "well\n  at: all")] }).look();
        let found = found.await;
        assert_eq!(statuses(&found), [("a", Status::Ok)]);
        assert_eq!(text(&found[0]).lines().count(), 1, "a line each: {found:?}");
    }
}
