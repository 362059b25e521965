//! Events that come at a steady rate, whatever becomes of them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until};

use super::latency::{Latencies, count};
use super::{LIMIT, Plan};
use crate::support::events;
use crate::support::records::Record;
use crate::support::stand::Stand;

/// Enough to keep the sandbox busy while customers and tokens are made, few enough for its connections.
const AT_ONCE: usize = 64;
/// Events that wait for their moment or for the broker's word.
const UNDER_WAY: usize = 1_024;
/// What comes first is not measured: connections are made, caches fill.
const WARM_UP: Duration = Duration::from_secs(5);

/// The events of one run.
pub struct Load {
    /// The one customer.
    pub one: String,
    events: Vec<Value>,
    every: Duration,
}

impl Load {
    /// Customers and events, none of them published yet.
    pub async fn make(stand: &Stand<'_>, rate: f64, plan: &Plan) -> Self {
        let every = Duration::from_secs_f64(1.0 / rate);
        let number = usize::try_from(Duration::from_secs(plan.seconds.into()).as_micros() / every.as_micros().max(1));
        let made = stream::iter(0..plan.customers).map(|_| stand.sandbox.create_customer());
        let customers: Vec<String> = made.buffer_unordered(AT_ONCE).collect().await;
        let (one, others) = customers.split_first().expect("customers");
        let customer = |number: usize| match number % plan.one_in {
            0 => one,
            _ => &others[number % others.len()],
        };
        let events = stream::iter(0..number.expect("a number of events")).map(async |number| {
            let token = stand.sandbox.tokenise(json!({"expiresIn": 7200})).await;
            events::temporary(&format!("event-{number}"), customer(number), &token)
        });
        let events = events.buffered(AT_ONCE).collect().await;
        Self { one: one.clone(), events, every }
    }

    /// Publishes each at its moment, and waits for the results of the others' events.
    pub async fn run(&self, stand: &Stand<'_>) -> Latencies {
        let begun = Instant::now();
        let moment = |number: usize| begun + self.every.mul_f64(count(number));
        let published = stream::iter(self.events.iter().enumerate()).map(async |(number, event)| {
            sleep_until(moment(number)).await;
            stand.publish(event).await
        });
        let published = published.buffer_unordered(UNDER_WAY).for_each(async |_| {});
        let (arrivals, ()) = tokio::join!(self.arrivals(stand), published);
        let others = self.events.iter().enumerate().filter(|(_, event)| self.is_others(event));
        let measured = others.map(|(number, _)| (arrivals[&number], moment(number)));
        let warm = measured.filter(|(_, moment)| moment.duration_since(begun) >= WARM_UP);
        Latencies::of(warm.map(|(arrival, moment)| arrival.duration_since(moment)).collect())
    }

    fn is_others(&self, event: &Value) -> bool {
        event["data"]["customer"]["id"] != self.one.as_str()
    }

    /// When a reader first had each result.
    async fn arrivals(&self, stand: &Stand<'_>) -> BTreeMap<usize, Instant> {
        let wanted = self.events.iter().filter(|event| self.is_others(event)).count();
        // Of others: how many; of all: when.
        let seen = RefCell::new((0, 0, BTreeMap::new()));
        let mut reader = stand.reader(&[&stand.topics.linked]);
        let enough = |records: &[Record]| {
            let (read, others, arrivals) = &mut *seen.borrow_mut();
            for record in &records[*read..] {
                let result = record.json();
                *others += usize::from(self.is_others(&result));
                arrivals.entry(number_of(&result)).or_insert_with(Instant::now);
            }
            *read = records.len();
            *others >= wanted
        };
        reader.read_until("the others' results", LIMIT, enough).await;
        seen.into_inner().2
    }
}

fn number_of(result: &Value) -> usize {
    let cause = result["causationid"].as_str().expect("a result names its input");
    cause.strip_prefix("event-").and_then(|number| number.parse().ok()).expect("an event of this run")
}
