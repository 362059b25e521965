//! One cell of a campaign: a chain of workers on topics, ledger and vendors of its own, each stopped somewhere.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::books::{Books, PARTITIONS};
use super::census;
use super::plan::{Blow, Plan, Thaw};
use super::shim::{Armed, Place, Shim};
use super::supply::{Kind, Supply};
use super::tally::Tally;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, Stand};
use crate::support::worker::Worker;

/// Records at the start of each leg: some are new while others are resumed.
const RECORDS: usize = 5;
/// Records more, each time a worker that is to stop has ended everything.
const MORE: usize = 3;
/// Looks at a worker between two questions whether it has anything left to do.
const LOOKS_BETWEEN: usize = 12;

/// A cell under way. If a promise breaks, it says how to run it again.
pub struct Cell<'a> {
    seed: u64,
    shim: &'a Shim,
    stand: Stand<'a>,
    books: Books,
    plan: Plan,
    supply: Supply,
    /// The successor of a frozen worker; it may work on while the next one starts.
    standing: Option<Worker>,
    started: usize,
    late: BTreeSet<String>,
    story: Vec<String>,
    tally: Tally,
}

/// Runs one cell of so many stops outside of the residue.
pub async fn run(parts: &RealParts, shim: &Shim, seed: u64, stops: usize) -> Tally {
    let stand = prepare(parts).await;
    let (books, supply) = (Books::open(&stand).await, Supply::new(&stand).await);
    let mut cell = Cell {
        seed,
        shim,
        stand,
        books,
        plan: Plan::new(seed),
        supply,
        standing: None,
        started: 0,
        late: BTreeSet::new(),
        story: Vec::new(),
        tally: Tally::default(),
    };
    let mut outside = 0;
    while outside < stops {
        if cell.leg().await == Place::Outside {
            outside += 1;
        }
    }
    cell.finish().await
}

/// Hurried: a member is missed after 2.5 s, and a successor waits 5.7 s.
pub async fn prepare(parts: &RealParts) -> Stand<'_> {
    let stand = Stand::unmigrated(parts, Delivery::Transactional).await;
    let migrated = stand.command(&["migrate", "--topics", "--partitions", &PARTITIONS.to_string()]);
    assert!(migrated.status.success(), "migrate: {}", String::from_utf8_lossy(&migrated.stderr));
    stand.amend("\"session.timeout.ms\" = 6000", "\"session.timeout.ms\" = 2500");
    stand.amend("\"heartbeat.interval.ms\" = 1000", "\"heartbeat.interval.ms\" = 400");
    stand.amend("\ntimeout = \"2s\"", "\ntimeout = \"700ms\"");
    stand
}

/// The vendors lose answers and calls, and are slower than we wait; a look-up may fail, too.
async fn disturb(stand: &Stand<'_>) {
    for (route, action, p) in [
        ("loanpro.link", "apply_drop", 0.12),
        ("loanpro.link", "drop", 0.06),
        ("aloha.link", "apply_drop", 0.12),
        ("aloha.link", "drop", 0.06),
        ("payiq.convert", "apply_drop", 0.03),
        ("payiq.convert", "drop", 0.06),
        ("loanpro.lookup", "drop", 0.1),
        ("aloha.lookup", "drop", 0.1),
    ] {
        stand.sandbox.fault(json!({"route": route, "action": action, "p": p})).await;
    }
    for route in ["loanpro.link", "aloha.link"] {
        stand.sandbox.fault(json!({"route": route, "action": "apply_delay", "delay": 1.2, "p": 0.05})).await;
    }
}

/// Well above a session time-out, a transaction's time-out and a successor's wait together, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(75);

impl Cell<'_> {
    /// A worker starts, stops where the plan says, and what it left is looked at.
    async fn leg(&mut self) -> Place {
        if self.started == 0 {
            disturb(&self.stand).await;
        }
        let stop = self.plan.stop();
        self.story.push(stop.to_string());
        self.supply.publish(&self.stand, &mut self.plan, RECORDS).await;
        self.started += 1;
        let mut armed = self.shim.start(&self.stand, &stop, self.started);
        if let Some(worker) = self.standing.take() {
            self.retire(worker);
        }
        let place = self.struck(&mut armed).await;
        self.books.assert_no_position_passes_unaccepted_input(self.supply.published()).await;
        if stop.class.blow == Blow::Freeze {
            self.succeed(armed).await;
        }
        self.tally.stopped(&stop, place);
        place
    }

    /// Waits for the stop, and publishes more if everything is done before.
    async fn struck(&mut self, armed: &mut Armed) -> Place {
        let mut looks = 0;
        let struck = eventually("the worker stops at its call", PATIENCE, async || {
            let place = armed.struck();
            looks += 1;
            if place.is_none() && looks % LOOKS_BETWEEN == 0 && self.books.all_ended(self.supply.published()).await {
                self.supply.publish(&self.stand, &mut self.plan, MORE).await;
            }
            place
        });
        struck.await
    }

    /// A frozen worker has a successor, is thawed, and does no harm.
    async fn succeed(&mut self, mut frozen: Armed) {
        let thaw = self.plan.thaw();
        self.story.push(format!("thawed {thaw:?}"));
        let successor = self.stand.start_worker();
        let pid = successor.pid();
        let taken =
            eventually("the successor takes over", PATIENCE, async || self.books.owns_all(pid).await.then_some(()));
        taken.await;
        if thaw == Thaw::WhenDone {
            self.everything_ends().await;
        }
        frozen.worker.thaw();
        // Work for both: the old one joins the group again.
        self.supply.publish(&self.stand, &mut self.plan, MORE).await;
        self.everything_ends().await;
        let Armed { worker, report } = frozen;
        self.retire(worker);
        self.late.extend(report.late_links());
        self.standing = Some(successor);
    }

    /// Asks a worker to end; whatever it went through, it does.
    fn retire(&mut self, worker: Worker) {
        let code = worker.terminate();
        self.story.push(format!("a worker ended with {code}"));
    }

    async fn everything_ends(&mut self) {
        let (books, supply) = (&mut self.books, &self.supply);
        let ended =
            eventually("everything ends", PATIENCE, async || books.all_ended(supply.published()).await.then_some(()));
        ended.await;
    }

    /// No stop any more, no faults: everything ends, and is counted.
    async fn finish(mut self) -> Tally {
        self.story.push("no more stops".to_owned());
        self.stand.sandbox.heal().await;
        let last = self.standing.take().unwrap_or_else(|| self.stand.start_worker());
        self.everything_ends().await;
        self.results_are_there().await;
        assert_eq!(last.terminate(), 0, "the last worker is asked to end and does so");
        self.books.assert_no_position_passes_unaccepted_input(self.supply.published()).await;
        self.assert_the_positions_are_at_the_end();
        let mut tally = std::mem::take(&mut self.tally);
        census::take(&self.stand, self.supply.published(), &self.late, &mut tally).await;
        tally
    }

    async fn results_are_there(&self) {
        let expected = self.supply.published().iter().filter(|record| record.kind != Kind::Duplicate).count();
        let mut reader = self.stand.reader(&[&self.stand.topics.linked, &self.stand.topics.rejected]);
        reader.read_until("every input has its result", PATIENCE, |seen| seen.len() >= expected).await;
    }

    fn assert_the_positions_are_at_the_end(&self) {
        let committed = self.books.committed();
        for record in self.supply.published() {
            let behind = committed.get(&record.partition).is_none_or(|end| record.offset >= *end);
            assert!(!behind, "I3: the positions {committed:?} never came to {record:?}");
        }
    }
}

impl Drop for Cell<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- a cell failed; again: PROFILE_LINKER_TEST_STOPS_SEED={} PROFILE_LINKER_TEST_STOPS={}",
                self.seed, self.started
            );
            self.story.iter().for_each(|line| eprintln!("    {line}"));
            eprintln!("    {}", self.books.left());
        }
    }
}
