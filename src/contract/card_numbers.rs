//! Card numbers where none may be: this service must never hold one, so an event that does is stopped at the door.
//!
//! A card number is 13..19 digits with a card network's prefix and a right check digit (Luhn). In texts it is found as
//! one run of digits, or in the groups that are printed on cards (4-4-4-4, 4-6-5, ...), whatever people and their programs
//! put between these: spaces and dashes of any kind, strokes, signs that nobody sees. Digits are Latin ones, also in full
//! width, and Arabic ones.
//!
//! `source`, `id` and the record's key are looked at too, since every result, row and log line repeats them. Numbers made of
//! a clock, a snowflake or a date begin with digits that no network has; a UUID is known by its form.

use std::fmt;
use std::ops::{Range, RangeInclusive};

use serde_json::{Number, Value};

const LENGTHS: RangeInclusive<usize> = 13..=19;
/// Groups as printed on cards, with the same few characters between each two.
const SHAPES: [&[usize]; 6] = [&[4, 4, 4, 4, 3], &[4, 4, 4, 4], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 1], &[4, 4, 5]];
/// So many characters stand between two groups at most: a dash between two spaces.
const MAX_SEPARATOR_CHARS: usize = 3;
/// `customer.id` by contract, and what is never repeated if it holds one; `token.value` has a rule of its own.
const NOT_LOOKED_AT: [&str; 6] = ["/specversion", "/type", "/time", "/traceparent", "/tracestate", "/data/customer/id"];
/// Length from which a word of hexadecimal digits is taken for a hash or a trace id.
const MIN_HASH_LENGTH: usize = 24;
/// So far around digits a hash is looked for, to each side: SHA-512 has 128. A word without end would be read again for
/// each run of digits in it.
const MAX_HASH_LENGTH: usize = 128;

/// Members in which a card number can stand.
const KNOWN_NAMES: [&str; 24] = [
    "data",
    "customer",
    "system",
    "token",
    "kind",
    "value",
    "customerToken",
    "externalUserId",
    "account",
    "lastFour",
    "maskedNumber",
    "expiration",
    "brand",
    "holderName",
    "title",
    "correlationid",
    "subject",
    "provider",
    "primary",
    "secondary",
    "expiresAt",
    "datacontenttype",
    "source",
    "id",
];

/// Where a card number stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// At this JSON pointer, which the schema knows.
    Member(String),
    /// In a member, or a member's name, that only the producer knows: the name is the producer's text, so it is not told.
    ExtraMember,
    /// In the record's key.
    Key,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Member(pointer) => f.write_str(pointer),
            Self::ExtraMember => f.write_str("an extra member"),
            Self::Key => f.write_str("the record's key"),
        }
    }
}

/// Where an event holds a card number: the first place.
#[must_use]
pub fn find(event: &Value) -> Option<Place> {
    let pointer = find_below(event, String::new())?;
    let known = pointer.split('/').skip(1).all(|name| KNOWN_NAMES.contains(&name));
    Some(if known { Place::Member(pointer) } else { Place::ExtraMember })
}

/// Whether a record's key holds a card number. A customer's id may look like one, by contract.
pub(super) fn key_holds_one(key: &[u8], customer_id: Option<&str>) -> bool {
    let key = String::from_utf8_lossy(key);
    match customer_id.filter(|id| contains(id)) {
        Some(id) => contains(&key.replace(id, " ")),
        None => contains(&key),
    }
}

fn find_below(value: &Value, pointer: String) -> Option<String> {
    let found = match value {
        _ if NOT_LOOKED_AT.contains(&pointer.as_str()) => false,
        Value::String(text) if pointer == "/data/token/value" => is_card_number(text),
        Value::String(text) => contains(text),
        Value::Number(number) => is_card_number(&whole(number)),
        Value::Array(items) => {
            let mut numbered = items.iter().enumerate();
            return numbered.find_map(|(index, item)| find_below(item, format!("{pointer}/{index}")));
        }
        Value::Object(members) => {
            return members.iter().find_map(|(name, member)| {
                let below = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                if contains(name) { Some(below) } else { find_below(member, below) }
            });
        }
        Value::Null | Value::Bool(_) => false,
    };
    found.then_some(pointer)
}

/// The number as people write it: without the fraction of nothing that some serialisers add.
fn whole(number: &Number) -> String {
    match number.as_f64().filter(|value| number.is_f64() && value.fract() == 0.0) {
        Some(value) => format!("{value:.0}"),
        None => number.to_string(),
    }
}

/// Whether the text is nothing but a card number.
pub(super) fn is_card_number(text: &str) -> bool {
    let text = text.trim();
    candidates(text).iter().any(|candidate| *candidate == (0..text.len()) && passes(text))
}

/// Whether there is a card number in the text.
pub(super) fn contains(text: &str) -> bool {
    candidates(text).into_iter().any(|candidate| passes(&text[candidate.clone()]) && !within_hash(text, &candidate))
}

/// A run of digits.
struct Group {
    place: Range<usize>,
    digits: usize,
}

/// Where the text has 13 or more digits in a row, or groups as printed on cards; in order, may overlap. Byte ranges.
pub(super) fn candidates(text: &str) -> Vec<Range<usize>> {
    let groups = digit_groups(text);
    let mut found = Vec::new();
    for (index, group) in groups.iter().enumerate() {
        if group.digits >= *LENGTHS.start() {
            found.push(group.place.clone());
        }
        found.extend(SHAPES.iter().filter_map(|shape| printed_group(text, &groups[index..], shape)));
    }
    found
}

fn digit_groups(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (at, character) in text.char_indices().filter(|(_, character)| decimal(*character).is_some()) {
        let end = at + character.len_utf8();
        match groups.last_mut() {
            Some(group) if group.place.end == at => {
                group.place.end = end;
                group.digits += 1;
            }
            _ => groups.push(Group { place: at..end, digits: 1 }),
        }
    }
    groups
}

/// What a digit counts: Latin, Arabic, eastern Arabic, in full width.
fn decimal(character: char) -> Option<u32> {
    if character.is_ascii() {
        return character.to_digit(10);
    }
    let zeros = ['\u{660}', '\u{6f0}', '\u{ff10}'].map(u32::from);
    zeros.into_iter().find_map(|zero| u32::from(character).checked_sub(zero).filter(|value| *value < 10))
}

/// The groups at the front, if they have this shape, the same between each two, and no hexadecimal letter touches them (then
/// they are part of a UUID).
fn printed_group(text: &str, groups: &[Group], shape: &[usize]) -> Option<Range<usize>> {
    let groups = groups.get(..shape.len())?;
    if !groups.iter().zip(shape).all(|(group, digits)| group.digits == *digits) {
        return None;
    }
    let whole = groups.first()?.place.start..groups.last()?.place.end;
    let mut between = groups.windows(2).map(|pair| &text[pair[0].place.end..pair[1].place.start]);
    let separator = between.next()?;
    let separates = separator.chars().count() <= MAX_SEPARATOR_CHARS && !separator.contains(char::is_alphanumeric);
    let bytes = text.as_bytes();
    let before = whole.start.checked_sub(1).and_then(|at| bytes.get(at));
    let touched = before.into_iter().chain(bytes.get(whole.end)).any(u8::is_ascii_hexdigit);
    (separates && between.all(|other| other == separator) && !touched).then_some(whole)
}

/// Length, network and check digit; anything but digits is passed over.
fn passes(text: &str) -> bool {
    let digits: Vec<u32> = text.chars().filter_map(decimal).collect();
    LENGTHS.contains(&digits.len()) && has_network_prefix(&digits) && luhn(&digits)
}

fn luhn(digits: &[u32]) -> bool {
    let weighted = digits.iter().rev().enumerate().map(|(place, digit)| match (place % 2, digit * 2) {
        (0, _) => *digit,
        (_, doubled) => doubled / 10 + doubled % 10,
    });
    weighted.sum::<u32>() % 10 == 0
}

/// The issuer ranges as the networks publish them: Visa, Mastercard, American Express, Discover, JCB, Diners Club,
/// UnionPay, Maestro.
fn has_network_prefix(digits: &[u32]) -> bool {
    let first = |count: usize| digits.iter().take(count).fold(0, |number, digit| number * 10 + digit);
    first(1) == 4
        || matches!(first(2), 34 | 36..=39 | 51..=55 | 62 | 65)
        || matches!(first(3), 300..=305 | 644..=649)
        || matches!(first(4), 2221..=2720 | 3095 | 3528..=3589 | 6011)
        || matches!(first(4), 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761..=6763)
}

/// Whether a run of digits is part of a long word of hexadecimal digits with letters in it.
fn within_hash(text: &str, digits: &Range<usize>) -> bool {
    let bytes = text.as_bytes();
    let run = bytes[digits.clone()].iter().all(u8::is_ascii_digit);
    let word = |byte: &&u8| byte.is_ascii_alphanumeric();
    let before = bytes[..digits.start].iter().rev().take(MAX_HASH_LENGTH).take_while(word);
    let after = bytes[digits.end..].iter().take(MAX_HASH_LENGTH).take_while(word);
    let around: Vec<u8> = before.chain(after).copied().collect();
    let hexadecimal = around.iter().all(u8::is_ascii_hexdigit);
    run && hexadecimal && around.iter().any(u8::is_ascii_alphabetic) && around.len() + digits.len() >= MIN_HASH_LENGTH
}
