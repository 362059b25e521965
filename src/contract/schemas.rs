//! The embedded JSON Schemas.
