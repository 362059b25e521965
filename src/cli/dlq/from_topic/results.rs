//! A ramp's results, from the result topics: no ledger is asked.

use std::collections::BTreeMap;
use std::time::Duration;

use uuid::Uuid;

use crate::cli::dlq::replay::progress::Progress;
use crate::cli::dlq::stop::Stop;
use crate::cli::endpoint::Endpoint;
use crate::cli::exit::Failure;
use crate::cli::follow::Follower;
use crate::cli::records::Record;
use crate::cli::start::Start;
use crate::contract::PROFILE_LINKED;
use crate::dead_letters::topic::Index;
use crate::dead_letters::{Ending, Results};
use crate::domain::EventKey;
use crate::ledger::DeadLetter;

/// How often it is told that results are missing.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// The results from a moment on.
pub struct Heard {
    follower: Follower,
    /// The replays to come, by the id of the result that each will have.
    awaited: BTreeMap<Uuid, EventKey>,
    /// Those of them that have ended, and how. An earlier run of the command may have published them: then the
    /// result comes before their step does, and what that step publishes is a duplicate, which has none.
    ended: BTreeMap<EventKey, Ending>,
}

impl Heard {
    /// From now on. Before the dead letters are read: what ends later is heard, whoever replayed it.
    ///
    /// # Errors
    /// The broker is unreachable (69), or a topic is missing (1).
    pub async fn from_now(endpoint: &Endpoint) -> Result<Self, Failure> {
        let topics = [endpoint.topics.linked.as_str(), endpoint.topics.rejected.as_str()];
        let follower = Follower::new(endpoint, &topics, Start::End).await?;
        Ok(Self { follower, awaited: BTreeMap::new(), ended: BTreeMap::new() })
    }

    /// Says of which replays it shall listen for the results, before the first of them is published.
    pub fn expect<'a>(&mut self, letters: impl Iterator<Item = &'a DeadLetter>, index: &Index) {
        self.awaited = letters.map(|letter| (next_id(letter, index), letter.key)).collect();
    }

    /// Waits for the results of these replays, however long they take; `None`: a stop was asked for.
    ///
    /// # Errors
    /// The broker is unreachable (69) or refuses (1).
    pub async fn of(
        &mut self,
        step: &[DeadLetter],
        progress: &Progress,
        stop: &mut Stop,
    ) -> Result<Option<Results>, Failure> {
        let mut results = Results::of(step.iter().map(|letter| (letter.key, letter.generation + 1)));
        for letter in step {
            if let Some(ending) = self.ended.remove(&letter.key) {
                results.ended(letter.key, ending);
            }
        }
        while results.missing() > 0 {
            tokio::select! {
                biased;
                () = stop.asked() => return Ok(None),
                record = self.follower.next() => {
                    if let Some((key, ending)) = self.hear(&record?) {
                        results.ended(key, ending);
                    }
                }
                () = tokio::time::sleep(TELL_EVERY) => progress.waits_for(results.missing()),
            }
        }
        Ok(Some(results))
    }

    /// Which replay a result is of, and how it ended; kept for its step, if that is still to come.
    fn hear(&mut self, record: &Record) -> Option<(EventKey, Ending)> {
        let id = Uuid::parse_str(record.text("/id")?).ok()?;
        let key = self.awaited.remove(&id)?;
        self.ended.insert(key, ending(record));
        Some((key, ending(record)))
    }
}

fn ending(record: &Record) -> Ending {
    match (record.text("/type"), record.text("/data/disposition")) {
        (Some(PROFILE_LINKED), _) => Ending::Linked,
        (_, Some("final")) => Ending::Rejected,
        _ => Ending::DeadLettered,
    }
}

/// The id that the result of its next generation has.
fn next_id(letter: &DeadLetter, index: &Index) -> Uuid {
    let generation = letter.generation + 1;
    match &letter.identity {
        Some(identity) => identity.result_id(generation),
        None => index.origin(letter).result_id(generation),
    }
}
