//! Any record: key, framing, headers, mode.
#![no_main]

use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use profile_linker_fuzz::{check, record};

/// Names that mean something are met too seldom by chance.
#[derive(Debug, Arbitrary)]
enum Name {
    ContentType,
    Specversion,
    Type,
    Source,
    Id,
    Time,
    SchemaId,
    Trace,
    Other(String),
}

impl Name {
    fn text(self) -> String {
        let name = match self {
            Self::ContentType => "content-type",
            Self::Specversion => "ce_specversion",
            Self::Type => "ce_type",
            Self::Source => "ce_source",
            Self::Id => "ce_id",
            Self::Time => "ce_time",
            Self::SchemaId => "__value_schema_id",
            Self::Trace => "ce_traceparent",
            Self::Other(name) => return name,
        };
        name.to_owned()
    }
}

#[derive(Debug, Arbitrary)]
struct Record {
    key: Option<Vec<u8>>,
    headers: Vec<(Name, Option<Vec<u8>>)>,
    value: Option<Vec<u8>>,
}

fuzz_target!(|given: Record| {
    let headers = given.headers.into_iter().map(|(name, value)| (name.text(), value)).collect();
    check(&record(given.key, given.value, headers));
});
