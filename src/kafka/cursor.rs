//! The text in a commit's metadata: version, ledger id, cursor. Its format must never change within a version.

use data_encoding::HEXLOWER;

/// Version of the format.
const VERSION: &str = "pl1";

/// What a commit's metadata says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CursorText {
    /// Ours: this ledger published up to this `publish_seq`.
    Ours(i64),
    /// Of another ledger, which published up to this number of its own.
    AnotherLedger(i64),
    /// Of a version that this build does not know.
    Newer,
    /// Empty, or not ours: set by an operator or a tool.
    Foreign,
}

/// `pl1:<ledger id in hex>:<cursor>`.
#[must_use]
pub fn encode(ledger_id: [u8; 8], cursor: i64) -> String {
    format!("{VERSION}:{}:{cursor}", HEXLOWER.encode(&ledger_id))
}

/// Reads what [`encode`] wrote.
#[must_use]
pub fn decode(text: &str, ledger_id: [u8; 8]) -> CursorText {
    let mut parts = text.split(':');
    let (version, ledger, cursor) = (parts.next(), parts.next(), parts.next());
    match (version, ledger, cursor.and_then(|number| number.parse().ok()), parts.next()) {
        (Some(VERSION), Some(ledger), Some(cursor), None) if cursor >= 0 => {
            if ledger == HEXLOWER.encode(&ledger_id) {
                CursorText::Ours(cursor)
            } else {
                CursorText::AnotherLedger(cursor)
            }
        }
        (Some(version), Some(_), _, _) if is_newer(version) => CursorText::Newer,
        _ => CursorText::Foreign,
    }
}

fn is_newer(version: &str) -> bool {
    version.strip_prefix("pl").and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number > 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4_000) })]

        #[test]
        fn every_cursor_of_every_ledger_survives_the_round_trip(id: [u8; 8], other: [u8; 8], cursor in 0..=i64::MAX) {
            let text = encode(id, cursor);
            prop_assert_eq!(decode(&text, id), CursorText::Ours(cursor));
            if other != id {
                prop_assert_eq!(decode(&text, other), CursorText::AnotherLedger(cursor));
            }
        }

        #[test]
        fn a_text_with_a_character_changed_is_not_taken_for_the_same_cursor(
            id: [u8; 8],
            cursor in 0..=i64::MAX,
            place: prop::sample::Index,
            other in "[ -~]",
        ) {
            let text = encode(id, cursor);
            let at = place.index(text.len());
            let changed = format!("{}{other}{}", &text[..at], &text[at + 1..]);
            prop_assume!(changed != text);
            let same = decode(&changed, id) == CursorText::Ours(cursor);
            prop_assert!(!same, "{changed} is taken for {text}");
        }
    }

    const LEDGER: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 255];

    #[test]
    fn a_cursor_survives_the_round_trip() {
        assert_eq!(decode(&encode(LEDGER, 42), LEDGER), CursorText::Ours(42));
    }

    #[test]
    fn the_format_of_version_one_never_changes() {
        assert_eq!(encode(LEDGER, 42), "pl1:01020304050607ff:42");
    }

    #[test]
    fn what_is_not_ours_is_told_apart() {
        let another = encode([9; 8], 42);
        assert_eq!(decode(&another, LEDGER), CursorText::AnotherLedger(42));
        assert_eq!(decode("pl2:something:else:entirely", LEDGER), CursorText::Newer);
        for text in
            ["", "offset", "pl1:01020304050607ff", "pl1:01020304050607ff:-3", "pl1:01020304050607ff:x", "pl1::::"]
        {
            assert_eq!(decode(text, LEDGER), CursorText::Foreign, "{text}");
        }
    }
}
