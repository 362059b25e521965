//! Log lines on stderr. stdout belongs to results.

use std::io::{self, Write};

use tracing_subscriber::EnvFilter;

use super::text::escaped;

/// What short commands log unless `RUST_LOG` says otherwise: their failures have a text of their own, and librdkafka's
/// complaints about a broker that is away would only repeat it.
pub const COMMAND_FILTER: &str = "warn,librdkafka=off,rdkafka::consumer=off";
/// What the worker logs unless `RUST_LOG` says otherwise. The client complains when it drops a consumer that we closed.
pub const WORKER_FILTER: &str = "info,rdkafka::consumer=off";

/// Starts logging to stderr, as text or as JSON lines, filtered by `RUST_LOG`, else by `default_filter`. Only the first
/// call in a process counts.
pub fn init(log_json: bool, default_filter: &str) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default_filter));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Escaping(std::io::stderr()));
    // An error says that logging was started before, which is what was wanted.
    let _ = if log_json {
        lines.json().flatten_event(true).try_init()
    } else {
        lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
    };
    super::dumps::tell();
}

/// Ids come from outside, and a log is read on terminals: what would turn a line around is shown escaped, in a form that is
/// right in JSON too. The subscriber escapes what begins a colour, and writes such itself; so ASCII is left to it.
struct Escaping<W>(W);

impl<W: Write> Write for Escaping<W> {
    /// The subscriber writes each line at once, so no character is cut in two.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(line) {
            Ok(text) if !text.is_ascii() => self.0.write_all(beyond_ascii(text).as_bytes())?,
            _ => self.0.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn beyond_ascii(text: &str) -> String {
    text.split_inclusive(|c: char| c.is_ascii())
        .map(|piece| match piece.chars().next_back().filter(char::is_ascii) {
            Some(last) => escaped(&piece[..piece.len() - 1]) + last.encode_utf8(&mut [0; 4]),
            None => escaped(piece),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(line: &str) -> String {
        let mut written = Vec::new();
        Escaping(&mut written).write_all(line.as_bytes()).unwrap();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_log_line_is_not_turned_around_and_keeps_its_colours_and_letters() {
        let line = "\u{1b}[32mINFO\u{1b}[0m linked event.id=\u{202e}oé\u{2066}\u{9b} détail=\"ü\"\n";
        let shown = "\u{1b}[32mINFO\u{1b}[0m linked event.id=\\u202eoé\\u2066\\u009b détail=\"ü\"\n";
        assert_eq!(logged(line), shown);
        let json = logged("{\"event.id\":\"a\u{202e}b\"}\n");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["event.id"], "a\u{202e}b");
    }
}
