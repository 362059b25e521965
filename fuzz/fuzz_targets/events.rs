//! Any bytes as the value of a record.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile_linker_fuzz::{check, record};

fuzz_target!(|bytes: &[u8]| {
    let structured = ("content-type".to_owned(), Some(b"application/cloudevents+json".to_vec()));
    check(&record(Some(b"42".to_vec()), Some(bytes.to_vec()), vec![structured]));
});
