//! What is looked at every other second because nobody else does: a broker that is away while nothing is published; and the
//! lag, which only the broker knows.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::conditions::{Conditions, Health, Part, Trouble};
use crate::kafka::Source;
use crate::metrics::Metrics;

/// How often the broker is asked for the end of one log, another one each time, as each may have another leader.
const BROKER_EVERY: Duration = Duration::from_secs(2);
/// A broker that takes longer for one log is as good as away. The client itself would wait ten seconds.
const BROKER_LIMIT: Duration = Duration::from_secs(3);
/// How often it is looked whether this worker owns other partitions than those whose lag is told.
const LAG_LOOK: Duration = Duration::from_secs(2);
/// After so many looks the lag is told anew in any case: each partition's is a request of its own.
const LAG_EVERY: usize = 5;
/// Questions for the lag at once. Each holds a thread, for ten seconds where the partition has no leader: those of one
/// broker that is away must not keep the others waiting for minutes.
const LAG_AT_ONCE: usize = 8;
/// Asked for where this worker owns no partition: every topic has it.
const ANY_PARTITION: i32 = 0;

/// Asks the broker.
pub(super) struct Broker {
    pub source: Arc<dyn Source>,
    pub topic: String,
    pub conditions: Conditions,
    pub metrics: Metrics,
}

impl Broker {
    /// Asks until it is stopped. The lag is asked for beside the question whether the broker answers, which many partitions,
    /// or one without a leader, would hold up.
    pub async fn run(self, stopping: CancellationToken) {
        let both = async { tokio::join!(self.ask_on(), self.tell_lag_on()) };
        stopping.run_until_cancelled(both).await;
    }

    async fn ask_on(&self) {
        let mut ticks = interval(BROKER_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut trouble = None;
        for question in 0.. {
            ticks.tick().await;
            self.ask(&mut trouble, one_of(&self.metrics.partitions(), question)).await;
        }
    }

    /// One question at a time: the client's call blocks a thread until it is answered or too late.
    async fn ask(&self, trouble: &mut Option<Trouble>, partition: i32) {
        let asked = [partition];
        let mut question = std::pin::pin!(self.source.log_ends(&asked));
        let answer = tokio::select! {
            biased;
            answer = question.as_mut() => answer,
            () = tokio::time::sleep(BROKER_LIMIT) => {
                // What the question before came to tells more.
                if trouble.is_none() {
                    let late = format!("no answer within {} s", BROKER_LIMIT.as_secs());
                    self.conditions.say_of(trouble, Part::Broker, Health::Down, &late);
                }
                question.await
            }
        };
        match answer {
            Ok(_) => *trouble = None,
            Err(error) => self.conditions.say_of(trouble, Part::Broker, Health::Down, &error.to_string()),
        }
    }

    async fn tell_lag_on(&self) {
        let mut ticks = interval(LAG_LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut told, mut looks) = (Vec::new(), 0);
        loop {
            ticks.tick().await;
            looks += 1;
            let owned = self.metrics.partitions();
            if owned != told || looks >= LAG_EVERY {
                self.metrics.log_ends(&self.topic, &self.ends(&owned).await);
                (told, looks) = (owned, 0);
            }
        }
    }

    /// The ends of those logs that are answered: one partition without a leader keeps no other's from being told.
    async fn ends(&self, owned: &[i32]) -> Vec<(i32, i64)> {
        let question = |partition: &i32| self.end(*partition);
        let answers = stream::iter(owned.iter().map(question)).buffer_unordered(LAG_AT_ONCE);
        answers.collect::<Vec<_>>().await.into_iter().flatten().collect()
    }

    async fn end(&self, partition: i32) -> Vec<(i32, i64)> {
        // Whether the broker answers is told by the other question.
        self.source.log_ends(&[partition]).await.unwrap_or_default()
    }
}

/// Another one each time.
fn one_of(owned: &[i32], question: usize) -> i32 {
    let place = question.checked_rem(owned.len()).unwrap_or_default();
    owned.get(place).copied().unwrap_or(ANY_PARTITION)
}

#[cfg(test)]
mod tests;
