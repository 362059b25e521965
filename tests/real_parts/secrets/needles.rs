//! A searcher for secrets in any bytes, whatever form they took.
//!
//! Each secret is written in every form in which software tends to pass text on, and every piece of 16 bytes of each form is
//! one to look for, in hex two in a row, of bytes as numbers three. That is a piece of 16 bytes of the secret in clear,
//! percent-encoded or in hex, and of about 12 in base64 or as numbers. A thousand bytes of token have some twenty-five thousand
//! pieces, so no automaton of patterns is
//! built: a rolling hash asks once for each byte whether a piece may end there.

use std::collections::{BTreeMap, HashMap};

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

/// Bytes of a piece.
pub const PIECE: usize = 16;
/// Bits of the first, coarse answer: with a million pieces it is wrong once in sixty bytes.
const FILTER_BITS: u32 = 26;
/// The rolling hash's base; any odd number.
const BASE: u64 = 0x9e37_79b9_7f4a_7c15;

/// What the names of the forms begin with in which each byte is a decimal number.
const NUMBERS: &str = "numbers";

/// Secrets by name, in all their forms.
pub struct Needles {
    names: Vec<String>,
    pieces: HashMap<[u8; PIECE], (usize, &'static str)>,
    filter: Vec<u64>,
}

/// What was found where: of a secret's name and a form, the first place.
pub type Found = BTreeMap<(String, &'static str), usize>;

impl Default for Needles {
    fn default() -> Self {
        Self { names: Vec::new(), pieces: HashMap::new(), filter: vec![0; 1 << (FILTER_BITS - 6)] }
    }
}

impl Needles {
    /// Adds a secret. Its name is what is told; the secret itself never is.
    pub fn add(&mut self, name: impl Into<String>, secret: &str) {
        assert!(secret.len() >= PIECE, "too short to be told from chance");
        let number = self.names.len();
        self.names.push(name.into());
        for (form, text) in forms(secret) {
            for piece in text.windows(PIECE) {
                let (word, bit) = place(hash(piece));
                self.filter[word] |= bit;
                self.pieces.entry(piece.try_into().expect("a piece")).or_insert((number, form));
            }
        }
    }

    /// How many pieces are looked for.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// What of the secrets is in these bytes.
    pub fn find(&self, bytes: &[u8]) -> Found {
        let mut found = Found::new();
        let Some(first) = bytes.get(..PIECE) else { return found };
        let leaving = (1..PIECE).fold(1u64, |power, _| power.wrapping_mul(BASE));
        let mut rolling = hash(first);
        let mut at = 0;
        loop {
            let (word, bit) = place(rolling);
            if self.filter[word] & bit != 0 {
                self.confirm(bytes, at, &mut found);
            }
            let Some(next) = bytes.get(at + PIECE) else { return found };
            rolling = rolling.wrapping_sub(u64::from(bytes[at]).wrapping_mul(leaving));
            rolling = rolling.wrapping_mul(BASE).wrapping_add(u64::from(*next));
            at += 1;
        }
    }

    fn confirm(&self, bytes: &[u8], at: usize, found: &mut Found) {
        let piece = |at: usize| bytes.get(at..at + PIECE).and_then(|piece| self.pieces.get(piece));
        let Some((number, form)) = piece(at) else { return };
        // Eight bytes are a word, and may stand anywhere; three numbers all the more, also in another secret. Digits alone
        // are hex in small letters and in capitals.
        let goes_on = |after: usize| {
            let next = piece(at + after * PIECE);
            next.is_some_and(|(whose, next)| {
                in_a_row(next) == in_a_row(form) && (whose == number || form.starts_with(NUMBERS))
            })
        };
        if (1..in_a_row(form)).all(goes_on) {
            found.entry((self.names[*number].clone(), *form)).or_insert(at);
        }
    }
}

/// How many pieces behind each other are no chance.
pub fn in_a_row(form: &str) -> usize {
    match form {
        hex if hex.starts_with("hex") => 2,
        numbers if numbers.starts_with(NUMBERS) => 3,
        _ => 1,
    }
}

fn hash(piece: &[u8]) -> u64 {
    piece.iter().fold(0u64, |hash, byte| hash.wrapping_mul(BASE).wrapping_add(u64::from(*byte)))
}

/// The coarse answer's word and bit.
fn place(hash: u64) -> (usize, u64) {
    let bit = hash.wrapping_mul(BASE) >> (64 - FILTER_BITS);
    (usize::try_from(bit >> 6).expect("26 bits"), 1 << (bit & 63))
}

/// The forms, each with its name.
pub fn forms(secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let bytes = secret.as_bytes();
    let mut forms = vec![
        ("clear", bytes.to_vec()),
        ("hex", HEXLOWER.encode(bytes).into_bytes()),
        ("hex in capitals", HEXUPPER.encode(bytes).into_bytes()),
        ("url", percent_encoded(secret, HEXUPPER)),
        ("url in small letters", percent_encoded(secret, HEXLOWER)),
        ("json", json_escaped(secret)),
        ("json with escaped slashes", String::from_utf8_lossy(&json_escaped(secret)).replace('/', "\\/").into_bytes()),
        ("json in ASCII", ascii_escaped(secret)),
        ("numbers", numbers(bytes, ", ")),
        ("numbers without spaces", numbers(bytes, ",")),
    ];
    for before in 0..3 {
        forms.push(("base64", base64_after(bytes, before, &BASE64_NOPAD)));
        forms.push(("base64 for urls", base64_after(bytes, before, &BASE64URL_NOPAD)));
    }
    forms
}

/// As `{:?}` and JSON write bytes.
fn numbers(bytes: &[u8], between: &str) -> Vec<u8> {
    bytes.iter().map(u8::to_string).collect::<Vec<_>>().join(between).into_bytes()
}

fn percent_encoded(secret: &str, hex: data_encoding::Encoding) -> Vec<u8> {
    let encode = |byte: &u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
        other => format!("%{}", hex.encode(&[*other])),
    };
    secret.as_bytes().iter().map(encode).collect::<String>().into_bytes()
}

fn json_escaped(secret: &str) -> Vec<u8> {
    let text = serde_json::Value::from(secret).to_string();
    text.as_bytes()[1..text.len() - 1].to_vec()
}

/// As serialisers write that trust in ASCII only.
fn ascii_escaped(secret: &str) -> Vec<u8> {
    let plain = String::from_utf8_lossy(&json_escaped(secret)).into_owned();
    let escape = |c: char| match c {
        c if c.is_ascii() && !matches!(c, '<' | '>' | '&' | '\'' | '+' | '=') => c.to_string(),
        other => {
            other.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat()
        }
    };
    plain.chars().map(escape).collect::<String>().into_bytes()
}

/// The characters that are the secret's alone, wherever it stands behind so many bytes of something else.
fn base64_after(bytes: &[u8], before: usize, encoding: &data_encoding::Encoding) -> Vec<u8> {
    let whole = [&[0, 0][..before], bytes].concat();
    let own = [0, 2, 3][before]..whole.len() * 8 / 6;
    encoding.encode(&whole).as_bytes()[own].to_vec()
}
