//! Sealed blobs and what is in them: any bytes, and any change of a good one.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use profile_linker::contract::record_bytes;
use profile_linker::domain::Secret;
use profile_linker::ledger::Vault;

static VAULT: LazyLock<Vault> = LazyLock::new(|| {
    Vault::new("k1", vec![("k1".to_owned(), Secret::new(vec![1; 32]))]).unwrap_or_else(|why| panic!("{why}"))
});

#[derive(Debug, Arbitrary)]
struct Given<'a> {
    bytes: &'a [u8],
    changes: Vec<(u16, u8)>,
}

fuzz_target!(|given: Given<'_>| {
    // It may well open: the fuzzer learns blobs that were sealed below from the comparison there.
    let _ = VAULT.open(b"context", given.bytes);
    if let Some(parts) = record_bytes::decode(given.bytes) {
        let value = parts.value.as_ref().map(|value| value.as_slice());
        let again = record_bytes::encode(parts.key.as_deref(), value, &parts.headers);
        assert_eq!(again.as_slice(), given.bytes, "there is one way to write a record");
    }
    let sealed = VAULT.seal(b"context", given.bytes);
    let mut changed = sealed.clone();
    for (place, change) in given.changes {
        let place = usize::from(place) % changed.len();
        changed[place] ^= change;
    }
    let opened = VAULT.open(b"context", &changed);
    assert_eq!(opened.is_ok(), changed == sealed, "only the very bytes open");
});
