//! `check`: like a doctor, who looks at everything and says what to do about each finding.

mod acls;
mod authorized;
mod clocks;
mod finding;
mod ledger;
mod limits;
mod topic_rules;
pub mod topics;
mod upstreams;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::consumer::Consumer;

use self::finding::{Finding, Status};
use super::broker::{ANSWER_LIMIT, Reader};
use super::endpoint::Endpoint;
use super::exit::{Exit, Failure};
use super::shell::Shell;
use crate::config::Config;

/// No check takes longer; they run side by side, so the command ends within the contract's 35 s.
const LIMIT: Duration = Duration::from_secs(30);

/// Check broker, topics, rights, ledger, keys, upstreams, clocks and limits; exit 1 if one fails
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  profile-linker check --config worker.toml\n\n\
    Nothing is changed anywhere. Each line says what was found, and what to do about it.")]
pub struct Args {}

type Looking<'a> = Pin<Box<dyn Future<Output = Vec<Finding>> + Send + 'a>>;

/// Looks at everything, whatever fails.
///
/// # Errors
/// The configuration itself is wrong (78).
pub async fn execute(_args: Args, shell: &Shell) -> anyhow::Result<Exit> {
    let config = shell.load()?;
    let endpoint = Endpoint::of_config(config.kafka.clone());
    let retention = config.ledger.retention;
    let checks: Vec<(&str, Looking<'_>)> = vec![
        ("limits", Box::pin(async { limits::findings(&config) })),
        ("broker", Box::pin(broker(&endpoint))),
        ("topics", Box::pin(async { unless("topics", topics::findings(&endpoint, retention).await) })),
        ("acl", Box::pin(async { unless("acl", acls::findings(&config.kafka).await) })),
        ("ledger", Box::pin(ledger::findings(&config))),
        ("payiq", Box::pin(upstreams::payiq(&config))),
        ("loanpro", Box::pin(upstreams::loanpro(&config))),
        ("aloha", Box::pin(upstreams::aloha(&config))),
    ];
    let found = join_all(checks.into_iter().map(|(name, looking)| within_the_limit(name, looking))).await;
    report(&found.concat(), &config, shell)
}

async fn within_the_limit(name: &str, looking: Looking<'_>) -> Vec<Finding> {
    tokio::time::timeout(LIMIT, looking).await.unwrap_or_else(|_| {
        let detail = format!("no answer within {} s", LIMIT.as_secs());
        vec![Finding::fail(name, detail, "see the other lines; if they are well, look again")]
    })
}

fn report(found: &[Finding], config: &Config, shell: &Shell) -> anyhow::Result<Exit> {
    for finding in found {
        shell.line(finding, || text(finding))?;
    }
    let count = |status: Status| found.iter().filter(|finding| finding.status == status).count();
    let (failed, warned) = (count(Status::Fail), count(Status::Warn));
    let group = &config.kafka.group;
    shell.note(&format!("{} checks of {group}: {failed} failed, {warned} to think about", found.len()));
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
    let fix = failure.fix_shown().unwrap_or("see the other lines");
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
