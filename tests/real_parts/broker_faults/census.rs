//! A read_committed reader that follows the results from the first to the last, through every fault, and counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::task::JoinHandle;

use super::load::Load;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{PATIENCE, Stand};

/// The reader, which goes on beside the test.
pub struct Census<'a> {
    stand: &'a Stand<'a>,
    load: Load,
    seen: Arc<Mutex<Vec<Record>>>,
    reading: JoinHandle<()>,
    began: Instant,
    again: Vec<Duration>,
}

impl<'a> Census<'a> {
    /// Publishes the events and begins to read.
    pub async fn begin(stand: &'a Stand<'a>, events: usize) -> Self {
        let load = Load::publish(stand, events).await;
        let mut reader = stand.reader(&[&stand.topics.linked]);
        let seen = Arc::<Mutex<Vec<Record>>>::default();
        let shelf = Arc::clone(&seen);
        let reading = tokio::spawn(async move {
            loop {
                let record = reader.next().await;
                shelf.lock().expect("nobody panics while holding it").push(record);
            }
        });
        Self { stand, load, seen, reading, began: Instant::now(), again: Vec::new() }
    }

    /// Waits until so many tenths of the events have results.
    pub async fn tenths(&self, tenths: usize) {
        self.reaches(self.load.events * tenths / 10).await;
    }

    /// How many results were read.
    pub fn count(&self) -> usize {
        self.seen.lock().expect("nobody panics while holding it").len()
    }

    /// Waits until results flow again after a fault that fell `since`, when there were `before` of them: more than was
    /// still on its way to the reader.
    pub async fn flows_again(&mut self, since: Instant, before: usize) {
        self.reaches((before + self.load.events / 10).min(self.load.events)).await;
        self.again.push(since.elapsed());
    }

    async fn reaches(&self, count: usize) {
        let what = format!("{count} results");
        let reached = eventually(&what, PATIENCE, async || {
            assert!(!self.reading.is_finished(), "the reader goes on");
            (self.count() >= count).then_some(())
        });
        reached.await;
    }

    /// Waits for the last result, has the workers ended, and counts.
    pub async fn end(self, faults: &str, end_workers: impl FnOnce()) {
        self.reaches(self.load.events).await;
        end_workers();
        // Up to the end of every partition: whatever came after the last result of each event is seen, too.
        let all = self.stand.all(&self.stand.topics.linked).await;
        self.reaches(all.len()).await;
        self.reading.abort();
        let records = std::mem::take(&mut *self.seen.lock().expect("nobody panics while holding it"));
        assert_eq!(places(&records), places(&all), "who reads from the start sees what was seen all along");
        let results: Vec<Value> = records.iter().map(Record::json).collect();
        let ids: BTreeSet<_> = results.iter().map(identity).collect();
        let published = self.load.events;
        eprintln!(
            "broker faults: {published} events, {faults}, {} duplicates, {} missing, results again after {:?}, {:?} in all",
            results.len() - ids.len(),
            published.saturating_sub(ids.len()),
            self.again,
            self.began.elapsed(),
        );
        assert_eq!((results.len(), ids.len()), (published, published), "each event has one result");
        self.keeps_the_order(&results);
        assert_eq!(self.stand.sandbox.booked("profiles").await.len(), published, "each event has one profile");
        assert!(self.stand.all(&self.stand.topics.rejected).await.is_empty(), "nothing is rejected");
    }

    fn keeps_the_order(&self, results: &[Value]) {
        let mut linked: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for result in results {
            let customer = result["data"]["customer"]["id"].as_str().expect("a result names its customer");
            let (_, id, _) = identity(result);
            linked.entry(customer.to_owned()).or_default().push(id);
        }
        assert_eq!(linked, self.load.of_customers, "every customer keeps the order");
    }
}

/// Source, id and generation: what there is one result of.
fn identity(result: &Value) -> (String, String, i64) {
    let created = &result["data"]["created"];
    let text = |name: &str| created[name].as_str().expect("a result names its input").to_owned();
    (text("source"), text("id"), result["data"]["generation"].as_i64().expect("a result has a generation"))
}

fn places(records: &[Record]) -> BTreeSet<(i32, i64)> {
    records.iter().map(|record| (record.partition, record.offset)).collect()
}
