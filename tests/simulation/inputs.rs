//! What producers write: valid events, the same again, the same identity with another payload, and rubbish.

use std::time::Duration;

use profile_linker::domain::{EventIdentity, EventKey};
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::process::wall_ms;

pub const SOURCE: &str = "urn:simulation";
pub const TOPIC: &str = "payments.profile-created.v1";
/// LoanPro's customers; the last two are not there, or refuse every link.
pub const CUSTOMERS: [&str; 5] = ["1001", "1002", "1003", "4040", "1666"];
pub const MISSING: &str = "4040";
pub const REFUSING: &str = "1666";
const ALOHA: [&str; 2] = ["7b1f0a52-64d4-4a06-9f0a-0d5e4d1a0001", "7b1f0a52-64d4-4a06-9f0a-0d5e4d1a0002"];
/// What the converter shall do with a token, as the token's ending says.
const FATES: [&str; 4] = ["-declined", "-locked", "-invalid", "-paypal"];

/// A record that a producer will write.
#[derive(Clone)]
pub struct Input {
    pub at: Duration,
    pub partition: i32,
    pub key: String,
    pub value: String,
    /// `None`: unreadable.
    pub id: Option<String>,
}

impl Input {
    /// The key of its event's row; `None`: unreadable.
    pub fn event_key(&self) -> Option<EventKey> {
        self.id.as_ref().map(|id| EventIdentity { source: SOURCE.to_owned(), id: id.clone() }.key())
    }
}

/// The inputs of a history, by time; in so many of a thousand all are one customer's.
pub fn draw(chance: &mut Chance, busy: bool, partitions: i32, chaos: Duration, of_one: u64) -> Vec<Input> {
    let count = chance.between(if busy { 5 } else { 1 }, 10);
    let all = chaos.as_millis() as u64;
    let span = chance.pick(if busy { &[5_000, 20_000] } else { &[0, 1_000] });
    let span = if !busy && chance.permille(333) { all } else { span };
    // One customer's alone: more than may run ahead.
    let customer = chance.permille(of_one).then_some(CUSTOMERS[0]);
    let count = if customer.is_some() { 12 } else { count };
    let mut inputs: Vec<Input> = Vec::new();
    for n in 0..count {
        let at = Duration::from_millis(chance.between(0, span));
        // Records that end at once take numbers at once: where ownership is contested, many of them.
        let kind = if busy && chance.permille(200) { 0 } else { chance.below(20) };
        let input = match (kind, inputs.len()) {
            (0, _) => rubbish(n, partitions),
            (1 | 2, earlier) if earlier > 0 => again(chance, &inputs, false, partitions),
            (3, earlier) if earlier > 0 => again(chance, &inputs, true, partitions),
            _ => event(chance, n, partitions, customer),
        };
        inputs.push(Input { at, ..input });
    }
    inputs.sort_by_key(|input| input.at);
    inputs
}

/// Moves some inputs to just after this time, and writes some of the earlier ones once more.
pub fn crowd(chance: &mut Chance, inputs: &mut Vec<Input>, at: Duration) {
    let soon = |chance: &mut Chance| at + Duration::from_millis(chance.between(1, 1_500));
    let again = chance.pick(&[0, 300, 900]);
    let copies: Vec<Input> = inputs.iter().filter(|input| input.at <= at && chance.permille(again)).cloned().collect();
    for input in inputs.iter_mut() {
        if chance.permille(400) {
            input.at = soon(chance);
        }
    }
    inputs.extend(copies.into_iter().map(|input| Input { at: soon(chance), ..input }));
    inputs.sort_by_key(|input| input.at);
}

fn rubbish(n: u64, partitions: i32) -> Input {
    let key = format!("rubbish {n}");
    let partition = partition_of(&key, partitions);
    Input { at: Duration::ZERO, partition, key, value: format!("{{\"no event\": {n}"), id: None }
}

/// The same event once more, with another payload if it shall be a conflict; now and then in another partition.
fn again(chance: &mut Chance, inputs: &[Input], conflict: bool, partitions: i32) -> Input {
    let place = usize::try_from(chance.below(inputs.len() as u64)).unwrap_or(0);
    let mut copy = inputs[place].clone();
    if conflict && copy.id.is_some() {
        copy.value = copy.value.replace("\"title\":\"", "\"title\":\"another ");
    }
    if chance.permille(300) {
        copy.partition = i32::try_from(chance.below(partitions.unsigned_abs().into())).unwrap_or(0);
    }
    copy
}

fn event(chance: &mut Chance, n: u64, partitions: i32, only: Option<&'static str>) -> Input {
    let aloha = chance.permille(250) && only.is_none();
    let customer = only.unwrap_or_else(|| if aloha { chance.pick(&ALOHA) } else { customer(chance) });
    let id = format!("event {n}");
    let value = json!({
        "specversion": "1.0", "type": TOPIC, "source": SOURCE, "id": id,
        "data": data(chance, n, customer, aloha),
    });
    Input {
        at: Duration::ZERO,
        partition: partition_of(customer, partitions),
        key: customer.to_owned(),
        value: value.to_string(),
        id: Some(id),
    }
}

fn customer(chance: &mut Chance) -> &'static str {
    if chance.permille(120) { chance.pick(&[MISSING, REFUSING]) } else { chance.pick(&CUSTOMERS[..3]) }
}

fn data(chance: &mut Chance, n: u64, customer: &str, aloha: bool) -> Value {
    let permanent = chance.permille(250);
    let fate = if chance.permille(120) { chance.pick(&FATES) } else { "" };
    let mut token = json!({"kind": "temporary", "value": format!("temporary {n}{fate}")});
    // A temporary one may die on the way; a worker's own clock may be an hour wrong about it.
    let dies_at = chance.permille(100).then(|| wall_ms(Duration::from_millis(chance.between(500, 60_000))));
    if permanent {
        token = json!({"kind": "permanent", "value": format!("permanent of temporary {n}")});
    }
    let mut data = json!({
        "customer": {"system": if aloha { "aloha" } else { "loanpro" }, "id": customer},
        "token": token,
        "title": format!("account {n}"),
        "primary": chance.permille(300),
    });
    if let Some(dies_at) = dies_at.and_then(|at| jiff::Timestamp::from_millisecond(at).ok()) {
        data["expiresAt"] = json!(dies_at.to_string());
    }
    if aloha {
        data["provider"] = json!("connected-payments");
    }
    if aloha || permanent {
        data["account"] = json!({
            "kind": "card", "brand": "visa", "lastFour": "1111", "maskedNumber": "411111******1111",
            "expiration": "12/30", "holderName": "Ada Tester",
        });
    }
    data
}

/// When the token of this event is known to be dead, in milliseconds.
pub fn dies_at(value: &[u8]) -> Option<i64> {
    let event: Value = serde_json::from_slice(value).ok()?;
    let dies_at: jiff::Timestamp = event["data"]["expiresAt"].as_str()?.parse().ok()?;
    Some(dies_at.as_millisecond())
}

/// Same customer, same partition, as with any sane producer.
fn partition_of(key: &str, partitions: i32) -> i32 {
    let sum: i32 = key.bytes().map(i32::from).sum();
    sum % partitions
}
