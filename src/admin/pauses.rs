//! The pauses in the ledger, as this worker's readiness and metrics tell them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::conditions::{Conditions, Health, Part, Trouble};
use crate::ledger::{Ledger, LedgerError, Pause, PauseKind};
use crate::metrics::Metrics;

/// A read of two rows that takes longer tells that the ledger is as good as away.
const LIMIT: Duration = Duration::from_secs(5);

pub(super) struct Pauses {
    ledger: Arc<dyn Ledger>,
    conditions: Conditions,
    metrics: Metrics,
    told: Mutex<Told>,
}

/// What is told now.
#[derive(Default)]
struct Told {
    pauses: Vec<Pause>,
    intake: Option<Trouble>,
    /// The ledger did not answer.
    ledger: Option<Trouble>,
}

impl Pauses {
    pub fn new(ledger: Arc<dyn Ledger>, conditions: Conditions, metrics: Metrics) -> Self {
        Self { ledger, conditions, metrics, told: Mutex::default() }
    }

    /// Reads them and tells what changed. A ledger that is away changes nothing, but is told of: somebody must notice also
    /// while there is nothing to write.
    pub async fn refresh(&self) {
        let mut told = self.told.lock().await;
        let read = timeout(LIMIT, self.ledger.pauses()).await;
        let late = || LedgerError::Unavailable(format!("no answer within {} s", LIMIT.as_secs()));
        match read.unwrap_or_else(|_| Err(late())) {
            Ok(pauses) => {
                told.ledger = None;
                self.tell(&mut told, pauses);
            }
            Err(error) => self.conditions.say_of(&mut told.ledger, Part::Ledger, Health::Down, &error.to_string()),
        }
    }

    fn tell(&self, told: &mut Told, pauses: Vec<Pause>) {
        if told.pauses == pauses {
            return;
        }
        let kinds: Vec<PauseKind> = pauses.iter().map(|pause| pause.kind).collect();
        self.metrics.paused(&kinds);
        let reason = pauses.iter().map(reason).collect::<Vec<_>>().join("; ");
        match (pauses.first(), &told.intake) {
            (Some(_), Some(trouble)) => trouble.say(Health::Paused, &reason),
            (Some(first), None) => {
                let trouble = self.conditions.trouble_since(Part::Intake, Health::Paused, &reason, first.since);
                told.intake = Some(trouble);
            }
            (None, _) => told.intake = None,
        }
        told.pauses = pauses;
    }
}

/// Who, and why.
fn reason(pause: &Pause) -> String {
    let who = match pause.kind {
        PauseKind::Operator => format!("paused by {}", pause.by),
        PauseKind::FloodGuard => "paused by the flood guard".to_owned(),
    };
    match &pause.why {
        Some(why) => format!("{who}: {why}"),
        None => who,
    }
}
