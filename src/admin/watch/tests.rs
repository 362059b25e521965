use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::clock::SystemClock;
use crate::kafka::{Committed, GroupMetadata, KafkaTrouble, KnownTopic, Position};

/// A broker of which only the ends of logs are asked.
#[derive(Default)]
struct Logs {
    /// A question takes so long.
    takes: Duration,
    /// What is answered instead.
    fails: Mutex<Option<&'static str>>,
    /// This partition has no leader: it is refused after the client's patience.
    leaderless: Option<i32>,
}

#[async_trait]
impl Source for Logs {
    async fn log_ends(&self, partitions: &[i32]) -> Result<Vec<(i32, i64)>, KafkaTrouble> {
        let mut ends = Vec::new();
        for partition in partitions {
            if self.leaderless == Some(*partition) {
                tokio::time::sleep(Duration::from_secs(10)).await;
                return Err(KafkaTrouble("no leader".to_owned()));
            }
            tokio::time::sleep(self.takes).await;
            if let Some(why) = *self.fails.lock().unwrap() {
                return Err(KafkaTrouble(why.to_owned()));
            }
            ends.push((*partition, 10));
        }
        Ok(ends)
    }

    fn assign(&self, _: &[(i32, Option<i64>)]) -> Result<(), KafkaTrouble> {
        Ok(())
    }

    fn unassign(&self, _: &[i32]) -> Result<(), KafkaTrouble> {
        Ok(())
    }

    fn restart(&self, _: i32, _: Option<i64>) -> Result<(), KafkaTrouble> {
        Ok(())
    }

    fn pause(&self, _: &[i32]) -> Result<(), KafkaTrouble> {
        Ok(())
    }

    fn resume(&self, _: &[i32]) -> Result<(), KafkaTrouble> {
        Ok(())
    }

    async fn committed(&self, _: &[i32]) -> Result<Vec<Committed>, KafkaTrouble> {
        pending().await
    }

    async fn commit(&self, _: &[Position]) -> Result<(), KafkaTrouble> {
        pending().await
    }

    fn group(&self) -> Option<GroupMetadata> {
        None
    }

    async fn topic(&self) -> Result<Option<KnownTopic>, KafkaTrouble> {
        pending().await
    }

    async fn close(&self) {}
}

struct Watched {
    logs: Arc<Logs>,
    conditions: Conditions,
    metrics: Metrics,
}

/// A watch over so many partitions, none of whose records is accepted yet.
fn watched(logs: Logs, partitions: i32) -> Watched {
    let (logs, conditions) = (Arc::new(logs), Conditions::new(Arc::new(SystemClock)));
    let metrics = Metrics::new().unwrap();
    metrics.positions((0..partitions).map(|partition| (partition, 0)).collect::<BTreeMap<_, _>>());
    let broker = Broker {
        source: Arc::clone(&logs) as Arc<dyn Source>,
        topic: "created".to_owned(),
        conditions: conditions.clone(),
        metrics: metrics.clone(),
    };
    tokio::spawn(broker.run(CancellationToken::new()));
    Watched { logs, conditions, metrics }
}

impl Watched {
    fn lags(&self) -> usize {
        self.metrics.text().unwrap().lines().filter(|line| line.contains("lag_records{")).count()
    }

    fn reason(&self) -> String {
        self.conditions.readiness().check(Part::Broker).unwrap().reason.clone()
    }

    /// How the broker was, second by second.
    async fn healths(&self, seconds: usize) -> Vec<Health> {
        let mut healths = Vec::new();
        for _ in 0..seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            healths.push(self.conditions.of(Part::Broker));
        }
        healths
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_answers_slowly_for_many_partitions_is_not_down() {
    let watched = watched(Logs { takes: Duration::from_millis(200), ..Logs::default() }, 100);
    let healths = watched.healths(60).await;
    assert!(healths.iter().all(|health| *health == Health::Ok), "{healths:?}");
    assert_eq!(watched.lags(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_partition_without_a_leader_keeps_no_others_lag_from_being_told() {
    let watched = watched(Logs { leaderless: Some(1), ..Logs::default() }, 3);
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(watched.lags(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_reason_of_an_outage_is_the_last_one_that_is_known() {
    let logs = Logs { takes: Duration::from_secs(5), fails: Mutex::new(Some("connection refused")), leaderless: None };
    let watched = watched(logs, 1);
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(
        (watched.conditions.of(Part::Broker), watched.reason().as_str()),
        (Health::Down, "no answer within 3 s")
    );
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(watched.reason(), "kafka: connection refused");
    *watched.logs.fails.lock().unwrap() = Some("the certificate expired");
    for _ in 0..14 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_ne!(watched.reason(), "no answer within 3 s", "what is known is not forgotten");
    }
    assert_eq!(watched.reason(), "kafka: the certificate expired");
    *watched.logs.fails.lock().unwrap() = None;
    let healths = watched.healths(12).await;
    assert!(healths.contains(&Health::Ok), "an answer that is late is still one: {healths:?}");
}
