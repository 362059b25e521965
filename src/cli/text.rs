//! A result as one line for people. Colours are dropped by the printer where they do not belong.

use anstyle::{AnsiColor, Style};

use super::records::Record;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Yellow.on_default();
const KEPT: Style = AnsiColor::Red.on_default();
const FAINT: Style = Style::new().dimmed();

/// The line.
#[must_use]
pub fn line(record: &Record) -> String {
    let time = record
        .text("/time")
        .and_then(|time| time.get(11..19))
        .unwrap_or("--:--:--");
    let customer = [record.text("/data/customer/system"), record.text("/data/customer/id")];
    let customer = customer.map(|part| part.unwrap_or("?")).join("/");
    let event = record.text("/data/created/id").unwrap_or("?");
    let place = format!("{}[{}]@{}", record.topic, record.partition, record.offset);
    let (style, word, rest) = story(record);
    let line =
        format!("{FAINT}{time}{FAINT:#} {style}{word:<8}{style:#} {customer} {event}: {rest} {FAINT}{place}{FAINT:#}");
    printable(&line)
}

fn story(record: &Record) -> (Style, &'static str, String) {
    let text = |pointer: &str| record.text(pointer).unwrap_or("?").to_owned();
    match record.text("/type") {
        Some(crate::contract::PROFILE_LINKED) => {
            let title = record
                .text("/data/title")
                .map(|title| format!(" \"{title}\""))
                .unwrap_or_default();
            (
                GOOD,
                "linked",
                format!("account {}{title}", text("/data/paymentAccountId")),
            )
        }
        Some(crate::contract::PROFILE_REJECTED) => {
            let kept = record.text("/data/disposition") == Some("dead-lettered");
            let reason = format!("{} ({})", text("/data/reason/code"), text("/data/reason/stage"));
            let ending = if kept { ", dead-lettered" } else { "" };
            let style = if kept { KEPT } else { BAD };
            (
                style,
                "rejected",
                format!("{reason}: {}{ending}", text("/data/reason/detail")),
            )
        }
        other => (FAINT, "other", other.unwrap_or("?").to_owned()),
    }
}

/// Events come from outside: what could steer a terminal is replaced, our own colours are kept.
fn printable(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_control() && c != '\u{1b}' { '\u{fffd}' } else { c })
        .collect()
}
