//! What is looked at about once a second because nobody else does: pauses that were made elsewhere, a ledger that is away
//! while nothing is written, a broker that is away while nothing is published; and the lag, which only the broker knows.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::pauses::Pauses;
use crate::conditions::{Conditions, Health, Part, Trouble};
use crate::kafka::{KafkaTrouble, Source};
use crate::metrics::Metrics;

/// How often the pauses are read: the contract's second.
const PAUSES_EVERY: Duration = Duration::from_secs(1);
/// How often the broker is asked for its logs' ends.
const BROKER_EVERY: Duration = Duration::from_secs(2);
/// A broker that takes longer is as good as away. The client itself would wait ten seconds.
const BROKER_LIMIT: Duration = Duration::from_secs(3);
/// Asked for where this worker owns no partition: every topic has it.
const ANY_PARTITION: i32 = 0;

/// Reads the pauses until it is stopped.
pub(super) async fn pauses(pauses: Arc<Pauses>, stopping: CancellationToken) {
    stopping.run_until_cancelled(read_on(&pauses)).await;
}

async fn read_on(pauses: &Pauses) {
    let mut ticks = interval(PAUSES_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        pauses.refresh().await;
    }
}

/// Asks the broker.
pub(super) struct Broker {
    pub source: Arc<dyn Source>,
    pub topic: String,
    pub conditions: Conditions,
    pub metrics: Metrics,
}

impl Broker {
    /// Asks until it is stopped.
    pub async fn run(self, stopping: CancellationToken) {
        stopping.run_until_cancelled(self.ask_on()).await;
    }

    async fn ask_on(&self) {
        let mut ticks = interval(BROKER_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = None;
        loop {
            ticks.tick().await;
            self.ask(&mut trouble).await;
        }
    }

    /// One question at a time: the client's call blocks a thread until it is answered or too late.
    async fn ask(&self, trouble: &mut Option<Trouble>) {
        let owned = self.metrics.partitions();
        let asked = if owned.is_empty() { vec![ANY_PARTITION] } else { owned };
        let mut question = std::pin::pin!(self.source.log_ends(&asked));
        let answer = tokio::select! {
            biased;
            answer = question.as_mut() => answer,
            () = tokio::time::sleep(BROKER_LIMIT) => {
                let late = KafkaTrouble(format!("no answer within {} s", BROKER_LIMIT.as_secs()));
                self.tell(trouble, &Err(late));
                question.await
            }
        };
        self.tell(trouble, &answer);
        if let Ok(ends) = answer {
            self.metrics.log_ends(&self.topic, &ends);
        }
    }

    fn tell(&self, trouble: &mut Option<Trouble>, answer: &Result<Vec<(i32, i64)>, KafkaTrouble>) {
        match answer {
            Ok(_) => *trouble = None,
            Err(error) if trouble.is_none() => {
                *trouble = Some(self.conditions.trouble(Part::Broker, Health::Down, &error.to_string()));
            }
            Err(_) => {}
        }
    }
}
