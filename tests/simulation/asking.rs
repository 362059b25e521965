//! What a worker asks of the ledger must fit what stands there: a spent budget stays spent, starts and calls are counted.
//!
//! Judged when it is asked, under a claim that is its lane's: a statement that got lost may come in any order.

use std::collections::BTreeSet;

use profile_linker::domain::{Attempts, EventIdentity, EventKey, Lane};
use profile_linker::ledger::{BackOffRow, Claim, StartedRow, StoredRow};
use profile_linker::upstream::http::Exchange;

use crate::inputs::SOURCE;
use crate::vendors::Request;
use crate::world::State;

/// What was asked and sent.
#[derive(Default)]
pub struct Asked {
    /// Starts that were asked to be counted; a repeat of the same question counts nothing.
    starts: BTreeSet<(Claim, EventKey, i32)>,
    /// Changing calls that a process sent for an event since it took the lane.
    calls: Vec<(u32, EventKey, &'static str)>,
}

impl State {
    /// The unfinished row, if one of these claims is still its lane's.
    fn stands(&self, claims: &[Claim], lane: Lane, key: EventKey) -> Option<StoredRow> {
        let held = claims.iter().any(|claim| claim.lane == lane && self.tables.epoch(lane) == Some(claim.epoch));
        self.tables.rows.get(&key).filter(|row| held && row.is_unfinished()).map(|row| row.stored.clone())
    }

    pub fn invariant_a_spent_budget_stays_spent(&mut self, claims: &[Claim], rows: &[BackOffRow]) {
        for row in rows {
            let Some(there) = self.stands(claims, row.lane, row.key) else { continue };
            if row.spent_ms < there.spent_ms {
                let detail = format!("{} ms of {:?}, of which {} were spent", row.spent_ms, row.key, there.spent_ms);
                self.violated("a_spent_budget_stays_spent", detail);
            }
        }
    }

    pub fn invariant_a_start_is_counted(&mut self, claims: &[Claim], rows: &[StartedRow]) {
        for row in rows {
            let Some(there) = self.stands(claims, row.lane, row.key) else { continue };
            let Some(claim) = claims.iter().find(|claim| claim.lane == row.lane) else { continue };
            let first = self.asked.starts.insert((*claim, row.key, row.starts));
            if first && row.starts != there.starts + 1 {
                let detail = format!("{:?} starts for the {}th time after {}", row.key, row.starts, there.starts);
                self.violated("a_start_is_counted", detail);
            }
        }
    }

    /// An end counts each call that this process sent, and none less than was written before.
    pub fn invariant_every_call_is_counted(
        &mut self,
        number: u32,
        claims: &[Claim],
        rows: impl Iterator<Item = (EventKey, Lane, Attempts)>,
    ) {
        for (key, lane, attempts) in rows {
            let Some(there) = self.stands(claims, lane, key) else { continue };
            let sent = |operation: &str| {
                let is_one = |call: &&(u32, EventKey, &str)| (call.0, call.1, call.2) == (number, key, operation);
                u32::try_from(self.asked.calls.iter().filter(is_one).count()).unwrap_or(u32::MAX)
            };
            let least = Attempts {
                convert: there.attempts.convert.max(sent("convert")),
                link: there.attempts.link.max(sent("link")),
                lookup: there.attempts.lookup,
            };
            let counted =
                attempts.convert >= least.convert && attempts.link >= least.link && attempts.lookup >= least.lookup;
            if !counted {
                self.violated("every_call_is_counted", format!("{key:?} with {attempts:?}, at least {least:?}"));
            }
        }
    }

    /// A process sends a changing call.
    pub fn note_call(&mut self, request: &Request) {
        if let Some(key) = request.event_key() {
            self.asked.calls.push((request.sender, key, request.operation));
        }
    }

    /// A conversion was answered that its bearer is refused: with a new one it is the same attempt.
    pub fn forget_refused_call(&mut self, request: &Request, exchange: &Exchange) {
        let refused = exchange.as_ref().is_ok_and(|answer| answer.status.as_u16() == 401);
        let Some(key) = request.event_key().filter(|_| refused) else { return };
        let is_it = |call: &(u32, EventKey, &str)| *call == (request.sender, key, request.operation);
        if let Some(place) = self.asked.calls.iter().rposition(is_it) {
            self.asked.calls.remove(place);
        }
    }

    /// A process takes lanes: what it knew of their events is forgotten.
    pub fn forget_calls(&mut self, number: u32, lanes: &[Lane]) {
        let rows = &self.tables.rows;
        let of_lane = |key: &EventKey| rows.get(key).is_none_or(|row| lanes.contains(&row.stored.lane));
        self.asked.calls.retain(|(sender, key, _)| *sender != number || !of_lane(key));
    }

    /// The same of the events that it gathers.
    pub fn forget_calls_of(&mut self, number: u32, keys: &[EventKey]) {
        self.asked.calls.retain(|(sender, key, _)| *sender != number || !keys.contains(key));
    }
}

impl Request {
    /// The event that a conversion or a link is sent for, by its token.
    pub fn event_key(&self) -> Option<EventKey> {
        let token = match self.operation {
            "convert" => self.body["TemporaryToken"].as_str()?.to_owned(),
            "link" => self.linked_token()?,
            _ => return None,
        };
        event_of(&token)
    }
}

/// The event that this token was made for, temporary or permanent: `.. temporary 3-declined`.
pub fn event_of(token: &str) -> Option<EventKey> {
    let number = token.rsplit(' ').next()?.split('-').next()?;
    Some(EventIdentity { source: SOURCE.to_owned(), id: format!("event {number}") }.key())
}
