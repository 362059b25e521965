//! Replays that came by the input topic, from a dead-letter topic that was read because the ledger was lost.
//!
//! The position passes such a record only after this: repeated, nothing is done twice, since a row is reopened only as the
//! operator of the record saw it, and a note more is read like the first one.

use super::Scribe;
use crate::domain::EventKey;
use crate::ledger::{Accepted, Act, LedgerError, NoteKind, Refused, Reopening};
use crate::worker::prepare::Draft;

/// Who reopened a row, for the audit table: whoever published the record is not known here.
const ACTOR: &str = "input topic";

impl Scribe {
    /// Reopens the dead letters whose next generation these records are, and leaves notes for those that are unfinished, new ones
    /// and those accepted before: all of them are taken up as replays are, in their share, and with what overtook them.
    pub(super) async fn replay(&self, outcomes: &[(Draft, Accepted)]) -> Result<(), LedgerError> {
        let replays = || outcomes.iter().filter(|(draft, _)| draft.row.generation > 1);
        let next = replays().filter(|(_, outcome)| matches!(outcome, Accepted::Replays));
        let next: Vec<Reopening> = next.map(|(draft, _)| seen(draft)).collect();
        if !next.is_empty() {
            let why = Some("a dead letter was published to the input topic once more".to_owned());
            let act = Act { actor: ACTOR.to_owned(), why };
            // What somebody else reopened or discarded meanwhile is left out: this record is a duplicate then.
            let reopened = || async { self.ledger.reopen(&next, &act).await.map(|_| Refused::new()) };
            self.repeated(&[], reopened).await?;
        }
        let begun = outcomes.iter().filter(|(draft, outcome)| outcome.waits_for_its_note(draft.row.generation));
        let begun: Vec<(EventKey, NoteKind)> = begun.map(|(draft, _)| (draft.row.key, NoteKind::Reopened)).collect();
        if !begun.is_empty() {
            let noted = || async { self.ledger.leave_notes(&begun).await.map(|()| Refused::new()) };
            self.repeated(&[], noted).await?;
        }
        Ok(())
    }
}

/// The dead letter that the record is the next generation of.
fn seen(draft: &Draft) -> Reopening {
    Reopening { key: draft.row.key, generation: draft.row.generation - 1 }
}
