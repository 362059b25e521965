//! The worker is stopped at each boundary of its effects: every send and every receipt, at the ledger, the broker and the
//! vendors, before it and after it, by a kill or a freeze. From outside, nothing of it may show.
//!
//! Many *cells* run side by side, since most of a stop's price is waiting: for the group to miss a member, for a
//! successor to be sure of its predecessor's calls.

mod books;
mod cell;
mod census;
mod plan;
mod residue;
mod shim;
mod supply;
mod tally;

use plan::{Blow, Class, Plan};
use shim::Shim;
use tally::Tally;

use crate::support::parts::{Case, RealParts};

crate::cases! {
    a_worker_stopped_at_any_boundary_links_once_and_answers_once needs [Kafka, Postgres];
}

/// The tests of the residue.
pub const RESIDUE: &[Case] = residue::CASES;

/// What every run of the tests can afford: each class six times.
const STOPS: usize = 144;

/// Cells side by side: with these, two cores are busy and a member is still not missed by mistake.
const CELLS: usize = 24;

/// Of so many stops elsewhere, one may catch a link of another thread on its way from the gate to the kernel.
const BY_CHANCE: usize = 25;

/// What is asked for by the environment.
fn wish<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

async fn a_worker_stopped_at_any_boundary_links_once_and_answers_once(parts: &RealParts) {
    let stops: usize = wish("PROFILE_LINKER_TEST_STOPS").unwrap_or(STOPS);
    let shim = Shim::compile();
    if let Some(seed) = wish("PROFILE_LINKER_TEST_STOPS_SEED") {
        eprintln!("one cell: {}", run(parts, &shim, &[seed], stops));
        return;
    }
    let each = stops.div_ceil(CELLS);
    let seeds: Vec<u64> = (0..CELLS).map(|cell| Plan::seed_after(rand::random(), (cell * each) as u64)).collect();
    let tally = run(parts, &shim, &seeds, each);
    eprintln!("stops: {tally}");
    let made = tally.blows(Blow::Kill) + tally.blows(Blow::Freeze);
    assert!(made >= stops, "fewer stops than were asked for");
    assert!(
        tally.late <= tally.inside + made.div_ceil(BY_CHANCE),
        "so many late links are no chance: does the gate hold?"
    );
    if stops >= STOPS {
        let missing: Vec<_> = Class::all().into_iter().filter(|class| !tally.stops.contains_key(class)).collect();
        assert!(missing.is_empty(), "nothing was stopped at {missing:?}");
    }
}

/// Each cell on a thread of its own: what one waits for does not hold up the others.
fn run(parts: &RealParts, shim: &Shim, seeds: &[u64], stops: usize) -> Tally {
    let mut tally = Tally::default();
    std::thread::scope(|scope| {
        let cells: Vec<_> = seeds.iter().map(|seed| scope.spawn(|| one(parts, shim, *seed, stops))).collect();
        for cell in cells {
            tally.add(cell.join().expect("a cell whose promises held; see what it said above"));
        }
    });
    tally
}

fn one(parts: &RealParts, shim: &Shim, seed: u64, stops: usize) -> Tally {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(cell::run(parts, shim, seed, stops))
}
