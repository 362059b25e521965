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
/// How often the broker is asked for the end of a log: one partition after the other, as each may have another leader.
const BROKER_EVERY: Duration = Duration::from_secs(2);
/// After so many questions it is asked for all of them, for the lag: each is a request of its own.
const LAG_EVERY: usize = 5;
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
        let (mut lag_told, mut questions) = (Vec::new(), 0);
        loop {
            ticks.tick().await;
            let owned = self.metrics.partitions();
            let all = owned != lag_told || questions >= LAG_EVERY;
            let asked = if all { &owned[..] } else { one_of(&owned, questions) };
            let answer = self.ask(&mut trouble, asked).await;
            questions += 1;
            if let (Ok(ends), true) = (answer, all) {
                self.metrics.log_ends(&self.topic, &ends);
                (lag_told, questions) = (owned, 0);
            }
        }
    }

    /// One question at a time: the client's call blocks a thread until it is answered or too late.
    async fn ask(&self, trouble: &mut Option<Trouble>, asked: &[i32]) -> Result<Vec<(i32, i64)>, KafkaTrouble> {
        let asked = if asked.is_empty() { &[ANY_PARTITION] } else { asked };
        let mut question = std::pin::pin!(self.source.log_ends(asked));
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
        answer
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

/// Another one each time.
fn one_of(owned: &[i32], question: usize) -> &[i32] {
    let place = question.checked_rem(owned.len()).unwrap_or_default();
    owned.get(place..=place).unwrap_or_default()
}
