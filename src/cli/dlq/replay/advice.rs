//! What to do where a ramp stopped: commands that can be pasted as they stand, whatever an event's id is.

use crate::cli::dlq::shown::{event_id, origin};
use crate::cli::text::is_unprintable;
use crate::ledger::DeadLetter;

/// Where a replay takes its dead letters from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The ledger's index.
    Ledger,
    /// The dead-letter topic.
    Topic,
}

/// Of one that was finally rejected.
const OVER: &str = "it has its end and is no dead letter any more, so the same command goes on with the next";

/// What to do about a step that went wrong, by the example of this one; `is_over`: it was finally rejected, so it is no dead letter
/// any more. `served` is the input topic.
pub fn advice(source: Source, example: Option<&DeadLetter>, is_over: bool, served: &str) -> String {
    let on = "start the same command again";
    let Some(letter) = example else {
        return format!("`profile-linker dlq list` tells what there is; mend it, then {on}, or without --ramp for all");
    };
    let (id, selected) = (event_id(letter).and_then(word), selected(letter, served));
    match (source, is_over, id) {
        (Source::Ledger, true, Some(id)) => format!("`profile-linker ledger show {id}` tells why; {OVER}"),
        (Source::Topic, true, Some(id)) => {
            format!("`profile-linker watch --event-id {id} --from start` tells why; {OVER}")
        }
        (_, true, None) => {
            format!("the rejection in the result topic tells why, that of {}; {OVER}", origin(letter, served))
        }
        (Source::Ledger, false, _) => format!(
            "`profile-linker dlq show {selected}` tells why; mend it, then {on}, or without --ramp for all; if it is this one alone, set it aside, then the ramp goes on: `profile-linker dlq discard {selected} --why \"...\"`"
        ),
        (Source::Topic, false, _) => format!(
            "`profile-linker dlq show --from-topic {selected}` tells why; mend it, then {on}; if it is this one alone, go on without --ramp"
        ),
    }
}

/// How a command selects it: by its id, or by its record's place where no shell, or no person, could take the id.
fn selected(letter: &DeadLetter, served: &str) -> String {
    event_id(letter).and_then(word).unwrap_or_else(|| format!("--origin {}", origin(letter, served)))
}

/// The text as a word of a shell; `None`: it cannot be one that is seen as it is, or would be taken for an option.
fn word(text: &str) -> Option<String> {
    // What looks like nothing, or like something else, is not to be pasted.
    let is_odd = |c: char| is_unprintable(c) || (c.is_whitespace() && c != ' ');
    if text.is_empty() || text.starts_with('-') || text.chars().any(is_odd) {
        return None;
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._:/@%+=,-".contains(c);
    Some(if text.chars().all(is_plain) { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) })
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::domain::{Attempts, EventIdentity, EventKey, Lane};
    use crate::ledger::LetterState;

    fn letter(id: Option<&str>) -> DeadLetter {
        DeadLetter {
            key: EventKey([7; 16]),
            state: LetterState::DeadLettered,
            generation: 1,
            identity: id.map(|id| EventIdentity { source: "urn:test".to_owned(), id: id.to_owned() }),
            lane: Lane(0),
            offset: 17,
            timestamp: 0,
            topic: None,
            customer: None,
            reason: "conversion_unknown".to_owned(),
            stage: "convert".to_owned(),
            attempts: Attempts::default(),
            dead_lettered_at: 1,
            accepted_at: 0,
        }
    }

    #[test]
    fn an_id_in_an_advice_is_one_word_of_a_shell_and_the_same() {
        for id in ["order-4711", "a b", "0'\"|é", "$(id)`id`", "a;b&c>d", "~", "*", "!x", "日本", "a\\b", "#"] {
            let word = word(id).unwrap();
            let told = Command::new("sh").args(["-c", &format!("printf %s {word}")]).output().unwrap();
            assert_eq!(String::from_utf8(told.stdout).unwrap(), id, "{word}");
        }
        assert_eq!(word("order-4711").unwrap(), "order-4711", "nobody quotes what needs no quotes");
    }

    #[test]
    fn what_cannot_be_pasted_is_named_by_its_place() {
        for id in [Some("x\u{202e} 0'\"|é"), Some("a\u{1b}[2Jb"), Some("-rf"), Some(""), Some("a\u{a0}b"), None] {
            let letter = letter(id);
            for source in [Source::Ledger, Source::Topic] {
                let told = advice(source, Some(&letter), false, "created");
                assert!(told.contains("--origin created/0/17`"), "{told}");
                assert!(advice(source, Some(&letter), true, "created").contains("created/0/17"), "{told}");
                assert!(!told.contains(is_unprintable), "{told:?}");
            }
        }
    }

    #[test]
    fn one_that_fails_each_time_can_be_set_aside() {
        let told = advice(Source::Ledger, Some(&letter(Some("de-0"))), false, "created");
        for part in ["dlq show de-0`", "start the same command again", "dlq discard de-0 --why", "the ramp goes on"] {
            assert!(told.contains(part), "{part} is not in {told}");
        }
        // The topic knows of no discarding.
        let told = advice(Source::Topic, Some(&letter(Some("de-0"))), false, "created");
        assert!(told.contains("dlq show --from-topic de-0`") && !told.contains("discard"), "{told}");
    }

    #[test]
    fn one_that_has_its_end_is_not_looked_for_among_the_dead_letters() {
        for (source, part) in [(Source::Ledger, "ledger show 'd 0'`"), (Source::Topic, "watch --event-id 'd 0' --from")]
        {
            let told = advice(source, Some(&letter(Some("d 0"))), true, "created");
            assert!(told.contains(part) && !told.contains("dlq"), "{told}");
        }
    }
}
