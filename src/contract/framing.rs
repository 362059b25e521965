//! Schema-registry framing: producers with a registry's serialiser put the schema's id before the value. We have our own
//! schemas, so the id is skipped, not looked up.
//!
//! The id can also travel in the header `__value_schema_id` (byte 1 and a UUID); the value is then plain and nothing is
//! to be done. JSON never starts with byte 0, so the two cannot be confused.

/// Byte 0, then the schema's id as 4 bytes.
const FRAME_LENGTH: usize = 5;

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
