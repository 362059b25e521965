//! How our types are written in the ledger's columns, and read back. The codes must never change.

use data_encoding::BASE64;

use super::{LedgerError, NoteKind, RowState};
use crate::contract::TopicRole;
use crate::domain::{Attempts, ReasonCode, Stage, System};

impl RowState {
    /// Whether the row is still to be worked on.
    #[must_use]
    pub fn is_unfinished(self) -> bool {
        matches!(self, Self::Accepted | Self::Converted)
    }

    /// Its column value.
    pub(super) fn code(self) -> i16 {
        self as i16
    }

    pub(super) fn of_code(code: i64) -> Result<Self, LedgerError> {
        match code {
            1 => Ok(Self::Accepted),
            2 => Ok(Self::Converted),
            3 => Ok(Self::Linked),
            4 => Ok(Self::Rejected),
            5 => Ok(Self::DeadLettered),
            other => Err(LedgerError::Damaged(format!("row state {other}"))),
        }
    }
}

impl NoteKind {
    /// Its column value.
    pub(super) fn code(self) -> i16 {
        self as i16
    }

    pub(super) fn of_code(code: i64) -> Result<Self, LedgerError> {
        match code {
            1 => Ok(Self::LinkSent),
            2 => Ok(Self::Reopened),
            other => Err(LedgerError::Damaged(format!("note kind {other}"))),
        }
    }
}

pub(super) fn topic_code(topic: TopicRole) -> i16 {
    match topic {
        TopicRole::Linked => 1,
        TopicRole::Rejected => 2,
        TopicRole::DeadLetter => 3,
    }
}

pub(super) fn topic_of_code(code: i64) -> Result<TopicRole, LedgerError> {
    match code {
        1 => Ok(TopicRole::Linked),
        2 => Ok(TopicRole::Rejected),
        3 => Ok(TopicRole::DeadLetter),
        other => Err(LedgerError::Damaged(format!("topic role {other}"))),
    }
}

pub(super) fn system_of_name(name: &str) -> Result<System, LedgerError> {
    match name {
        "loanpro" => Ok(System::Loanpro),
        "aloha" => Ok(System::Aloha),
        other => Err(LedgerError::Damaged(format!("customer system {other:?}"))),
    }
}

/// Code and stage of a reason as their columns hold them.
pub(super) fn reason_names(reason: Option<(ReasonCode, Stage)>) -> (Option<&'static str>, Option<&'static str>) {
    (reason.map(|(code, _)| code.as_str()), reason.map(|(_, stage)| stage.as_str()))
}

/// Convert, link, look-up as columns hold them. Nobody makes two thousand million calls for one event.
pub(super) fn attempt_counts(attempts: Attempts) -> [i32; 3] {
    [attempts.convert, attempts.link, attempts.lookup].map(|count| i32::try_from(count).unwrap_or(i32::MAX))
}

pub(super) fn attempts_of_counts(convert: i64, link: i64, lookup: i64) -> Result<Attempts, LedgerError> {
    let count = |n: i64| u32::try_from(n).map_err(|_| LedgerError::Damaged(format!("{n} attempts")));
    Ok(Attempts { convert: count(convert)?, link: count(link)?, lookup: count(lookup)? })
}

/// Headers as a JSON list of `[name, base64]`: order and repeated names survive, and any bytes.
pub(super) fn headers_text(headers: &[(String, Vec<u8>)]) -> String {
    let list = headers.iter().map(|(name, value)| serde_json::json!([name, BASE64.encode(value)])).collect();
    serde_json::Value::Array(list).to_string()
}

pub(super) fn headers_of_text(text: &str) -> Result<Vec<(String, Vec<u8>)>, LedgerError> {
    let damaged = || LedgerError::Damaged("headers of an outbox record".to_owned());
    let list: Vec<(String, String)> = serde_json::from_str(text).map_err(|_| damaged())?;
    list.into_iter()
        .map(|(name, value)| BASE64.decode(value.as_bytes()).map(|value| (name, value)).map_err(|_| damaged()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_keep_order_repetition_and_any_bytes() {
        let headers = vec![
            ("b".to_owned(), vec![0, 255]),
            ("a\"\u{0}".to_owned(), Vec::new()),
            ("b".to_owned(), b"text".to_vec()),
        ];
        assert_eq!(headers_of_text(&headers_text(&headers)).unwrap(), headers);
    }

    #[test]
    fn codes_are_read_back_as_they_were_written() {
        for state in
            [RowState::Accepted, RowState::Converted, RowState::Linked, RowState::Rejected, RowState::DeadLettered]
        {
            assert_eq!(RowState::of_code(i64::from(state.code())).unwrap(), state);
        }
        for kind in [NoteKind::LinkSent, NoteKind::Reopened] {
            assert_eq!(NoteKind::of_code(i64::from(kind.code())).unwrap(), kind);
        }
        for topic in [TopicRole::Linked, TopicRole::Rejected, TopicRole::DeadLetter] {
            assert_eq!(topic_of_code(i64::from(topic_code(topic))).unwrap(), topic);
        }
        for system in [System::Loanpro, System::Aloha] {
            assert_eq!(system_of_name(system.as_str()).unwrap(), system);
        }
    }

    #[test]
    fn values_that_we_never_write_are_damage() {
        assert!(matches!(RowState::of_code(0), Err(LedgerError::Damaged(_))));
        assert!(matches!(NoteKind::of_code(3), Err(LedgerError::Damaged(_))));
        assert!(matches!(topic_of_code(9), Err(LedgerError::Damaged(_))));
        assert!(matches!(system_of_name("LoanPro"), Err(LedgerError::Damaged(_))));
        assert!(matches!(attempts_of_counts(0, -1, 0), Err(LedgerError::Damaged(_))));
        assert!(matches!(headers_of_text("[[\"a\",\"?\"]]"), Err(LedgerError::Damaged(_))));
    }
}
