//! How the parts that the worker stands on are: what `/readyz` tells, and what the log tells once at each change.
//!
//! Whoever meets a trouble, or its end, says so here, as often as it likes: only a change is logged. Nothing reads these to
//! decide anything about an event.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Serialize, Serializer};

use crate::clock::Clock;
use crate::contract::scrub::scrub;

/// A part that the worker stands on, by its name in `/readyz` (contract, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Kafka: fetching, committing, publishing.
    Broker,
    /// The ledger's database.
    Ledger,
    /// The converter.
    Payiq,
    /// A link target.
    Loanpro,
    /// A link target.
    Aloha,
    /// Whether events are taken and begun.
    Intake,
}

/// How a part is, from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// Nothing to say.
    Ok,
    /// It works, with less than it has or slower than usual: still ready.
    Degraded,
    /// Stopped on purpose.
    Paused,
    /// Nothing goes until it is back.
    Down,
}

/// A part's health as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// How it is.
    pub health: Health,
    /// Since when, milliseconds since 1970: its last change, or the start.
    pub since_ms: i64,
    /// Why, for people, scrubbed; empty where there is nothing to say.
    pub reason: String,
}

/// The body of `/readyz`, and what `status` prints.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether no part is down or paused.
    pub ready: bool,
    /// Each part by its name, in the order in which people read them.
    #[serde(serialize_with = "by_name")]
    pub checks: Vec<(&'static str, Check)>,
}

/// One part in [`Readiness`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// `ok`, `degraded`, `down` or `paused`.
    pub status: &'static str,
    /// RFC 3339.
    pub since: String,
    /// For people; empty where there is nothing to say.
    pub reason: String,
}

/// The conditions of all parts. Cheap to share: a clone tells and is told the same.
#[derive(Clone)]
pub struct Conditions {
    clock: Arc<dyn Clock>,
    tell: Tell,
    book: Arc<Mutex<Book>>,
}

/// Who is told of each change of a part's health.
type Tell = Arc<dyn Fn(Part, &Condition) + Send + Sync>;

/// Something that is wrong with a part for as long as this lives. Several may be open at once: a part is as bad as the worst
/// of them, and well when none is left.
#[must_use]
pub struct Trouble {
    conditions: Conditions,
    part: Part,
    number: u64,
}

#[derive(Default)]
struct Book {
    entries: BTreeMap<Part, Entry>,
    last_trouble: u64,
}

struct Entry {
    said: Said,
    troubles: BTreeMap<u64, Said>,
    shown: Condition,
}

#[derive(Clone, PartialEq, Eq)]
struct Said {
    health: Health,
    reason: String,
}

impl Part {
    /// Every part, in the order in which people read them.
    pub const ALL: [Self; 6] = [Self::Broker, Self::Ledger, Self::Payiq, Self::Loanpro, Self::Aloha, Self::Intake];

    /// Its name in `/readyz`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Ledger => "ledger",
            Self::Payiq => "payiq",
            Self::Loanpro => "loanpro",
            Self::Aloha => "aloha",
            Self::Intake => "intake",
        }
    }
}

impl Health {
    /// Its name in `/readyz`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Paused => "paused",
        }
    }

    /// Whether a worker with such a part does what it is there for.
    #[must_use]
    pub fn is_ready(self) -> bool {
        matches!(self, Self::Ok | Self::Degraded)
    }
}

impl Conditions {
    /// Everything is well until somebody says otherwise: a worker starts only after it reached its ledger and its broker.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::telling(clock, Arc::new(log))
    }

    fn telling(clock: Arc<dyn Clock>, tell: Tell) -> Self {
        let since_ms = clock.wall_ms();
        let entry = || Entry {
            said: Said::new(Health::Ok, ""),
            troubles: BTreeMap::new(),
            shown: Condition { health: Health::Ok, since_ms, reason: String::new() },
        };
        let entries = Part::ALL.into_iter().map(|part| (part, entry())).collect();
        Self { clock, tell, book: Arc::new(Mutex::new(Book { entries, last_trouble: 0 })) }
    }

    /// Says how a part is. Its time changes, and a line is logged, only with its health; the reason is always the last one.
    /// A reason may quote what others said, but for their secrets: digits that could be a card number are removed here.
    pub fn set(&self, part: Part, health: Health, reason: &str) {
        self.change(part, self.clock.wall_ms(), |entry| entry.said = Said::new(health, reason));
    }

    /// Says that something is wrong with a part until the answer is dropped.
    pub fn trouble(&self, part: Part, health: Health, reason: &str) -> Trouble {
        self.trouble_since(part, health, reason, self.clock.wall_ms())
    }

    /// The same for what began earlier, or elsewhere: a pause that is in the ledger. Milliseconds since 1970.
    pub fn trouble_since(&self, part: Part, health: Health, reason: &str, since_ms: i64) -> Trouble {
        let number = {
            let mut book = self.lock();
            book.last_trouble += 1;
            book.last_trouble
        };
        self.change(part, since_ms, |entry| drop(entry.troubles.insert(number, Said::new(health, reason))));
        Trouble { conditions: self.clone(), part, number }
    }

    /// Says it of a trouble that may be open already: then it is the same one, with this reason from now on.
    pub fn say_of(&self, open: &mut Option<Trouble>, part: Part, health: Health, reason: &str) {
        match open {
            Some(trouble) => trouble.say(health, reason),
            None => *open = Some(self.trouble(part, health, reason)),
        }
    }

    /// How a part is.
    #[must_use]
    pub fn of(&self, part: Part) -> Health {
        self.lock().entries.get(&part).map_or(Health::Ok, |entry| entry.shown.health)
    }

    /// What `/readyz` answers.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let book = self.lock();
        Readiness {
            ready: book.entries.values().all(|entry| entry.shown.health.is_ready()),
            checks: book.entries.iter().map(|(part, entry)| (part.as_str(), entry.shown.check())).collect(),
        }
    }

    fn change(&self, part: Part, since_ms: i64, change: impl FnOnce(&mut Entry)) {
        let mut book = self.lock();
        let Some(entry) = book.entries.get_mut(&part) else { return };
        change(entry);
        let before = entry.shown.health;
        entry.show(since_ms);
        let shown = entry.shown.clone();
        drop(book);
        if shown.health != before {
            (self.tell)(part, &shown);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        // Nothing can panic while it is held; if something does, the conditions are still the best there is.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Trouble {
    /// The same trouble, as it is now.
    pub fn say(&self, health: Health, reason: &str) {
        let now = self.conditions.clock.wall_ms();
        let said = Said::new(health, reason);
        self.conditions.change(self.part, now, |entry| drop(entry.troubles.insert(self.number, said)));
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        let now = self.conditions.clock.wall_ms();
        self.conditions.change(self.part, now, |entry| drop(entry.troubles.remove(&self.number)));
    }
}

impl Entry {
    /// Shows the worst of what is said, of equals the earliest.
    fn show(&mut self, since_ms: i64) {
        let mut worst = &self.said;
        for trouble in self.troubles.values() {
            if trouble.health > worst.health {
                worst = trouble;
            }
        }
        let since_ms = if worst.health == self.shown.health { self.shown.since_ms } else { since_ms };
        self.shown = Condition { health: worst.health, since_ms, reason: worst.reason.clone() };
    }
}

impl Said {
    fn new(health: Health, reason: &str) -> Self {
        Self { health, reason: scrub(reason, &[]) }
    }
}

impl Condition {
    fn check(&self) -> Check {
        let since = jiff::Timestamp::from_millisecond(self.since_ms).unwrap_or_default();
        Check { status: self.health.as_str(), since: since.to_string(), reason: self.reason.clone() }
    }
}

impl Readiness {
    /// The check of a part.
    #[must_use]
    pub fn check(&self, part: Part) -> Option<&Check> {
        self.checks.iter().find(|(name, _)| *name == part.as_str()).map(|(_, check)| check)
    }
}

fn by_name<S: Serializer>(checks: &[(&'static str, Check)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(checks.iter().map(|(name, check)| (name, check)))
}

/// One line a change, at the level at which somebody should look.
fn log(part: Part, condition: &Condition) {
    let (part, status, reason) = (part.as_str(), condition.health.as_str(), &condition.reason);
    match condition.health {
        Health::Ok => tracing::info!(part, status, reason, "{part} is well again"),
        Health::Degraded => tracing::warn!(part, status, reason, "{part} is degraded"),
        Health::Down => tracing::error!(part, status, reason, "{part} is down"),
        Health::Paused => tracing::warn!(part, status, reason, "{part} is paused"),
    }
}

#[cfg(test)]
mod tests;
