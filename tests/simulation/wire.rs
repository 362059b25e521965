//! What is on the wire, and what a changing call must keep to before it leaves: the lane is its sender's own and was
//! confirmed a moment ago, the row says what is sent, and no other link of the event is under way.
//!
//! The limits are written out here once more, so that a change of the worker's own shows.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use profile_linker::domain::ids::CallStep;
use profile_linker::domain::{EventKey, Lane, System};
use profile_linker::ledger::{Claim, Gathered, LaneRow, Refused, RowState};

use crate::tables::Row;
use crate::transport::TIMEOUT;
use crate::vendors::{Request, customer_of};
use crate::world::State;

/// How old a confirmation of ownership may be.
const FRESH: Duration = Duration::from_secs(5);
/// A release is decided, then the cursor is stored, then it is written.
const DECIDED_BEFORE: Duration = Duration::from_secs(15);
/// A customer's events of which the conversions may be out at once.
pub const RUN_AHEAD: usize = 8;

/// Links on their way, and who holds which lane as the senders were told.
#[derive(Default)]
pub struct Wire {
    links: Vec<OnItsWay>,
    held: BTreeMap<(u32, Lane), Held>,
    confirmed: BTreeMap<(u32, Claim), Duration>,
    /// Lanes that a process began to give up.
    given_up: BTreeSet<(u32, Lane)>,
    /// When a process was last answered what a customer has.
    looked: BTreeMap<(u32, String), Duration>,
    /// When a process last had no answer to a link of a lane, or one that says nothing.
    unclear: BTreeMap<(u32, Lane), Duration>,
}

/// A link that may be applied yet, for all that its sender can know.
struct OnItsWay {
    number: u32,
    key: EventKey,
    sent_at: Duration,
}

/// A lane as its process took it.
struct Held {
    claim: Claim,
    /// When the raise was answered.
    since: Duration,
    /// Whether its predecessor left nothing on the wire.
    clean: bool,
    /// A gathering of its was not answered: it may have been the one that gathered.
    doubted: bool,
}

/// A request that leaves now.
struct Leaving<'a> {
    sender: u32,
    operation: &'static str,
    key: EventKey,
    row: &'a Row,
    held: &'a Held,
}

impl State {
    /// A process was told that these lanes are its own.
    pub fn lanes_are_held(&mut self, number: u32, rows: &[LaneRow], asked_at: Duration) {
        for row in rows {
            let held = Held { claim: row.claim, since: self.now, clean: row.clean, doubted: false };
            self.wire.held.insert((number, row.claim.lane), held);
            self.wire.given_up.remove(&(number, row.claim.lane));
        }
        self.confirmed(number, rows.iter().map(|row| row.claim), asked_at);
    }

    /// A gathering into a lane was answered, or not: whoever had what is gathered may be calling for it since then.
    pub fn lane_has_gathered(&mut self, number: u32, into: Claim, answer: Option<&Gathered>) {
        let now = self.now;
        let Some(held) = self.wire.held.get_mut(&(number, into.lane)).filter(|held| held.claim == into) else { return };
        held.doubted |= answer.is_none();
        if held.doubted || answer.is_some_and(|gathered| !gathered.lanes.is_empty()) {
            held.since = now;
            held.clean &= !held.doubted && answer.is_some_and(|gathered| gathered.clean);
        }
    }

    /// Whether a process has this lane, as far as it and the ledger know.
    pub fn holds(&self, number: u32, lane: Lane) -> bool {
        let held = self.wire.held.get(&(number, lane)).map(|held| held.claim.epoch);
        held.is_some() && self.tables.epoch(lane) == held && !self.wire.given_up.contains(&(number, lane))
    }

    /// The ledger answered what was asked at this time: these claims are their lanes'.
    pub fn confirmed(&mut self, number: u32, claims: impl Iterator<Item = Claim>, asked_at: Duration) {
        for claim in claims {
            let at = self.wire.confirmed.entry((number, claim)).or_insert(asked_at);
            *at = (*at).max(asked_at);
        }
    }

    /// A write under these claims was answered.
    pub fn claims_are_answered(&mut self, number: u32, claims: &[Claim], refused: &Refused, asked_at: Duration) {
        let (lost, kept): (Vec<Claim>, Vec<Claim>) = claims.iter().partition(|claim| refused.contains(&claim.lane));
        self.confirmed(number, kept.into_iter(), asked_at);
        let held = &self.wire.held;
        let is_present = |claim: &&Claim| held.get(&(number, claim.lane)).is_some_and(|held| held.claim == **claim);
        let lost: Vec<Lane> = lost.iter().filter(is_present).map(|claim| claim.lane).collect();
        self.lanes_are_known_lost(number, lost.into_iter());
    }

    /// The ledger told the present epochs.
    pub fn epochs_are_told(&mut self, number: u32, epochs: &[Claim], asked_at: Duration) {
        self.confirmed(number, epochs.iter().copied(), asked_at);
        let held = &self.wire.held;
        let is_lost = |claim: &&Claim| held.get(&(number, claim.lane)).is_some_and(|held| held.claim < **claim);
        let lost: Vec<Lane> = epochs.iter().filter(is_lost).map(|claim| claim.lane).collect();
        self.lanes_are_known_lost(number, lost.into_iter());
    }

    /// A process begins to release these lanes.
    pub fn lanes_are_released(&mut self, number: u32, lanes: &[(Claim, bool)]) {
        let partitions: Vec<i32> = lanes.iter().map(|(claim, _)| claim.lane.0).collect();
        self.invariant_a_lane_changes_hands_after_its_cycle(number, &partitions);
        self.invariant_a_release_comes_after_the_last_writes(number, lanes);
        self.invariant_a_clean_release_leaves_no_link_under_way(number, lanes);
        self.invariant_a_release_with_nothing_under_way_is_clean(number, lanes);
        self.wire.given_up.extend(lanes.iter().map(|(claim, _)| (number, claim.lane)));
    }

    /// A process was answered what a customer has.
    pub fn has_looked(&mut self, number: u32, target: &str) {
        self.wire.looked.insert((number, customer_of(target)), self.now);
    }

    /// A changing call leaves. Answers the number under which its way is followed.
    pub fn leaves(&mut self, request: &Request, idempotency_key: &str) -> u32 {
        let number = self.number();
        let Some(key) = self.key_of(request) else { return number };
        self.invariant_a_call_has_its_own_key(key, request.operation, idempotency_key);
        if request.late {
            return number;
        }
        if let Err((name, detail)) = self.may_leave(request, key) {
            self.violated(name, detail);
        }
        let now = self.now;
        self.wire.links.retain(|link| link.sent_at + TIMEOUT > now);
        if request.operation == "link" {
            let sent_at = self.now;
            self.wire.links.push(OnItsWay { number, key, sent_at });
        }
        number
    }

    /// It is applied, or its answer is known: it is under way no longer.
    pub fn has_arrived(&mut self, number: u32) {
        self.wire.links.retain(|link| link.number != number);
    }

    /// The event that a changing call is for.
    pub fn key_of(&self, request: &Request) -> Option<EventKey> {
        match request.operation {
            "promote" => crate::asking::event_of(&self.vendors.promoted(request)?.token),
            _ => request.event_key(),
        }
    }

    /// The same for every repetition and every generation.
    fn invariant_a_call_has_its_own_key(&mut self, key: EventKey, operation: &str, given: &str) {
        let step = match operation {
            "convert" => CallStep::Convert,
            "link" => CallStep::Link,
            _ => CallStep::Promote,
        };
        let identity = self.tables.rows.get(&key).and_then(|row| row.identity.as_ref());
        let own = identity.map(|identity| identity.idempotency_key(step).to_string());
        if own.is_some_and(|own| own != given) {
            self.violated("a_call_has_its_own_key", format!("{operation} of {key:?} with {given}"));
        }
    }

    /// A link's exchange is over, and its sender cannot tell what came of it.
    pub fn link_is_unclear(&mut self, number: u32, key: EventKey) {
        let Some(lane) = self.tables.rows.get(&key).map(|row| row.stored.lane) else { return };
        self.wire.unclear.insert((number, lane), self.now);
    }

    fn may_leave(&self, request: &Request, key: EventKey) -> Result<(), (&'static str, String)> {
        let what = |detail: &str| format!("{} of {} for {key:?}: {detail}", request.operation, request.sender);
        let row = self.tables.rows.get(&key);
        let held = row.and_then(|row| self.wire.held.get(&(request.sender, row.stored.lane)));
        // Gathered a moment ago: whoever had the record's own lane has not heard of it yet, and whoever has it now waits.
        let before = row.and_then(|row| self.wire.held.get(&(request.sender, Lane(row.stored.partition))));
        if let (Some(row), None, Some(held)) = (row, held, before) {
            let leaving = Leaving { sender: request.sender, operation: request.operation, key, row, held };
            let broken = self.another_is_under_way(&leaving).or_else(|| self.fence_is_passed(&leaving));
            return broken.map_or(Ok(()), |broken| Err(("a_call_leaves_a_lane_of_its_own_only", what(broken))));
        }
        let (Some(row), Some(held)) = (row, held) else {
            return Err(("what_leaves_is_written_ahead", what("its sender never took its lane, or there is no row")));
        };
        let leaving = Leaving { sender: request.sender, operation: request.operation, key, row, held };
        let checks: [(&str, Option<&str>); 6] = [
            ("a_call_leaves_a_lane_of_its_own_only", self.fence_is_passed(&leaving)),
            ("what_leaves_is_written_ahead", is_written_ahead(&leaving, self.is_permanent(row))),
            ("a_successor_waits_for_the_wire", self.comes_too_soon(&leaving)),
            ("two_links_of_an_event_are_never_under_way", self.another_is_under_way(&leaving)),
            ("a_few_conversions_run_ahead", self.runs_too_far_ahead(&leaving)),
            ("what_may_have_been_sent_is_looked_for", self.was_not_looked_for(&leaving)),
        ];
        match checks.into_iter().find_map(|(name, broken)| Some((name, broken?))) {
            Some((name, detail)) => Err((name, what(detail))),
            None => Ok(()),
        }
    }

    /// In the last step before its bytes, the ledger's last word on the lane is fresh.
    fn fence_is_passed(&self, leaving: &Leaving<'_>) -> Option<&'static str> {
        if self.wire.given_up.contains(&(leaving.sender, leaving.row.stored.lane)) {
            return Some("its sender had begun to give the lane up");
        }
        let asked_at = self.wire.confirmed.get(&(leaving.sender, leaving.held.claim));
        let fresh = asked_at.is_some_and(|at| self.now.saturating_sub(*at) < FRESH);
        (!fresh).then_some("the ledger did not confirm the lane a moment ago")
    }

    /// Whether its token was permanent from the start.
    pub fn is_permanent(&self, row: &Row) -> bool {
        let record = self.broker.record_of(row);
        let text = record.and_then(|record| record.value.as_ref()?.expose_str());
        text.is_some_and(|text| text.contains("\"kind\":\"permanent\""))
    }

    /// What the predecessor may have sent has ended first; a row that its owner accepted itself need not wait.
    fn comes_too_soon(&self, leaving: &Leaving<'_>) -> Option<&'static str> {
        let own = leaving.row.stored.epoch == leaving.held.claim.epoch && leaving.row.stored.generation == 1;
        let over = leaving.held.since + FRESH + TIMEOUT <= self.now;
        (!leaving.held.clean && !own && !over).then_some("its predecessor's calls may be under way")
    }

    fn another_is_under_way(&self, leaving: &Leaving<'_>) -> Option<&'static str> {
        let is_out = |link: &OnItsWay| link.key == leaving.key && link.sent_at + TIMEOUT > self.now;
        let is_link = leaving.operation == "link";
        (is_link && self.wire.links.iter().any(is_out)).then_some("an earlier one may be under way")
    }

    fn runs_too_far_ahead(&self, leaving: &Leaving<'_>) -> Option<&'static str> {
        let is_first = leaving.row.stored.generation == 1;
        let many = || self.earlier(leaving.row).count() >= RUN_AHEAD;
        (leaving.operation == "convert" && is_first && many()).then_some("too many of its customer's are before it")
    }

    /// Before a conversion where the target can tell, and before any link.
    fn was_not_looked_for(&self, leaving: &Leaving<'_>) -> Option<&'static str> {
        let row = leaving.row;
        let customer = row.customer.as_ref().filter(|_| row.stored.possibly_sent)?;
        let asks =
            leaving.operation == "link" || (leaving.operation == "convert" && customer.system == System::Loanpro);
        let looked_at = self.wire.looked.get(&(leaving.sender, customer.id.clone()));
        let looked = looked_at.is_some_and(|at| *at >= leaving.held.since.max(row.accepted_at));
        (asks && !looked).then_some("it may have been sent before, and nobody looked")
    }

    /// A clean release: none of the lane's links can be applied after it.
    pub fn invariant_a_clean_release_leaves_no_link_under_way(&mut self, number: u32, lanes: &[(Claim, bool)]) {
        let stands = |claim: Claim| self.tables.epoch(claim.lane) == Some(claim.epoch);
        for (claim, _) in lanes.iter().filter(|(claim, clean)| *clean && stands(*claim)) {
            let is_of = |key: &EventKey| self.tables.rows.get(key).is_some_and(|row| row.stored.lane == claim.lane);
            let is_out = |link: &&OnItsWay| link.sent_at + TIMEOUT > self.now && is_of(&link.key);
            if let Some(link) = self.wire.links.iter().find(is_out) {
                let detail = format!("{number} releases {claim:?} while the link of {:?} is under way", link.key);
                self.violated("a_clean_release_leaves_no_link_under_way", detail);
                return;
            }
            let held = self.wire.held.get(&(number, claim.lane)).filter(|held| held.claim == *claim);
            if held.is_some_and(|held| !held.clean && held.since + FRESH + TIMEOUT > self.now) {
                let detail = format!("{number} releases {claim:?} before its own wait is over");
                self.violated("a_clean_release_leaves_no_link_under_way", detail);
                return;
            }
        }
    }
}

impl State {
    /// The successor would wait for nothing.
    fn invariant_a_release_with_nothing_under_way_is_clean(&mut self, number: u32, lanes: &[(Claim, bool)]) {
        let lost = self.group.clients.get(&number).is_some_and(|client| client.knows_of_a_loss(self.now));
        if lost || self.may_be_calling(number) || self.restoring.happened() || self.freezes > 0 {
            return;
        }
        let long_ago = |at: &Duration| *at + TIMEOUT + DECIDED_BEFORE < self.now;
        for (claim, _) in lanes.iter().filter(|(_, clean)| !clean) {
            let held = self.wire.held.get(&(number, claim.lane)).filter(|held| held.claim == *claim);
            let waited =
                held.is_some_and(|held| held.clean || held.since + FRESH + TIMEOUT + DECIDED_BEFORE < self.now);
            if waited && self.wire.unclear.get(&(number, claim.lane)).is_none_or(long_ago) {
                self.violated("a_release_with_nothing_under_way_is_clean", format!("{number} releases {claim:?}"));
                return;
            }
        }
    }

    /// How many of a process's events of this epoch are in its memory for certain.
    pub fn certainly_in_memory(&self, number: u32) -> usize {
        let knows = |row: &&Row| {
            self.holds(number, row.stored.lane) && self.tables.epoch(row.stored.lane) == Some(row.stored.epoch)
        };
        let settled = |row: &&Row| row.is_unfinished() && row.accepted_at + Duration::from_secs(1) < self.now;
        let rows = self.tables.rows.values().filter(|row| row.stored.generation == 1);
        rows.filter(settled).filter(knows).count()
    }
}

/// The intent stands in the row, which has not ended, before a call leaves.
fn is_written_ahead(leaving: &Leaving<'_>, permanent: bool) -> Option<&'static str> {
    match (leaving.operation, leaving.row.stored.state) {
        ("convert", RowState::Accepted) | ("link" | "promote", RowState::Converted) => None,
        ("link" | "promote", RowState::Accepted) if permanent => None,
        // Found before its token was converted: it is promoted as it was found.
        ("promote", RowState::Accepted) if leaving.row.stored.possibly_sent => None,
        _ => Some("its row does not say so"),
    }
}
