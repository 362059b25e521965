//! The index: one entry for each input that was dead-lettered, its last generation; and the records that are no dead letters.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use super::queries::admits;
use super::{Fault, letter};
use crate::contract::{PROFILE_LINKED, PROFILE_REJECTED};
use crate::domain::{EventIdentity, EventKey, Origin};
use crate::ledger::{DeadLetter, DeadLetterFilter, Vault};

/// Entries, and as many strays. At about half a kilobyte each they are what fits a small machine; a topic with more is to be read
/// in parts.
pub const MAX_LETTERS: usize = 1_000_000;

/// There are more than [`MAX_LETTERS`].
#[derive(Debug, thiserror::Error)]
#[error("more than {MAX_LETTERS} dead letters")]
pub struct IndexFull;

/// A place in the dead-letter topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Partition.
    pub partition: i32,
    /// Offset.
    pub offset: i64,
}

/// A dead letter of the topic.
#[derive(Debug, Clone)]
pub struct Letter {
    /// As lists show it.
    pub letter: DeadLetter,
    /// Where its event stands.
    pub place: Place,
    /// Where an event with its sealed original stands: that of an earlier generation, if this one's does not open.
    pub original: Place,
    /// Why it cannot be replayed, if it cannot.
    pub fault: Option<Fault>,
}

/// A record that is no dead letter of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stray {
    /// Where it stands.
    pub place: Place,
    /// Its record's timestamp.
    pub timestamp: Option<i64>,
    /// Why.
    pub fault: Fault,
}

/// What the topic holds.
pub struct Index {
    topic: String,
    /// Earlier dead letters are left out.
    since: Option<i64>,
    pub(super) now: i64,
    pub(super) letters: BTreeMap<EventKey, Letter>,
    strays: Vec<Stray>,
    /// In the order of [`DeadLetter::place`]; once complete.
    pub(super) order: Vec<EventKey>,
    /// The result ids of next generations, of inputs without an identity.
    nameless: BTreeMap<Uuid, EventKey>,
    /// The ids of the events that a person made, or may have made, of these by editing them.
    edits: BTreeMap<Uuid, EventKey>,
}

impl Index {
    /// An empty one, of the dead letters of this input topic; `now` is what ages are counted from.
    #[must_use]
    pub fn new(topic: &str, since: Option<i64>, now: i64) -> Self {
        let (letters, nameless, edits) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { topic: topic.to_owned(), since, now, letters, strays: Vec::new(), order: Vec::new(), nameless, edits }
    }

    /// Takes a record in: its event in structured form, or why it has none.
    ///
    /// # Errors
    /// There are too many.
    pub fn add(
        &mut self,
        place: Place,
        timestamp: Option<i64>,
        event: Result<&Value, Fault>,
        vault: &Vault,
    ) -> Result<(), IndexFull> {
        let is_early = |at: i64| self.since.is_some_and(|since| at < since);
        match event.and_then(|event| letter::read(event, &self.topic, vault)) {
            Ok(read) if is_early(read.letter.dead_lettered_at) => {}
            Ok(read) => self.insert(Letter { letter: read.letter, place, original: place, fault: read.fault }),
            // Of a record that is no dead letter only its own time is known.
            Err(_) if timestamp.is_some_and(is_early) => {}
            Err(fault) => self.strays.push(Stray { place, timestamp, fault }),
        }
        let most = self.letters.len().max(self.strays.len());
        if most > MAX_LETTERS { Err(IndexFull) } else { Ok(()) }
    }

    /// A later generation takes the place of an earlier one. What is known twice counts once: a dead letter that was published
    /// again, or one whose original opens only in the earlier of the two, since the original is the same.
    fn insert(&mut self, mut new: Letter) {
        let Some(there) = self.letters.get(&new.letter.key) else {
            self.letters.insert(new.letter.key, new);
            return;
        };
        let mut old = there.clone();
        if old.letter.generation > new.letter.generation {
            std::mem::swap(&mut old, &mut new);
        }
        let same = (old.letter.lane, old.letter.offset) == (new.letter.lane, new.letter.offset);
        if same && new.fault.is_some() && old.fault.is_none() {
            (new.original, new.fault) = (old.original, None);
        }
        self.letters.insert(new.letter.key, new);
    }

    /// The time from which on results can tell something about these dead letters; `None`: there are none.
    #[must_use]
    pub fn first_dead_lettered_at(&self) -> Option<i64> {
        self.letters.values().map(|letter| letter.letter.dead_lettered_at).min()
    }

    /// All dead letters were read; results follow. One that a person edited was discarded for good: where the edited event is a dead
    /// letter itself, it has the first one's place.
    pub fn expect_results(&mut self) {
        self.edits = self.letters.values().map(|one| (self.edited_id(&one.letter), one.letter.key)).collect();
        let named = self.letters.values().filter_map(|one| one.letter.identity.as_ref());
        let replaced: Vec<EventKey> = named.filter_map(|identity| self.replaced_by(identity)).collect();
        for key in replaced {
            self.letters.remove(&key);
        }
        let nameless = self.letters.values().filter(|letter| letter.letter.identity.is_none());
        let next = |one: &Letter| (self.origin(&one.letter).result_id(one.letter.generation + 1), one.letter.key);
        self.nameless = nameless.map(next).collect();
    }

    fn edited_id(&self, letter: &DeadLetter) -> Uuid {
        letter.identity.as_ref().map_or_else(|| self.origin(letter).edited_id(), EventIdentity::edited_id)
    }

    /// Which entry this event was made of by editing it. The edited one keeps the first one's source.
    fn replaced_by(&self, identity: &EventIdentity) -> Option<EventKey> {
        let key = *self.edits.get(&Uuid::parse_str(&identity.id).ok()?)?;
        let first = self.letters.get(&key)?.letter.identity.as_ref();
        first.is_none_or(|first| first.source == identity.source).then_some(key)
    }

    /// Takes a result in: a dead letter that was replayed and has ended since is none any more, nor is one whose edited event has
    /// ended in any way.
    pub fn hear(&mut self, result: &Value) {
        if result.pointer("/data/reason/code").and_then(Value::as_str) == Some("event_id_conflict") {
            // Of another record with its name.
            return;
        }
        let created = result.pointer("/data/created").and_then(|created| EventIdentity::deserialize(created).ok());
        if let Some(replaced) = created.and_then(|created| self.replaced_by(&created)) {
            self.letters.remove(&replaced);
        }
        let Some(key) = self.subject(result) else { return };
        let Some(there) = self.letters.get(&key) else { return };
        let generation = result.pointer("/data/generation").and_then(Value::as_i64).unwrap_or(0);
        let text = |pointer| result.pointer(pointer).and_then(Value::as_str);
        let is_over = match text("/type") {
            // Whatever was told of it besides: it has its profile.
            Some(PROFILE_LINKED) => true,
            Some(PROFILE_REJECTED) => {
                text("/data/disposition") == Some("final") && generation > i64::from(there.letter.generation)
            }
            _ => false,
        };
        if is_over {
            self.letters.remove(&key);
        }
    }

    /// Which entry a result is about.
    fn subject(&self, result: &Value) -> Option<EventKey> {
        if let Some(created) = result.pointer("/data/created") {
            return EventIdentity::deserialize(created).ok().map(|identity| identity.key());
        }
        let id = result.get("id").and_then(Value::as_str)?;
        self.nameless.get(&Uuid::parse_str(id).ok()?).copied()
    }

    /// Everything was read: puts the dead letters in the order in which a ledger would have accepted them. Records of one
    /// partition stay in the order of their offsets, whatever their producers' clocks said.
    pub fn complete(&mut self) {
        self.nameless.clear();
        self.edits.clear();
        let mut by_place: Vec<&mut DeadLetter> = self.letters.values_mut().map(|one| &mut one.letter).collect();
        by_place.sort_by_key(|letter| (letter.lane, letter.offset, letter.key));
        let mut latest = (None, i64::MIN);
        for letter in by_place {
            let in_lane = if latest.0 == Some(letter.lane) { latest.1 } else { i64::MIN };
            letter.accepted_at = letter.timestamp.max(in_lane);
            latest = (Some(letter.lane), letter.accepted_at);
        }
        let mut order: Vec<_> = self.letters.values().map(|one| (one.letter.place(), one.letter.key)).collect();
        order.sort_unstable_by_key(|(place, _)| *place);
        self.order = order.into_iter().map(|(_, key)| key).collect();
        self.strays.sort_unstable_by_key(|stray| stray.place);
    }

    /// The dead letters, in their order.
    pub fn letters(&self) -> impl Iterator<Item = &Letter> {
        self.order.iter().filter_map(|key| self.letters.get(key))
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, key: EventKey) -> Option<&Letter> {
        self.letters.get(&key)
    }

    /// The dead letters that a filter admits, in their order, also those that cannot be replayed.
    pub fn selected<'a>(&'a self, filter: &'a DeadLetterFilter) -> impl Iterator<Item = &'a Letter> {
        self.letters().filter(|one| admits(filter, &one.letter))
    }

    /// The records that are no dead letters of ours.
    #[must_use]
    pub fn strays(&self) -> &[Stray] {
        &self.strays
    }

    /// Where the original of a dead letter stood.
    #[must_use]
    pub fn origin(&self, letter: &DeadLetter) -> Origin {
        let (partition, offset, timestamp) = (letter.lane.0, letter.offset, letter.timestamp);
        Origin { topic: self.topic.clone(), partition, offset, timestamp }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Secret;

    #[test]
    fn records_that_are_no_dead_letters_count_only_from_the_time_on_that_is_asked_for() {
        let vault = Vault::new("k1", vec![("k1".to_owned(), Secret::new(vec![1; 32]))]).unwrap();
        let mut index = Index::new("created", Some(1000), 2000);
        for (offset, timestamp) in (0..).zip([Some(999), Some(1000), None]) {
            index.add(Place { partition: 0, offset }, timestamp, Err(Fault::NotJson), &vault).unwrap();
        }
        let offsets: Vec<i64> = index.strays().iter().map(|stray| stray.place.offset).collect();
        assert_eq!(offsets, [1, 2], "where no time is known it may be asked for");
    }
}
