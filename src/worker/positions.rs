//! The group's committed positions, read stably: asked again until they are answered.
//!
//! An open transaction holds the answer back. A living producer's ends with its time-out, a killed one's is ended by the
//! broker. One that nobody ends can be left by the broker itself: Kafka drops the end marker of a partition that has no
//! leader while its coordinator starts, as in a cluster of one broker that was killed between the two steps of a commit
//! (seen on 4.3.1). Whether that transaction is to count cannot be told from here, so a person is told what to do.

use std::time::Duration;

use super::dispatcher::Shared;
use crate::kafka::{Committed, KafkaTrouble, KnownTopic};

/// Pause before the question is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// Longer than our transactions' time-out, the broker's scan for timed out ones and a coordinator's start together.
const ALARM_AFTER: Duration = Duration::from_secs(45);

/// The stable committed positions.
pub(super) async fn committed(shared: &Shared, partitions: &[i32]) -> Vec<Committed> {
    let began = shared.clock.tick();
    loop {
        match shared.source.committed(partitions).await {
            Ok(committed) => return committed,
            Err(error) => say(shared.clock.tick().saturating_sub(began), &error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The end of each partition's log, asked until it is answered.
pub(super) async fn log_ends(shared: &Shared, partitions: &[i32]) -> Vec<(i32, i64)> {
    loop {
        match shared.source.log_ends(partitions).await {
            Ok(ends) => return ends,
            Err(error) => tracing::warn!(error = %error, "the logs' ends cannot be read yet; trying again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Asks until the coordinator answers; tells when the question that it answered was asked, by the boot-time clock.
pub(super) async fn ask(shared: &Shared, partitions: &[i32]) -> Duration {
    let began = shared.clock.tick();
    loop {
        let asked_at = shared.clock.tick();
        match shared.source.committed(partitions).await {
            Ok(_) => return asked_at,
            Err(error) => say(shared.clock.tick().saturating_sub(began), &error),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Which topic the input topic is; `None` where the broker cannot tell. One that is away for now is waited for.
pub(super) async fn topic(shared: &Shared) -> Option<KnownTopic> {
    if let Some(id) = shared.topic_id.clone() {
        return Some(KnownTopic { id, partitions: None });
    }
    let mut said = false;
    loop {
        match shared.source.topic().await {
            Ok(topic) => return topic,
            Err(error) if !said => tracing::warn!(error = %error, "the topic's id cannot be read yet; trying again"),
            Err(_) => {}
        }
        said = true;
        tokio::time::sleep(PAUSE).await;
    }
}

fn say(waited: Duration, error: &KafkaTrouble) {
    if waited < ALARM_AFTER {
        tracing::warn!(error = %error, "the committed positions cannot be read yet; trying again");
        return;
    }
    tracing::error!(
        error = %error,
        waited_s = waited.as_secs(),
        "the committed positions cannot be read; if the broker is up, a transaction that nobody ends holds them: \
         `kafka-transactions.sh find-hanging --max-transaction-timeout 0` lists its partitions, `abort` ends it in each",
    );
}
