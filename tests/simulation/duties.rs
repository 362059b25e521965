//! What a worker owes before its next link: so many looks, after whatever may have linked the event already. And what it
//! owes its lane's next owner: a note of a link that came through after the lane was another's.

use std::collections::BTreeMap;
use std::time::Duration;

use profile_linker::domain::{EventKey, Lane};
use profile_linker::ledger::{EndedRow, NoteKind, Refused, RowState};
use profile_linker::upstream::http::Exchange;

use crate::tables::Row;
use crate::vendors::{Request, customer_of};
use crate::world::State;

/// Looks that must say "not there" after a link whose outcome was not seen, as the simulated workers are configured.
const LOOKS: u32 = 3;
/// A living worker has left its note by then, whatever the ledger goes through once the faults are over.
const NOTED_WITHIN: Duration = Duration::from_secs(60);

/// What is owed, by the process that owes it.
#[derive(Default)]
pub struct Duties {
    looks: BTreeMap<(u32, EventKey), Owed>,
    notes: BTreeMap<(u32, EventKey), Duration>,
    /// Lanes that a process knows to be another's, or has given up itself.
    known_lost: BTreeMap<(u32, Lane), Duration>,
}

/// Looks owed before a link that is asked for later than this.
struct Owed {
    looks: u32,
    since: Duration,
}

impl State {
    /// As after a link whose outcome was not seen.
    pub fn owe_all_looks(&mut self, number: u32, key: EventKey) {
        self.owe_looks(number, key, LOOKS);
    }

    fn owe_looks(&mut self, number: u32, key: EventKey, looks: u32) {
        let since = self.now;
        self.duties.looks.insert((number, key), Owed { looks, since });
    }

    /// A process took lanes: what their rows say may have been sent by whoever had them before.
    pub fn owe_looks_of_lanes(&mut self, number: u32, lanes: &[Lane]) {
        let may_be_sent =
            |row: &&Row| row.is_unfinished() && (row.stored.state == RowState::Converted || self.is_permanent(row));
        let of_lanes = self.tables.rows.values().filter(|row| lanes.contains(&row.stored.lane));
        let keys: Vec<EventKey> = of_lanes.filter(may_be_sent).map(|row| row.stored.key).collect();
        keys.into_iter().for_each(|key| self.owe_looks(number, key, LOOKS));
        for lane in lanes {
            self.duties.known_lost.remove(&(number, *lane));
        }
    }

    /// An operator reopened rows: an earlier generation may have sent what they say.
    pub fn owe_looks_of_reopened(&mut self, keys: &[EventKey]) {
        let workers: Vec<u32> = self.group.clients.keys().copied().collect();
        for key in keys {
            let Some(row) = self.tables.rows.get(key) else { continue };
            if row.stored.state == RowState::Converted || self.is_permanent(row) {
                workers.iter().for_each(|number| self.owe_looks(*number, *key, LOOKS));
            }
        }
    }

    /// A link's exchange is over. What was certainly not applied may be sent again as it is.
    pub fn owe_looks_of_link(&mut self, request: &Request, exchange: &Exchange) {
        let Some(key) = request.event_key().filter(|_| request.operation == "link") else { return };
        let looks = match exchange.as_ref().map(|answer| answer.status.as_u16()) {
            Ok(401 | 403 | 429) => return,
            Ok(400 | 404 | 409) => 1,
            Ok(_) | Err(_) => LOOKS,
        };
        self.owe_looks(request.sender, key, looks);
        self.link_is_unclear(request.sender, key);
    }

    /// A look was answered with what the customer has, or that there is no such customer.
    pub fn looked(&mut self, number: u32, target: &str, exchange: &Exchange) {
        let answered = exchange.as_ref().is_ok_and(|answer| matches!(answer.status.as_u16(), 200 | 404));
        if !answered {
            return;
        }
        self.has_looked(number, target);
        let customer = customer_of(target);
        let rows = &self.tables.rows;
        let is_its = |key: &EventKey| {
            let of = rows.get(key).and_then(|row| row.customer.as_ref());
            of.is_some_and(|of| of.id == customer)
        };
        for ((owing, key), owed) in &mut self.duties.looks {
            if *owing == number && is_its(key) {
                owed.looks = owed.looks.saturating_sub(1);
            }
        }
    }

    /// A link leaves that its sender asked for at this time.
    pub fn invariant_what_may_be_linked_is_looked_for_first(&mut self, request: &Request, asked_at: Duration) {
        let Some(key) = request.event_key().filter(|_| request.operation == "link" && !request.late) else { return };
        let owed = self.duties.looks.get(&(request.sender, key));
        if let Some(owed) = owed.filter(|owed| owed.looks > 0 && owed.since < asked_at) {
            let detail = format!("{} links {key:?}, {} looks too early", request.sender, owed.looks);
            self.violated("what_may_be_linked_is_looked_for_first", detail);
        }
    }

    /// A process acts on notes: before its next link it looks, whatever it was about to do.
    pub fn notes_are_acted_on(&mut self, number: u32, numbers: &[i64]) {
        for note in numbers {
            let Some((key, NoteKind::LinkSent)) = self.tables.notes.get(note).copied() else { continue };
            let owes = self.duties.looks.get(&(number, key)).map_or(0, |owed| owed.looks);
            self.owe_looks(number, key, owes.max(1));
        }
    }

    /// A process knows from now on that these lanes are not its own.
    pub fn lanes_are_known_lost(&mut self, number: u32, lanes: impl Iterator<Item = Lane>) {
        let now = self.now;
        for lane in lanes {
            self.duties.known_lost.entry((number, lane)).or_insert(now);
        }
    }

    /// The ledger refused ends: their lanes are another's. Its owner must hear of those that are linked.
    pub fn ends_are_refused(&mut self, number: u32, rows: &[EndedRow], refused: &Refused) {
        let now = self.now;
        for row in rows.iter().filter(|row| refused.contains(&row.lane) && row.state == RowState::Linked) {
            self.duties.notes.entry((number, row.key)).or_insert(now);
        }
    }

    /// A link's answer comes to a process that knows that the lane is another's.
    pub fn owe_note_of_link(&mut self, request: &Request, exchange: &Exchange) {
        let Some(key) = request.event_key().filter(|_| request.operation == "link") else { return };
        let Some(row) = self.tables.rows.get(&key) else { return };
        let place = (request.sender, row.stored.lane);
        let knew = self.duties.known_lost.get(&place).is_some_and(|since| *since < self.now);
        let is_unclear = match exchange {
            Ok(answer) => answer.status.is_success(),
            Err(error) => error.sent,
        };
        if knew && is_unclear {
            let now = self.now;
            self.duties.notes.entry((request.sender, key)).or_insert(now);
        }
    }

    /// A process leaves notes.
    pub fn notes_are_left(&mut self, number: u32, notes: &[(EventKey, NoteKind)]) {
        for (key, _) in notes {
            self.duties.notes.remove(&(number, *key));
        }
    }

    /// A process is no more: nobody expects anything of it.
    pub fn forget_duties(&mut self, number: u32) {
        self.duties.notes.retain(|(owing, _), _| *owing != number);
        self.duties.looks.retain(|(owing, _), _| *owing != number);
    }
}

/// The next owner of a lane hears of each link that came through after it was taken.
pub fn invariant_a_link_that_came_late_is_noted(state: &State) -> Result<(), String> {
    let late = |since: &Duration| *since + NOTED_WITHIN < state.now;
    match state.duties.notes.iter().find(|(_, since)| late(since)) {
        Some(((number, key), _)) => Err(format!("{number} left no note of its link of {key:?}")),
        None => Ok(()),
    }
}
