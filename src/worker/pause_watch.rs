//! The one reader of the pauses in the ledger, and of the limits that were named with the last resumption: what it reads is what this worker obeys, and what its readiness and metrics
//! tell, so that they cannot differ.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::clock::Clock;
use crate::conditions::{Conditions, Health, Part, Trouble};
use crate::ledger::{IntakeOrders, Ledger, LedgerError, NamedLimits, Pause, PauseKind};
use crate::metrics::Metrics;

/// A read of two rows that takes longer tells that the ledger is as good as away.
const LIMIT: Duration = Duration::from_secs(5);

/// Reads the pauses when it is asked to: by the worker each second, and by whoever has just changed them. Cheap to share.
#[derive(Clone)]
pub struct PauseWatch(Arc<Inner>);

struct Inner {
    ledger: Arc<dyn Ledger>,
    clock: Arc<dyn Clock>,
    conditions: Conditions,
    metrics: Metrics,
    /// Held while it reads: readings come one after the other, and are told in their order.
    told: Mutex<Told>,
    begun: AtomicU64,
    obeyed_by: UnboundedSender<Reading>,
}

/// What was read.
pub(super) struct Reading {
    /// Of readings the higher began later.
    pub number: u64,
    /// When they were asked for and answered, by the boot-time clock.
    pub between: (Duration, Duration),
    /// The orders as they stood.
    pub orders: Result<IntakeOrders, LedgerError>,
}

/// What is told now.
#[derive(Default)]
struct Told {
    orders: IntakeOrders,
    intake: Option<Trouble>,
    /// The ledger did not answer.
    ledger: Option<Trouble>,
}

impl PauseWatch {
    /// The reader, and what it reads from now on.
    pub(super) fn new(
        ledger: Arc<dyn Ledger>,
        clock: Arc<dyn Clock>,
        conditions: Conditions,
        metrics: Metrics,
    ) -> (Self, UnboundedReceiver<Reading>) {
        let (obeyed_by, readings) = unbounded_channel();
        let (told, begun) = (Mutex::default(), AtomicU64::new(0));
        (Self(Arc::new(Inner { ledger, clock, conditions, metrics, told, begun, obeyed_by })), readings)
    }

    /// The number of the reading that began last: what is written now is seen by those with a higher one.
    pub(super) fn begun(&self) -> u64 {
        self.0.begun.load(Ordering::Relaxed)
    }

    /// Reads them and tells what changed. A ledger that is away changes nothing, but is told of: somebody must notice also
    /// while there is nothing to write. When this returns, a pause that was there before is told, and the worker obeys it with
    /// its next message.
    pub async fn refresh(&self) {
        let inner = &*self.0;
        let mut told = inner.told.lock().await;
        let number = inner.begun.fetch_add(1, Ordering::Relaxed) + 1;
        let asked_at = inner.clock.tick();
        let read = timeout(LIMIT, inner.ledger.intake()).await;
        let between = (asked_at, inner.clock.tick());
        let late = || LedgerError::Unavailable(format!("no answer within {} s", LIMIT.as_secs()));
        let orders = read.unwrap_or_else(|_| Err(late()));
        match &orders {
            Ok(orders) => {
                told.ledger = None;
                inner.tell(&mut told, orders);
            }
            Err(error) => inner.conditions.say_of(&mut told.ledger, Part::Ledger, Health::Down, &error.to_string()),
        }
        // A worker that has ended obeys nobody.
        let _ = inner.obeyed_by.send(Reading { number, between, orders });
    }
}

impl Inner {
    fn tell(&self, told: &mut Told, orders: &IntakeOrders) {
        if told.orders.limits != orders.limits {
            self.tell_limits(orders.limits.as_ref());
        }
        if told.orders.pauses != orders.pauses {
            self.tell_pauses(told, &orders.pauses);
        }
        told.orders = orders.clone();
    }

    /// They are the reason of an intake that is well, for as long as they count.
    fn tell_limits(&self, named: Option<&NamedLimits>) {
        let reason = named.map(limits_told).unwrap_or_default();
        match named {
            Some(_) => tracing::warn!(reason, "the flood guard has other limits than the configured ones"),
            None => tracing::info!("the flood guard has its configured limits again"),
        }
        self.conditions.set(Part::Intake, Health::Ok, &reason);
    }

    fn tell_pauses(&self, told: &mut Told, pauses: &[Pause]) {
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
    }
}

/// Who, and why.
fn reason(pause: &Pause) -> String {
    let who = match pause.kind {
        PauseKind::Operator => format!("paused by {}", pause.by),
        PauseKind::FloodGuard => "paused by the flood guard".to_owned(),
    };
    with_why(who, pause.why.as_deref())
}

/// Which, by whom, and why.
fn limits_told(named: &NamedLimits) -> String {
    let which = named.limits.named();
    with_why(format!("resumed by {} with the flood guard's {}", named.by, which.join(" and ")), named.why.as_deref())
}

fn with_why(what: String, why: Option<&str>) -> String {
    match why {
        Some(why) => format!("{what}: {why}"),
        None => what,
    }
}

#[cfg(test)]
mod tests;
