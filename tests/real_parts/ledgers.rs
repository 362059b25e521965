//! Which ledger: another one, one from the past, one that an operator changed; and rows that end their process each time.

use std::collections::BTreeSet;

use profile_linker::domain::{EventIdentity, EventKey, Secret};
use profile_linker::ledger::{self, Act, Reopening};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    another_ledgers_positions_are_refused_until_they_are_adopted needs [Kafka, Postgres];
    a_ledger_restored_from_the_past_links_nothing_twice needs [Kafka, Postgres];
    a_position_that_an_operator_set_is_obeyed needs [Kafka, Postgres];
    a_row_that_two_operators_reopen_is_linked_once_by_the_running_worker needs [Kafka, Postgres];
    a_row_that_ran_in_ten_unclean_ends_is_dead_lettered_and_the_others_go_on needs [Kafka, Postgres];
    a_row_that_ran_in_five_unclean_ends_runs_alone needs [Kafka, Postgres];
}

/// A copy of the database as it is now; nobody may be connected to it.
pub async fn copy_of(parts: &RealParts, url: &str) -> String {
    let copy = parts.postgres().create_database().await;
    let name = |url: &str| url.rsplit('/').next().expect("a name").to_owned();
    let server = url.rsplit_once('/').expect("a server").0;
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.expect("a connection");
    for statement in
        [format!("drop database {}", name(&copy)), format!("create database {} template {}", name(&copy), name(url))]
    {
        connection.execute(sqlx::AssertSqlSafe(statement)).await.expect("the database is copied");
    }
    copy
}

async fn execute(url: &str, statement: &'static str) -> u64 {
    let mut connection = PgConnection::connect(url).await.expect("a connection");
    connection.execute(statement).await.expect("the statement").rows_affected()
}

async fn publish_temporary(stand: &Stand<'_>, id: &str) {
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.tokenise(json!({})).await;
    stand.publish(&events::temporary(id, &customer, &token)).await;
}

/// Waits until the topic holds so many results, and answers them as events.
async fn results(stand: &Stand<'_>, topic: &str, count: usize) -> Vec<Value> {
    let mut reader = stand.reader(&[topic]);
    let enough = |seen: &[Record]| seen.len() >= count;
    reader.read_until("results", PATIENCE, enough).await.iter().map(Record::json).collect()
}

async fn profiles_of(stand: &Stand<'_>, id: &str) -> usize {
    let profiles = stand.sandbox.booked("profiles").await;
    let is_its =
        |profile: &&Value| profile["title"].as_str().is_some_and(|title| title.starts_with(&format!("{id} #")));
    profiles.iter().filter(is_its).count()
}

async fn says(worker: &Worker, words: &str) {
    eventually(&format!("the worker says {words:?}"), PATIENCE, async || worker.log().contains(words).then_some(()))
        .await;
}

async fn another_ledgers_positions_are_refused_until_they_are_adopted(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    publish_temporary(&stand, "before").await;
    let first = stand.worker().await;
    results(&stand, &stand.topics.linked, 1).await;
    assert_eq!(first.terminate(), 0);
    let another = parts.postgres().create_database().await;
    stand.amend(&stand.database, &another);
    let migrated = stand.command(&["migrate"]);
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let mut refused = stand.start_worker();
    assert_eq!(refused.exit_code(), 78);
    assert!(refused.log().contains("--adopt-ledger"), "{}", refused.log());
    // An idle partition's position is committed anew at once: the flag is needed once, whatever is published.
    let mut adopting = stand.start_worker_saying(&["--adopt-ledger"], &[]);
    adopting.ready().await;
    publish_temporary(&stand, "after").await;
    let linked = results(&stand, &stand.topics.linked, 2).await;
    // Of two partitions, in any order.
    let causes: BTreeSet<&str> = linked.iter().filter_map(|event| event["causationid"].as_str()).collect();
    assert_eq!(causes, BTreeSet::from(["after", "before"]), "nothing is read again");
    assert_eq!(adopting.terminate(), 0);
    let later = stand.worker().await;
    publish_temporary(&stand, "later").await;
    results(&stand, &stand.topics.linked, 3).await;
    assert_eq!(later.terminate(), 0);
    let acts = execute(&another, "delete from audit where act = 'adopt-ledger'").await;
    assert_eq!(acts, 1, "audited once");
}

async fn a_ledger_restored_from_the_past_links_nothing_twice(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let first = stand.worker().await;
    for number in 0..3 {
        publish_temporary(&stand, &format!("old-{number}")).await;
    }
    results(&stand, &stand.topics.linked, 3).await;
    // Unfinished when the backup is made, linked afterwards.
    stand.sandbox.fault(json!({"route": "payiq.convert", "action": "status", "status": 503})).await;
    publish_temporary(&stand, "unfinished").await;
    says(&first, "the event backs off").await;
    assert_eq!(first.terminate(), 0);
    let past = copy_of(parts, &stand.database).await;
    stand.sandbox.heal().await;
    let second = stand.worker().await;
    for number in 0..3 {
        publish_temporary(&stand, &format!("new-{number}")).await;
    }
    results(&stand, &stand.topics.linked, 7).await;
    assert_eq!(second.terminate(), 0);
    stand.amend(&stand.database, &past);
    let restored = stand.worker().await;
    // What the ledger forgot is told once more, with the same ids.
    let linked = results(&stand, &stand.topics.linked, 11).await;
    publish_temporary(&stand, "next").await;
    results(&stand, &stand.topics.linked, 12).await;
    assert!(restored.log().contains("it was restored from the past"), "{}", restored.log());
    assert_eq!(restored.terminate(), 0);
    for id in ["old-0", "new-0", "new-1", "new-2", "unfinished", "next"] {
        assert_eq!(profiles_of(&stand, id).await, 1, "profiles of {id}");
    }
    for id in ["new-0", "new-1", "new-2", "unfinished"] {
        let told: Vec<&Value> = linked.iter().filter(|result| result["causationid"] == id).collect();
        assert_eq!(told.len(), 2, "{id}");
        assert_eq!(told[0]["id"], told[1]["id"], "{id}");
        assert_eq!(told[0]["data"]["paymentAccountId"], told[1]["data"]["paymentAccountId"], "{id}");
        let found = told.iter().filter(|result| result["data"]["attempts"]["link"] == 0).count();
        assert_eq!(found, 1, "found the second time, not linked again: {told:?}");
    }
    let conversions = stand.sandbox.booked("conversions").await.len();
    assert_eq!(conversions, 8, "nothing that was found was converted again");
}

async fn a_position_that_an_operator_set_is_obeyed(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let first = stand.worker().await;
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.permanent_token().await;
    let (partition, _) = stand.publish(&events::permanent("one", &customer, &token)).await;
    results(&stand, &stand.topics.linked, 1).await;
    assert_eq!(first.terminate(), 0);
    let skipped = events::permanent("skipped", &customer, &stand.sandbox.permanent_token().await);
    let (_, offset) = stand.publish(&skipped).await;
    stand.commit_by_hand(partition, offset + 1);
    let second = stand.worker().await;
    let wanted = events::permanent("two", &customer, &stand.sandbox.permanent_token().await);
    stand.publish(&wanted).await;
    let linked = results(&stand, &stand.topics.linked, 2).await;
    assert_eq!(linked[1]["causationid"], "two");
    assert_eq!(second.terminate(), 0);
    stand.commit_by_hand(partition, 0);
    let third = stand.worker().await;
    let linked = results(&stand, &stand.topics.linked, 3).await;
    assert_eq!(linked[2]["causationid"], "skipped", "read again: what was accepted before is recognised");
    assert_eq!(third.log().matches("somebody set it, and it is obeyed").count(), 1, "{}", third.log());
    assert_eq!(third.terminate(), 0);
    assert_eq!(profiles_of(&stand, "one").await, 1);
}

/// An event that ended as a dead letter because its conversion was never answered.
async fn dead_letter(stand: &Stand<'_>, id: &str) -> EventKey {
    stand.sandbox.fault(json!({"route": "payiq.convert", "action": "status", "status": 503})).await;
    publish_temporary(stand, id).await;
    results(stand, &stand.topics.dead_letter, 1).await;
    stand.sandbox.heal().await;
    EventIdentity { source: events::SOURCE.to_owned(), id: id.to_owned() }.key()
}

async fn a_row_that_two_operators_reopen_is_linked_once_by_the_running_worker(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    stand.amend("max_interval = \"1s\"", "max_interval = \"1s\"\nbudget = \"3s\"");
    let worker = stand.worker().await;
    let key = dead_letter(&stand, "stubborn").await;
    let operator = async |name: &str| {
        let ledger = ledger::open(&Secret::from(stand.database.clone())).await.expect("a ledger");
        let act = Act { actor: name.to_owned(), why: Some("the vendor is back".to_owned()) };
        ledger.reopen(&[Reopening { key, generation: 1 }], &act).await.expect("an answer").len()
    };
    let (one, other) = tokio::join!(operator("ada"), operator("grace"));
    assert_eq!(one + other, 1, "the effect of once");
    let linked = results(&stand, &stand.topics.linked, 1).await;
    assert_eq!(linked[0]["data"]["generation"], 2);
    assert_eq!(worker.terminate(), 0);
    assert_eq!(profiles_of(&stand, "stubborn").await, 1);
    assert_eq!(stand.all(&stand.topics.linked).await.len(), 1);
}

/// Kills the worker while this customer's look-up or link is out, and answers the customer.
async fn killed_while_it_runs(stand: &Stand<'_>, starts: &'static str) -> String {
    let customer = stand.sandbox.create_customer().await;
    stand.sandbox.fault(json!({"route": "loanpro.*", "action": "hang", "customers": [customer]})).await;
    let worker = stand.worker().await;
    let token = stand.sandbox.permanent_token().await;
    stand.publish(&events::permanent("poison", &customer, &token)).await;
    called(stand, &customer, 1).await;
    worker.kill();
    assert_eq!(execute(&stand.database, starts).await, 1);
    customer
}

async fn called(stand: &Stand<'_>, customer: &str, times: usize) {
    eventually("the customer's profile is called for", PATIENCE, async || {
        (calls(stand).await.iter().filter(|called| *called == customer).count() >= times).then_some(())
    })
    .await;
}

/// About whom the link target was called, in order.
async fn calls(stand: &Stand<'_>) -> Vec<String> {
    let state = stand.sandbox.state().await;
    let recent = state["calls"]["recent"].as_array().cloned().expect("the latest calls");
    let about =
        |call: &Value| call["route"].as_str().is_some_and(|route| ["loanpro.link", "loanpro.lookup"].contains(&route));
    recent.iter().filter(|call| about(call)).filter_map(|call| call["customer"].as_str().map(str::to_owned)).collect()
}

async fn a_row_that_ran_in_ten_unclean_ends_is_dead_lettered_and_the_others_go_on(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    killed_while_it_runs(&stand, "update event set starts = 9").await;
    publish_temporary(&stand, "innocent").await;
    let worker = stand.worker().await;
    let rejected = results(&stand, &stand.topics.rejected, 1).await;
    assert_eq!(rejected[0]["causationid"], "poison");
    assert_eq!(rejected[0]["data"]["reason"]["code"], "retries_exhausted");
    assert_eq!(rejected[0]["data"]["disposition"], "dead-lettered");
    let linked = results(&stand, &stand.topics.linked, 1).await;
    assert_eq!(linked[0]["causationid"], "innocent");
    assert_eq!(worker.terminate(), 0);
}

async fn a_row_that_ran_in_five_unclean_ends_runs_alone(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let guilty = killed_while_it_runs(&stand, "update event set starts = 4").await;
    let mut worker = stand.start_worker();
    // Its look-up is out, and hangs: what comes now must wait until it backs off.
    called(&stand, &guilty, 2).await;
    publish_temporary(&stand, "innocent").await;
    results(&stand, &stand.topics.linked, 1).await;
    worker.ready().await;
    let log = worker.log();
    let (backed_off, linked) = (log.find("the event backs off"), log.find("\"event.id\":\"innocent\""));
    assert!(backed_off.expect("it backs off") < linked.expect("the other is linked"), "{log}");
    worker.kill();
}
