//! LoanPro's error texts. They decide nothing final: a text only chooses what is looked at next.

use crate::upstream::answer_text::message;
use crate::upstream::http::Answer;

/// Words by which a taken title is said.
const TAKEN: [&str; 6] = ["unique", "duplicate", "already", "exists", "in use", "taken"];

/// Words by which a missing entity is said.
const MISSING: [&str; 6] =
    ["not found", "does not exist", "doesn't exist", "no such", "could not be found", "cannot be found"];

/// Whether a 409 says that the title is taken. Our title is a function of the event, so this may be our own profile.
pub fn says_title_taken(answer: &Answer) -> bool {
    answer.status.as_u16() == 409 && says(answer, |text| text.contains("title") && contains_any(text, &TAKEN))
}

/// Whether a look-up's answer says that the customer does not exist.
pub fn says_missing(answer: &Answer) -> bool {
    match answer.status.as_u16() {
        404 => true,
        409 => says(answer, |text| contains_any(text, &MISSING)),
        _ => false,
    }
}

fn says(answer: &Answer, matches: impl Fn(&str) -> bool) -> bool {
    message(answer).is_some_and(|text| matches(&text.to_lowercase()))
}

fn contains_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}
