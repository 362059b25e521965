//! A commit's metadata: any text; what is ours comes back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_linker::kafka::cursor::{CursorText, decode, encode};

const LEDGER: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 255];

fuzz_target!(|text: &str| {
    if let CursorText::Ours(cursor) = decode(text, LEDGER) {
        assert_eq!(decode(&encode(LEDGER, cursor), LEDGER), CursorText::Ours(cursor));
    }
});
