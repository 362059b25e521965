//! Whether the vendors can be reached and take our credentials.

use std::time::Duration;

use super::clocks::{self, Reading};
use super::finding::Finding;
use crate::config::Config;
use crate::upstream::probe::{self, ClockReading, Probe, Verdict};

/// An HTTP date has whole seconds, and is never early.
const DATE_STEP: Duration = Duration::from_secs(1);

/// What `check` says about PayIQ.
pub async fn payiq(config: &Config) -> Vec<Finding> {
    match &config.converter.payiq {
        Some(settings) => told("payiq", "converter.payiq", &settings.upstream.base_url, probe::payiq(settings).await),
        None => vec![Finding::fail(
            "payiq",
            "[converter.payiq] is not configured: temporary tokens cannot be converted",
            "configure [converter.payiq]",
        )],
    }
}

/// What `check` says about LoanPro, if it is configured.
pub async fn loanpro(config: &Config) -> Vec<Finding> {
    match &config.target.loanpro {
        Some(settings) => {
            told("loanpro", "target.loanpro", &settings.upstream.base_url, probe::loanpro(settings).await)
        }
        None if config.target.aloha.is_none() => vec![Finding::fail(
            "targets",
            "neither [target.loanpro] nor [target.aloha] is configured: there is nothing to link to",
            "configure one of them",
        )],
        None => Vec::new(),
    }
}

/// What `check` says about Aloha, if it is configured.
pub async fn aloha(config: &Config) -> Vec<Finding> {
    match &config.target.aloha {
        Some(settings) => told("aloha", "target.aloha", &settings.upstream.base_url, probe::aloha(settings).await),
        None => Vec::new(),
    }
}

fn told(name: &str, table: &str, address: &str, probe: Probe) -> Vec<Finding> {
    let line = match probe.verdict {
        Verdict::Fine(detail) => Finding::ok(name, format!("{address}: {detail}")),
        Verdict::Doubtful(detail) => Finding::warn(
            name,
            format!("{address}: {detail}"),
            format!("set {table}.probe_customer_id to a customer that exists"),
        ),
        Verdict::Misconfigured(detail) => Finding::fail(
            name,
            format!("{address}: {detail}"),
            format!("correct the credentials or base_url in [{table}]"),
        ),
        Verdict::NoProbeCustomer(detail) => Finding::fail(
            name,
            format!("{address}: {detail}"),
            format!(
                "make that customer, or set {table}.probe_customer_id to one that exists; \
                 if it does exist, correct instance_id or base_url in [{table}]"
            ),
        ),
        Verdict::Away(detail) => Finding::fail(
            name,
            format!("{address}: {detail}"),
            format!("see whether it is up, and whether {table}.base_url is reachable from here"),
        ),
    };
    let clock = probe.clock.map(|ClockReading { before, theirs, after }| {
        clocks::finding(name, Reading { before, earliest: theirs, latest: theirs + DATE_STEP, after })
    });
    std::iter::once(line).chain(clock).collect()
}
