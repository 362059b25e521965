//! Identities and keys. The hash inputs in this file must never change: rows, result ids and idempotency keys of
//! running systems are made of them.

use std::fmt;
use std::iter::successors;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::{Uuid, uuid};

/// Namespace of result ids (contract, section 3).
const RESULT_NAMESPACE: Uuid = uuid!("562034fb-2f54-591b-8aa9-6df991bcfb36");
/// Namespace of idempotency keys (upstreams, section 5).
const IDEMPOTENCY_NAMESPACE: Uuid = uuid!("d644f382-9474-58d0-a6a5-4a4d3757be5d");

/// Edits of edits that are looked for: nobody mends one event so often.
const EDITS_LOOKED_FOR: usize = 8;

/// What identifies an event: its CloudEvents `source` and `id`, 1..512 bytes each, no control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventIdentity {
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `id`.
    pub id: String,
}

impl EventIdentity {
    /// Key of the event's ledger row: the first 16 bytes of SHA-256 over `source LF id`.
    #[must_use]
    pub fn key(&self) -> EventKey {
        let digest = Sha256::digest(format!("{}\n{}", self.source, self.id));
        EventKey::from_digest(&digest)
    }

    /// Id of the result of this generation: UUIDv5 over `source LF id LF generation`.
    #[must_use]
    pub fn result_id(&self, generation: i32) -> Uuid {
        let name = format!("{}\n{}\n{generation}", self.source, self.id);
        Uuid::new_v5(&RESULT_NAMESPACE, name.as_bytes())
    }

    /// Id of the event that takes this one's place once a person has edited it: UUIDv5 over `source LF id LF edited`. The same
    /// however often it is asked for: an event is replaced once.
    #[must_use]
    pub fn edited_id(&self) -> Uuid {
        let name = format!("{}\n{}\nedited", self.source, self.id);
        Uuid::new_v5(&RESULT_NAMESPACE, name.as_bytes())
    }

    /// The event that takes this one's place once a person has edited it: of the same source.
    #[must_use]
    pub fn edited(&self) -> Self {
        Self { source: self.source.clone(), id: self.edited_id().to_string() }
    }

    /// The markers by which the profiles of the events that a person may have made of this one would be known, by editing it, and by
    /// editing that again. A ledger that was restored from before an edit does not tell that there was one.
    pub fn markers_of_edits(&self) -> impl Iterator<Item = String> {
        let edits = successors(Some(self.edited()), |edit| Some(edit.edited()));
        edits.take(EDITS_LOOKED_FOR).map(|edit| edit.title_marker())
    }

    /// The `Idempotency-Key` of a changing call: UUIDv5 over `source LF id LF step`, the same for every retry and
    /// every replay of the event.
    #[must_use]
    pub fn idempotency_key(&self, step: CallStep) -> Uuid {
        let name = format!("{}\n{}\n{}", self.source, self.id, step.as_str());
        Uuid::new_v5(&IDEMPOTENCY_NAMESPACE, name.as_bytes())
    }

    /// The marker in a linked profile's title: 8 characters of base32 of the link's idempotency key.
    #[must_use]
    pub fn title_marker(&self) -> String {
        let mut text = BASE32_NOPAD.encode(self.idempotency_key(CallStep::Link).as_bytes());
        text.truncate(8);
        text
    }
}

/// The changing calls that carry an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallStep {
    /// Temporary into permanent token.
    Convert,
    /// Payment profile to customer.
    Link,
    /// Making the linked profile the primary one.
    Promote,
}

impl CallStep {
    /// The name that goes into the key.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Convert => "convert",
            Self::Link => "link",
            Self::Promote => "promote",
        }
    }
}

/// Key of a ledger row: 16 bytes, from an event's identity, or from origin, timestamp and keyed hash of a record that has
/// none (unreadable, or a conflict).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventKey(pub [u8; 16]);

impl EventKey {
    /// The first 16 bytes of a digest.
    #[must_use]
    pub fn from_digest(digest: &[u8]) -> Self {
        let mut key = [0; 16];
        let length = digest.len().min(16);
        key[..length].copy_from_slice(&digest[..length]);
        Self(key)
    }

    /// The key as the UUID type that PostgreSQL stores in 16 bytes. Not a UUID of any version.
    #[must_use]
    pub fn as_uuid(self) -> Uuid {
        Uuid::from_bytes(self.0)
    }
}

impl fmt::Debug for EventKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

/// Where a record of the input topic stood. Two records of one input never differ in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Input topic.
    pub topic: String,
    /// Partition of the input topic.
    pub partition: i32,
    /// Offset in the partition.
    pub offset: i64,
    /// Record timestamp in milliseconds since 1970; -1 if the record has none.
    pub timestamp: i64,
}

impl Origin {
    /// Id of the result of a record without identity: UUIDv5 over
    /// `topic LF partition LF offset LF timestamp LF generation`.
    #[must_use]
    pub fn result_id(&self, generation: i32) -> Uuid {
        let name = format!("{}\n{}\n{}\n{}\n{generation}", self.topic, self.partition, self.offset, self.timestamp);
        Uuid::new_v5(&RESULT_NAMESPACE, name.as_bytes())
    }

    /// Id of the event that takes the place of a record without identity once a person has edited it: UUIDv5 over
    /// `topic LF partition LF offset LF timestamp LF edited`.
    #[must_use]
    pub fn edited_id(&self) -> Uuid {
        let name = format!("{}\n{}\n{}\n{}\nedited", self.topic, self.partition, self.offset, self.timestamp);
        Uuid::new_v5(&RESULT_NAMESPACE, name.as_bytes())
    }
}

/// The system that will charge the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    /// LoanPro LMS.
    Loanpro,
    /// NCR Aloha Online Ordering.
    Aloha,
}

impl System {
    /// The name in events, metrics and configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Loanpro => "loanpro",
            Self::Aloha => "aloha",
        }
    }
}

/// A vendor that calls go to, each with troubles of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Upstream {
    /// PayIQ, the converter.
    Payiq,
    /// LoanPro LMS.
    Loanpro,
    /// NCR Aloha Online Ordering.
    Aloha,
}

impl Upstream {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Payiq, Self::Loanpro, Self::Aloha];

    /// The name in logs, metrics and configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Payiq => "payiq",
            Self::Loanpro => "loanpro",
            Self::Aloha => "aloha",
        }
    }
}

impl From<System> for Upstream {
    fn from(system: System) -> Self {
        match system {
            System::Loanpro => Self::Loanpro,
            System::Aloha => Self::Aloha,
        }
    }
}

/// A customer of a link target; the unit of order.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Customer {
    /// The link target.
    pub system: System,
    /// LoanPro: decimal integer 1..2^63-1. Aloha: GUID.
    pub id: String,
}

/// An input partition, as the unit of ownership, of numbering and of publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lane(pub i32);

/// The fencing number of a lane: raised by whoever takes the lane over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch(pub i64);

/// The place of a result in its lane's sequence of publications; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublishSeq(pub i64);
