//! Results that were there before: of an event that is published again, which gets no second one.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use rdkafka::message::BorrowedMessage;

use crate::cli::backlog;
use crate::cli::broker::Reader;
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::Failure;
use crate::cli::records::Record;

/// `source` and `id` of an event.
pub type Identity = (String, String);

/// How long a new result is waited for first. The same identity with another payload gets one (`event_id_conflict`), and
/// what an event came to before would be a wrong answer then. Taking a record in takes a worker a fraction of this; what
/// takes longer is mostly a vendor.
const GRACE: Duration = Duration::from_secs(3);

/// The event that a result is about.
#[must_use]
pub fn identity(record: &Record) -> Option<Identity> {
    Some((record.text("/data/created/source")?.to_owned(), record.text("/data/created/id")?.to_owned()))
}

/// Reads the result topics from their beginnings, after the time of grace: of each event the result of its last
/// generation.
///
/// # Errors
/// The broker is unreachable (69) or refuses (1).
pub async fn results(endpoint: &Endpoint, awaited: HashSet<Identity>) -> Result<Vec<Record>, Failure> {
    tokio::time::sleep(GRACE).await;
    let reader = Reader::new(endpoint)?;
    let mut found: HashMap<Identity, Record> = HashMap::new();
    for topic in [&endpoint.topics.linked, &endpoint.topics.rejected] {
        let from = backlog::beginnings(&reader, topic).await?;
        backlog::read(endpoint, topic, &from, |message| keep(&mut found, &awaited, message)).await?;
    }
    Ok(found.into_values().collect())
}

fn keep(found: &mut HashMap<Identity, Record>, awaited: &HashSet<Identity>, message: &BorrowedMessage<'_>) {
    let Some(record) = Record::read(message) else { return };
    let Some(identity) = identity(&record).filter(|identity| awaited.contains(identity)) else { return };
    if found.get(&identity).is_none_or(|other| rank(other) <= rank(&record)) {
        found.insert(identity, record);
    }
}

/// A replay's result has a higher generation. A refused conflict has the identity of the event that it is not.
fn rank(record: &Record) -> (bool, i64) {
    let conflict = record.text("/data/reason/code") == Some("event_id_conflict");
    (!conflict, record.event.pointer("/data/generation").and_then(serde_json::Value::as_i64).unwrap_or(0))
}
