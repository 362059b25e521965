//! Taking a lane again that another worker took.
//!
//! Two workers can hold the same lane for theirs: one that the group gave up and that does not know it yet, and the one that
//! has the partition now. Whoever raises last writes; if each raised as soon as it is fenced, they would take the lane from
//! each other for as long as the news needs. So a fenced worker asks the group's coordinator first.
//!
//! A member learns by the answer to a heartbeat that it was given up. Heartbeats and the question for committed positions go
//! to the same broker over one connection, which answers in order. So a question that is asked more than a heartbeat's
//! interval after the fence is answered after a heartbeat that was sent since; if the client takes itself for a member of the
//! group then, it is one. A worker that cannot reach the coordinator asks on, and raises nothing.
//!
//! Known race: the group can give a worker up between that answer and the raise. It is fenced once more, and asks again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::WorkerError;
use super::dispatcher::{Dispatcher, Report};
use super::positions;
use super::takeover::{Opened, take_over};

/// librdkafka's own, where `[kafka.properties]` does not set it.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(3);
/// How long ago the coordinator may have been asked: the process may have been frozen since, and a freeze that is shorter than
/// any session time-out that brokers allow by default (6 s) does not cost the membership.
const ANSWER_FRESH: Duration = Duration::from_secs(5);

/// How long after a fence the coordinator is asked: two heartbeats, since one may have been on its way.
pub(super) fn pause(properties: &BTreeMap<String, String>) -> Duration {
    let set = properties.get("heartbeat.interval.ms").and_then(|value| value.parse::<f64>().ok());
    let set = set.and_then(|milliseconds| Duration::try_from_secs_f64(milliseconds / 1_000.0).ok());
    set.unwrap_or(HEARTBEAT_INTERVAL) * 2
}

impl Dispatcher {
    /// Asks the coordinator after a pause; what it says of positions is not needed, that it answers is.
    pub fn retake_later(&self, partition: i32) {
        let shared = Arc::clone(&self.shared);
        self.spawn(async move {
            tokio::time::sleep(shared.retake_pause).await;
            let asked_at = positions::ask(&shared, &[partition]).await;
            Report::Retake(partition, asked_at)
        });
    }

    /// Takes a lane again that another worker took, if the group still says that it is ours. A revocation that comes while
    /// it is taken waits for that: else the raise would fence the partition's next owner.
    pub fn retake(&mut self, partition: i32, asked_at: Duration) {
        let old = self.shared.clock.tick().saturating_sub(asked_at) > ANSWER_FRESH;
        let in_cycle = self.cycle.as_ref().is_some_and(|cycle| cycle.has(partition));
        // The cursor is read only when our own last word on it is said: else what that cycle shows is sent again.
        if in_cycle || old || self.shared.source.group().is_none() {
            self.retake_unless_gone(partition);
            return;
        }
        self.take_again(partition);
    }

    /// Later, as long as it is in question: a lane that was given up meanwhile, or that was taken again, is not.
    fn retake_unless_gone(&self, partition: i32) {
        if self.is_to_be_taken(partition) {
            self.retake_later(partition);
        }
    }

    fn is_to_be_taken(&self, partition: i32) -> bool {
        let ours = self.assigned.contains(&partition) && !self.lanes.contains_key(&partition);
        ours && !self.is_going(partition) && self.stopping.is_none() && !self.retaking.contains(&partition)
    }

    fn take_again(&mut self, partition: i32) {
        if !self.is_to_be_taken(partition) {
            return;
        }
        self.retaking.insert(partition);
        let (shared, topics) = (Arc::clone(&self.shared), self.topics);
        self.spawn(async move { Report::Retaken(partition, topics, take_over(&shared, &[partition]).await) });
    }

    /// A lane was taken again: it is fetched anew, unless it is to be given up.
    pub fn on_retaken(&mut self, partition: i32, topics: u64, opened: Result<Vec<Opened>, WorkerError>) {
        self.retaking.remove(&partition);
        match opened {
            // Nothing was begun, so nothing has to be ended: its next owner finds it as it was left.
            Ok(_) if self.is_going(partition) => {}
            Ok(opened) if topics != self.topics || opened.iter().any(|opened| opened.lost) => {
                self.retake_later(partition);
            }
            Ok(opened) => {
                opened.into_iter().for_each(|opened| self.install(opened, true));
                // While it was not ours the intake may have been taken up again, and nobody told the client of this one.
                self.apply_pause_to(&[partition]);
            }
            Err(error) => self.failed = Some(error),
        }
    }

    /// The topic was made anew: what is known of its positions is of the old one, so every lane is taken again; one that is
    /// being opened, once it is open.
    pub fn on_remade(&mut self) {
        self.topics += 1;
        let lanes: Vec<i32> = self.lanes.iter().filter(|(_, lane)| !lane.leaving).map(|(id, _)| *id).collect();
        self.open_anew(&lanes);
    }

    /// The group is asked as after a fence: a worker that was frozen hears of the topic before it hears that it was given up.
    pub fn open_anew(&mut self, partitions: &[i32]) {
        for partition in partitions {
            if self.lanes.contains_key(partition) {
                self.forget(*partition);
                self.retake_later(*partition);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_coordinator_is_asked_after_two_heartbeats() {
        let set = |value: &str| BTreeMap::from([("heartbeat.interval.ms".to_owned(), value.to_owned())]);
        assert_eq!(pause(&BTreeMap::new()), Duration::from_secs(6), "librdkafka's own interval");
        assert_eq!(pause(&set("1000")), Duration::from_secs(2));
        assert_eq!(pause(&set("1.5e3")), Duration::from_secs(3), "as the configuration reads it");
    }
}
