//! Reading events: one JSON document, an array of them, several one after another, or one a line.

use std::io::{ErrorKind, IsTerminal, Read};
use std::path::Path;

use serde_json::Value;

use crate::cli::exit::{Exit, Failure};
use crate::cli::text::counted;
use crate::contract::{self, json_fault};

/// What an input may be.
const FORMS: &str = "one event is one JSON object; several are NDJSON, or a JSON array";

/// An input is held in memory whole, since nothing may be published before all of it is checked. In bytes.
const INPUT_LIMIT: u64 = 256 * 1024 * 1024;

/// An event to be published.
pub struct Draft {
    /// Where it stands, for messages: `events.ndjson:3`.
    pub place: String,
    /// As it will be sent: byte for byte what was read, except for elements of an array.
    pub text: String,
    /// The same, parsed.
    pub event: Value,
}

impl Draft {
    /// The record's key: the customer's id, in the one spelling that all its events share.
    pub fn key(&self) -> Option<String> {
        contract::customer(&self.event).map(|customer| customer.id)
    }

    /// A text of the event by its JSON pointer.
    pub fn text_at(&self, pointer: &str) -> Option<&str> {
        self.event.pointer(pointer).and_then(Value::as_str)
    }
}

/// So many faults are shown: more would scroll the first ones away.
const SHOWN: usize = 20;

/// Faults as they are found: some to show, the rest counted. An input may have millions.
#[derive(Default)]
pub struct Faults {
    shown: Vec<String>,
    /// All of them.
    pub count: usize,
}

impl Faults {
    /// One more.
    pub fn add(&mut self, fault: impl FnOnce() -> String) {
        self.count += 1;
        if self.count <= SHOWN {
            self.shown.push(fault());
        }
    }

    /// The failure with them as its places.
    pub fn tell(self, failure: Failure) -> Failure {
        let failure = self.shown.into_iter().fold(failure, Failure::at);
        match self.count.saturating_sub(SHOWN) {
            0 => failure,
            hidden => failure.at(format!("and {hidden} more")),
        }
    }
}

/// "1 event", "2 events".
pub fn count(number: usize) -> String {
    counted(number, "event", "events")
}

/// Reads a file, or standard input.
///
/// # Errors
/// No such file (66), not JSON (65), no input at all (2).
pub fn read(file: Option<&Path>) -> Result<Vec<Draft>, Failure> {
    let file = file.filter(|path| *path != Path::new("-"));
    let name = file.map_or("standard input".to_owned(), |path| path.display().to_string());
    let text = match file {
        Some(path) => load(path, &name)?,
        None => standard_input(&name)?,
    };
    let drafts = parse(&text, &name)?;
    if drafts.is_empty() {
        return Err(Failure::new(Exit::BadInput, "there is no event in the input").at(name).fix(FORMS));
    }
    Ok(drafts)
}

fn load(path: &Path, name: &str) -> Result<String, Failure> {
    let file = std::fs::File::open(path).map_err(|error| unreadable(&error, name))?;
    text_of(file, name)
}

fn standard_input(name: &str) -> Result<String, Failure> {
    if std::io::stdin().is_terminal() {
        let failure = Failure::new(Exit::Usage, "there is nothing to publish");
        return Err(failure.fix("name a file, pipe events in, or use --sample N"));
    }
    text_of(std::io::stdin().lock(), name)
}

fn text_of(source: impl Read, name: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    source.take(INPUT_LIMIT + 1).read_to_end(&mut bytes).map_err(|error| unreadable(&error, name))?;
    if bytes.len() as u64 > INPUT_LIMIT {
        let what = format!("the input is larger than {} MiB", INPUT_LIMIT >> 20);
        return Err(Failure::new(Exit::BadInput, what).at(name).fix("publish it in parts"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        let failure = Failure::new(Exit::BadInput, "the input is not UTF-8 text").at(format!("{name}:{line}"));
        failure.fix("convert it, such as by `iconv -t UTF-8`; JSON is always UTF-8")
    })
}

fn unreadable(error: &std::io::Error, name: &str) -> Failure {
    let missing = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::IsADirectory);
    let exit = if missing { Exit::NoInput } else { Exit::Failed };
    Failure::new(exit, format!("the input cannot be read: {error}"))
        .at(name)
        .fix("name a file of JSON or NDJSON events")
}

/// First as JSON documents one after another, which one document and NDJSON both are. If that fails and the first line is
/// a document of its own, every bad line is named; else the one place where the document breaks.
fn parse(text: &str, name: &str) -> Result<Vec<Draft>, Failure> {
    let text = text.trim_start_matches('\u{feff}');
    documents(text, name).map_err(|broken| {
        let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
        let is_ndjson = serde_json::from_str::<Value>(first).is_ok();
        if is_ndjson { bad_lines(text, name) } else { broken }
    })
}

fn documents(text: &str, name: &str) -> Result<Vec<Draft>, Failure> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut drafts = Vec::new();
    let (mut start, mut line) = (0, 1);
    while let Some(document) = stream.next() {
        let event = document.map_err(|error| {
            let place = format!("{name}:{}:{}", error.line(), error.column());
            not_json(1).at(format!("{place}: {}", json_fault(&error)))
        })?;
        let whole = &text[start..stream.byte_offset()];
        let document = whole.trim_start();
        line += line_feeds(&whole[..whole.len() - document.len()]);
        push(&mut drafts, event, document, &format!("{name}:{line}"));
        line += line_feeds(document);
        start = stream.byte_offset();
    }
    Ok(drafts)
}

fn line_feeds(text: &str) -> usize {
    text.bytes().filter(|byte| *byte == b'\n').count()
}

fn push(drafts: &mut Vec<Draft>, event: Value, text: &str, place: &str) {
    match event {
        Value::Array(items) => drafts.extend(items.into_iter().enumerate().map(|(index, event)| Draft {
            place: format!("{place} (item {})", index + 1),
            text: event.to_string(),
            event,
        })),
        event => drafts.push(Draft { place: place.to_owned(), text: text.to_owned(), event }),
    }
}

fn bad_lines(text: &str, name: &str) -> Failure {
    let mut bad = Faults::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if let Err(error) = serde_json::from_str::<Value>(line) {
            bad.add(|| format!("{name}:{}:{}: {}", index + 1, error.column(), json_fault(&error)));
        }
    }
    let failure = not_json(bad.count.max(1));
    bad.tell(failure)
}

fn not_json(count: usize) -> Failure {
    let what = format!(
        "{} not JSON; nothing was published",
        if count == 1 { "the input is".to_owned() } else { format!("{count} lines are") }
    );
    Failure::new(Exit::BadInput, what).fix(FORMS)
}
