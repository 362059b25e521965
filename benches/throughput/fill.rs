//! Fills the input topic: customers and temporary tokens of the sandbox, one event for each token.

use futures_util::stream::{self, StreamExt};
use serde_json::json;

use crate::support::events;
use crate::support::stand::Stand;

/// Enough to keep the sandbox and the broker busy, few enough for its connections.
const AT_ONCE: usize = 64;

/// Publishes `events` events, spread over `customers` customers in turns.
pub async fn fill(stand: &Stand<'_>, events: usize, customers: usize) {
    let made = stream::iter(0..customers.min(events)).map(|_| stand.sandbox.create_customer());
    let customers: Vec<String> = made.buffer_unordered(AT_ONCE).collect().await;
    let published = stream::iter(0..events).map(|number| publish(stand, number, &customers[number % customers.len()]));
    published.buffer_unordered(AT_ONCE).collect::<()>().await;
}

async fn publish(stand: &Stand<'_>, number: usize, customer: &str) {
    let token = stand.sandbox.tokenise(json!({"expiresIn": 7200})).await;
    stand.publish(&events::temporary(&format!("event-{number}"), customer, &token)).await;
}
