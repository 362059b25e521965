//! A whole input record as bytes, for sealing: key, value and headers come back exactly, nulls included.
//!
//! Format 1, big-endian: version byte; then key, value and each header's value as a 4-byte length (`FFFFFFFF`: null) and
//! the bytes; before the headers their 4-byte count, before each header's value its name in the same form. It must never
//! change within a version: sealed rows and dead letters are made of it.

use zeroize::Zeroizing;

const VERSION: u8 = 1;
const NULL: u32 = u32::MAX;

/// The parts of a record that its producer made.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordParts {
    /// The record's key.
    pub key: Option<Vec<u8>>,
    /// The record's value.
    pub value: Option<Zeroizing<Vec<u8>>>,
    /// Headers in their order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// Writes the parts.
#[must_use]
pub fn encode(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[(String, Option<Vec<u8>>)]) -> Zeroizing<Vec<u8>> {
    let size = 64 + key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers.len() * 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(size));
    bytes.push(VERSION);
    put(&mut bytes, key);
    put(&mut bytes, value);
    bytes.extend_from_slice(&u32::try_from(headers.len()).unwrap_or(0).to_be_bytes());
    for (name, value) in headers {
        put(&mut bytes, Some(name.as_bytes()));
        put(&mut bytes, value.as_deref());
    }
    bytes
}

fn put(bytes: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        None => bytes.extend_from_slice(&NULL.to_be_bytes()),
        Some(part) => {
            // A Kafka record is far below 4 GB.
            bytes.extend_from_slice(&u32::try_from(part.len()).unwrap_or(NULL - 1).to_be_bytes());
            bytes.extend_from_slice(part);
        }
    }
}

/// Reads what [`encode`] wrote; `None` for anything else.
#[must_use]
pub fn decode(bytes: &[u8]) -> Option<RecordParts> {
    let (version, mut rest) = bytes.split_first()?;
    if *version != VERSION {
        return None;
    }
    let key = take(&mut rest)?.map(<[u8]>::to_vec);
    let value = take(&mut rest)?.map(|value| Zeroizing::new(value.to_vec()));
    let count = length(&mut rest)?;
    let mut headers = Vec::new();
    for _ in 0..count {
        let name = String::from_utf8(take(&mut rest)??.to_vec()).ok()?;
        headers.push((name, take(&mut rest)?.map(<[u8]>::to_vec)));
    }
    rest.is_empty().then_some(RecordParts { key, value, headers })
}

fn length(rest: &mut &[u8]) -> Option<u32> {
    let (head, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(*head))
}

#[expect(clippy::option_option, reason = "the outer one is malformed, the inner one is a null")]
fn take<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = length(rest)?;
    if length == NULL {
        return Some(None);
    }
    let (part, tail) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    *rest = tail;
    Some(Some(part))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_record_comes_back_exactly(
            key: Option<Vec<u8>>,
            value: Option<Vec<u8>>,
            headers: Vec<(String, Option<Vec<u8>>)>,
        ) {
            let bytes = encode(key.as_deref(), value.as_deref(), &headers);
            let parts = decode(&bytes).unwrap();
            let same = parts == RecordParts { key, value: value.map(Zeroizing::new), headers };
            prop_assert!(same, "the parts differ");
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }
    }
}
