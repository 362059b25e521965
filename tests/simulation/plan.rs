//! What a history is made of, drawn from its seed before it begins. The parts can be left out one by one, which is how a
//! failing history is shrunk.

use std::time::Duration;

use crate::chance::Chance;
use crate::inputs::{self, Input};
use crate::vendors::Vendor;

/// A history before it happens.
#[derive(Clone)]
pub struct Plan {
    pub seed: u64,
    /// The ledger is a file: one process, statements one after the other.
    pub serial: bool,
    /// Results are acknowledged, then positions committed; else both in one transaction.
    pub idempotent: bool,
    pub partitions: i32,
    pub workers: usize,
    /// Write connections of a worker.
    pub slots: usize,
    pub inputs: Vec<Input>,
    pub acts: Vec<(Duration, Act)>,
    pub rates: Rates,
    pub chaos: Duration,
    pub vendors: VendorHabits,
    /// Two failures open a breaker, two dead letters in a row pause everything: a history is too short for the usual limits.
    pub touchy: bool,
    /// The event whose conversion or link ends the process that is about to send it, each time.
    pub killer: Option<u64>,
    /// A worker takes few events at a time.
    pub tight: bool,
    /// Vendors are away for longer than the retry budget lasts, and little else goes wrong.
    pub outage: bool,
}

/// What vendors differ in.
#[derive(Debug, Clone, Copy)]
pub struct VendorHabits {
    /// A taken title is refused.
    pub unique_titles: bool,
    /// Read-backs show tokens.
    pub echo: bool,
    /// A temporary token can be converted more than once.
    pub reusable_tokens: bool,
    /// For a moment after a change LoanPro's reads know nothing of the customer.
    pub blinks: bool,
    /// Where our credential is wrong it is another tenant's, at LoanPro: reads find nothing there.
    pub answers_others: bool,
}

/// What somebody or something does at a time of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Crash(usize),
    Freeze(usize, u64),
    /// A clean stop and a start.
    Restart(usize),
    /// The group gives a living worker's partitions to others; it notices later.
    Evict(usize),
    /// Members join and leave anew.
    Rebalance,
    /// Kafka forgets its committed positions.
    LoseOffsets(i32),
    /// The input topic is deleted and made anew, with so many partitions.
    Remake(i32),
    LedgerDown(u64),
    VendorsDown(u64, Trouble, Option<Vendor>),
    /// Nothing can be published; everything else goes on.
    PublishingDown(u64),
    /// An operator pauses everything.
    Pause,
    StepClock(usize, i64),
    /// A copy of the ledger is put aside.
    BackUp,
    /// The copy takes the ledger's place while no worker runs; declared or not.
    Restore(bool),
    /// So many operators reopen every dead letter that they see.
    Replay(u64),
}

/// How vendors are away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// Not to be reached, or failing; some of it is done all the same.
    Failing,
    /// Too many requests.
    Throttling,
    /// They refuse our credential.
    Refusing,
}

/// How often faults strike, of a thousand occasions.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rates {
    pub crash: u64,
    pub freeze: u64,
    /// Just before a call to a vendor.
    pub freeze_at_call: u64,
    /// Between the gate's check and the send.
    pub freeze_in_gap: u64,
    pub ledger_lost_before: u64,
    pub ledger_lost_after: u64,
    pub ledger_slow: u64,
    pub connect: u64,
    pub call_lost_before: u64,
    pub call_lost_after: u64,
    pub call_slow: u64,
    pub call_refused: u64,
    pub commit_in_doubt: u64,
    pub aborted: u64,
    pub record_refused: u64,
    pub slow_connect: u64,
    pub publish_slow: u64,
    /// A link that is applied late.
    pub link_slow: u64,
    /// Old rows are removed.
    pub purge: u64,
}

/// Each rate by itself, for shrinking and for drawing.
const RATES: [fn(&mut Rates) -> &mut u64; 19] = [
    |rates| &mut rates.crash,
    |rates| &mut rates.freeze,
    |rates| &mut rates.freeze_at_call,
    |rates| &mut rates.freeze_in_gap,
    |rates| &mut rates.ledger_lost_before,
    |rates| &mut rates.ledger_lost_after,
    |rates| &mut rates.ledger_slow,
    |rates| &mut rates.connect,
    |rates| &mut rates.call_lost_before,
    |rates| &mut rates.call_lost_after,
    |rates| &mut rates.call_slow,
    |rates| &mut rates.call_refused,
    |rates| &mut rates.commit_in_doubt,
    |rates| &mut rates.aborted,
    |rates| &mut rates.record_refused,
    |rates| &mut rates.slow_connect,
    |rates| &mut rates.publish_slow,
    |rates| &mut rates.link_slow,
    |rates| &mut rates.purge,
];

impl Plan {
    pub fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        // Some histories are about nothing but ownership: several workers, slow calls and writes, and nobody sure of a lane.
        let contested = chance.permille(350);
        let serial = !contested && chance.permille(250);
        let workers = if serial { 1 } else { chance.between(if contested { 2 } else { 1 }, 4) };
        let workers = usize::try_from(workers).unwrap_or(1);
        let partitions = i32::try_from(chance.between(1, if contested { 2 } else { 3 })).unwrap_or(1);
        let chaos = if contested { 30 } else { chance.pick(&[5, 30, 60, 120]) };
        let chaos = Duration::from_secs(chaos);
        let vendors = VendorHabits {
            unique_titles: chance.permille(250),
            echo: chance.permille(500),
            reusable_tokens: chance.permille(400),
            blinks: chance.permille(200),
            // Of a stream of its own, too.
            answers_others: Chance::new(seed ^ 0x07e5).permille(500),
        };
        let mut plan = Self {
            seed,
            serial,
            idempotent: chance.permille(150),
            partitions,
            workers,
            slots: if serial { 1 } else { usize::try_from(chance.between(1, 2)).unwrap_or(1) },
            rates: if contested { contested_rates(&mut chance) } else { rates(&mut chance) },
            inputs: inputs::draw(&mut chance, contested, partitions, chaos, 80),
            acts: acts(&mut chance, contested, workers, partitions, chaos),
            chaos,
            vendors,
            killer: None,
            tight: chance.permille(200),
            outage: false,
            // Of a stream of its own: it changes nothing else about the seed's history.
            touchy: Chance::new(seed ^ 0x70c4).permille(500),
        };
        if chance.permille(40) {
            plan.let_one_kill(&mut chance);
        } else if chance.permille(40) {
            plan.let_vendors_be_away(&mut chance);
        } else {
            plan.make_topic_anew(&mut chance);
        }
        plan
    }

    /// In a few histories one event ends its process each time that it is worked on, and nothing else goes wrong.
    fn let_one_kill(&mut self, chance: &mut Chance) {
        self.killer = Some(chance.below(self.inputs.len() as u64));
        self.rates = Rates::default();
        self.acts.clear();
    }

    /// In a few histories vendors are away for longer than the budget of a retry.
    fn let_vendors_be_away(&mut self, chance: &mut Chance) {
        (self.outage, self.touchy, self.tight) = (true, true, false);
        self.rates = Rates::default();
        let which = chance.pick(&[None, Some(Vendor::PayIq), Some(Vendor::LoanPro), Some(Vendor::LoanPro)]);
        let trouble = chance.pick(&[Trouble::Failing, Trouble::Throttling, Trouble::Refusing]);
        let (from, lasts) = (chance.between(0, 6_000), chance.between(70, 100));
        self.chaos = Duration::from_secs(lasts + 20);
        self.inputs = inputs::draw(chance, false, self.partitions, Duration::from_secs(10), 500);
        for (at, _) in &mut self.acts {
            *at = (*at).min(self.chaos);
        }
        let may_stay = |act: &Act| matches!(act, Act::Crash(_) | Act::Restart(_) | Act::Evict(_) | Act::Rebalance);
        self.acts.retain(|(_, act)| may_stay(act));
        self.acts.truncate(2);
        if chance.permille(300) {
            self.acts.push((Duration::from_millis(chance.between(0, lasts * 1_000)), Act::Pause));
        }
        self.acts.push((Duration::from_millis(from), Act::VendorsDown(lasts, trouble, which)));
        self.acts.sort_by_key(|(at, _)| *at);
    }

    /// In some histories the topic is made anew, once or twice; producers are busy then, and write some of the old again.
    fn make_topic_anew(&mut self, chance: &mut Chance) {
        // A backup of a ledger that knew an older topic shows neither sign of being one: only a declared one is played.
        let undeclared = self.acts.iter().any(|(_, act)| *act == Act::Restore(false));
        let declared = self.acts.iter().any(|(_, act)| *act == Act::Restore(true));
        if undeclared || !chance.permille(if declared { 500 } else { 150 }) {
            return;
        }
        let end = self.chaos.as_millis() as u64;
        // Of a stream of its own, as below.
        let mut sizes = Chance::new(self.seed ^ 0x512e);
        for _ in 0..chance.pick(&[1, 1, 2]) {
            let most = self.partitions.unsigned_abs().into();
            let fewer = if sizes.permille(500) { sizes.between(1, most) } else { most };
            let at = Duration::from_millis(chance.between(200, end * 3 / 4));
            self.acts.push((at, Act::Remake(i32::try_from(fewer).unwrap_or(1))));
            inputs::crowd(chance, &mut self.inputs, at);
        }
        self.acts.sort_by_key(|(at, _)| *at);
    }

    /// How many parts can be left out.
    pub fn parts(&self) -> usize {
        self.acts.len() + RATES.len() + self.inputs.len()
    }

    /// The same without one part; `None` if that part is empty anyway.
    pub fn without(&self, part: usize) -> Option<Self> {
        let mut plan = self.clone();
        if part < plan.acts.len() {
            plan.acts.remove(part);
            return Some(plan);
        }
        let part = part - plan.acts.len();
        if let Some(rate) = RATES.get(part) {
            let rate = rate(&mut plan.rates);
            return (std::mem::take(rate) > 0).then_some(plan);
        }
        let input = part - RATES.len();
        (input < plan.inputs.len() && plan.inputs.len() > 1).then(|| {
            plan.inputs.remove(input);
            plan
        })
    }
}

/// Some histories are quiet, some are hit by a few kinds of faults, some by all.
fn rates(chance: &mut Chance) -> Rates {
    let mut rates = Rates::default();
    let share = chance.pick(&[0, 200, 400, 700]);
    for rate in RATES {
        let strength = chance.pick(&[5, 20, 60, 200]);
        if chance.permille(share) {
            *rate(&mut rates) = strength;
        }
    }
    rates.crash = rates.crash.min(60);
    rates.freeze = rates.freeze.min(30);
    rates.freeze_at_call = rates.freeze_at_call.min(100);
    rates.record_refused = rates.record_refused.min(60);
    rates
}

fn contested_rates(chance: &mut Chance) -> Rates {
    Rates {
        freeze: chance.pick(&[0, 5, 20]),
        freeze_at_call: chance.pick(&[0, 100, 300]),
        crash: chance.pick(&[0, 0, 10]),
        ledger_slow: chance.pick(&[0, 200, 500]),
        call_slow: chance.pick(&[0, 0, 200]),
        link_slow: chance.pick(&[0, 500, 900]),
        slow_connect: chance.pick(&[0, 200, 500]),
        publish_slow: chance.pick(&[0, 300, 600]),
        freeze_in_gap: chance.pick(&[0, 0, 200]),
        connect: chance.pick(&[0, 0, 200]),
        call_refused: chance.pick(&[0, 0, 100]),
        call_lost_after: chance.pick(&[0, 100, 300]),
        commit_in_doubt: chance.pick(&[0, 0, 200]),
        purge: chance.pick(&[0, 60]),
        ..Rates::default()
    }
}

fn acts(
    chance: &mut Chance,
    contested: bool,
    workers: usize,
    partitions: i32,
    chaos: Duration,
) -> Vec<(Duration, Act)> {
    let count = if contested { chance.between(2, 8) } else { chance.pick(&[0, 1, 2, 4, 8]) };
    let act = if contested { contest } else { act };
    let mut acts: Vec<(Duration, Act)> = (0..count)
        .map(|_| (chance.between(0, chaos.as_millis() as u64), act(chance, workers, partitions)))
        .map(|(at, act)| (Duration::from_millis(at), act))
        .collect();
    acts.extend(restoration(chance, chaos));
    acts.sort_by_key(|(at, _)| *at);
    acts
}

/// In some histories the ledger is lost, and its backup comes back.
fn restoration(chance: &mut Chance, chaos: Duration) -> Vec<(Duration, Act)> {
    if !chance.permille(120) {
        return Vec::new();
    }
    let end = chaos.as_millis() as u64;
    let backup = chance.between(0, end * 3 / 4);
    let restore = chance.between(backup, end);
    let restored = Act::Restore(chance.permille(400));
    let mut acts = vec![(Duration::from_millis(backup), Act::BackUp), (Duration::from_millis(restore), restored)];
    // What was done and not committed when the ledger was lost.
    if chance.permille(400) {
        let at = restore.saturating_sub(chance.between(500, 10_000));
        acts.push((Duration::from_millis(at), Act::PublishingDown(12)));
    }
    acts
}

fn contest(chance: &mut Chance, workers: usize, _partitions: i32) -> Act {
    let worker = usize::try_from(chance.below(workers as u64)).unwrap_or(0);
    match chance.below(8) {
        0..=2 => Act::Evict(worker),
        3 => Act::Freeze(worker, chance.pick(&[12, 25, 50])),
        4 | 5 => Act::Restart(worker),
        6 => Act::Crash(worker),
        _ => chance.pick(&[Act::Rebalance, Act::Rebalance, Act::Pause]),
    }
}

fn act(chance: &mut Chance, workers: usize, partitions: i32) -> Act {
    let worker = usize::try_from(chance.below(workers as u64)).unwrap_or(0);
    match chance.below(20) {
        0 | 1 => Act::Crash(worker),
        2 | 3 => Act::Freeze(worker, chance.pick(&[2, 6, 12, 25, 50])),
        4 | 5 => Act::Restart(worker),
        6 | 7 => Act::Evict(worker),
        8 => Act::Rebalance,
        9 => Act::LoseOffsets(i32::try_from(chance.below(partitions.unsigned_abs().into())).unwrap_or(0)),
        10 => Act::LedgerDown(chance.pick(&[1, 4, 8, 20])),
        11 | 12 => vendors_down(chance),
        13..=16 => Act::Replay(chance.between(1, 2)),
        17 => Act::PublishingDown(chance.pick(&[1, 4, 12])),
        18 => Act::Pause,
        _ => Act::StepClock(worker, chance.pick(&[-3_600_000, -1_000, 1_000, 3_600_000])),
    }
}

fn vendors_down(chance: &mut Chance) -> Act {
    let trouble = chance.pick(&[Trouble::Failing, Trouble::Failing, Trouble::Throttling, Trouble::Refusing]);
    let which = chance.pick(&[None, None, Some(Vendor::PayIq), Some(Vendor::LoanPro), Some(Vendor::Aloha)]);
    Act::VendorsDown(chance.pick(&[2, 10, 30]), trouble, which)
}
