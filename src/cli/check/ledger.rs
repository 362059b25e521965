//! The ledger: reachable, migrated, ours; the keys that open it; its clock.

use std::sync::Arc;

use jiff::Timestamp;

use super::clocks::{self, Reading};
use super::finding::Finding;
use crate::cli::broker::{ANSWER_LIMIT, Reader};
use crate::cli::endpoint::Endpoint;
use crate::cli::{system, text};
use crate::config::{Config, is_unverified_beyond_loopback, ledger_shown};
use crate::ledger::custody::{COUNTING_LIMIT, SealedCount};
use crate::ledger::{self, HashKey, Ledger, LedgerError, LedgerIdentity, LedgerProbe, Serves, Vault, rotation};

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
    let url = config.ledger.url.expose_str().unwrap_or_default();
    let mut found = looked_at(config, &ledger_shown(url)).await;
    found.extend(unverified(url));
    found
}

/// That anybody on the way could be the database, from its address alone: it may be away.
fn unverified(url: &str) -> Option<Finding> {
    is_unverified_beyond_loopback(url).then(|| {
        let detail = format!(
            "{}: nobody checks that it is this server: who stands between can read customers' ids, and change what is done",
            ledger_shown(url)
        );
        let fix = "add ?sslmode=verify-full to ledger.url, and &sslrootcert=FILE for an authority of your own";
        Finding::warn(CHECK, detail, fix)
    })
}

async fn looked_at(config: &Config, place: &str) -> Vec<Finding> {
    let (ledger, identity) = match opened(config).await {
        Ok(opened) => opened,
        Err(error) => return vec![trouble(&error, place)],
    };
    let mut found = vec![
        Finding::ok(CHECK, format!("{place}: schema {}", ledger::SCHEMA_VERSION)),
        keys(config, &*ledger, &identity).await,
    ];
    drop(ledger);
    match ledger::probe(&config.ledger.url).await {
        Ok(probe) => {
            if probe.clock.is_some() {
                found.push(serves(config, &probe).await);
            }
            found.extend(clock(&probe));
        }
        Err(error) => found.push(trouble(&error, place)),
    }
    found
}

async fn opened(config: &Config) -> Result<(Arc<dyn Ledger>, LedgerIdentity), LedgerError> {
    let ledger = ledger::open(&config.ledger.url).await?;
    let identity = ledger.identity().await?;
    Ok((ledger, identity))
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

/// Whether the configured keys open what this ledger sealed, and how much each of them has sealed.
async fn keys(config: &Config, ledger: &dyn Ledger, identity: &LedgerIdentity) -> Finding {
    let fix = "configure the key that this ledger was made with; `profile-linker keys generate` makes a new ledger's";
    let vault = match system::vault(config) {
        Ok(vault) => vault,
        Err(failure) => return Finding::fail(KEYS, failure.in_one_line(), fix),
    };
    if let Err(error) = HashKey::open(identity, &vault) {
        return Finding::fail(KEYS, format!("they do not open this ledger: {error}"), fix);
    }
    let counted = match ledger.custody() {
        Some(custody) => custody.sealed_counts(COUNTING_LIMIT).await,
        None => Ok(Vec::new()),
    };
    match counted {
        Ok(counts) => sealed(config, &vault, &counts),
        Err(error) => Finding::warn(KEYS, format!("what they sealed cannot be counted: {error}"), "look again"),
    }
}

fn sealed(config: &Config, vault: &Vault, counts: &[SealedCount]) -> Finding {
    let shown: Vec<String> = counts.iter().map(sealed_by).collect();
    let detail = format!("{} configured, {} seals; {}", config.keys.keys.len(), config.keys.active, shown.join("; "));
    if let Some((key_id, _)) = rotation::missing(counts, vault) {
        let fix = format!("configure {key_id:?} again: what it sealed opens with nothing else");
        return Finding::fail(KEYS, format!("{key_id:?} is needed and not configured; {detail}"), fix);
    }
    if let Some((key_id, _)) = rotation::wanting(counts, vault).next() {
        let fix = format!("configure {key_id:?} again; if it is lost, `dlq discard` them: they cannot be replayed");
        return Finding::warn(KEYS, format!("dead letters need {key_id:?}, which is not configured; {detail}"), fix);
    }
    Finding::ok(KEYS, detail)
}

fn sealed_by(count: &SealedCount) -> String {
    let hash_key = if count.hash_key { " and the ledger's hash key" } else { "" };
    let (records, tokens) = (counted(count.records, "record", "records"), counted(count.tokens, "token", "tokens"));
    format!("{} has sealed {records}, {tokens}{hash_key}", count.key_id)
}

fn counted(number: u64, one: &str, many: &str) -> String {
    text::counted(usize::try_from(number).unwrap_or(usize::MAX), one, many)
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

#[cfg(test)]
mod tests {
    use super::super::finding::Status;
    use super::*;

    #[test]
    fn a_database_whose_name_nobody_checks_is_warned_of_without_its_password() {
        let found = unverified("postgres://me:hunter2@db.example:5432/x?sslmode=require").unwrap();
        assert_eq!((found.check.as_str(), found.status), (CHECK, Status::Warn));
        let told = found.told();
        assert!(told.contains("db.example:5432/x") && told.contains("sslmode=verify-full"), "{told}");
        assert!(!told.contains("hunter2"), "{told}");
        assert_eq!(unverified("postgres://me:hunter2@db.example/x?sslmode=verify-full"), None);
    }
}
