//! A dead letter that a person edited: an event of its own takes its place, in one write with its discarding.
//!
//! The new row stands in the replaced one's lane, with its record's place and time: it comes from that record. It is taken up by
//! the lane's owner as a reopened row is, so nothing depends on Kafka. What was linked for the replaced event must be found by
//! the new one's look-ups, also once the replaced row is gone: so the row keeps the markers of all that it replaces.

use super::{LedgerError, Reopening};
use crate::domain::{Customer, EventIdentity};

/// Between markers in their column: no marker holds it.
const SEPARATOR: char = ' ';

/// An event that takes a dead letter's place.
#[derive(Clone)]
pub struct Replacement {
    /// The dead letter, as it was seen.
    pub replaced: Reopening,
    /// The new event's identity: its key is the row's.
    pub identity: EventIdentity,
    /// Its customer.
    pub customer: Customer,
    /// Keyed hash of its payload.
    pub payload_hash: [u8; 32],
    /// Its record, sealed as one of the same origin.
    pub sealed_record: Vec<u8>,
    /// The replaced event's permanent token, sealed for the new row; `None` if it is not known.
    pub sealed_token: Option<Vec<u8>>,
    /// Whether its token, or a link of the replaced event, may have been sent.
    pub possibly_sent: bool,
    /// The title markers of the replaced event, and of those that it replaced; at least one.
    pub markers: Vec<String>,
}

impl Replacement {
    /// The markers as their column holds them.
    ///
    /// # Errors
    /// There is none: the row would not be known as one that replaces another.
    pub(super) fn markers_text(&self) -> Result<String, LedgerError> {
        match self.markers.is_empty() {
            true => Err(LedgerError::Damaged("a replacement without a marker".to_owned())),
            false => Ok(self.markers.join(&SEPARATOR.to_string())),
        }
    }
}

/// The markers of a row; none of one that replaces nothing.
pub(super) fn markers_of_text(text: Option<String>) -> Vec<String> {
    text.map(|text| text.split(SEPARATOR).map(str::to_owned).collect()).unwrap_or_default()
}
