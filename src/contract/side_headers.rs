//! The side headers of a dead letter's original record that was published to the input topic once more: `pl-generation`, the
//! generation that it is to be, and `pl-origin`, where it stood first, as `topic/partition/offset/timestamp`.
//!
//! They are the last two headers, in this order, behind those of the record's producer, and are taken off before anything else
//! looks at the record: what is left are the bytes that its producer sent. They are believed only where they can be true: of
//! this very partition, and of a second generation at least. Any other record with such a header is malformed, and its identity
//! is not used: whether it is a new event or a replay that somebody garbled cannot be told, and a replay that is taken for a
//! new event could be linked twice.
//!
//! They are not signed. Whoever may write to the input topic may have any event linked; with them it can also choose the
//! generation and the origin that its results tell, and replay a dead letter that is still one. It cannot skip a look: what
//! carries them counts as possibly sent.

use super::InputRecord;
use crate::domain::Origin;

const GENERATION: &str = "pl-generation";
const ORIGIN: &str = "pl-origin";
/// The last generation that is believed: nobody replays one event so often; above it a forged number could leave no room for the
/// next.
pub const MAX_GENERATION: i32 = 1_000_000;

/// What the side headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The generation that the record is to be accepted as.
    pub generation: i32,
    /// Where it stood first.
    pub origin: Origin,
}

impl Replayed {
    /// The headers, to be put behind the record's own.
    #[must_use]
    pub fn headers(&self) -> [(String, Vec<u8>); 2] {
        let Origin { topic, partition, offset, timestamp } = &self.origin;
        let origin = format!("{topic}/{partition}/{offset}/{timestamp}");
        [(GENERATION.to_owned(), self.generation.to_string().into_bytes()), (ORIGIN.to_owned(), origin.into_bytes())]
    }

    fn of(headers: &[(String, Option<Vec<u8>>)], place: &Origin) -> Option<Self> {
        let [.., (first, generation), (second, origin)] = headers else { return None };
        if first != GENERATION || second != ORIGIN {
            return None;
        }
        let generation = text(generation)?.parse().ok().filter(|number| (2..=MAX_GENERATION).contains(number))?;
        let origin = read_origin(text(origin)?)?;
        let is_here = origin.topic == place.topic && origin.partition == place.partition;
        is_here.then_some(Self { generation, origin })
    }
}

/// The record as its producer sent it, at the place where it stood first, and the generation that it is to be; a record without
/// side headers, or with such as cannot be believed, as it is.
#[must_use]
pub fn taken_off(mut record: InputRecord) -> (InputRecord, Option<i32>) {
    let Some(Replayed { generation, origin }) = Replayed::of(&record.headers, &record.origin) else {
        return (record, None);
    };
    record.headers.truncate(record.headers.len() - 2);
    record.origin = origin;
    (record, Some(generation))
}

/// Whether there is a side header that was not taken off.
pub(super) fn is_left(record: &InputRecord) -> bool {
    record.headers.iter().any(|(name, _)| name == GENERATION || name == ORIGIN)
}

fn text(value: &Option<Vec<u8>>) -> Option<&str> {
    std::str::from_utf8(value.as_deref()?).ok()
}

fn read_origin(text: &str) -> Option<Origin> {
    let mut parts = text.rsplitn(4, '/');
    let (timestamp, offset) = (number(parts.next()?, -1)?, number(parts.next()?, 0)?);
    let partition = i32::try_from(number(parts.next()?, 0)?).ok()?;
    Some(Origin { topic: parts.next()?.to_owned(), partition, offset, timestamp })
}

/// As we write numbers, and no other way: one origin has one text.
fn number(text: &str, least: i64) -> Option<i64> {
    let number: i64 = text.parse().ok()?;
    (number >= least && number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(offset: i64) -> Origin {
        Origin { topic: "a.b".to_owned(), partition: 3, offset, timestamp: 1_763_719_000_000 }
    }

    fn record(headers: Vec<(String, Option<Vec<u8>>)>) -> InputRecord {
        InputRecord { origin: place(99), key: None, value: None, headers }
    }

    fn header(name: &str, value: &str) -> (String, Option<Vec<u8>>) {
        (name.to_owned(), Some(value.as_bytes().to_vec()))
    }

    fn some(headers: [(String, Vec<u8>); 2]) -> impl Iterator<Item = (String, Option<Vec<u8>>)> {
        headers.into_iter().map(|(name, value)| (name, Some(value)))
    }

    #[test]
    fn what_was_put_on_is_taken_off_and_the_producers_headers_stay() {
        for timestamp in [-1, 0, i64::MAX] {
            let origin = Origin { timestamp, ..place(17) };
            let own = vec![header("x", "1"), (String::new(), None), header("pl-generation", "a producer's own")];
            let replayed = Replayed { generation: 7, origin: origin.clone() };
            let (taken, generation) = taken_off(record(own.iter().cloned().chain(some(replayed.headers())).collect()));
            assert_eq!((taken.origin, generation), (origin, Some(7)));
            assert_eq!(taken.headers, own);
        }
    }

    #[test]
    fn what_cannot_be_true_is_left_and_seen() {
        let good = ("2", "a.b/3/17/5");
        for (generation, origin) in [
            ("1", good.1),
            ("0", good.1),
            ("-2", good.1),
            ("1000001", good.1),
            ("99999999999999999999", good.1),
            ("", good.1),
            ("two", good.1),
            (good.0, ""),
            (good.0, "a.b/3/17"),
            (good.0, "another/3/17/5"),
            (good.0, "a.b/4/17/5"),
            (good.0, "a.b/3/-1/5"),
            (good.0, "a.b/3/017/5"),
            (good.0, "a.b/3/+17/5"),
            (good.0, "a.b/3/17/-2"),
            (good.0, "a.b/3/17/5/"),
        ] {
            let (left, taken) = taken_off(record(vec![header(GENERATION, generation), header(ORIGIN, origin)]));
            assert!(taken.is_none() && is_left(&left), "{generation} {origin}");
        }
        let (first, second) = (header(GENERATION, good.0), header(ORIGIN, good.1));
        for headers in [
            vec![second.clone(), first.clone()],
            vec![first.clone()],
            vec![second.clone()],
            vec![first.clone(), second.clone(), header("later", "")],
            vec![(GENERATION.to_owned(), None), second.clone()],
            vec![first.clone(), (ORIGIN.to_owned(), Some(vec![0xff]))],
        ] {
            let (left, taken) = taken_off(record(headers));
            assert!(taken.is_none() && is_left(&left));
        }
        assert_eq!(taken_off(record(vec![first, second])).1, Some(2), "the same, as it should be");
        assert!(!is_left(&record(vec![header("x", "pl-generation")])));
    }
}
