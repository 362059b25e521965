//! Notes between workers, for what a fence cannot carry: a link whose outcome came after its lane was another's, and rows that an
//! operator reopened. Read about once a second by the lane's owner, removed once acted on.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::dispatcher::{Dispatcher, Report};
use super::replaying;
use crate::domain::EventKey;
use crate::domain::machine::State;
use crate::ledger::{Claim, Ledger, LedgerError, Note, NoteKind, StoredRow};

/// Pause before a note is written again that met an unavailable ledger.
const PAUSE: Duration = Duration::from_secs(1);

/// What a reading of the notes told.
pub(super) struct Heard {
    /// As whose owner they were read: what was read of a lane that was lost since is no word on its rows.
    claims: Vec<Claim>,
    /// Those to act on now.
    notes: Vec<Note>,
    /// The rows that were reopened, as far as there is room for them.
    reopened: Vec<StoredRow>,
    /// More of them wait in the ledger.
    left: bool,
}

impl Dispatcher {
    /// A link may have been applied whose outcome came when its lane was lost, or was being given up: its owner must look before
    /// its next step, and is told so by a note.
    pub fn leave_note(&self, key: EventKey) {
        let shared = Arc::clone(&self.shared);
        tracing::warn!(event.key = ?key, "a link's outcome came after the lane was taken over; its owner is told");
        self.spawn(async move {
            while let Err(LedgerError::Unavailable(_)) = shared.ledger.leave_notes(&[(key, NoteKind::LinkSent)]).await {
                tokio::time::sleep(PAUSE).await;
            }
            Report::NoteLeft
        });
    }

    /// Reads the notes of our lanes, and the rows that were reopened, beside the dispatcher.
    pub fn read_notes(&mut self) {
        let claims: Vec<Claim> = self.lanes.values().filter(|lane| !lane.leaving).map(|lane| lane.claim).collect();
        if self.reading_notes || claims.is_empty() || self.stopping.is_some() {
            return;
        }
        self.reading_notes = true;
        self.ended_meanwhile.clear();
        let (shared, room) = (Arc::clone(&self.shared), self.room_for_replays());
        self.spawn(async move { Report::Notes(read(&*shared.ledger, claims, room).await) });
    }

    /// Acts on notes; what was acted on is removed, each over its lane's own connection.
    pub fn on_notes(&mut self, heard: Heard) {
        let Heard { claims, notes, reopened, left } = heard;
        let still = |own: Option<Claim>| own.filter(|claim| claims.contains(claim));
        self.reading_notes = false;
        self.note_replays_left(left);
        let mut in_doubt = BTreeSet::new();
        for row in reopened {
            if self.is_in_doubt(&row) {
                in_doubt.insert(row.key);
            } else if let Some(claim) = still(self.claim(row.lane.0)) {
                tracing::info!(event.key = ?row.key, generation = row.generation, "a reopened row is taken up");
                self.pick_up(claim, row);
            }
        }
        let mut done: Vec<(Claim, i64)> = Vec::new();
        for note in notes {
            let Some(claim) = still(self.claim(note.lane.0)) else { continue };
            match note.kind {
                NoteKind::LinkSent => self.on_link_noted(claim, note.key),
                NoteKind::Reopened if in_doubt.contains(&note.key) => continue,
                NoteKind::Reopened => {}
            }
            done.push((claim, note.number));
        }
        self.remove_notes(done);
    }

    /// Whether this row may have been read before, or reopened after, an end that we are about to hear of, or heard of since: to
    /// begin it could link it again, to forget it could leave it for ever. Its note stays, and the next reading tells.
    fn is_in_doubt(&self, row: &StoredRow) -> bool {
        self.ended_meanwhile.contains(&row.key)
            || self.ending_at_once.contains_key(&row.key)
            || self.events.get(&row.key).is_some_and(|event| event.generation < row.generation)
    }

    fn on_link_noted(&mut self, claim: Claim, key: EventKey) {
        let event = self.events.get_mut(&key);
        // An end that is being written is no step that could wait for a look.
        if let Some(event) = event.filter(|event| event.flow.state != State::Ending) {
            if event.claim == claim {
                event.note_link();
            }
        } else {
            tracing::error!(
                event.key = ?key,
                "a former owner's link of this event came to an end after the event had ended: look at its customer's \
                 profiles, there may be two",
            );
        }
    }

    fn remove_notes(&self, notes: Vec<(Claim, i64)>) {
        for slot in 0..self.shared.ledger.slots() {
            let here = notes.iter().filter(|(claim, _)| self.shared.ledger.slot(claim.lane) == slot);
            let (mut claims, numbers): (Vec<Claim>, Vec<i64>) = here.copied().unzip();
            // By number they come in any order of lanes.
            claims.sort_unstable();
            claims.dedup();
            if claims.is_empty() {
                continue;
            }
            let shared = Arc::clone(&self.shared);
            self.spawn(async move {
                if let Err(error) = shared.ledger.remove_notes(&claims, &numbers).await {
                    tracing::debug!(error = %error, "notes were not removed; they are acted on again");
                }
                Report::NoteLeft
            });
        }
    }
}

/// An unavailable ledger tells nothing this time; the scribe says why.
async fn read(ledger: &dyn Ledger, claims: Vec<Claim>, room: usize) -> Heard {
    let mut notes = ledger.notes(&claims).await.unwrap_or_default();
    let (chosen, left) = replaying::choose(&mut notes, room);
    if chosen.is_empty() {
        return Heard { claims, notes, reopened: Vec::new(), left };
    }
    match ledger.unfinished(&claims, Some(&chosen)).await {
        Ok(reopened) => Heard { claims, notes, reopened, left },
        Err(_) => {
            notes.retain(|note| !matches!(note.kind, NoteKind::Reopened));
            Heard { claims, notes, reopened: Vec::new(), left: false }
        }
    }
}
