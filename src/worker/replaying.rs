//! Replays beside live events: a share of the work at most, and never more of them in memory than a few times that.
//!
//! The ledger is the queue: a row that an operator reopened stays there with its note until there is room for it. So a replay of
//! a hundred thousand dead letters takes no more memory than one of a hundred, and the slots beyond the share are live events'.
//! One that waits (for its upstream to be back, through a back-off, for its customer's earlier event) takes none of the share:
//! those of one outage would else hold up the replays of everything else. Of these there is a limit of its own. Once what they
//! wait for is over they run, so for a while more than the share may, in their upstream's queue like live events.
//! An owner that takes a lane over resumes as many, behind the live events, and leaves the others to their notes again.

use std::sync::Arc;
use std::time::Duration;

use super::dispatcher::{Dispatcher, Report};
use super::event::Event;
use crate::domain::machine::State;
use crate::domain::{EventKey, Lane};
use crate::ledger::{NOTES_AT_ONCE, Note, NoteKind, StoredRow};

/// Pause before notes are written again that the ledger did not take.
const REPEAT: Duration = Duration::from_secs(1);
/// So many times the share may be in memory, with those that wait.
const WITH_WAITING: usize = 4;

/// How many replays may be taken up, and whether more wait in the ledger.
pub(super) struct Replays {
    /// The share: of those that could call now.
    most: usize,
    /// The last reading of the notes left some behind.
    more: bool,
    /// How many ended since it.
    ended: usize,
}

impl Replays {
    /// A share of all calls that may be in flight, one at least.
    pub fn new(share: f64, max_in_flight: usize) -> Self {
        // Both are within the configuration's limits, so the product is a small positive number.
        let most = (share * max_in_flight as f64).floor() as usize;
        Self { most: most.max(1), more: false, ended: 0 }
    }

    /// How many more there is room for, beside so many that run and so many that wait.
    fn room(&self, running: usize, waiting: usize) -> usize {
        let room = self.most.saturating_sub(running);
        room.min((self.most * WITH_WAITING).saturating_sub(running + waiting))
    }
}

impl Dispatcher {
    /// How many replays may be taken up now.
    pub fn room_for_replays(&self) -> usize {
        let replays = self.events.values().filter(|event| event.is_replay);
        let (waiting, running): (Vec<_>, Vec<_>) = replays.partition(|event| self.waits(event));
        self.replays.room(running.len(), waiting.len())
    }

    /// Whether it could make no call now, however many slots were free.
    fn waits(&self, event: &Event) -> bool {
        let backs_off = matches!(event.flow.state, State::Waiting(..));
        let is_held_up = event.held || !event.in_window || event.awaits_turn || backs_off;
        is_held_up || (event.pending.is_some() && self.bulkheads.is_away(event.upstream()))
    }

    /// Whether the ledger has more replays than there was room for.
    pub fn note_replays_left(&mut self, left: bool) {
        self.replays.more = left;
        self.replays.ended = 0;
    }

    /// Whether a replay stands behind a later event of its customer that will be the primary one: to be so after it would take that
    /// from it. One in another partition, where an edited event may find its customer, counts as later: which is cannot be told here.
    pub fn is_overtaken(&self, event: &Event) -> bool {
        let is_elsewhere = |other: &Event| other.origin.partition != event.origin.partition;
        let is_later = |other: &Event| is_elsewhere(other) || other.origin.offset > event.origin.offset;
        let of_lane = |lane: &i32| self.customers.of(Lane(*lane), &event.profile.customer);
        event.is_replay
            && self
                .lanes
                .keys()
                .flat_map(of_lane)
                .filter_map(|key| self.events.get(&key))
                .any(|other| other.wants_primary() && is_later(other))
    }

    /// Of the rows of a lane just taken over, those to go on with now. Replays that there is no room for are left to their notes,
    /// which are written anew: an earlier owner may have acted on the first ones.
    pub fn leave_what_has_no_room(&self, rows: Vec<StoredRow>) -> Vec<StoredRow> {
        let mut room = self.room_for_replays();
        let mut left = Vec::new();
        let mut kept = rows;
        kept.retain(|row| {
            let fits = !row.is_replay() || room > 0;
            if row.is_replay() && fits {
                room -= 1;
            } else if !fits {
                left.push(row.key);
            }
            fits
        });
        self.leave_to_notes(left);
        kept
    }

    /// Not written before the process ends, they are found again by the next owner, like any unfinished row.
    fn leave_to_notes(&self, keys: Vec<EventKey>) {
        if keys.is_empty() {
            return;
        }
        tracing::info!(replays = keys.len(), "replays wait in the ledger until there is room for them");
        let shared = Arc::clone(&self.shared);
        self.spawn(async move {
            for keys in keys.chunks(NOTES_AT_ONCE) {
                let notes: Vec<_> = keys.iter().map(|key| (*key, NoteKind::Reopened)).collect();
                while let Err(error) = shared.ledger.leave_notes(&notes).await {
                    tracing::warn!(error = %error, "replays are not left to their notes yet");
                    tokio::time::sleep(REPEAT).await;
                }
            }
            Report::NoteLeft
        });
    }

    /// A replay has ended: the next ones are read without waiting for the heartbeat, but not for each end.
    pub fn go_on_replaying(&mut self) {
        self.replays.ended += 1;
        if self.replays.more && self.replays.ended > self.replays.most / 2 {
            self.read_notes();
        }
    }
}

/// The first notes of reopened rows that there is room for; whether others were left out, or may not have been read.
pub(super) fn choose(notes: &mut Vec<Note>, room: usize) -> (Vec<EventKey>, bool) {
    let mut chosen: Vec<EventKey> = Vec::new();
    let before = notes.len();
    notes.retain(|note| {
        if note.kind != NoteKind::Reopened {
            return true;
        }
        let fits = chosen.contains(&note.key) || chosen.len() < room;
        if fits && !chosen.contains(&note.key) {
            chosen.push(note.key);
        }
        fits
    });
    (chosen, notes.len() < before || before >= NOTES_AT_ONCE)
}

/// Live events first: they did not wait for a person.
pub(super) fn live_first(mut rows: Vec<StoredRow>) -> Vec<StoredRow> {
    rows.sort_by_key(StoredRow::is_replay);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(number: i64, key: u8, kind: NoteKind) -> Note {
        Note { number, lane: Lane(0), key: EventKey([key; 16]), kind }
    }

    #[test]
    fn what_there_is_no_room_for_stays_in_the_ledger_in_its_order() {
        let (link, reopened) = (NoteKind::LinkSent, NoteKind::Reopened);
        let all = vec![
            note(1, 1, link),
            note(2, 1, reopened),
            note(3, 2, reopened),
            note(4, 1, reopened),
            note(5, 3, reopened),
        ];
        for (room, keys, kept, left) in [
            (0, &[][..], &[1][..], true),
            (1, &[1], &[1, 2, 4], true),
            (2, &[1, 2], &[1, 2, 3, 4], true),
            (3, &[1, 2, 3], &[1, 2, 3, 4, 5], false),
        ] {
            let mut notes = all.clone();
            let (chosen, more) = choose(&mut notes, room);
            assert_eq!(chosen, keys.iter().map(|key| EventKey([*key; 16])).collect::<Vec<_>>(), "{room}");
            assert_eq!(notes.iter().map(|note| note.number).collect::<Vec<_>>(), kept, "{room}");
            assert_eq!(more, left, "{room}");
        }
    }

    #[test]
    fn where_as_many_notes_were_read_as_are_told_at_once_there_may_be_more() {
        for (count, more) in [(NOTES_AT_ONCE - 1, false), (NOTES_AT_ONCE, true)] {
            let mut notes = vec![note(1, 1, NoteKind::Reopened); count];
            assert_eq!(choose(&mut notes, 5000).1, more, "{count}");
        }
    }

    #[test]
    fn those_that_wait_take_no_room_until_they_are_too_many() {
        let replays = Replays::new(0.25, 40);
        for (running, waiting, room) in
            [(0, 0, 10), (4, 0, 6), (10, 0, 0), (4, 26, 6), (4, 32, 4), (4, 36, 0), (0, 40, 0), (12, 40, 0)]
        {
            assert_eq!(replays.room(running, waiting), room, "{running} run, {waiting} wait");
        }
    }

    #[test]
    fn a_share_is_one_replay_at_least() {
        for (share, slots, most) in [(0.25, 1024, 256), (0.01, 40, 1), (1.0, 7, 7)] {
            assert_eq!(Replays::new(share, slots).most, most, "{share} of {slots}");
        }
    }
}
