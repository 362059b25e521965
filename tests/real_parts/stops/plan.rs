//! Where a worker is stopped, drawn from a seed.

use std::fmt;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// At whom the worker's call is made. The order is that of the shim's ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    Ledger,
    Broker,
    Vendors,
}

/// Whether bytes leave or come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    Out,
    In,
}

/// On which side of the call it stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    Before,
    After,
}

/// What strikes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blow {
    /// SIGKILL.
    Kill,
    /// SIGSTOP, and SIGCONT after a successor took over.
    Freeze,
}

/// A kind of boundary, and what happens there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Class {
    pub peer: Peer,
    pub way: Way,
    pub side: Side,
    pub blow: Blow,
}

/// One stop of a worker.
#[derive(Debug, Clone, Copy)]
pub struct Stop {
    pub class: Class,
    /// The n-th call of this kind since the worker's start.
    pub call: u32,
    /// Only sends that begin so count.
    pub begins: &'static str,
}

/// When a frozen worker is thawed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thaw {
    /// As soon as its successor has raised the epochs, while it still waits for calls in the air.
    AtTakeOver,
    /// When its successor has ended everything.
    WhenDone,
}

impl Class {
    /// All of them.
    pub fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for peer in [Peer::Ledger, Peer::Broker, Peer::Vendors] {
            for way in [Way::Out, Way::In] {
                for side in [Side::Before, Side::After] {
                    for blow in [Blow::Kill, Blow::Freeze] {
                        all.push(Self { peer, way, side, blow });
                    }
                }
            }
        }
        all
    }

    /// A start, a take-over and a handful of events make about so many calls: what is drawn from lies within them.
    fn calls(self) -> u32 {
        match (self.peer, self.way) {
            (Peer::Ledger, _) => 60,
            (Peer::Broker, _) => 90,
            (Peer::Vendors, _) => 16,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {:?} {:?} {:?}", self.blow, self.side, self.way, self.peer)
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} call {}", self.class, self.call)
    }
}

/// The draws of one cell. The same seed draws the same stops; what the machine makes of them is its own.
pub struct Plan {
    chance: StdRng,
    seed: u64,
    stops: u64,
}

/// From one stop's class to the next: it shares no factor with their number, so that every class has its turn.
const STRIDE: u64 = 7;

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        Self { chance: StdRng::seed_from_u64(seed), seed, stops: 0 }
    }

    /// The seed of a cell which goes on with the classes where others, with so many stops together, leave off.
    pub fn seed_after(random: u32, stops: u64) -> u64 {
        let classes = Class::all().len() as u64;
        u64::from(random) * classes + stops * STRIDE % classes
    }

    /// The next stop: of the next class, at a call of its own.
    pub fn stop(&mut self) -> Stop {
        let classes = Class::all();
        let turn = (self.seed % classes.len() as u64 + self.stops * STRIDE) % classes.len() as u64;
        self.stops += 1;
        let class = classes[usize::try_from(turn).expect("a small number")];
        Stop { class, call: self.chance.random_range(1..=class.calls()), begins: "" }
    }

    /// When the next frozen worker is thawed.
    pub fn thaw(&mut self) -> Thaw {
        if self.chance.random_bool(0.5) { Thaw::AtTakeOver } else { Thaw::WhenDone }
    }

    /// One of so many.
    pub fn one_of(&mut self, many: usize) -> usize {
        self.chance.random_range(0..many)
    }
}
