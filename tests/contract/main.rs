//! The contract at its border: a Kafka record in, a valid event or the reason why not; results out, valid by our schemas.
#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "clippy.toml allows them in test functions only, not in what these share"
)]

mod asyncapi;
mod bad_input;
mod card_numbers;
mod decoding;
mod drift;
mod editing;
#[path = "../support/validity.rs"]
mod held;
mod modes;
mod properties;
mod records;
mod results;
mod round_trips;
mod rules;
mod schemas;
mod scrubbing;
mod validity;
