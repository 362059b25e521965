//! Makes a vendor's text fit for people's eyes: error texts echo what was sent, tokens and numbers included.

use std::collections::HashSet;
use std::ops::Range;

use super::card_numbers;
use crate::domain::Secret;

/// The contract's limit of a `detail`, characters.
pub(super) const MAX_DETAIL_CHARS: usize = 500;
/// So much of a vendor's text is read: the start tells the matter, and the search costs time.
const MAX_READ_BYTES: usize = 16 * 1024;
/// Vendors cut and escape what they echo: each piece of a secret of this length is taken for the secret. Shorter would
/// hit plain words.
const PIECE_BYTES: usize = 8;
const REMOVED: &str = "[removed]";

/// The text without the given secrets (whole, or pieces of 8 bytes and more), without digits that could be a card
/// number, without control characters; at most 500 characters.
#[must_use]
pub fn scrub(text: &str, secrets: &[&Secret]) -> String {
    let text = &text[..text.floor_char_boundary(MAX_READ_BYTES)];
    let mut found: Vec<Range<usize>> = secrets
        .iter()
        .flat_map(|secret| occurrences(text, secret.expose()))
        .collect();
    let without_secrets = without(text, &mut found);
    let calm: String = without_secrets
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let without_cards = without(&calm, &mut card_numbers::candidates(&calm));
    without_cards.chars().take(MAX_DETAIL_CHARS).collect()
}

/// Where a secret, or a piece of it, stands. Byte ranges.
fn occurrences(text: &str, secret: &[u8]) -> Vec<Range<usize>> {
    let length = secret.len().min(PIECE_BYTES);
    if length == 0 {
        return Vec::new();
    }
    let pieces: HashSet<&[u8]> = secret.windows(length).collect();
    let places = text.as_bytes().windows(length).enumerate();
    places
        .filter(|(_, piece)| pieces.contains(piece))
        .map(|(at, _)| at..at + length)
        .collect()
}

/// The text with each of these ranges (overlapping ones as one) replaced. A character is removed if any of its bytes is.
fn without(text: &str, ranges: &mut [Range<usize>]) -> String {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut kept = String::with_capacity(text.len());
    let mut end = 0;
    for range in ranges.iter() {
        let start = text.floor_char_boundary(range.start);
        if start > end || kept.is_empty() {
            kept.push_str(&text[end..start.max(end)]);
            kept.push_str(REMOVED);
        }
        end = end.max(text.ceil_char_boundary(range.end));
    }
    kept.push_str(&text[end..]);
    kept
}
