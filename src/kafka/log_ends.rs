//! A position that the log does not have any more: the records between were deleted before they were accepted.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};

use super::KafkaTrouble;

/// Limit of one question.
const LIMIT: Duration = Duration::from_secs(10);

/// Says loudly where fetching was to start outside of the log; the client begins at the log's start there. Asked beside
/// the take-over, which shall not wait for it.
pub(super) fn alarm_where_positions_are_gone<C: ConsumerContext + 'static>(
    consumer: &Arc<BaseConsumer<C>>,
    topic: &str,
    starts: &[(i32, Option<i64>)],
) {
    let known = starts.iter().filter_map(|(partition, start)| start.map(|start| (*partition, start)));
    let (known, consumer, topic) = (known.collect::<Vec<_>>(), Arc::clone(consumer), topic.to_owned());
    if known.is_empty() {
        return;
    }
    // Nobody waits for it: an alarm that the end of the process cuts off is raised by the next one.
    drop(tokio::task::spawn_blocking(move || {
        for (partition, start) in known {
            match consumer.fetch_watermarks(&topic, partition, LIMIT) {
                Ok((low, high)) => alarm(partition, start, low, high),
                Err(error) => tracing::debug!(error = %error, kafka.partition = partition, "asking for a log's ends"),
            }
        }
    }));
}

/// The offset after the last record of each partition's log.
pub(super) fn read<C: ConsumerContext + 'static>(
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: &[i32],
) -> Result<Vec<(i32, i64)>, KafkaTrouble> {
    let end = |partition: &i32| Ok((*partition, consumer.fetch_watermarks(topic, *partition, LIMIT)?.1));
    partitions.iter().map(end).collect()
}

fn alarm(partition: i32, start: i64, low: i64, high: i64) {
    if (low..=high).contains(&start) {
        return;
    }
    tracing::error!(
        kafka.partition = partition,
        kafka.offset = start,
        log_start = low,
        log_end = high,
        "the committed position is outside of the log: records may have been deleted before they were accepted; going on \
         from the log's start",
    );
}
