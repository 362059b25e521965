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
            found.extend(serves(config, &probe).await);
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
    let held = matches!(error, LedgerError::Unavailable(_)) && place.starts_with("sqlite:");
    if held {
        Finding::warn(CHECK, detail, "look again when the worker that uses this file has ended")
    } else {
        Finding::fail(CHECK, detail, fix)
    }
}

/// Whether the configured keys open what this ledger sealed.
fn keys(config: &Config, identity: &LedgerIdentity) -> Finding {
    let fix = "configure the key that this ledger was made with; `profile-linker keys generate` makes a new ledger's";
    let opened = system::vault(config).map_err(|failure| failure.to_string());
    let opened = opened.and_then(|vault| HashKey::open(identity, &vault).map_err(|error| error.to_string()));
    match opened {
        Ok(_) => Finding::ok("keys", format!("{} configured, {} seals", config.keys.keys.len(), config.keys.active)),
        Err(why) => Finding::fail("keys", format!("they do not open this ledger: {why}"), fix),
    }
}

/// What the ledger is bound to, against what is configured.
async fn serves(config: &Config, probe: &LedgerProbe) -> Option<Finding> {
    let stored = probe.serves.as_ref()?;
    let cluster_id = cluster_id(config).await.unwrap_or_else(|| stored.cluster_id.clone());
    let asked = Serves { cluster_id, group: config.kafka.group.clone(), topic: config.kafka.topics.created.clone() };
    if *stored == asked {
        let detail = format!("it serves the group {} and the topic {}", asked.group, asked.topic);
        return Some(Finding::ok("ledger binding", detail));
    }
    let detail = format!(
        "it serves cluster {}, group {}, topic {}; configured are cluster {}, group {}, topic {}",
        stored.cluster_id, stored.group, stored.topic, asked.cluster_id, asked.group, asked.topic
    );
    Some(Finding::fail("ledger binding", detail, "use that ledger's own worker, or another ledger.url for this one"))
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
