//! A dead letter whose event a person mends: what is opened, what must be looked for before, and what takes its place.
//!
//! The edited event has an id, and so markers and idempotency keys, of its own. So nothing that the first event did may be left
//! unknown: where its link may have been sent, somebody must have looked that it is not there. What it converted is kept.

use super::opening::{self, Opener};
use crate::contract::decode::{Created, Decoded, decode};
use crate::contract::editing::{Editing, NotEditable};
use crate::contract::{InputRecord, Token, record_bytes};
use crate::domain::{EventIdentity, Origin, Reason, Secret, System, Violation};
use crate::ledger::custody::{record_context, token_context};
use crate::ledger::{DeadLetter, HashKey, Replacement, StoredRow};
use crate::upstream::LookUp;

/// Why a dead letter cannot be edited, whatever would be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    /// Its record, or its token, does not open.
    #[error("it does not open under the keys of [keys], or is damaged")]
    Unreadable,
    /// Its record must not be opened for a person.
    #[error(transparent)]
    NotEditable(#[from] NotEditable),
    /// Nobody can tell whether its link is there.
    #[error(
        "its link may have been sent, and Aloha's payments can be told by their card token only, which is not known"
    )]
    NothingToLookFor,
}

/// What is wrong with an edited event.
#[derive(Debug, Clone)]
pub enum EditFault {
    /// What must not be changed, with pointers.
    Kept(Vec<Violation>),
    /// What a worker would reject it for.
    Rejected(Reason),
}

/// A dead letter opened for editing.
pub struct Edit {
    letter: DeadLetter,
    row: StoredRow,
    origin: Origin,
    editing: Editing,
    /// Its permanent token, if it is known.
    token: Option<Secret>,
}

impl Edit {
    /// Opens it.
    ///
    /// # Errors
    /// It must not, or cannot, be opened.
    pub fn open(letter: DeadLetter, row: StoredRow, opener: &Opener) -> Result<Self, EditError> {
        if !opener.opens(&row) {
            return Err(EditError::Unreadable);
        }
        let origin = row.origin(&opener.topic);
        let record = opening::record(&origin, &row, &opener.vault).ok_or(EditError::Unreadable)?;
        let token = match (&row.sealed_token, decode(&record)) {
            (Some(blob), _) => {
                let opened = opener.vault.open(&token_context(row.key), blob).map_err(|_| EditError::Unreadable)?;
                Some(Secret::new(opened.to_vec()))
            }
            (None, Decoded::Created(created)) => permanent(&created),
            (None, Decoded::Unusable(_)) => None,
        };
        let editing = Editing::open(record)?;
        Ok(Self { letter, row, origin, editing, token })
    }

    /// The event as a person sees it, without its secrets.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{:#}\n", self.editing.shown())
    }

    /// Whether this text is still the same event.
    #[must_use]
    pub fn is_unchanged(&self, edited: &str) -> bool {
        self.editing.is_unchanged(edited)
    }

    /// What must be looked for before it may be replaced; `None` if its link was never sent, or it names nobody to whom.
    ///
    /// # Errors
    /// Its link may have been sent, and nothing tells whether it is there.
    pub fn look_up(&self) -> Result<Option<LookUp>, EditError> {
        let may_be_sent = self.row.possibly_sent || self.row.attempts.link > 0 || self.token.is_some();
        let (Some(customer), true, Some(_)) = (&self.letter.customer, may_be_sent, &self.letter.identity) else {
            return Ok(None);
        };
        if customer.system == System::Aloha && self.token.is_none() {
            return Err(EditError::NothingToLookFor);
        }
        // It may have been edited before, in the ledger of which this one is a backup.
        let edits = self.letter.identity.iter().flat_map(EventIdentity::markers_of_edits);
        let markers = self.markers().into_iter().chain(edits).collect();
        Ok(Some(LookUp { customer: customer.clone(), markers, token: self.token.clone() }))
    }

    /// What takes its place.
    ///
    /// # Errors
    /// What is wrong with the edited event: it is judged as a worker judges its input.
    pub fn replacement(&self, edited: &str, opener: &Opener, hash_key: &HashKey) -> Result<Replacement, EditFault> {
        let id = match &self.letter.identity {
            Some(identity) => identity.edited_id(),
            None => self.origin.edited_id(),
        };
        let record = self.editing.edited(edited, &id.to_string()).map_err(EditFault::Kept)?;
        let created = match decode(&record) {
            Decoded::Created(created) => created,
            Decoded::Unusable(unusable) => return Err(EditFault::Rejected(unusable.reason)),
        };
        Ok(self.replaced_by(&record, *created, opener, hash_key))
    }

    fn replaced_by(&self, record: &InputRecord, created: Created, opener: &Opener, hash_key: &HashKey) -> Replacement {
        let value = record.value.as_ref().map(Secret::expose);
        let bytes = record_bytes::encode(record.key.as_deref(), value, &record.headers);
        let key = created.identity.key();
        // One that came with the event is in its record.
        let converted = self.token.as_ref().filter(|_| self.row.sealed_token.is_some());
        let called = self.row.attempts.convert + self.row.attempts.link > 0;
        Replacement {
            replaced: self.letter.as_seen(),
            markers: if self.letter.identity.is_some() {
                self.markers()
            } else {
                vec![created.identity.title_marker()]
            },
            customer: created.profile.customer,
            payload_hash: hash_key.payload_hash(&created.payload),
            sealed_record: opener.vault.seal(&record_context(&self.origin), &bytes),
            sealed_token: converted.map(|token| opener.vault.seal(&token_context(key), token.expose())),
            possibly_sent: self.row.possibly_sent || called || self.token.is_some(),
            identity: created.identity,
        }
    }

    /// By which the profiles of this event, and of those that it replaced, would be known.
    fn markers(&self) -> Vec<String> {
        let own = self.letter.identity.as_ref().map(EventIdentity::title_marker);
        own.into_iter().chain(self.row.replaced_markers.iter().cloned()).collect()
    }
}

fn permanent(created: &Created) -> Option<Secret> {
    match &created.profile.token {
        Token::Permanent(token) => Some(token.clone()),
        Token::Temporary(_) => None,
    }
}
