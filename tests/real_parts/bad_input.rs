//! The table of bad input through a whole worker: each record ends, as the table says, and blocks nobody.

use std::collections::BTreeMap;

use profile_linker::contract::schemas::violations;
use serde_json::{Map, Value, json};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use table::{CARD, ResultKey, Row, binary, rows, structured};

#[path = "../contract/bad_input/table.rs"]
mod table;

crate::cases! {
    every_row_of_bad_input_ends_and_blocks_nobody needs [Kafka, Postgres];
    every_row_of_bad_input_ends_in_binary_mode_too needs [Kafka, Postgres];
}

async fn every_row_of_bad_input_ends_and_blocks_nobody(parts: &RealParts) {
    play(parts, "structured").await;
}

async fn every_row_of_bad_input_ends_in_binary_mode_too(parts: &RealParts) {
    play(parts, "binary").await;
}

/// Partition and offset.
type Place = (i64, i64);

async fn play(parts: &RealParts, mode: &str) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    // To the flood guard the table is what it looks like: a broken producer.
    let settings = [("KAFKA__OUTPUT_MODE", mode), ("DEAD_LETTERS__PAUSE_AFTER_RUN", "10000")];
    let settings = settings.map(|(name, value)| (format!("PROFILE_LINKER_{name}"), value.to_owned()));
    let mut worker = stand.start_worker_with(&settings);
    worker.ready().await;
    let mut rows_at: BTreeMap<Place, Row> = BTreeMap::new();
    for row in rows().into_iter().filter(a_broker_takes) {
        let place = stand.publish_record(row.key.as_deref(), row.value.as_deref(), &row.headers).await;
        rows_at.insert((place.0.into(), place.1), row);
    }
    let good = good_events(&stand).await;
    let rejected = rejections(&stand, rows_at.len()).await;
    let told: BTreeMap<Place, &Record> = rejected.iter().map(|record| (origin(record), record)).collect();
    assert_eq!(told.len(), rejected.len(), "no input is rejected twice");
    assert_eq!(told.keys().collect::<Vec<_>>(), rows_at.keys().collect::<Vec<_>>(), "every row, and nothing else");
    for (place, row) in &rows_at {
        assert_told(row, told[place], mode);
    }
    assert_dead_letters(&stand, &rows_at).await;
    let linked = stand.all(&stand.topics.linked).await;
    assert_eq!(linked.len(), good, "what is good is linked, whatever stood before it in its partition");
    for record in &linked {
        assert_valid(record);
        assert_passed_on(record);
    }
    assert_eq!(worker.terminate(), 0);
}

/// A record above a broker's default limit never gets to a worker.
fn a_broker_takes(row: &Row) -> bool {
    row.key.as_ref().map_or(0, Vec::len) + row.value.as_ref().map_or(0, Vec::len) < 1_048_000
}

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Some for each partition, behind everything else, in every mode; each with what is passed on.
async fn good_events(stand: &Stand<'_>) -> usize {
    let count = 12;
    for number in 0..count {
        let customer = stand.sandbox.create_customer().await;
        let token = stand.sandbox.tokenise(json!({})).await;
        let mut event = events::temporary(&format!("good-{number}"), &customer, &token);
        for (name, value) in [("correlationid", format!("order-{number}")), ("traceparent", TRACE.to_owned())] {
            event[name] = json!(value);
        }
        event["tracestate"] = json!("t".repeat(513));
        let row = match number % 4 {
            0 => structured("good", &event),
            1 => structured("good", &event).framed(),
            2 => binary("good", &event),
            _ => binary("good", &event).framed(),
        };
        stand.publish_record(Some(customer.as_bytes()), row.value.as_deref(), &row.headers).await;
    }
    let mut reader = stand.reader(&[&stand.topics.linked]);
    reader.read_until("what is good is linked", PATIENCE, |seen| seen.len() >= count).await;
    count
}

async fn rejections(stand: &Stand<'_>, count: usize) -> Vec<Record> {
    let mut reader = stand.reader(&[&stand.topics.rejected]);
    reader.read_until("every row is rejected", PATIENCE, |seen| seen.len() >= count).await;
    stand.all(&stand.topics.rejected).await
}

fn assert_told(row: &Row, record: &Record, mode: &str) {
    let event = event_of(record);
    assert_valid(record);
    let content_type = if mode == "binary" { "application/json" } else { events::STRUCTURED };
    assert_eq!(record.header("content-type").as_deref(), Some(content_type), "{}", row.name);
    let data = &event["data"];
    let (code, stage, disposition) = row.expected.reason.expect("every row of the table ends as rejected");
    let told = [&data["reason"]["code"], &data["reason"]["stage"], &data["disposition"]];
    assert_eq!(told, [code, stage, disposition], "{}: {}", row.name, data["reason"]);
    let violations = data["reason"]["violations"].as_array().cloned().unwrap_or_default();
    let mut pointers: Vec<&str> = violations.iter().filter_map(|one| one["pointer"].as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(pointers, row.expected.pointers, "{}", row.name);
    assert_eq!(data.get("created").is_some(), row.expected.created, "{}", row.name);
    let key = match &row.expected.key {
        ResultKey::Customer(id) => Some(id.as_bytes()),
        ResultKey::Record => row.key.as_deref(),
        ResultKey::None => None,
    };
    assert_eq!(record.key.as_deref(), key, "{}", row.name);
    assert_holds_no_card(row, record);
}

/// But for a customer's id, which may look like one.
fn assert_holds_no_card(row: &Row, record: &Record) {
    let key = record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let shown = format!("{key} {} {:?}", event_of(record), record.headers);
    let customers = matches!(&row.expected.key, ResultKey::Customer(id) if id == CARD);
    assert!(customers || !shown.contains(CARD), "{}: {shown}", row.name);
}

fn assert_passed_on(record: &Record) {
    let event = event_of(record);
    let number = event["causationid"].as_str().and_then(|id| id.strip_prefix("good-")).expect("the input's id");
    assert_eq!(event["correlationid"], format!("order-{number}"));
    assert_eq!(event["traceparent"], TRACE);
    assert_eq!(event.get("tracestate"), None, "more than 512 bytes are dropped");
    assert_eq!(record.key.as_deref(), event["data"]["customer"]["id"].as_str().map(str::as_bytes));
}

/// One for each row that is kept, of the same place, and none for the others.
async fn assert_dead_letters(stand: &Stand<'_>, rows_at: &BTreeMap<Place, Row>) {
    let letters = stand.all(&stand.topics.dead_letter).await;
    letters.iter().for_each(assert_valid);
    let mut places: Vec<Place> = letters.iter().map(origin).collect();
    places.sort_unstable();
    let kept = |row: &Row| row.expected.reason.is_some_and(|(.., disposition)| disposition == "dead-lettered");
    let expected: Vec<Place> = rows_at.iter().filter(|(_, row)| kept(row)).map(|(place, _)| *place).collect();
    assert_eq!(places, expected);
    for letter in &letters {
        let (data, row) = (&event_of(letter)["data"], &rows_at[&origin(letter)]);
        let size = letter.value.as_ref().map_or(0, Vec::len) - data["sealed"].as_str().map_or(0, str::len);
        assert!(size < 64 * 1024, "{}: {size} bytes beside what is sealed", row.name);
        let fit = |key: &&[u8]| key.len() <= 1024 && !String::from_utf8_lossy(key).contains(CARD);
        assert_eq!(letter.key.as_deref(), row.key.as_deref().filter(fit), "{}", row.name);
        assert_holds_no_card(row, letter);
    }
}

/// The event in structured form, whatever the mode.
fn event_of(record: &Record) -> Value {
    let value = record.json();
    if value.get("specversion").is_some() {
        return value;
    }
    let mut event: Map<String, Value> = record
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.strip_prefix("ce_")?.to_owned(), json!(String::from_utf8_lossy(value)))))
        .collect();
    event.insert("data".to_owned(), value);
    Value::Object(event)
}

fn assert_valid(record: &Record) {
    let event = event_of(record);
    let name = event["type"].as_str().expect("a type");
    assert_eq!(violations(name, &event), [], "{event}");
    let shown = format!("{event} {:?}", record.headers);
    assert!(!shown.contains("tmp-9c1f"), "no token leaves: {shown}");
}

fn origin(record: &Record) -> Place {
    let origin = &event_of(record)["data"]["origin"];
    (origin["partition"].as_i64().expect("a partition"), origin["offset"].as_i64().expect("an offset"))
}
