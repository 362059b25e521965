//! Schema-registry framing: producers with a registry's serialiser put the schema's id before the value. We have our own
//! schemas, so the id is skipped, not looked up.
//!
//! The id can also travel in the header `__value_schema_id` (byte 1 and a UUID); the value is then plain. A header of another
//! form is of a framing that this build does not know: what it says about the value cannot be guessed. JSON never starts
//! with byte 0, so the two cannot be confused.

/// Byte 0, then the schema's id as 4 bytes.
const FRAME_LENGTH: usize = 5;

/// The header that carries the schema's id beside a plain value.
const ID_HEADER: &str = "__value_schema_id";
/// Byte 1, then a UUID.
const ID_HEADER_LENGTH: usize = 17;

/// Whether the headers tell of a framing that this build knows, or of none. A null says nothing.
///
/// # Errors
/// An id of another form, told for people.
pub(super) fn check_headers(headers: &[(String, Option<Vec<u8>>)]) -> Result<(), &'static str> {
    let mut ids = headers.iter().filter(|(name, _)| name == ID_HEADER).filter_map(|(_, value)| value.as_deref());
    let known = |id: &[u8]| id.len() == ID_HEADER_LENGTH && id.first() == Some(&1);
    if ids.all(known) { Ok(()) } else { Err("the header __value_schema_id must be byte 1 and a UUID") }
}

/// The value without its frame.
///
/// # Errors
/// A frame that is cut short, told for people.
pub(super) fn unframed(value: &[u8]) -> Result<&[u8], &'static str> {
    match value.first() {
        Some(0) => value.get(FRAME_LENGTH..).ok_or("the schema registry's frame is cut short"),
        _ => Ok(value),
    }
}
