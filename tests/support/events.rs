//! `ProfileCreated` events as a publisher would write them.

use serde_json::{Value, json};

/// CloudEvents source of all test events.
pub const SOURCE: &str = "urn:test:checkout";

/// Content type of a structured CloudEvent.
pub const STRUCTURED: &str = "application/cloudevents+json";

/// A LoanPro event with a temporary token.
pub fn temporary(event_id: &str, customer_id: &str, token: &str) -> Value {
    profile_created(event_id, customer_id, json!({"kind": "temporary", "value": token}))
}

/// A LoanPro event with a permanent token of a checking account: no conversion, so no conversion can get lost.
pub fn permanent(event_id: &str, customer_id: &str, token: &str) -> Value {
    let mut event = profile_created(event_id, customer_id, json!({"kind": "permanent", "value": token}));
    event["data"]["account"] = json!({"kind": "checking", "lastFour": "6789"});
    event
}

/// An Aloha event with a temporary token of a card.
pub fn aloha(event_id: &str, customer_id: &str, provider: &str, token: &str) -> Value {
    let mut event = temporary(event_id, customer_id, token);
    event["data"]["customer"]["system"] = json!("aloha");
    event["data"]["provider"] = json!(provider);
    event["data"]["account"] = json!({
        "kind": "card", "brand": "visa", "lastFour": "1111", "maskedNumber": "411111******1111",
        "expiration": "12/30", "holderName": "Ada Tester",
    });
    event
}

fn profile_created(event_id: &str, customer_id: &str, token: Value) -> Value {
    json!({
        "specversion": "1.0",
        "type": "payments.profile-created.v1",
        "source": SOURCE,
        "id": event_id,
        "datacontenttype": "application/json",
        "data": {
            "customer": {"system": "loanpro", "id": customer_id},
            "token": token,
            // The sandbox's books then tell which profile is of which event.
            "title": event_id,
        },
    })
}
