//! What a cell publishes: every kind of event, for a handful of customers, so that some share one.

use serde_json::{Value, json};

use super::plan::Plan;
use crate::support::events;
use crate::support::stand::Stand;

/// Few enough that events of one customer meet.
const CUSTOMERS: usize = 5;

/// What a record is, and so what must become of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An event of its own: one result by its identity.
    Event,
    /// The same again: no result.
    Duplicate,
    /// The same identity with another payload: one result by its place.
    Conflict,
    /// Not an event: one result by its place.
    Unreadable,
}

/// A record that is in the input topic.
#[derive(Debug, Clone)]
pub struct Published {
    pub kind: Kind,
    /// The event's id; empty where there is none.
    pub id: String,
    pub partition: i32,
    pub offset: i64,
}

/// Publishes, and remembers what.
pub struct Supply {
    loanpro: Vec<String>,
    aloha: Vec<String>,
    events: Vec<Value>,
    published: Vec<Published>,
}

impl Supply {
    /// A supply for customers of its own.
    pub async fn new(stand: &Stand<'_>) -> Self {
        let (mut loanpro, mut aloha) = (Vec::new(), Vec::new());
        for _ in 0..CUSTOMERS {
            loanpro.push(stand.sandbox.create_customer().await);
            aloha.push(stand.sandbox.create_aloha_customer().await);
        }
        Self { loanpro, aloha, events: Vec::new(), published: Vec::new() }
    }

    /// Everything published so far.
    pub fn published(&self) -> &[Published] {
        &self.published
    }

    /// Publishes so many records.
    pub async fn publish(&mut self, stand: &Stand<'_>, plan: &mut Plan, count: usize) {
        for _ in 0..count {
            match plan.one_of(12) {
                0 if !self.events.is_empty() => self.again(stand, plan, Kind::Duplicate).await,
                1 if !self.events.is_empty() => self.again(stand, plan, Kind::Conflict).await,
                2 => self.unreadable(stand).await,
                _ => self.event(stand, plan).await,
            }
        }
    }

    async fn event(&mut self, stand: &Stand<'_>, plan: &mut Plan) {
        let id = format!("event-{}", self.events.len());
        let (loanpro, aloha) = (&self.loanpro[plan.one_of(CUSTOMERS)], &self.aloha[plan.one_of(CUSTOMERS)]);
        let event = match plan.one_of(8) {
            0 | 1 => events::temporary(&id, loanpro, &stand.sandbox.tokenise(json!({})).await),
            2 => events::temporary(&id, loanpro, &stand.sandbox.tokenise(json!({"outcome": "declined"})).await),
            3 | 4 => events::permanent(&id, loanpro, &stand.sandbox.permanent_token().await),
            5 => primary(events::permanent(&id, loanpro, &stand.sandbox.permanent_token().await)),
            _ => aloha_event(stand, &id, aloha).await,
        };
        self.send(stand, Kind::Event, &event).await;
        self.events.push(event);
    }

    async fn again(&mut self, stand: &Stand<'_>, plan: &mut Plan, kind: Kind) {
        let mut event = self.events[plan.one_of(self.events.len())].clone();
        if kind == Kind::Conflict {
            event["data"]["title"] = json!("another payload");
        }
        self.send(stand, kind, &event).await;
    }

    async fn send(&mut self, stand: &Stand<'_>, kind: Kind, event: &Value) {
        let (partition, offset) = stand.publish(event).await;
        let id = event["id"].as_str().unwrap_or_default().to_owned();
        self.published.push(Published { kind, id, partition, offset });
    }

    async fn unreadable(&mut self, stand: &Stand<'_>) {
        let (partition, offset) = stand.publish_bytes("4711", b"{\"specversion\": ").await;
        self.published.push(Published { kind: Kind::Unreadable, id: String::new(), partition, offset });
    }
}

fn primary(mut event: Value) -> Value {
    event["data"]["primary"] = json!(true);
    event
}

/// Of a card: Aloha takes no bank account.
async fn aloha_event(stand: &Stand<'_>, id: &str, customer: &str) -> Value {
    let token = stand.sandbox.tokenise(json!({"kind": "card", "lastFour": "1111"})).await;
    events::aloha(id, customer, "credit-call", &token)
}
