//! Rows that are removed once they are old.
//!
//! A history is minutes long, a row is kept for weeks: so here it goes after seconds, wherever what weeks are for has come
//! about already: each record of its event is written, read, and behind its partition's committed position, and no acceptance of
//! it is on its way any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use profile_linker::domain::EventKey;
use profile_linker::ledger::{NewRow, Purge, PurgePlace, Purged, RowState};

use crate::inputs::Input;
use crate::process::wall_ms;
use crate::tables::{Row, Tables};
use crate::world::State;

/// Which records are still to be written or read, or may be read again.
#[derive(Default)]
pub struct Readable {
    /// Of these events.
    events: BTreeSet<EventKey>,
    /// Of each partition those from this offset on: a conflict, and what nobody can read, have rows of their own.
    from: BTreeMap<i32, i64>,
}

impl Readable {
    /// Whether the row's record is one of them, or another of its event.
    pub fn has(&self, row: &Row) -> bool {
        let from = self.from.get(&row.stored.partition).copied().unwrap_or(i64::MAX);
        self.events.contains(&row.stored.key) || row.stored.offset >= from
    }
}

/// The acceptances that are on their way through the database: one that arrives after its repeat's row is gone would insert it
/// anew. Each holds its events' keys for as long as it may still do something.
#[derive(Default)]
pub struct Acceptances(Vec<Weak<BTreeSet<EventKey>>>);

impl Acceptances {
    pub fn send(&mut self, rows: &[NewRow]) -> Arc<BTreeSet<EventKey>> {
        let keys = Arc::new(rows.iter().map(|row| row.key).collect());
        self.0.retain(|sent| sent.strong_count() > 0);
        self.0.push(Arc::downgrade(&keys));
        keys
    }

    pub fn bring(&self, key: EventKey) -> bool {
        self.0.iter().filter_map(Weak::upgrade).any(|keys| keys.contains(&key))
    }
}

/// How old a row gets.
const AGES_S: [u64; 2] = [20, 40];

impl Tables {
    /// As both ledgers do it; `may_return`: rows of which a record may be read again.
    pub fn purge(&mut self, purge: &Purge, unfinished_too: bool, may_return: impl Fn(&Row) -> bool) -> Purged {
        let place = |row: &Row| PurgePlace { accepted_at: ms(row.accepted_at), key: row.stored.key };
        let order = |place: &PurgePlace| (place.accepted_at, place.key);
        let mut places: Vec<PurgePlace> = self.rows.values().map(place).collect();
        places.retain(|place| purge.after.as_ref().is_none_or(|after| order(place) > order(after)));
        places.sort_by_key(order);
        let more = places.len() >= purge.limit;
        places.truncate(purge.limit);
        let mut removed = 0;
        for PurgePlace { key, .. } in &places {
            let goes = self.rows.get(key).is_some_and(|row| self.may_go(row, purge, unfinished_too));
            if let Some(row) = self.rows.get(key).filter(|row| goes && !may_return(row)).cloned() {
                self.rows.remove(key);
                self.notes.retain(|_, (of, _)| of != key);
                self.removed.insert(*key, row);
                removed += 1;
            }
        }
        Purged { removed, next: places.last().copied().filter(|_| more) }
    }

    fn may_go(&self, row: &Row, purge: &Purge, unfinished_too: bool) -> bool {
        if row.is_unfinished() {
            return unfinished_too && row.accepted_at + purge.ended <= self.clock;
        }
        let age = if row.stored.state == RowState::DeadLettered { purge.dead_lettered } else { purge.ended };
        let saved = self.lanes.get(&row.stored.lane.0).map_or(0, |lane| lane.saved_cursor);
        let published = row.stored.publish_seq.is_some_and(|number| number.0 <= saved);
        let record_is_old = row.stored.timestamp + ms(purge.record) <= wall_ms(self.clock);
        published && record_is_old && row.ended_at + age <= self.clock
    }
}

impl State {
    /// Which rows may go now, if it is time for that.
    pub fn draw_purge(&mut self) -> Option<Purge> {
        if !self.strikes(|rates| rates.purge) {
            return None;
        }
        let ended = Duration::from_secs(self.chance.pick(&AGES_S));
        let now_ms = wall_ms(self.now);
        Some(Purge { now_ms, ended, dead_lettered: ended * 2, record: Duration::ZERO, after: None, limit: 4 })
    }

    /// What is still to be written or read, or may be read again.
    pub fn may_be_read(&self, to_come: &[Input]) -> Readable {
        let mut readable = Readable::default();
        readable.events.extend(to_come.iter().filter_map(Input::event_key));
        for partition in 0..self.plan.partitions {
            let committed = self.broker.committed.get(&partition).map(|(offset, _)| *offset);
            let accepted = self.accepted_up_to(partition);
            // A ledger that was restored, or that has not heard of the topic yet, reads again what it does not know.
            let safe = committed.unwrap_or(accepted).min(accepted);
            // A position that the ledger knew can be committed before what lies below it is read once more.
            let clients = self.group.clients.values();
            let fetched = clients.filter_map(|client| client.next_to_accept(partition)).min();
            let safe = safe.min(fetched.unwrap_or(i64::MAX));
            readable.from.insert(partition, safe);
            let safe = usize::try_from(safe).unwrap_or(0);
            let identities = self.broker.identities.get(usize::try_from(partition).unwrap_or(0));
            readable.events.extend(identities.into_iter().flat_map(|log| log.iter().skip(safe).flatten()));
        }
        readable
    }
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
