//! A dead letter as commands print it.

use serde_json::{Value, json};

use crate::cli::text::escaped;
use crate::domain::Customer;
use crate::ledger::DeadLetter;

/// The contract's object.
pub fn as_json(letter: &DeadLetter, served: &str) -> Value {
    json!({
        "eventId": event_id(letter),
        "source": letter.identity.as_ref().map(|identity| identity.source.as_str()),
        "origin": origin_json(letter, served),
        "customer": letter.customer.as_ref().map(|one| json!({"system": one.system.as_str(), "id": one.id})),
        "reason": {"code": letter.reason, "stage": letter.stage},
        "generation": letter.generation,
        "attempts": letter.attempts,
        "deadLetteredAt": time(letter.dead_lettered_at),
        "state": letter.state.as_str(),
    })
}

/// Its CloudEvents id, if its record has one.
pub fn event_id(letter: &DeadLetter) -> Option<&str> {
    letter.identity.as_ref().map(|identity| identity.id.as_str())
}

/// Where its record stood; `served` is the topic that the ledger serves.
pub fn origin_json(letter: &DeadLetter, served: &str) -> Value {
    json!({"topic": topic(letter, served), "partition": letter.lane.0, "offset": letter.offset})
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
