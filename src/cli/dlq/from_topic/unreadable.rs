//! Records of the topic that cannot be replayed: told with the reason, never lost among the others.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::asks_for_dead_letters;
use super::read::Reading;
use crate::cli::dlq::replay::steps::act_as_json;
use crate::cli::dlq::selection::Selection;
use crate::cli::dlq::shown::{as_json, event_id, origin};
use crate::cli::exit::Exit;
use crate::cli::shell::Shell;
use crate::cli::text::escaped;
use crate::dead_letters::topic::{Fault, Place};
use crate::ledger::{DeadLetter, DeadLetterFilter};

/// Those that a question is about.
pub struct Unreadable {
    /// Of the dead letters.
    topic: String,
    /// Of the originals.
    created: String,
    found: Vec<(Place, Fault, Option<DeadLetter>)>,
}

impl Unreadable {
    /// A dead letter whose original does not open is asked for like any other. Of a record that is none nothing is known but its
    /// time, so it fits only where no more is asked.
    pub fn of(reading: &Reading, filter: &DeadLetterFilter, selection: &Selection) -> Self {
        let letters = reading.index.selected(filter);
        let mut found: Vec<_> =
            letters.filter_map(|one| Some((one.place, one.fault?, Some(one.letter.clone())))).collect();
        let in_time = |timestamp: Option<i64>| {
            timestamp.is_none_or(|at| filter.since.is_none_or(|since| at >= since))
                && timestamp.is_none_or(|at| filter.until.is_none_or(|until| at <= until))
        };
        if selection.is_of_times_only() && asks_for_dead_letters(filter) {
            let strays = reading.index.strays().iter().filter(|stray| in_time(stray.timestamp));
            found.extend(strays.map(|stray| (stray.place, stray.fault, None)));
        }
        let topics = &reading.endpoint.topics;
        Self { topic: topics.dead_letter.clone(), created: topics.created.clone(), found }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.found.len() as u64
    }

    /// Says that a replay leaves them: a line each.
    ///
    /// # Errors
    /// The output is closed.
    pub fn skipped(&self, shell: &Shell) -> anyhow::Result<()> {
        for (place, fault, letter) in &self.found {
            if !shell.is_json() {
                shell.note(&self.as_text(*place, *fault, letter.as_ref()));
                continue;
            }
            let nothing = || json!({"eventId": null, "origin": null, "generation": null, "action": "skipped"});
            let known = |letter: &DeadLetter| act_as_json(letter, &self.created, "skipped", letter.generation);
            let mut json = letter.as_ref().map_or_else(nothing, known);
            json["unreadable"] = self.why(*place, *fault);
            shell.line(&json, String::new)?;
        }
        Ok(())
    }

    /// Prints them, a line each, at most so many.
    ///
    /// # Errors
    /// The output is closed.
    pub fn list(&self, most: usize, shell: &Shell) -> anyhow::Result<Exit> {
        for (place, fault, letter) in self.found.iter().take(most) {
            let letter = letter.as_ref();
            shell.line(&self.as_json(*place, *fault, letter), || self.as_text(*place, *fault, letter))?;
        }
        Ok(Exit::Done)
    }

    fn as_text(&self, place: Place, fault: Fault, letter: Option<&DeadLetter>) -> String {
        let name = letter.map_or_else(String::new, |letter| {
            format!(" {}", escaped(event_id(letter).unwrap_or(&origin(letter, &self.created))))
        });
        let Place { partition, offset } = place;
        format!("unreadable{name} at {}/{partition}/{offset}: {}", self.topic, fault.meaning())
    }

    /// The fields of a dead letter, as far as they are known, and why it is unreadable.
    fn as_json(&self, place: Place, fault: Fault, letter: Option<&DeadLetter>) -> Value {
        let names = ["eventId", "source", "origin", "customer", "reason", "generation", "attempts", "deadLetteredAt"];
        let nothing = || names.into_iter().map(|name| (name.to_owned(), Value::Null)).collect();
        let mut json = letter.map_or_else(nothing, |letter| as_json(letter, &self.created));
        json["state"] = json!("unreadable");
        json["unreadable"] = self.why(place, fault);
        json
    }

    fn why(&self, place: Place, fault: Fault) -> Value {
        let Place { partition, offset } = place;
        json!({"reason": fault.as_str(), "topic": self.topic, "partition": partition, "offset": offset})
    }

    /// Counts them by reason.
    ///
    /// # Errors
    /// The output is closed.
    pub fn count(&self, shell: &Shell) -> anyhow::Result<Exit> {
        let mut counts: BTreeMap<Fault, u64> = BTreeMap::new();
        for (_, fault, _) in &self.found {
            *counts.entry(*fault).or_default() += 1;
        }
        counts.into_iter().try_for_each(|(fault, count)| {
            let json = json!({"unreadable": fault.as_str(), "count": count});
            shell.line(&json, || format!("{count} unreadable: {}", fault.meaning()))
        })?;
        Ok(Exit::Done)
    }
}
