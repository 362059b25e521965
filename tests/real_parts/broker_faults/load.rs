//! The events that are under way when a fault falls.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use serde_json::json;

use crate::support::events;
use crate::support::stand::Stand;

/// Of one customer come in order, so they must be spread for work to be under way.
const CUSTOMERS: usize = 100;
/// Of each answer of the vendors: with the limit of calls in flight the work takes longer than the faults.
const SLOWNESS_SECONDS: f64 = 0.2;

/// What was published.
pub struct Load {
    /// All events.
    pub events: usize,
    /// Ids of each customer's events in input order.
    pub of_customers: BTreeMap<String, Vec<String>>,
}

impl Load {
    /// Publishes everything before there is a worker. Permanent tokens only: no conversion can get lost.
    pub async fn publish(stand: &Stand<'_>, events: usize) -> Self {
        let customers = join_all((0..CUSTOMERS).map(|_| stand.sandbox.create_customer())).await;
        let token = stand.sandbox.permanent_token().await;
        let mut of_customers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        // One of each customer at a time: within a round nobody's order matters.
        for round in 0..events / CUSTOMERS {
            let of_round = customers.iter().enumerate().map(|(number, customer)| {
                let id = format!("event-{:05}", round * CUSTOMERS + number);
                of_customers.entry(customer.clone()).or_default().push(id.clone());
                events::permanent(&id, customer, &token)
            });
            let of_round: Vec<_> = of_round.collect();
            join_all(of_round.iter().map(|event| stand.publish(event))).await;
        }
        stand.sandbox.fault(json!({"route": "*", "action": "delay", "delay": SLOWNESS_SECONDS})).await;
        Self { events, of_customers }
    }
}
