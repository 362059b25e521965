//! The ledger: reachable, migrated, ours; the keys that open it; its clock.

use jiff::Timestamp;

use super::clocks::{self, Reading};
use super::finding::Finding;
use crate::cli::broker::{ANSWER_LIMIT, Reader};
use crate::cli::endpoint::Endpoint;
use crate::cli::system;
use crate::config::{Config, ledger_shown};
use crate::ledger::{self, HashKey, LedgerError, LedgerIdentity, LedgerProbe, Serves};

const CHECK: &str = "ledger";

/// The line about the keys.
const KEYS: &str = "keys";
/// The line about what the ledger serves.
const BINDING: &str = "ledger binding";

/// The lines that a check of it has. The clock of a SQLite file is this machine's, and what it serves is asked by the one
/// process that has it open.
#[must_use]
pub fn lines(config: &Config) -> Vec<String> {
    let is_sqlite = config.ledger.url.expose_str().is_some_and(|url| url.starts_with("sqlite:"));
    let everywhere = [CHECK, KEYS].map(str::to_owned).into_iter();
    let of_servers = [BINDING.to_owned(), format!("clock {CHECK}")];
    everywhere.chain(of_servers.into_iter().filter(|_| !is_sqlite)).collect()
}

/// What `check` says about it.
pub async fn findings(config: &Config) -> Vec<Finding> {
    let place = ledger_shown(config.ledger.url.expose_str().unwrap_or_default());
    let identity = match identity(config).await {
        Ok(identity) => identity,
        Err(error) => return vec![trouble(&error, &place)],
    };
    let mut found =
        vec![Finding::ok(CHECK, format!("{place}: schema {}", ledger::SCHEMA_VERSION)), keys(config, &identity)];
    match ledger::probe(&config.ledger.url).await {
        Ok(probe) => {
            if probe.clock.is_some() {
                found.push(serves(config, &probe).await);
            }
            found.extend(clock(&probe));
        }
        Err(error) => found.push(trouble(&error, &place)),
    }
    found
}

async fn identity(config: &Config) -> Result<LedgerIdentity, LedgerError> {
    ledger::open(&config.ledger.url).await?.identity().await
}

fn trouble(error: &LedgerError, place: &str) -> Finding {
    let fix = system::ledger_fix(error);
    let detail = format!("{place}: {error}");
    // A worker of this machine, most likely: then the ledger is well.
    if matches!(error, LedgerError::InUse(_)) {
        Finding::warn(CHECK, detail, "look again when the worker that uses this file has ended")
    } else {
        Finding::fail(CHECK, detail, fix)
    }
}

/// Whether the configured keys open what this ledger sealed.
fn keys(config: &Config, identity: &LedgerIdentity) -> Finding {
    let fix = "configure the key that this ledger was made with; `profile-linker keys generate` makes a new ledger's";
    let opened = system::vault(config).map_err(|failure| failure.in_one_line());
    let opened = opened.and_then(|vault| HashKey::open(identity, &vault).map_err(|error| error.to_string()));
    match opened {
        Ok(_) => Finding::ok(KEYS, format!("{} configured, {} seals", config.keys.keys.len(), config.keys.active)),
        Err(why) => Finding::fail(KEYS, format!("they do not open this ledger: {why}"), fix),
    }
}

/// What the ledger is bound to, against what is configured.
async fn serves(config: &Config, probe: &LedgerProbe) -> Finding {
    let Some(stored) = &probe.serves else {
        return Finding::ok(BINDING, "it serves nothing yet; the first worker that uses it decides");
    };
    let cluster_id = cluster_id(config).await.unwrap_or_else(|| stored.cluster_id.clone());
    let asked = Serves { cluster_id, group: config.kafka.group.clone(), topic: config.kafka.topics.created.clone() };
    if *stored == asked {
        let detail = format!("it serves the group {} and the topic {}", asked.group, asked.topic);
        return Finding::ok(BINDING, detail);
    }
    let detail = format!(
        "it serves cluster {}, group {}, topic {}; configured are cluster {}, group {}, topic {}",
        stored.cluster_id, stored.group, stored.topic, asked.cluster_id, asked.group, asked.topic
    );
    Finding::fail(BINDING, detail, "use that ledger's own worker, or another ledger.url for this one")
}

/// `None` where the broker is away, which has a line of its own.
async fn cluster_id(config: &Config) -> Option<String> {
    let reader = Reader::new(&Endpoint::of_config(config.kafka.clone())).ok()?;
    tokio::task::spawn_blocking(move || {
        use rdkafka::consumer::Consumer;
        reader.consumer.client().fetch_cluster_id(ANSWER_LIMIT)
    })
    .await
    .ok()?
}

fn clock(probe: &LedgerProbe) -> Option<Finding> {
    let (before, theirs_ms, after) = probe.clock?;
    let theirs = Timestamp::from_millisecond(theirs_ms).ok()?;
    Some(clocks::finding(CHECK, Reading { before, earliest: theirs, latest: theirs, after }))
}
