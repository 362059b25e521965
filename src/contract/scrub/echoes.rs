//! Where a secret stands in a text, whole or in pieces, in the writings in which vendors give back what they were sent:
//! as it is, in hex, in base64 at any alignment, with `%XX` or JSON's escapes.
//!
//! Hex and base64 change every byte, so the secret is written so and looked for. Which bytes are escaped is the writer's
//! choice, so there it is the text that is read back.

use std::ops::Range;

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use zeroize::Zeroizing;

use crate::domain::Secret;

/// Vendors cut and escape what they echo: each piece of a secret's writing of this length is taken for the secret. Shorter
/// would hit plain words.
const PIECE_BYTES: usize = 8;
/// A secret's hex or base64 counts from this length on: shorter ones are like words.
const MIN_WRITTEN_BYTES: usize = 6;
/// An echo of an echo is escaped twice; a third time was never seen.
const ESCAPED_TIMES: usize = 2;

/// Byte ranges of the text in which a secret, or a piece of it, stands.
pub fn echoes(text: &str, secrets: &[&Secret]) -> Vec<Range<usize>> {
    if secrets.is_empty() {
        return Vec::new();
    }
    let sought = Sought::of(secrets);
    let mut view = View::of(text);
    let mut found = sought.found(&view);
    for _ in 0..ESCAPED_TIMES {
        let Some(unescaped) = view.unescaped() else { break };
        found.extend(sought.found(&unescaped));
        view = unescaped;
    }
    found
}

/// The pieces looked for: by their length, each as a number, sorted.
#[derive(Default)]
struct Sought {
    pieces: [Zeroizing<Vec<u64>>; PIECE_BYTES],
}

impl Sought {
    fn of(secrets: &[&Secret]) -> Self {
        let mut writings: Vec<Zeroizing<Vec<u8>>> = Vec::new();
        for secret in secrets {
            writings.push(Zeroizing::new(secret.expose().to_vec()));
            writings.extend(written(secret.expose()));
        }
        let mut sought = Self::default();
        // Room for all at once, so that no outgrown copy stays behind.
        sought.pieces[PIECE_BYTES - 1].reserve_exact(writings.iter().map(|writing| writing.len()).sum());
        for writing in writings.iter().filter(|writing| !writing.is_empty()) {
            let length = writing.len().min(PIECE_BYTES);
            sought.pieces[length - 1].extend(writing.windows(length).map(number));
        }
        for pieces in &mut sought.pieces {
            pieces.sort_unstable();
        }
        sought
    }

    fn found(&self, view: &View) -> Vec<Range<usize>> {
        let mut found = Vec::new();
        for (pieces, length) in self.pieces.iter().zip(1..).filter(|(pieces, _)| !pieces.is_empty()) {
            let places = view.bytes.windows(length).enumerate();
            let hits = places.filter(|(_, piece)| pieces.binary_search(&number(piece)).is_ok());
            found.extend(hits.map(|(at, _)| view.origins[at].start..view.origins[at + length - 1].end));
        }
        found
    }
}

/// At most eight bytes, as a number.
fn number(piece: &[u8]) -> u64 {
    piece.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The secret in hex, and in base64 as it looks behind no, one and two bytes of something else.
fn written(secret: &[u8]) -> impl Iterator<Item = Zeroizing<Vec<u8>>> {
    let hex = [HEXLOWER, HEXUPPER].map(|hex| Zeroizing::new(hex.encode(secret).into_bytes()));
    let aligned = move |before: usize| [BASE64, BASE64URL].map(|base64| inner_base64(&base64, before, secret));
    let all = hex.into_iter().chain((0..3).flat_map(aligned));
    all.filter(|writing| writing.len() >= MIN_WRITTEN_BYTES)
}

/// The characters that depend on the secret alone, not on the bytes before or behind it.
fn inner_base64(base64: &data_encoding::Encoding, before: usize, secret: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(before + secret.len()));
    bytes.resize(before, 0);
    bytes.extend_from_slice(secret);
    let whole = Zeroizing::new(base64.encode(&bytes).into_bytes());
    let (first, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
    Zeroizing::new(whole.get(first..end).unwrap_or_default().to_vec())
}

/// A text, or what its escapes stand for, and where in the text each byte comes from.
struct View {
    bytes: Vec<u8>,
    origins: Vec<Range<usize>>,
}

impl View {
    fn of(text: &str) -> Self {
        Self { bytes: text.as_bytes().to_vec(), origins: (0..text.len()).map(|at| at..at + 1).collect() }
    }

    /// With its escapes read; `None` if there are none.
    fn unescaped(&self) -> Option<Self> {
        let mut view = Self { bytes: Vec::new(), origins: Vec::new() };
        let mut at = 0;
        while at < self.bytes.len() {
            let (meant, length) = escape(&self.bytes[at..]).unwrap_or((char::from(self.bytes[at]), 1));
            let origin = self.origins[at].start..self.origins[at + length - 1].end;
            match length {
                1 => view.push(&self.bytes[at..=at], &origin),
                // `%XX` is a byte, which may be a part of a character.
                3 => view.push(&[u8::try_from(meant).unwrap_or_default()], &origin),
                _ => view.push(meant.encode_utf8(&mut [0; 4]).as_bytes(), &origin),
            }
            at += length;
        }
        (view.bytes.len() < self.bytes.len()).then_some(view)
    }

    fn push(&mut self, bytes: &[u8], origin: &Range<usize>) {
        self.bytes.extend_from_slice(bytes);
        self.origins.extend(bytes.iter().map(|_| origin.clone()));
    }
}

/// The escape that the bytes begin with: what it stands for, and its length.
fn escape(bytes: &[u8]) -> Option<(char, usize)> {
    match bytes {
        [b'%', high, low, ..] => Some((char::from(u8::try_from(hex(&[*high, *low])?).ok()?), 3)),
        [b'\\', b'u', digits @ ..] => Some((char::from_u32(hex(digits.get(..4)?)?)?, 6)),
        [b'\\', escaped @ (b'"' | b'\\' | b'/'), ..] => Some((char::from(*escaped), 2)),
        _ => None,
    }
}

fn hex(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |number, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}
