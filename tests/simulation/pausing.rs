//! Pauses of the intake, as the ledger's table has them.

use std::collections::BTreeSet;
use std::sync::Arc;

use profile_linker::ledger::{Act, Pause, PauseKind};

use crate::statement::{Statement, Work};
use crate::tables::Tables;
use crate::world::World;

/// An operator pauses everything.
pub fn pause(world: &Arc<World>) {
    send(world, "pause", |tables| {
        let act = Act { actor: "an operator".to_owned(), why: None };
        tables.pause(PauseKind::Operator, &act);
    });
}

/// An operator resumes everything.
pub fn resume(world: &Arc<World>) {
    send(world, "resume", |tables| drop(tables.resume(None)));
}

fn send(world: &Arc<World>, name: &'static str, change: fn(&mut Tables)) {
    let mut state = world.lock();
    state.say(|| format!("an operator: {name}"));
    let incarnation = state.restoring.incarnation;
    drop(state);
    let work: Work<()> = Box::new(move |state, _| {
        change(&mut state.tables);
        Ok(())
    });
    let (world, locks) = (Arc::clone(world), BTreeSet::new());
    tokio::spawn(Statement { world, name, claims: Vec::new(), locks, incarnation }.run(0, work));
}

impl Tables {
    pub fn pause(&mut self, kind: PauseKind, act: &Act) {
        if kind == PauseKind::FloodGuard && !self.guards_acts.insert(act.actor.clone()) {
            // The repeat of a write whose answer was lost.
            return;
        }
        let since = i64::try_from(self.clock.as_millis()).unwrap_or(i64::MAX);
        let pause = self.pauses.entry(kind).or_insert(Pause { kind, since, by: String::new(), why: None });
        pause.by.clone_from(&act.actor);
        pause.why = act.why.clone().or(pause.why.take());
    }

    pub fn resume(&mut self, kind: Option<PauseKind>) -> Vec<PauseKind> {
        let resumed: Vec<_> =
            self.pauses.keys().copied().filter(|there| kind.is_none_or(|kind| kind == *there)).collect();
        self.pauses.retain(|there, _| !resumed.contains(there));
        resumed
    }
}
