//! Makes a vendor's words fit to be shown: upstream error texts echo input.

use crate::domain::Secret;

/// Longest text (contract, section 3: `detail`).
const MAX_CHARACTERS: usize = 500;
/// The shortest piece of a secret that is looked for: shorter ones occur by chance in any text.
const MIN_PIECE: usize = 8;
/// Longer unbroken words are tokens of somebody, or keys; a GUID has 36 characters.
const MAX_WORD: usize = 40;
/// Fewest and most digits of a card number.
const CARD_DIGITS: std::ops::RangeInclusive<usize> = 13..=19;

/// Removes the given secrets (whole or a piece of them), digit runs that could be card numbers, long unbroken words and
/// control characters, and cuts at 500 characters.
#[must_use]
pub fn scrub(text: &str, secrets: &[&Secret]) -> String {
    let mut clean = text.to_owned();
    for secret in secrets
        .iter()
        .filter_map(|secret| secret.expose_str())
        .filter(|secret| !secret.is_empty())
    {
        clean = clean.replace(secret, "[removed]");
    }
    let clean: String = clean.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let words: Vec<&str> = clean.split_whitespace().map(|word| shown(word, secrets)).collect();
    without_card_numbers(&words.join(" "))
        .chars()
        .take(MAX_CHARACTERS)
        .collect()
}

fn shown<'a>(word: &'a str, secrets: &[&Secret]) -> &'a str {
    let hidden = word.len() > MAX_WORD || pieces(word).any(|piece| holds(secrets, piece));
    if hidden && word != "[removed]" {
        "[removed]"
    } else {
        word
    }
}

/// The runs of token characters in a word: `token=abcdef...;` holds two.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    word.split(|c: char| !(c.is_ascii_alphanumeric() || "+/=_-.:".contains(c)))
        .flat_map(|run| std::iter::once(run).chain(run.split(['=', ':', '.'])))
        .filter(|piece| piece.len() >= MIN_PIECE)
}

fn holds(secrets: &[&Secret], piece: &str) -> bool {
    secrets.iter().any(|secret| {
        secret
            .expose()
            .windows(piece.len())
            .any(|window| window == piece.as_bytes())
    })
}

/// Replaces runs of 13 to 19 and more digits; single spaces and dashes within a run do not break it.
fn without_card_numbers(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut run = String::new();
    for c in text.chars() {
        if c.is_ascii_digit() || (!run.is_empty() && matches!(c, ' ' | '-')) {
            run.push(c);
        } else {
            flush(&mut run, &mut clean);
            clean.push(c);
        }
    }
    flush(&mut run, &mut clean);
    clean
}

fn flush(run: &mut String, clean: &mut String) {
    let digits = run.bytes().filter(u8::is_ascii_digit).count();
    if digits < *CARD_DIGITS.start() {
        clean.push_str(run);
    } else {
        clean.push_str("[digits]");
        // The separator after the last digit belongs to the text.
        clean.push_str(&run[run.trim_end_matches([' ', '-']).len()..]);
    }
    run.clear();
}
