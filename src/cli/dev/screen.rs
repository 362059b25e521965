//! The samples on the screen: one line each that fills up on a terminal, a line a step where the output is piped.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::time::Instant;

use anstyle::{AnsiColor, Style};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::samples::{Expected, Sample};
use crate::cli::endpoint::Endpoint;
use crate::cli::records::Record;
use crate::cli::shell::Shell;
use crate::contract::PROFILE_LINKED;
use crate::worker::{Milestone, Step};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Yellow.on_default();
const WRONG: Style = AnsiColor::Red.on_default().bold();
const FAINT: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

const ARRIVED: &str = "arrived";

struct Row {
    name: &'static str,
    customer: String,
    id: Option<String>,
    expected: Expected,
    place: Option<(i32, i64)>,
    said: String,
    /// Steps after its arrival.
    steps: usize,
    results: Vec<bool>,
    bar: Option<ProgressBar>,
}

/// The samples' rows.
pub(super) struct Screen<'a> {
    rows: Vec<Row>,
    shell: &'a Shell,
    began: Instant,
    /// Results made before this are of an earlier run that did not come to publish them.
    since: jiff::Timestamp,
}

impl<'a> Screen<'a> {
    pub fn new(samples: &[Sample], shell: &'a Shell, endpoint: &Endpoint, home: &str) -> Self {
        shell.note(&format!(
            "{BOLD}profile-linker dev{BOLD:#}  broker {} (embedded)  sandbox {}\n{FAINT}data in {home}{FAINT:#}\n",
            endpoint.brokers,
            endpoint.sandbox.as_deref().unwrap_or("-"),
        ));
        let since = jiff::Timestamp::now();
        let live = !shell.is_json() && std::io::stdout().is_terminal();
        let bars = live.then(MultiProgress::new);
        let row = |sample: &Sample| Row {
            name: sample.name,
            customer: short(&sample.customer),
            id: sample.id.clone(),
            expected: sample.expected,
            place: None,
            said: String::new(),
            steps: 0,
            results: Vec::new(),
            bar: bars.as_ref().map(|bars| bars.add(bar())),
        };
        Self { rows: samples.iter().map(row).collect(), shell, began: Instant::now(), since }
    }

    /// The samples stand in the input topic.
    pub fn arrived(&mut self, places: &[(i32, i64)]) {
        for (index, place) in places.iter().enumerate() {
            if let Some(row) = self.rows.get_mut(index) {
                row.place = Some(*place);
            }
            self.say(index, &format!("{FAINT}{ARRIVED}{FAINT:#}"));
        }
    }

    /// The worker tells of a step.
    pub fn step(&mut self, milestone: &Milestone) {
        let found = self.rows.iter().position(|row| row.id.as_deref() == Some(milestone.event.id.as_str()));
        if let (Some(index), Step::Converted) = (found, milestone.step) {
            self.say(index, "converted");
        }
    }

    /// A result was published.
    pub fn result(&mut self, record: &Record) -> anyhow::Result<()> {
        if self.shell.is_json() {
            self.shell.line(record, String::new)?;
        }
        let made = record.text("/time").and_then(|time| time.parse::<jiff::Timestamp>().ok());
        if made.is_some_and(|made| made < self.since) {
            return Ok(());
        }
        let Some(index) = self.rows.iter().position(|row| row.is_of(record)) else { return Ok(()) };
        let row = &mut self.rows[index];
        let code = record.text("/data/reason/code");
        let good = match row.expected {
            Expected::Linked => record.text("/type") == Some(PROFILE_LINKED),
            Expected::Rejected(expected) => code == Some(expected.as_str()),
            Expected::NoFurther => false,
        };
        row.results.push(good);
        let seconds = self.began.elapsed().as_secs_f64();
        let text = match code {
            None => {
                let account = short(record.text("/data/paymentAccountId").unwrap_or("?"));
                let how = record.text("/data/resolvedBy").unwrap_or("?");
                format!("{GOOD}linked as {account}{GOOD:#} {FAINT}({how}) {seconds:.1} s{FAINT:#}")
            }
            Some(code) => {
                let end = record.text("/data/disposition").unwrap_or("?");
                format!("{BAD}rejected: {code}{BAD:#} {FAINT}{end}, {seconds:.1} s{FAINT:#}")
            }
        };
        self.say(index, &text);
        Ok(())
    }

    /// Whether every sample that gets a result has one.
    pub fn is_complete(&self) -> bool {
        self.rows.iter().all(|row| row.expected == Expected::NoFurther || !row.results.is_empty())
    }

    /// Says how it went; answers whether every sample got exactly the result expected.
    pub fn finish(&mut self) -> bool {
        let mut all = true;
        for index in 0..self.rows.len() {
            let row = &self.rows[index];
            let (text, good) = match row.expected {
                Expected::NoFurther if self.results_of(row.id.as_deref()) == 1 => {
                    (format!("{GOOD}a duplicate: no second result{GOOD:#}"), true)
                }
                Expected::NoFurther => (format!("{WRONG}a duplicate, but not one result{WRONG:#}"), false),
                _ if row.results == [true] => (String::new(), true),
                _ => (format!("{WRONG}expected {:?}{WRONG:#}", row.expected), false),
            };
            all &= good;
            if !text.is_empty() {
                self.say(index, &text);
            }
            if let Some(bar) = &self.rows[index].bar {
                bar.abandon();
            }
        }
        let seconds = self.began.elapsed().as_secs_f64();
        let verdict = if all { "every sample got the result expected" } else { "NOT every sample got its result" };
        self.shell.note(&format!("\n{BOLD}{verdict}{BOLD:#} {FAINT}({seconds:.1} s){FAINT:#}"));
        all
    }

    fn results_of(&self, id: Option<&str>) -> usize {
        let same = self.rows.iter().filter(|row| row.id.as_deref() == id);
        same.map(|row| row.results.len()).sum()
    }

    fn say(&mut self, index: usize, text: &str) {
        let Some(row) = self.rows.get_mut(index) else { return };
        let head = format!("{:<23}{FAINT}{:<10}{FAINT:#}", row.name, row.customer);
        // On a terminal of 80 columns a row must not wrap: its arrival is dropped once more is known.
        if row.place.is_some() && row.steps > 0 {
            row.said.push_str(" \u{2192} ");
        } else {
            row.said.clear();
        }
        row.said.push_str(text);
        row.steps += usize::from(!text.contains(ARRIVED));
        if let Some(bar) = &row.bar {
            bar.set_message(plain_unless_coloured(&format!("{head}{}", row.said)));
        } else if !self.shell.is_json() {
            // A closed stdout has no reader to miss it.
            let _ = writeln!(anstream::stdout(), "{head}{text}");
        }
    }
}

impl Row {
    /// By the event's id; a record that has none, by where it stood.
    fn is_of(&self, record: &Record) -> bool {
        if self.expected == Expected::NoFurther {
            return false;
        }
        match (&self.id, record.text("/data/created/id")) {
            (Some(id), Some(created)) => id == created,
            (None, None) => {
                let number = |pointer: &str| record.event.pointer(pointer).and_then(serde_json::Value::as_i64);
                let place = (number("/data/origin/partition"), number("/data/origin/offset"));
                self.place.is_some_and(|(partition, offset)| place == (Some(partition.into()), Some(offset)))
            }
            _ => false,
        }
    }
}

/// A GUID's beginning is enough to recognise it by; a number stays whole.
fn short(id: &str) -> String {
    match id.char_indices().nth(6) {
        Some((end, _)) => format!("{}\u{2026}", &id[..end]),
        None => id.to_owned(),
    }
}

/// Colours, unless NO_COLOR or the terminal says otherwise.
fn plain_unless_coloured(text: &str) -> String {
    match anstream::AutoStream::choice(&std::io::stdout()) {
        anstream::ColorChoice::Never => anstream::adapter::strip_str(text).to_string(),
        _ => text.to_owned(),
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(1).with_style(style)
}

/// How to go on from a second terminal; commands find this process by themselves unless another `dev` ran before it.
pub(super) fn commands(home: &str, admin: SocketAddr, is_found: bool) -> String {
    let program =
        std::env::current_exe().map_or_else(|_| "profile-linker".to_owned(), |path| path.display().to_string());
    let config = format!("{home}/worker.toml");
    let (arguments, found) = if is_found {
        (
            ["publish --sample 5 --wait".to_owned(), "watch --from start".to_owned(), "status".to_owned()],
            format!("They find this process by themselves; its configuration is {config}."),
        )
    } else {
        (
            [
                format!("publish FILE --wait --config {config}"),
                format!("watch --from start --config {config}"),
                format!("status --admin http://{admin}"),
            ],
            "Without --config and --admin they find another `dev`, which was there before.".to_owned(),
        )
    };
    let lines = arguments.map(|arguments| format!("  {program} {arguments}\n")).concat();
    format!(
        "\nIn a second terminal:\n{lines}\
         {FAINT}{found}\n\
         Health, readiness and metrics are at http://{admin}/readyz; the token is in {home}/connection.json.\n\
         Results are shown here as they come; Ctrl-C ends.{FAINT:#}\n"
    )
}
