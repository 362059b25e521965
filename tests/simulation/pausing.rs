//! Pauses of the intake, as the ledger's table has them.

use profile_linker::ledger::{Act, Pause, PauseKind};

use crate::tables::Tables;

impl Tables {
    pub fn pause(&mut self, kind: PauseKind, act: &Act) {
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
