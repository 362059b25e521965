//! The one who replays dead letters: by the commands alone, while workers and other replays live and die beside.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::support::child::{Guarded, Signal};
use crate::support::events;
use crate::support::operator::{WIDE, dlq, lines, replay, started, unreadable};
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    the_dead_letters_of_an_outage_are_linked_once_each_whatever_is_killed_meanwhile needs [Kafka, Postgres];
    a_replay_that_is_interrupted_says_how_to_go_on_and_does_so needs [Kafka, Postgres];
    a_replay_trips_no_flood_guard_and_starves_no_live_event needs [Kafka, Postgres];
    a_replay_never_takes_primary_from_a_later_event needs [Kafka, Postgres];
    a_worker_goes_on_with_as_many_replays_of_a_killed_one_as_it_has_room_for needs [Kafka, Postgres];
}

/// One event each.
const CUSTOMERS: usize = 200;
/// Four times the replays' share, a quarter, of the calls that a worker of these tests may have in flight, 40.
const MOST_IN_MEMORY: u64 = 40;
async fn the_dead_letters_of_an_outage_are_linked_once_each_whatever_is_killed_meanwhile(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = started(&stand, &WIDE).await;
    let converted = dead_letters_of_an_outage(&stand, CUSTOMERS).await;
    let stats = dlq(&stand, &["stats"]);
    assert_eq!(stats.len(), 1, "one reason: {stats:?}");
    let group = &stats[0];
    assert_eq!((&group["count"], &group["customers"]), (&json!(CUSTOMERS), &json!(CUSTOMERS)), "{group}");
    assert_eq!((&group["reason"], &group["stage"]), (&json!("retries_exhausted"), &json!("link")), "{group}");
    assert_eq!(dlq(&stand, &["replay", "--dry-run"]), [json!({"wouldReplay": {"retries_exhausted": CUSTOMERS}})]);
    // While the outage lasts a ramp costs one replay.
    let ramp = stand.command(&["dlq", "replay", "--ramp", "--by", "ada", "--output", "json"]);
    let told = String::from_utf8_lossy(&ramp.stderr).into_owned();
    assert_eq!(ramp.status.code(), Some(1), "{told}");
    assert!(told.contains("1 of the last 1 failed again") && told.contains("start the same command again"), "{told}");
    assert_eq!(lines(&ramp).last(), Some(&json!({"replayed": 1, "skipped": 0})));
    stand.sandbox.heal().await;
    // Mended: a replay that is killed, and the worker with it.
    let mut first = replay(&stand, &["--by", "ada", "--ramp"]);
    eventually("some are replayed", PATIENCE, async || (actions(&first, "replayed") >= 8).then_some(())).await;
    first.signal(Signal::Kill);
    worker.kill();
    let before = actions(&first, "replayed");
    drop(first);
    // Two operators at once, while another worker takes over.
    let mut operators = ["ada", "bob"].map(|name| replay(&stand, &["--by", name, "--rate", "300/s"]));
    let worker = started(&stand, &WIDE).await;
    for operator in &mut operators {
        let end = operator.end_within(PATIENCE).expect("it ends");
        assert_eq!(end.code(), Some(0), "{}", operator.output());
    }
    none_is_left(&stand).await;
    // What nobody had taken up yet was left to its notes.
    let taken = taken_over(&worker.log());
    assert!(taken <= MOST_IN_MEMORY, "{taken} replays taken over at once: {}", worker.log());
    let by_them: usize = operators.iter().map(|operator| actions(operator, "replayed")).sum();
    println!("replayed {before} until the kill, {by_them} by two at once");
    assert!(by_them > 0 && by_them + before <= CUSTOMERS, "{before} and {by_them}");
    assert_once_each(&stand, CUSTOMERS, converted).await;
    assert_eq!(worker.terminate(), 0);
}

/// How many unfinished rows a worker took over with its partitions.
fn taken_over(log: &str) -> u64 {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter(|line| line["message"] == "took the partition over")
        .filter_map(|line| line["unfinished"].as_u64())
        .sum()
}

/// Each customer has one profile, each result its generation, each reopening its line in the audit.
pub async fn assert_once_each(stand: &Stand<'_>, customers: usize, converted: usize) {
    let linked: BTreeMap<String, i64> = stand.all(&stand.topics.linked).await.iter().map(generation).collect();
    assert_eq!(linked.len(), customers, "every event is linked");
    let profiles = stand.sandbox.booked("profiles").await;
    let linked_for: BTreeSet<String> = profiles.iter().map(|profile| profile["customer"].to_string()).collect();
    assert_eq!((profiles.len(), linked_for.len()), (customers, customers), "once each");
    assert_eq!(stand.sandbox.booked("conversions").await.len(), converted, "no token was converted twice");
    let audit = dlq(stand, &["audit", "--act", "replay"]);
    let mut acts: BTreeMap<&str, i64> = BTreeMap::new();
    for act in &audit {
        *acts.entry(act["eventId"].as_str().expect("an event")).or_default() += 1;
        assert!(["ada", "bob"].contains(&act["actor"].as_str().unwrap_or_default()), "{act}");
    }
    let replays: BTreeMap<&str, i64> = linked.iter().map(|(id, generation)| (id.as_str(), generation - 1)).collect();
    assert_eq!(acts, replays, "as many lines as generations");
}

async fn a_replay_that_is_interrupted_says_how_to_go_on_and_does_so(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = started(&stand, &WIDE).await;
    dead_letters_of_an_outage(&stand, 10).await;
    stand.sandbox.heal().await;
    let mut slow = replay(&stand, &["--by", "ada", "--rate", "1/s"]);
    eventually("one is replayed", PATIENCE, async || (actions(&slow, "replayed") >= 1).then_some(())).await;
    slow.signal(Signal::Interrupt);
    assert_eq!(slow.end_within(PATIENCE).expect("it ends").code(), Some(130), "{}", slow.output());
    let done = actions(&slow, "replayed");
    assert!(done < 10, "it was interrupted");
    assert!(slow.output().contains(&format!("{{\"replayed\":{done},\"skipped\":0}}")), "{}", slow.output());
    let rest = dlq(&stand, &["replay", "--limit", "2"]);
    assert_eq!(rest.last(), Some(&json!({"replayed": 2, "skipped": 0})));
    let text = stand.command(&["dlq", "replay", "--yes"]);
    assert_eq!(String::from_utf8_lossy(&text.stdout), format!("replayed {}, skipped 0\n", 10 - done - 2));
    none_is_left(&stand).await;
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 10, "once each");
    let again = dlq(&stand, &["replay", "--all"]);
    assert_eq!(again, [json!({"replayed": 0, "skipped": 0})], "there is nothing more to replay");
    assert_eq!(worker.terminate(), 0);
}

async fn a_replay_trips_no_flood_guard_and_starves_no_live_event(parts: &RealParts) {
    const BAD: usize = 30;
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let mut letters = unreadable(&stand, BAD).await;
    let touchy = [("DEAD_LETTERS__PAUSE_AFTER_RUN", "5"), ("DEAD_LETTERS__REPLAY_SHARE", "0.1")];
    let worker = started(&stand, &touchy).await;
    assert_eq!(dlq(&stand, &["replay"]).last(), Some(&json!({"replayed": BAD, "skipped": 0})));
    letters.read_until("they end again", PATIENCE, |seen| seen.len() >= 2 * BAD).await;
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.permanent_token().await;
    stand.publish(&events::permanent("live", &customer, &token)).await;
    let mut linked = stand.reader(&[&stand.topics.linked]);
    linked.read_until("a live event is linked", PATIENCE, |seen| !seen.is_empty()).await;
    assert!(!worker.log().contains("the flood guard stops"), "{}", worker.log());
    let generations: BTreeSet<i64> =
        dlq(&stand, &["list"]).iter().filter_map(|letter| letter["generation"].as_i64()).collect();
    assert_eq!(generations, BTreeSet::from([2]));
    assert_eq!(worker.terminate(), 0);
}

async fn a_replay_never_takes_primary_from_a_later_event(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = started(&stand, &WIDE).await;
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "status", "status": 503})).await;
    let [alone, overtaken] = [stand.sandbox.create_customer().await, stand.sandbox.create_customer().await];
    for (id, customer) in [("alone", &alone), ("overtaken", &overtaken)] {
        publish_primary(&stand, id, customer).await;
    }
    let mut letters = stand.reader(&[&stand.topics.dead_letter]);
    letters.read_until("both are dead letters", PATIENCE, |seen| seen.len() >= 2).await;
    stand.sandbox.heal().await;
    publish_primary(&stand, "later", &overtaken).await;
    let mut linked = stand.reader(&[&stand.topics.linked]);
    linked.read_until("the later one is linked", PATIENCE, |seen| !seen.is_empty()).await;
    dlq(&stand, &["replay"]);
    linked.read_until("all are linked", PATIENCE, |seen| seen.len() >= 3).await;
    let told: BTreeMap<String, bool> = stand.all(&stand.topics.linked).await.iter().map(primary).collect();
    let expected = [("alone", true), ("later", true), ("overtaken", false)];
    assert_eq!(told, expected.map(|(id, primary)| (id.to_owned(), primary)).into());
    let primaries = stand.sandbox.booked("profiles").await.iter().filter(|one| one["primary"] == true).count();
    assert_eq!(primaries, 2, "one a customer");
    assert_eq!(worker.terminate(), 0);
}

/// The killed one had room for all of them: four times a quarter of 40. The next one has room for four times one.
async fn a_worker_goes_on_with_as_many_replays_of_a_killed_one_as_it_has_room_for(parts: &RealParts) {
    const REPLAYS: usize = 30;
    const ROOM: u64 = 4;
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = started(&stand, &WIDE).await;
    dead_letters_of_an_outage(&stand, REPLAYS).await;
    assert_eq!(worker.terminate(), 0);
    // The outage goes on, and now there is a budget to wait through it.
    let wide = started(&stand, &[]).await;
    dlq(&stand, &["replay"]);
    eventually("all are taken up", PATIENCE, async || (notes(&stand).await == 0).then_some(())).await;
    wide.kill();
    let narrow = started(&stand, &[("WORKER__MAX_IN_FLIGHT", "4")]).await;
    let left = eventually("those without room are left to their notes", PATIENCE, async || {
        Some(left_to_notes(&narrow.log())).filter(|left| *left > 0 && taken_over(&narrow.log()) == REPLAYS as u64)
    });
    assert_eq!(left.await, REPLAYS as u64 - ROOM, "{}", narrow.log());
    stand.sandbox.heal().await;
    none_is_left(&stand).await;
    assert_eq!(stand.sandbox.booked("profiles").await.len(), REPLAYS, "each is linked, once");
    assert_eq!(narrow.terminate(), 0);
}

/// How many notes wait in the ledger.
async fn notes(stand: &Stand<'_>) -> i64 {
    let mut connection = PgConnection::connect(&stand.database).await.expect("a connection");
    sqlx::query_scalar("select count(*) from note").fetch_one(&mut connection).await.expect("the notes")
}

fn left_to_notes(log: &str) -> u64 {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let told = lines.filter(|line| line["message"] == "replays wait in the ledger until there is room for them");
    told.filter_map(|line| line["replays"].as_u64()).sum()
}

async fn publish_primary(stand: &Stand<'_>, id: &str, customer: &str) {
    let mut event = events::permanent(id, customer, &stand.sandbox.permanent_token().await);
    event["data"]["primary"] = json!(true);
    stand.publish(&event).await;
}

fn primary(record: &Record) -> (String, bool) {
    let data = &record.json()["data"];
    (data["created"]["id"].as_str().expect("an id").to_owned(), data["primary"] == true)
}

/// The link target is away for longer than the budget. Answers how many tokens were converted before.
pub async fn dead_letters_of_an_outage(stand: &Stand<'_>, count: usize) -> usize {
    stand.sandbox.fault(json!({"route": "loanpro.link", "action": "status", "status": 503})).await;
    for number in 0..count {
        let customer = stand.sandbox.create_customer().await;
        let id = format!("e{number}");
        let event = match number % 2 {
            0 => events::permanent(&id, &customer, &stand.sandbox.permanent_token().await),
            _ => events::temporary(&id, &customer, &stand.sandbox.tokenise(json!({})).await),
        };
        stand.publish(&event).await;
    }
    let mut letters = stand.reader(&[&stand.topics.dead_letter]);
    letters.read_until("all are dead letters", PATIENCE, |seen| seen.len() >= count).await;
    for letter in stand.all(&stand.topics.dead_letter).await {
        let data = &letter.json()["data"];
        let [first, last] = ["firstFailedAt", "deadLetteredAt"].map(|name| data[name].as_str().map(str::to_owned));
        assert!(first.is_some() && first < last, "its first call failed long before: {data}");
    }
    count / 2
}

/// How many replays the ledger's audit tells of.
pub fn audit_lines(stand: &Stand<'_>) -> usize {
    dlq(stand, &["audit", "--act", "replay"]).len()
}

fn generation(record: &Record) -> (String, i64) {
    let data = &record.json()["data"];
    let id = data["created"]["id"].as_str().expect("an id").to_owned();
    (id, data["generation"].as_i64().expect("a generation"))
}

async fn none_is_left(stand: &Stand<'_>) {
    eventually("every replay has ended well", PATIENCE, async || dlq(stand, &["list"]).is_empty().then_some(())).await;
}

pub fn actions(replay: &Guarded, action: &str) -> usize {
    replay.output().matches(&format!("\"action\":\"{action}\"")).count()
}
