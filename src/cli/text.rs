//! A result as one line for people. Colours are dropped by the printer where they do not belong.

use anstyle::{AnsiColor, Style};

use super::records::Record;
use crate::contract::{PROFILE_LINKED, PROFILE_REJECTED};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Yellow.on_default();
const KEPT: Style = AnsiColor::Red.on_default();
const FAINT: Style = Style::new().dimmed();

/// The line.
#[must_use]
pub fn line(record: &Record) -> String {
    let time = record.text("/time").and_then(|time| time.get(11..19)).unwrap_or("--:--:--");
    let time = escaped(time);
    let (system, customer) = (field(record, "/data/customer/system"), field(record, "/data/customer/id"));
    let event = field(record, "/data/created/id");
    let place = format!("{}[{}]@{}", record.topic, record.partition, record.offset);
    let (style, word, story) = story(record);
    format!(
        "{FAINT}{time}{FAINT:#} {style}{word:<8}{style:#} {system}/{customer} {event}: {story} {FAINT}{place}{FAINT:#}"
    )
}

fn story(record: &Record) -> (Style, &'static str, String) {
    match record.text("/type") {
        Some(PROFILE_LINKED) => {
            let title = record.text("/data/title").map(|title| format!(" \"{}\"", escaped(title)));
            let account = field(record, "/data/paymentAccountId");
            (GOOD, "linked", format!("account {account}{}", title.unwrap_or_default()))
        }
        Some(PROFILE_REJECTED) => {
            let kept = record.text("/data/disposition") == Some("dead-lettered");
            let (style, ending) = if kept { (KEPT, ", dead-lettered") } else { (BAD, "") };
            let reason = [field(record, "/data/reason/code"), field(record, "/data/reason/stage")];
            let detail = field(record, "/data/reason/detail");
            (style, "rejected", format!("{} ({}): {detail}{ending}", reason[0], reason[1]))
        }
        _ => (FAINT, "other", field(record, "/type")),
    }
}

fn field(record: &Record, pointer: &str) -> String {
    escaped(record.text(pointer).unwrap_or("?"))
}

/// Events come from outside: what could steer a terminal, or turn around what stands beside it, is shown as JSON writes it
/// (`\u202e`, and two of them above U+FFFF), so that JSON that is escaped so still says the same.
#[must_use]
pub fn escaped(text: &str) -> String {
    // Nearly all of them: a list of many is a matter of these.
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return text.to_owned();
    }
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if !is_unprintable(character) {
            shown.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            shown.push_str(&format!("\\u{unit:04x}"));
        }
    }
    shown
}

/// The same of a text of many lines, which keeps them.
#[must_use]
pub fn escaped_lines(text: &str) -> String {
    text.split('\n').map(escaped).collect::<Vec<_>>().join("\n")
}

/// "1 event", "2 events".
#[must_use]
pub fn counted(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// A text of one line, whoever wrote it.
#[must_use]
pub fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    escaped(&lines.join("; "))
}

/// Whether a terminal would act on the character instead of showing it.
#[must_use]
pub fn is_unprintable(c: char) -> bool {
    c.is_control() || is_direction(c)
}

/// The marks that change the direction of the text behind them (Unicode's bidirectional algorithm), and line separators.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_in_an_event_steers_the_terminal() {
        let evil = "a\u{1b}[2J\u{9b}31m\r\n\u{202e}\u{2066}\u{2028}b";
        let event = json!({"type": PROFILE_REJECTED, "time": evil, "data": {
            "created": {"id": evil}, "customer": {"system": evil, "id": evil},
            "reason": {"code": evil, "stage": evil, "detail": evil}}});
        let record = Record { topic: "t".into(), partition: 0, offset: 0, key: None, event, timestamp: None };
        let plain = anstream::adapter::strip_str(&line(&record)).to_string();
        assert!(!plain.chars().any(|c| c.is_control() || is_direction(c)), "{plain:?}");
        assert!(plain.contains("\\u001b[2J"), "the escape is shown, not run: {plain:?}");
        assert!(plain.contains("\\u202e") && plain.contains("\\u2066"), "so are the marks of direction: {plain:?}");
    }

    #[test]
    fn json_that_is_escaped_says_the_same() {
        let value = json!({"id": "a\u{202e}b\u{9b}\u{2028}c\u{1b}d"});
        let line = escaped(&value.to_string());
        assert!(!line.chars().any(is_unprintable), "{line:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&line).unwrap(), value);
    }

    #[test]
    fn a_text_of_many_lines_becomes_one() {
        assert_eq!(one_line("what\r\n  at: a\u{1b}b\n\n  to do: c\n"), "what; at: a\\u001bb; to do: c");
    }

    #[test]
    fn json_says_the_same_without_what_a_terminal_acts_on() {
        let event = serde_json::json!({"id": "a\u{9b}31m\u{202e}\u{7f}\u{e0001}b", "data": {"n": 1}});
        let shown = escaped_lines(&format!("{event:#}\n"));
        assert!(!shown.chars().any(|character| character != '\n' && is_unprintable(character)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), event);
    }
}
