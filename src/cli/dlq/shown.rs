//! A dead letter as commands print it.

use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::text::escaped;
use crate::domain::{Attempts, Customer};
use crate::ledger::DeadLetter;

/// The contract's object.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown<'a> {
    attempts: Attempts,
    customer: Option<ShownCustomer<'a>>,
    dead_lettered_at: String,
    event_id: Option<&'a str>,
    generation: i32,
    origin: ShownOrigin<'a>,
    reason: ShownReason<'a>,
    source: Option<&'a str>,
    state: &'static str,
}

#[derive(Serialize)]
struct ShownCustomer<'a> {
    id: &'a str,
    system: &'static str,
}

#[derive(Serialize)]
struct ShownOrigin<'a> {
    offset: i64,
    partition: i32,
    topic: &'a str,
}

#[derive(Serialize)]
struct ShownReason<'a> {
    code: &'a str,
    stage: &'a str,
}

impl<'a> Shown<'a> {
    /// `served` is the topic that the ledger serves.
    pub fn of(letter: &'a DeadLetter, served: &'a str) -> Self {
        let customer = letter.customer.as_ref();
        Self {
            attempts: letter.attempts,
            customer: customer.map(|one| ShownCustomer { id: &one.id, system: one.system.as_str() }),
            dead_lettered_at: time(letter.dead_lettered_at),
            event_id: event_id(letter),
            generation: letter.generation,
            origin: ShownOrigin::of(letter, served),
            reason: ShownReason { code: &letter.reason, stage: &letter.stage },
            source: letter.identity.as_ref().map(|identity| identity.source.as_str()),
            state: letter.state.as_str(),
        }
    }
}

impl<'a> ShownOrigin<'a> {
    fn of(letter: &'a DeadLetter, served: &'a str) -> Self {
        Self { offset: letter.offset, partition: letter.lane.0, topic: topic(letter, served) }
    }
}

/// The contract's object, to go on with.
pub fn as_json(letter: &DeadLetter, served: &str) -> Value {
    json!(Shown::of(letter, served))
}

/// Its CloudEvents id, if its record has one.
pub fn event_id(letter: &DeadLetter) -> Option<&str> {
    letter.identity.as_ref().map(|identity| identity.id.as_str())
}

/// Where its record stood; `served` is the topic that the ledger serves.
pub fn origin_json(letter: &DeadLetter, served: &str) -> Value {
    json!(ShownOrigin::of(letter, served))
}

/// The same as `--origin` takes it.
pub fn origin(letter: &DeadLetter, served: &str) -> String {
    format!("{}/{}/{}", topic(letter, served), letter.lane.0, letter.offset)
}

fn topic<'a>(letter: &'a DeadLetter, served: &'a str) -> &'a str {
    letter.topic.as_deref().unwrap_or(served)
}

/// The customer as `--customer` takes it.
pub fn customer(customer: Option<&Customer>) -> String {
    customer.map_or_else(|| "-".to_owned(), |one| format!("{}/{}", one.system.as_str(), escaped(&one.id)))
}

/// RFC 3339, to the millisecond.
pub fn time(at: i64) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |time| format!("{time:.3}"))
}

/// An age as people say it: its two largest units.
pub fn age(seconds: u64) -> String {
    let [days, hours, minutes] = [seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60];
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_told_by_their_two_largest_units() {
        for (seconds, told) in [(0, "0s"), (59, "59s"), (61, "1m 1s"), (7_260, "2h 1m"), (180_000, "2d 2h")] {
            assert_eq!(age(seconds), told);
        }
    }
}
