//! The contract at its border: a Kafka record in, a valid event or the reason why not; results out, valid by our schemas.

mod card_numbers;
mod decoding;
mod modes;
mod properties;
mod records;
mod results;
mod rules;
mod schemas;
mod scrubbing;
