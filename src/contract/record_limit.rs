//! How large our records can be, and what a dead letter leaves out for the sake of that.

/// The largest result with its key and headers, and the largest dead letter without its sealed original: both are below
/// 64 KB (contract, section 3); the rest is for what Kafka's own format adds.
pub const LARGEST_RESULT_BYTES: u64 = 68 * 1024;

/// The largest record that can be written to the dead-letter topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeadLetterLimit(u64);

impl DeadLetterLimit {
    /// Where nobody said otherwise: what Kafka's client sends by default. A topic takes a little more by default.
    pub const USUAL: Self = Self(1_000_000);

    /// So many bytes.
    #[must_use]
    pub fn of_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many bytes.
    #[must_use]
    pub fn bytes(self) -> u64 {
        self.0
    }

    /// Whether a dead letter can carry an original of this length, sealed and in base64. One that cannot is published without
    /// it: a record that the broker refuses would stop its partition.
    #[must_use]
    pub fn has_room_for(self, sealed_base64: &str) -> bool {
        let room = self.0.saturating_sub(LARGEST_RESULT_BYTES);
        u64::try_from(sealed_base64.len()).is_ok_and(|length| length <= room)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_original_is_left_out_where_it_and_the_rest_would_exceed_the_limit() {
        let limit = DeadLetterLimit::of_bytes(100_000);
        assert!(limit.has_room_for(&"x".repeat(30_368)));
        assert!(!limit.has_room_for(&"x".repeat(30_369)));
        assert!(!DeadLetterLimit::of_bytes(1_000).has_room_for("x"), "there is no room at all");
        assert!(DeadLetterLimit::USUAL.has_room_for(&"x".repeat(900_000)));
    }
}
