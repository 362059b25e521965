//! Makes a vendor's text fit for people's eyes: error texts echo what was sent, tokens and numbers included.

mod echoes;

use std::ops::Range;

use self::echoes::echoes;
use super::card_numbers;
use crate::domain::Secret;

/// The contract's limit of a `detail`, characters.
pub(super) const MAX_DETAIL_CHARS: usize = 500;
/// So much of a vendor's text is read: the start tells the matter, and the search costs time.
const MAX_READ_CHARS: usize = 16 * 1024;
/// A run of characters of which tokens are made is taken for one from this length on, whose ever it may be: a vendor can quote
/// a token that was not sent to it. Longer than an error's id of 32 hex digits, or a GUID: support asks for these. So what is
/// not known to be a secret and is shorter, up to 40 characters, stays.
const OPAQUE_BYTES: usize = 41;
const REMOVED: &str = "[removed]";

/// The text without the given secrets (whole, or pieces of 8 bytes and more, be they in hex, base64 or escapes), without runs of 41 characters and more that could
/// be another token, without digits that could be a card number, without control characters; at most 500 characters.
#[must_use]
pub fn scrub(text: &str, secrets: &[&Secret]) -> String {
    let text: String = text.chars().take(MAX_READ_CHARS).collect();
    let found: Vec<Range<usize>> = echoes(&text, secrets).into_iter().chain(opaque_runs(&text)).collect();
    let calm: String = without(&text, &found).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    without(&calm, &card_numbers::candidates(&calm)).chars().take(MAX_DETAIL_CHARS).collect()
}

/// Where letters, digits and the signs of base64 follow each other for as long as in no word.
fn opaque_runs(text: &str) -> impl Iterator<Item = Range<usize>> {
    let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-\\".contains(&byte);
    let runs = text.as_bytes().split(move |byte| !belongs(*byte));
    let mut at = 0;
    runs.filter_map(move |run| {
        let range = at..at + run.len();
        at = range.end + 1;
        (run.len() >= OPAQUE_BYTES).then_some(range)
    })
}

/// The text with each of these byte ranges replaced, touching ones as one. A character is removed if any of its bytes is.
fn without(text: &str, ranges: &[Range<usize>]) -> String {
    if ranges.is_empty() {
        return text.to_owned();
    }
    let mut covered = vec![false; text.len()];
    for range in ranges {
        covered[range.clone()].fill(true);
    }
    let mut kept = String::with_capacity(text.len());
    let mut removing = false;
    for (at, character) in text.char_indices() {
        let removed = covered[at..at + character.len_utf8()].contains(&true);
        match (removing, removed) {
            (false, true) => kept.push_str(REMOVED),
            (true, true) => {}
            (_, false) => kept.push(character),
        }
        removing = removed;
    }
    kept
}
