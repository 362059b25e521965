//! Settings against each other: each is allowed by itself, together they do not do what somebody may expect.

use std::time::Duration;

use super::finding::Finding;
use super::topic_sizes::record_limit;
use crate::admin::{MIN_TOKEN_BYTES, guessable};
use crate::config::{Config, LookSettings, UpstreamSettings, format_duration as told};
use crate::contract::DeadLetterLimit;
use crate::upstream::credential::Credential;

/// What a stop leaves to the calls on the wire before partitions are given up (the worker's `ownership`).
const DRAIN: Duration = Duration::from_secs(12);

/// What `check` says about them.
#[must_use]
pub fn findings(config: &Config) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(budget(config));
    found.extend(looking(config));
    found.extend(stopping(config));
    found.extend(waiting(config));
    found.extend(producing(config));
    found.extend(keeping(config));
    found.extend(admin_token(config));
    if found.is_empty() {
        found.push(Finding::ok("limits", "they fit each other"));
    }
    found
}

fn upstreams(config: &Config) -> Vec<(&'static str, &UpstreamSettings, Option<LookSettings>)> {
    let payiq = config.converter.payiq.as_ref().map(|one| ("converter.payiq", &one.upstream, None));
    let loanpro = config.target.loanpro.as_ref().map(|one| ("target.loanpro", &one.upstream, Some(one.look)));
    let aloha = config.target.aloha.as_ref().map(|one| ("target.aloha", &one.upstream, Some(one.look)));
    [payiq, loanpro, aloha].into_iter().flatten().collect()
}

fn budget(config: &Config) -> Option<Finding> {
    let (budget, longest) = (config.retry.budget, config.retry.max_interval);
    let (table, upstream, _) = upstreams(config).into_iter().max_by_key(|(_, upstream, _)| upstream.timeout)?;
    let needed = upstream.timeout + longest;
    (budget < needed).then(|| {
        let detail = format!(
            "retry.budget = {} is spent by one call that times out ({table}.timeout = {}) and one wait (retry.max_interval = {})",
            told(budget), told(upstream.timeout), told(longest)
        );
        Finding::warn("limits", detail, format!("set retry.budget above {}", told(needed)))
    })
}

/// A link that nobody saw is looked for before it is sent again: settle and look, several times.
fn looking(config: &Config) -> Vec<Finding> {
    let budget = config.retry.budget;
    let one = |(table, upstream, look): (&str, &UpstreamSettings, Option<LookSettings>)| {
        let look = look?;
        let needed = (look.settle + upstream.timeout) * look.looks;
        (budget < needed).then(|| {
            let detail = format!(
                "{table}: {} of settle = {} and timeout = {} each can take {}, retry.budget is {}: one unseen link ends as a dead letter",
                looks(look.looks), told(look.settle), told(upstream.timeout), told(needed), told(budget)
            );
            Finding::warn("limits", detail, format!("set retry.budget above {}, or fewer looks", told(needed)))
        })
    };
    upstreams(config).into_iter().filter_map(one).collect()
}

fn looks(number: u32) -> String {
    if number == 1 { "1 look".to_owned() } else { format!("{number} looks") }
}

fn stopping(config: &Config) -> Option<Finding> {
    let given = config.worker.shutdown_timeout;
    (given < DRAIN).then(|| {
        let detail = format!(
            "worker.shutdown_timeout = {} cuts calls on the wire that could have ended: their partitions' next owner waits, and looks first",
            told(given)
        );
        Finding::warn("limits", detail, format!("set worker.shutdown_timeout to {} or more", told(DRAIN)))
    })
}

fn waiting(config: &Config) -> Option<Finding> {
    let (waiting, in_flight) = (config.worker.max_waiting, config.worker.max_in_flight);
    (waiting < in_flight).then(|| {
        let detail = format!("worker.max_waiting = {waiting} is below max_in_flight = {in_flight}: a short outage of one upstream stops the intake");
        Finding::warn("limits", detail, format!("set worker.max_waiting to {in_flight} or more"))
    })
}

/// A dead letter's row tells its record from a new one, too, so it stays as long as any other.
fn keeping(config: &Config) -> Option<Finding> {
    let (dead_letters, rows) = (config.dead_letters.retention, config.ledger.retention);
    (dead_letters < rows).then(|| {
        let detail = format!(
            "dead_letters.retention = {} is below ledger.retention = {}: dead letters are kept as long as all else, {}",
            told(dead_letters),
            told(rows),
            told(rows)
        );
        let fix = format!("set dead_letters.retention to {} or more, or ledger.retention lower", told(rows));
        Finding::warn("limits", detail, fix)
    })
}

/// Whoever reaches the port may guess, at a pace, for as long as it takes.
fn admin_token(config: &Config) -> Option<Finding> {
    let length = guessable(&Credential::new(config.admin.token.clone()?))?;
    let detail = format!("admin.token has {length} bytes; one below {MIN_TOKEN_BYTES} can be guessed");
    Some(Finding::warn("limits", detail, "`profile-linker keys generate` prints 32 random bytes, good for this, too"))
}

fn producing(config: &Config) -> Option<Finding> {
    let limit = record_limit(&config.kafka)?;
    (limit < DeadLetterLimit::USUAL.bytes()).then(|| {
        let detail = format!(
            "kafka.properties.\"message.max.bytes\" = {limit}: a dead letter that would be larger is published without its original, which only the ledger has then"
        );
        Finding::warn("limits", detail, "leave message.max.bytes out")
    })
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::super::finding::Status;
    use super::*;

    type Settings = &'static [(&'static str, &'static str)];

    fn found(settings: &[(&str, &str)]) -> Vec<Finding> {
        let vendors = [
            ("CONVERTER__PAYIQ__BASE_URL", "https://payiq.example/"),
            ("CONVERTER__PAYIQ__API_KEY", "k"),
            ("CONVERTER__PAYIQ__SIGNING_KEY", "k"),
            ("TARGET__LOANPRO__TOKEN", "t"),
            ("TARGET__LOANPRO__INSTANCE_ID", "1"),
        ];
        let variable =
            |(name, value): &(&str, &str)| (OsString::from(format!("PROFILE_LINKER_{name}")), OsString::from(value));
        let environment = vendors.iter().chain(settings).map(variable);
        findings(&crate::config::load(None, environment, Vec::new()).unwrap())
    }

    #[test]
    fn the_defaults_fit_each_other() {
        let found = found(&[]);
        assert_eq!((found.len(), found[0].status), (1, Status::Ok), "{found:?}");
    }

    #[test]
    fn each_pair_of_settings_that_does_not_fit_is_told_with_its_names() {
        let cases: [(Settings, Status, &str); 7] = [
            (&[("RETRY__BUDGET", "39s")], Status::Warn, "retry.max_interval"),
            (&[("TARGET__LOANPRO__SETTLE", "5m"), ("RETRY__BUDGET", "10m")], Status::Warn, "target.loanpro"),
            (&[("WORKER__SHUTDOWN_TIMEOUT", "11s")], Status::Warn, "worker.shutdown_timeout"),
            (&[("WORKER__MAX_WAITING", "1023")], Status::Warn, "max_in_flight"),
            (&[("KAFKA__PROPERTIES__MESSAGE__MAX__BYTES", "999999")], Status::Warn, "without its original"),
            (&[("DEAD_LETTERS__RETENTION", "1d")], Status::Warn, "ledger.retention"),
            (&[("ADMIN__TOKEN", "sekret-of-fifte")], Status::Warn, "admin.token"),
        ];
        for (settings, status, named) in cases {
            let found = found(settings);
            assert_eq!((found.len(), found[0].status), (1, status), "{found:?}");
            assert!(found[0].detail.contains(named) && found[0].fix.is_some(), "{found:?}");
        }
    }
}
