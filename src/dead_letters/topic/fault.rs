//! What keeps a record of the dead-letter topic from being replayed.

/// Why a record is no dead letter that can be replayed. The names are those of the command's JSON and must not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// No value, an empty one, or one that is cut short or was never JSON.
    NotJson,
    /// JSON of somebody else's.
    NotADeadLetter,
    /// A `DeadLetter` that lacks a member, or has one that cannot be.
    Invalid,
    /// Of another input topic.
    AnotherTopic,
    /// Of a generation behind which no replay may come.
    LastGeneration,
    /// Its original was too large to be in it.
    TooLarge,
    /// Sealed under a key that is not configured.
    UnknownKey,
    /// The key that it names does not open it: other bytes under that name, changed bytes, or another place's.
    DoesNotOpen,
    /// Its original is the record of another event than the one that it tells of.
    AnotherEvent,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::NotJson,
        Self::NotADeadLetter,
        Self::Invalid,
        Self::AnotherTopic,
        Self::LastGeneration,
        Self::TooLarge,
        Self::UnknownKey,
        Self::DoesNotOpen,
        Self::AnotherEvent,
    ];

    /// The name in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotJson => "not_json",
            Self::NotADeadLetter => "not_a_dead_letter",
            Self::Invalid => "invalid",
            Self::AnotherTopic => "another_topic",
            Self::LastGeneration => "last_generation",
            Self::TooLarge => "too_large",
            Self::UnknownKey => "unknown_key",
            Self::DoesNotOpen => "does_not_open",
            Self::AnotherEvent => "another_event",
        }
    }

    /// What it means and what can be done, for people.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::NotJson => "the value is missing, cut short, or no JSON",
            Self::NotADeadLetter => "somebody else's record",
            Self::Invalid => "a DeadLetter that violates its schema",
            Self::AnotherTopic => "a dead letter of another input topic: ask with that worker's configuration",
            Self::LastGeneration => {
                "its generation is so high that none may follow: nobody replays one event so often, so it was made up"
            }
            Self::TooLarge => {
                "the original was too large to be in it; the input topic may still have it, at its origin"
            }
            Self::UnknownKey => "sealed under a key that is not under [keys]: put it there",
            Self::DoesNotOpen => "it does not open: the key's bytes are others, or it was changed",
            Self::AnotherEvent => "its original is another event's than the one that it tells of: it was changed",
        }
    }
}
