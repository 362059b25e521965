//! Sealing keys under a running worker; and what its process lets others see.

use data_encoding::BASE64;
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::events;
use crate::support::operator::lines;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    keys_are_rotated_while_a_worker_runs_and_the_old_one_is_then_not_needed needs [Kafka, Postgres];
    a_worker_whose_dead_letters_alone_need_a_key_that_is_gone_starts_and_tells_it needs [Kafka, Postgres];
    one_customers_rows_are_erased_by_the_command needs [Kafka, Postgres];
    a_worker_cannot_be_dumped needs [Kafka, Postgres];
}

/// Events that wait while the keys change.
const WAITING: usize = 12;

async fn waiting(stand: &Stand<'_>) {
    stand.sandbox.fault(json!({"route": "payiq.convert", "action": "status", "status": 503})).await;
    for number in 0..WAITING {
        let customer = stand.sandbox.create_customer().await;
        let token = stand.sandbox.tokenise(json!({})).await;
        stand.publish(&events::temporary(&format!("waiting-{number}"), &customer, &token)).await;
    }
    stand.publish_bytes("1", b"not an event").await;
    stand.reader(&[&stand.topics.dead_letter]).read_until("a dead letter", PATIENCE, |seen| !seen.is_empty()).await;
    let mut ledger = PgConnection::connect(&stand.ledger_url()).await.expect("a connection to the ledger");
    let accepted = eventually("all are accepted", PATIENCE, async || {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM sealed_record").fetch_one(&mut ledger).await.ok()?;
        (count == i64::try_from(WAITING + 1).ok()?).then_some(())
    });
    accepted.await;
}

fn second_key(stand: &Stand<'_>) {
    let key: [u8; 32] = rand::random();
    let file = stand.file("k2", &format!("{}\n", BASE64.encode(&key)));
    stand.amend("active = \"k1\"", &format!("active = \"k2\"\nk2 = {{ file = \"{}\" }}", file.display()));
}

/// What `check` says of the keys.
fn keys(stand: &Stand<'_>) -> Value {
    let found = lines(&stand.command(&["check", "--output", "json"]));
    found.into_iter().find(|line| line["check"] == "keys").expect("a line about the keys")
}

async fn keys_are_rotated_while_a_worker_runs_and_the_old_one_is_then_not_needed(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let first = stand.worker().await;
    waiting(&stand).await;
    assert_eq!(first.terminate(), 0);
    second_key(&stand);
    let second = stand.worker().await;
    let before = keys(&stand);
    assert!(before["detail"].as_str().is_some_and(|told| told.contains("k1 has sealed 13 records")), "{before}");
    let rotated = stand.command(&["keys", "rotate", "--why", "a test", "--output", "json"]);
    assert_eq!(rotated.status.code(), Some(0), "{}", String::from_utf8_lossy(&rotated.stderr));
    let expected = [
        json!({"step": "records", "status": "applied", "rows": WAITING + 1}),
        json!({"step": "tokens", "status": "present", "rows": 0}),
        json!({"step": "hash key", "status": "applied"}),
    ];
    assert_eq!(lines(&rotated), expected);
    let after = keys(&stand);
    assert!(after["detail"].as_str().is_some_and(|told| !told.contains("k1 has sealed")), "{after}");
    let mine = |text: &str| std::fs::read_to_string(stand.config()).is_ok_and(|config| config.contains(text));
    let line = format!("k1 = {{ file = \"{}/k1\" }}\n", stand.folder().display());
    assert!(mine(&line));
    stand.amend(&line, "");
    assert_eq!(second.terminate(), 0);
    // Nobody has the old key any more: what waited under it goes on.
    let third = stand.worker().await;
    stand.sandbox.heal().await;
    let mut linked = stand.reader(&[&stand.topics.linked]);
    linked.read_until("what waited is linked", PATIENCE, |seen: &[Record]| seen.len() >= WAITING).await;
    assert_eq!(third.terminate(), 0);
    assert_eq!(keys(&stand)["status"], "ok");
    // Without its key the ledger is not opened, and the key is named.
    stand.amend("k2 = {", "k3 = {");
    stand.amend("active = \"k2\"", "active = \"k3\"");
    let mut refused = stand.start_worker();
    assert_eq!(refused.exit_code(), 78);
    assert!(refused.log().contains("k2"), "the key is named: {}", refused.log());
}

async fn a_worker_whose_dead_letters_alone_need_a_key_that_is_gone_starts_and_tells_it(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let first = stand.worker().await;
    stand.publish_bytes("1", b"not an event").await;
    stand.reader(&[&stand.topics.dead_letter]).read_until("a dead letter", PATIENCE, |seen| !seen.is_empty()).await;
    assert_eq!(first.terminate(), 0);
    let mut ledger = PgConnection::connect(&stand.ledger_url()).await.expect("a connection to the ledger");
    // As a key named k0 would have sealed it.
    let renamed = "UPDATE sealed_record SET bytes = '\\x01026b30'::bytea || substring(bytes FROM 5)";
    assert_eq!(ledger.execute(renamed).await.expect("the statement").rows_affected(), 1);
    let second = stand.worker().await;
    assert!(second.log().contains("k0") && second.log().contains("cannot be replayed"), "{}", second.log());
    let rotated = stand.command(&["keys", "rotate"]);
    assert_eq!(rotated.status.code(), Some(1), "what does not open is told");
    let found = keys(&stand);
    assert_eq!(found["status"], "warn");
    assert_eq!(second.terminate(), 0);
    assert!(found["fix"].as_str().is_some_and(|fix| fix.contains("k0")), "{found}");
}

async fn one_customers_rows_are_erased_by_the_command(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    let customer = stand.sandbox.create_customer().await;
    let token = stand.sandbox.permanent_token().await;
    let event = events::permanent("to-be-forgotten", &customer, &token);
    stand.publish(&event).await;
    let mut linked = stand.reader(&[&stand.topics.linked]);
    linked.read_until("it is linked", PATIENCE, |seen| !seen.is_empty()).await;
    let named = format!("loanpro:{customer}");
    let erase = ["ledger", "erase", "--customer", &named, "--why", "request 17", "--output", "json"];
    assert_eq!(stand.command(&erase).status.code(), Some(2), "nobody said yes");
    // Its result is published; the ledger learns that about once a second.
    let erased = eventually("it is erased", PATIENCE, async || {
        let erased = stand.command(&[&erase[..], &["--yes"]].concat());
        assert!(matches!(erased.status.code(), Some(0 | 75)), "{}", String::from_utf8_lossy(&erased.stderr));
        (erased.status.code() == Some(0)).then(|| lines(&erased).remove(0))
    });
    let erased = erased.await;
    assert_eq!((&erased["erased"], &erased["left"]), (&json!(1), &json!(0)));
    assert_eq!(stand.command(&["ledger", "show", "to-be-forgotten"]).status.code(), Some(1));
    // The same event again is a duplicate still: another one behind it in its partition has a result, it has none.
    stand.publish(&event).await;
    stand.publish(&events::permanent("another", &customer, &stand.sandbox.permanent_token().await)).await;
    let seen = linked.read_until("the other one is linked", PATIENCE, |seen| seen.len() >= 2).await;
    let causes: Vec<Value> = seen.iter().map(|record| record.json()["causationid"].clone()).collect();
    assert_eq!(causes, ["to-be-forgotten", "another"]);
    assert_eq!(worker.terminate(), 0);
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 2);
    let mut ledger = PgConnection::connect(&stand.ledger_url()).await.expect("a connection to the ledger");
    let targets: Vec<String> = sqlx::query_scalar("SELECT target FROM audit WHERE act = 'erase-customer'")
        .fetch_all(&mut ledger)
        .await
        .expect("the audit table");
    assert!(targets.iter().all(|target| erased["customer"] == target.as_str() && target.len() == 32), "{targets:?}");
}

async fn a_worker_cannot_be_dumped(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", worker.pid())).expect("its limits");
    let line = limits.lines().find(|line| line.starts_with("Max core file size")).expect("the limit of dumps");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{line}");
    assert_eq!(worker.terminate(), 0);
}
