//! A ramp's results, from the result topics: no ledger is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::cli::dlq::replay::progress::Progress;
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::Failure;
use crate::cli::follow::Follower;
use crate::cli::records::Record;
use crate::cli::signals::Signals;
use crate::cli::start::Start;
use crate::contract::PROFILE_LINKED;
use crate::dead_letters::Results;
use crate::dead_letters::topic::Index;
use crate::ledger::DeadLetter;

/// How often it is told that results are missing.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// The results from a moment on.
pub struct Heard {
    follower: Follower,
}

impl Heard {
    /// From now on. Before the dead letters are read: what ends later is heard, whoever replayed it.
    ///
    /// # Errors
    /// The broker is unreachable (69), or a topic is missing (1).
    pub async fn from_now(endpoint: &Endpoint) -> Result<Self, Failure> {
        let topics = [endpoint.topics.linked.as_str(), endpoint.topics.rejected.as_str()];
        Ok(Self { follower: Follower::new(endpoint, &topics, Start::End).await? })
    }

    /// Waits for the results of these replays, however long they take; `None`: a signal came first.
    ///
    /// # Errors
    /// The broker is unreachable (69) or refuses (1).
    pub async fn of(
        &self,
        step: &[DeadLetter],
        index: &Index,
        progress: &Progress,
        signals: &mut Signals,
    ) -> Result<Option<Results>, Failure> {
        let mut results = Results::of(step.iter().map(|letter| (letter.key, letter.generation + 1)));
        let ids: BTreeMap<String, &DeadLetter> =
            step.iter().map(|letter| (next_id(letter, index).to_string(), letter)).collect();
        while results.missing() > 0 {
            tokio::select! {
                biased;
                _ = signals.next() => return Ok(None),
                record = self.follower.next() => {
                    let record = record?;
                    if let Some(letter) = record.text("/id").and_then(|id| ids.get(id)) {
                        results.ended(letter.key, is_linked(&record));
                    }
                }
                () = tokio::time::sleep(TELL_EVERY) => progress.waits_for(results.missing()),
            }
        }
        Ok(Some(results))
    }
}

fn is_linked(record: &Record) -> bool {
    record.text("/type") == Some(PROFILE_LINKED)
}

/// The id that the result of its next generation has.
fn next_id(letter: &DeadLetter, index: &Index) -> Uuid {
    let generation = letter.generation + 1;
    match &letter.identity {
        Some(identity) => identity.result_id(generation),
        None => index.origin(letter).result_id(generation),
    }
}
