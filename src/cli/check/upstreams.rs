//! Whether the vendors can be reached and take our credentials.

use std::time::Duration;

use super::clocks::{self, Reading};
use super::finding::Finding;
use crate::config::Config;
use crate::upstream::probe::{self, Clock, ClockReading, Probe, Verdict};

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
        Verdict::Wordless => Finding::warn(
            name,
            format!(
                "{address}: whether the address is right cannot be told: it answered 404 without a word, as a wrong one may"
            ),
            format!(
                "see whether {table}.base_url is right, its path included: under a wrong one no customer is ever found"
            ),
        ),
        Verdict::Untrusted(detail) => Finding::fail(
            name,
            format!("{address}: {detail}"),
            format!(
                "if its certificate is from an authority of your own, set {table}.ca_file to that authority's; \
                 else see whether it has expired, and whether it is for the host in {table}.base_url"
            ),
        ),
        Verdict::Away(detail) => Finding::fail(
            name,
            format!("{address}: {detail}"),
            format!("see whether it is up, and whether {table}.base_url is reachable from here"),
        ),
    };
    let clock = match probe.clock {
        Clock::Told(ClockReading { before, theirs, after }) => {
            Some(clocks::finding(name, Reading { before, earliest: theirs, latest: theirs + DATE_STEP, after }))
        }
        Clock::Untold => Some(clocks::untold(name)),
        Clock::Unheard => None,
    };
    std::iter::once(line).chain(clock).collect()
}

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    fn found(verdict: Verdict, clock: Clock) -> Vec<Finding> {
        told("aloha", "target.aloha", "https://aloha.example/", Probe { verdict, clock })
    }

    fn fine() -> Verdict {
        Verdict::Fine("it takes our user and company".to_owned())
    }

    #[test]
    fn a_certificate_that_is_not_trusted_is_told_with_the_setting_for_it() {
        let found = found(Verdict::Untrusted("the certificate is not trusted".to_owned()), Clock::Unheard);
        assert_eq!((found.len(), found[0].status), (1, Status::Fail), "{found:?}");
        assert!(found[0].fix.as_ref().is_some_and(|fix| fix.contains("target.aloha.ca_file")), "{found:?}");
    }

    #[test]
    fn an_upstream_that_is_well_and_sends_no_time_has_nothing_to_be_mended() {
        let found = found(fine(), Clock::Untold);
        assert_eq!((found.len(), found[0].status, found[1].status), (2, Status::Ok, Status::Warn), "{found:?}");
        assert_eq!(found[1].check, "clock aloha");
        assert!(found[1].detail.contains("sent no time"), "{found:?}");
        assert!(found[1].fix.as_ref().is_some_and(|fix| !fix.contains("mend")), "{found:?}");
    }

    #[test]
    fn a_404_without_a_word_leaves_the_address_in_doubt() {
        let found = found(Verdict::Wordless, Clock::Untold);
        assert_eq!(found[0].status, Status::Warn, "{found:?}");
        assert!(found[0].detail.contains("cannot be told"), "{found:?}");
        assert!(found[0].fix.as_ref().is_some_and(|fix| fix.contains("target.aloha.base_url")), "{found:?}");
    }
}
