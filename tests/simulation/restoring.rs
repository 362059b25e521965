//! A ledger that comes back from a backup: all workers are stopped, the tables become those of an earlier moment, workers
//! start again. Sometimes it is declared (`--adopt-ledger`), always where the restored ledger cannot be told by Kafka's
//! commits, since nobody could notice it then.

use std::sync::Arc;
use std::time::Duration;

use profile_linker::domain::Lane;
use profile_linker::kafka::cursor::{self, CursorText};
use profile_linker::ledger::{Act, NewRow, RowState};

use crate::ledger::LEDGER_ID;
use crate::mutations::Mutation;
use crate::process::{Process, wall_ms};
use crate::tables::{Row, Tables};
use crate::world::{State, World};

/// From the last worker's end to the first one's start: nothing of the old ones is under way any more.
const STOPPED: Duration = Duration::from_secs(30);
/// As the ledgers do it: the next epochs by one were given before.
const ADOPTED_EPOCHS: i64 = 1_000_000;

/// What is remembered of backups and restores.
#[derive(Default)]
pub struct Restoring {
    backup: Option<Tables>,
    /// How often the tables were replaced: a statement of before meets another database.
    pub incarnation: u32,
    /// Workers start with `--adopt-ledger` until one has adopted.
    pub to_adopt: bool,
    pub declared: bool,
    /// When the tables were replaced last, in milliseconds of the true time.
    at_ms: Option<i64>,
}

impl Restoring {
    pub fn happened(&self) -> bool {
        self.incarnation > 0
    }

    /// What a worker is started with.
    pub fn option(&self) -> Option<Act> {
        let act = || Act { actor: "an operator".to_owned(), why: Some("restored".to_owned()) };
        self.to_adopt.then(act)
    }
}

impl State {
    pub fn back_up(&mut self) {
        self.restoring.backup = Some(self.tables.clone());
    }

    /// The declaration, as the ledgers take it.
    pub fn adopt(&mut self) {
        self.restoring.to_adopt = false;
        let marks = !self.is(Mutation::RestoredRowsAreTrusted);
        self.tables.adopted_at = Some(wall_ms(self.now));
        for lane in self.tables.lanes.values_mut() {
            lane.epoch += ADOPTED_EPOCHS;
            lane.clean = false;
        }
        for row in self.tables.rows.values_mut().filter(|row| is_suspect(row)) {
            row.stored.possibly_sent |= marks;
        }
        self.coverage.fault("restored", "declared");
        self.say(|| "the ledger is adopted".to_owned());
    }

    fn replace_tables(&mut self, mut restored: Tables, declared: bool) {
        let visible: std::collections::BTreeSet<&str> =
            self.broker.visible.iter().map(|visible| visible.id.as_str()).collect();
        // What was published stays published, whatever the ledger knows of it.
        for (place, ids) in &self.tables.numbered {
            if ids.iter().all(|id| visible.contains(id.as_str())) {
                restored.numbered.entry(*place).or_insert_with(|| ids.clone());
            }
        }
        restored.locked.clear();
        let noticed = (0..self.plan.partitions).all(|partition| self.shows(&restored, partition));
        self.restoring.incarnation += 1;
        self.restoring.at_ms = Some(wall_ms(self.now));
        self.restoring.to_adopt = declared || !noticed;
        self.restoring.declared |= self.restoring.to_adopt;
        for (partition, (offset, _)) in &self.broker.committed {
            let passed = self.broker.passed_before.entry(*partition).or_insert(0);
            *passed = (*passed).max(*offset);
        }
        if !self.restoring.to_adopt {
            self.coverage.fault("restored", "noticed");
        }
        self.tables = restored;
        self.say(|| format!("the ledger is restored; declared: {declared}, Kafka tells: {noticed}"));
    }

    /// A record of before the restore may have been accepted, and sent, by the ledger that was lost.
    pub fn invariant_what_may_have_been_sent_is_marked(
        &mut self,
        rows: &[NewRow],
        inserted: impl Iterator<Item = usize>,
    ) {
        let Some(restored_at) = self.restoring.at_ms else { return };
        let is_unmarked = |row: &&NewRow| row.ended.is_none() && row.timestamp < restored_at && !row.possibly_sent;
        if let Some(row) = inserted.map(|place| &rows[place]).find(is_unmarked) {
            let detail = format!("{:?}/{} is of before the restore", row.lane, row.offset);
            self.violated("what_may_have_been_sent_is_marked", detail);
        }
    }

    /// Whether Kafka's commit says that this lane is from the past.
    fn shows(&self, restored: &Tables, partition: i32) -> bool {
        let Some((offset, metadata)) = self.broker.committed.get(&partition) else { return false };
        let lane = restored.lanes.get(&partition);
        let last = lane.map_or(0, |lane| lane.saved_cursor).max(restored.last_number(Lane(partition)));
        let position = lane.and_then(|lane| lane.position).unwrap_or(0);
        match cursor::decode(metadata, LEDGER_ID) {
            CursorText::Ours(cursor) => cursor > last || *offset > position,
            _ => false,
        }
    }
}

/// Ends every worker, and puts the backup in the ledger's place.
pub fn restore(world: &Arc<World>, processes: &[Arc<Process>], declared: bool) {
    let Some(backup) = world.lock().restoring.backup.clone() else { return };
    for process in processes.iter().filter(|process| !process.is_dead()) {
        process.crash("a restore");
    }
    let mut state = world.lock();
    // They have ended before it: nothing of theirs commits any more.
    let open: Vec<u32> = state.broker.open.keys().copied().collect();
    for producer in open {
        state.end_transaction(producer, false);
    }
    let start_at = state.now + STOPPED;
    for seat in &mut state.seats {
        seat.start_at = start_at;
    }
    state.replace_tables(backup, declared);
}

/// What is looked for before it is sent, once the ledger is known to be from the past.
pub fn is_suspect(row: &Row) -> bool {
    !matches!(row.stored.state, RowState::Linked | RowState::Rejected)
}
