//! What a key takes: the one place where values are checked and where "what is allowed" is worded.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use super::{address, duration};
use crate::domain::Secret;

/// Longest text value, in bytes; nothing we know of is near it, and an error message must stay readable.
const TEXT_LIMIT: usize = 2048;
/// Longest topic or group name that Kafka takes.
const NAME_LIMIT: usize = 249;

/// What a key takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// One line of text, not empty.
    Text,
    /// A name that Kafka accepts for a topic.
    Topic,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true` or `false`.
    Switch,
    /// A whole number in this range, both ends included.
    Count(i64, i64),
    /// A number in this range, both ends included.
    Number(f64, f64),
    /// A duration between these two, both included.
    Duration(&'static str, &'static str),
    /// An http or https address of a vendor; a missing `/` at its end is added.
    BaseUrl,
    /// An http or https address, or empty for none.
    OptionalUrl,
    /// IP address and port to listen on.
    Listen,
    /// A file's path.
    File,
    /// A secret; has a `*_file` twin.
    Secret,
    /// A ledger's address: may hold a password, so it is a secret too.
    LedgerUrl,
}

/// A value as it was written, before it is checked.
pub enum Raw {
    /// A TOML string.
    Text(Zeroizing<String>),
    /// From the environment or the command line: text that may stand for any kind.
    Loose(Zeroizing<String>),
    /// A TOML integer.
    Integer(i64),
    /// A TOML float.
    Float(f64),
    /// A TOML boolean.
    Switch(bool),
    /// Anything else; the name of its TOML type.
    Other(&'static str),
}

/// A checked value.
#[derive(Clone)]
pub enum Value {
    Text(String),
    Switch(bool),
    Count(i64),
    Number(f64),
    Duration(Duration),
    Listen(SocketAddr),
    File(PathBuf),
    Secret(Secret),
}

impl Kind {
    /// Whether values of this kind must never be shown.
    #[must_use]
    pub fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::LedgerUrl)
    }

    /// What is allowed, to be read after "must be".
    #[must_use]
    pub fn allowed(self) -> String {
        match self {
            Self::Text => "one line of text, not empty".to_owned(),
            Self::Topic => format!("1..{NAME_LIMIT} of a-z A-Z 0-9 . _ -"),
            Self::Choice(words) => words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" or "),
            Self::Switch => "true or false".to_owned(),
            Self::Count(min, max) => format!("a whole number from {min} to {max}"),
            Self::Number(min, max) => format!("a number from {min} to {max}"),
            Self::Duration(min, max) => {
                format!("a duration from {min} to {max}, such as \"200ms\", \"2s\", \"15m\", \"30d\"")
            }
            Self::BaseUrl => "an http:// or https:// address without user, query and fragment".to_owned(),
            Self::OptionalUrl => "an http:// or https:// address without user and query, or \"\" for none".to_owned(),
            Self::Listen => "an IP address and a port, such as \"127.0.0.1:8700\"".to_owned(),
            Self::File => "the path of a file".to_owned(),
            Self::Secret => "text of printable ASCII, not empty".to_owned(),
            Self::LedgerUrl => {
                "postgres://user:password@host:port/database (port 1..65535; sslmode disable, allow, prefer, require, \
                 verify-ca or verify-full), sqlite:relative.db or sqlite:///absolute.db"
                    .to_owned()
            }
        }
    }

    /// Checks a value; `None` if it is not [`Kind::allowed`].
    #[must_use]
    pub fn check(self, raw: &Raw) -> Option<Value> {
        match self {
            Self::Switch => switch(raw).map(Value::Switch),
            Self::Count(min, max) => whole(raw).filter(|n| (min..=max).contains(n)).map(Value::Count),
            Self::Number(min, max) => number(raw).filter(|n| (min..=max).contains(n)).map(Value::Number),
            _ => raw.text().and_then(|text| self.check_text(text)),
        }
    }

    fn check_text(self, text: &str) -> Option<Value> {
        let line = |text: &str| is_line(text).then(|| text.to_owned());
        match self {
            Self::Text => line(text).map(Value::Text),
            Self::Topic => is_topic(text).then(|| Value::Text(text.to_owned())),
            Self::Choice(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
            Self::Duration(min, max) => span(text, min, max).map(Value::Duration),
            Self::BaseUrl => address::base_url(text).map(Value::Text),
            Self::OptionalUrl if text.is_empty() => Some(Value::Text(String::new())),
            Self::OptionalUrl => address::base_url(text).map(|_| Value::Text(text.to_owned())),
            Self::Listen => text.parse().ok().map(Value::Listen),
            Self::File => line(text).map(|text| Value::File(text.into())),
            Self::Secret => is_credential(text).then(|| Value::Secret(Secret::from(text.to_owned()))),
            Self::LedgerUrl => address::is_ledger(text).then(|| Value::Secret(Secret::from(text.to_owned()))),
            Self::Switch | Self::Count(..) | Self::Number(..) => None,
        }
    }
}

impl Raw {
    /// The text, if it is one.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Loose(text) => Some(text),
            _ => None,
        }
    }

    /// The value as it would be written in the file. Never call it for a secret.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Text(text) | Self::Loose(text) => format!("{:?}", address::without_user(text)),
            Self::Integer(number) => number.to_string(),
            Self::Float(number) => number.to_string(),
            Self::Switch(on) => on.to_string(),
            Self::Other(name) => format!("({name})"),
        }
    }
}

impl Value {
    /// The value as it would be written in the file; `None` for a secret.
    #[must_use]
    pub fn shown(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::Switch(on) => Some(on.to_string()),
            Self::Count(number) => Some(number.to_string()),
            Self::Number(number) => Some(number.to_string()),
            Self::Duration(length) => Some(duration::format(*length)),
            Self::Listen(listen) => Some(listen.to_string()),
            Self::File(path) => Some(path.display().to_string()),
            Self::Secret(_) => None,
        }
    }
}

fn switch(raw: &Raw) -> Option<bool> {
    match raw {
        Raw::Switch(on) => Some(*on),
        Raw::Loose(text) => text.parse().ok(),
        _ => None,
    }
}

fn whole(raw: &Raw) -> Option<i64> {
    match raw {
        Raw::Integer(number) => Some(*number),
        Raw::Loose(text) => text.parse().ok(),
        _ => None,
    }
}

fn number(raw: &Raw) -> Option<f64> {
    match raw {
        Raw::Integer(number) => Some(*number as f64),
        Raw::Float(number) => Some(*number),
        Raw::Loose(text) => text.parse().ok(),
        _ => None,
    }
}

fn span(text: &str, min: &str, max: &str) -> Option<Duration> {
    let length = duration::parse(text)?;
    (duration::parse(min)? <= length && length <= duration::parse(max)?).then_some(length)
}

fn is_line(text: &str) -> bool {
    !text.trim().is_empty() && text.len() <= TEXT_LIMIT && !text.chars().any(char::is_control)
}

/// Credentials travel in HTTP headers, and Kafka's in SASL: what is not printable ASCII is a paste that went wrong.
pub(super) fn is_credential(text: &str) -> bool {
    !text.is_empty() && text.len() <= TEXT_LIMIT && text.chars().all(|c| c.is_ascii_graphic() || c == ' ')
}

fn is_topic(text: &str) -> bool {
    let fits = (1..=NAME_LIMIT).contains(&text.len()) && text != "." && text != "..";
    fits && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}
