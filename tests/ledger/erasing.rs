//! One customer is forgotten, and nobody's duplicate is linked for it.

use profile_linker::domain::{Customer, System};
use profile_linker::ledger::custody::Erased;
use profile_linker::ledger::{Act, HashKey, Ledger, NewRow, RowState};
use sqlx::{Connection, Executor};

use crate::purging::{linked, publish};
use crate::rows::*;
use crate::stage::{Stage, vault};

crate::ledger_cases!(Both:
    an_erased_customers_rows_tell_nothing_of_the_customer,
    an_erased_event_is_still_known_as_a_duplicate_and_as_a_conflict,
    unfinished_and_unpublished_rows_are_left_and_told,
    while_a_replay_of_the_customer_is_unfinished_a_later_link_is_remembered,
    an_erasure_that_cannot_write_the_file_anew_tells_what_was_erased,
    an_erased_dead_letter_is_not_reopened,
    another_customers_rows_stay_as_they_are,
    a_customers_guid_is_found_in_any_spelling,
    an_erasure_is_audited_by_a_mark_that_names_nobody,
);

fn customer(id: &str) -> Customer {
    Customer { system: System::Loanpro, id: id.to_owned() }
}

async fn erase(ledger: &dyn Ledger, customer: &Customer) -> Erased {
    ledger.custody().expect("a ledger on a disk").erase_customer(customer, "mark", &act()).await.expect("erased")
}

fn told(erased: u64, left: u64) -> Erased {
    Erased { erased, left, lingers: false }
}

/// Whatever the ledger says of anybody: what was accepted, how it went, what is sealed, who did what.
async fn everything(stage: &Stage) -> String {
    let mut told = Vec::new();
    for sql in [
        "SELECT COALESCE(source, '-') || ' ' || COALESCE(id, '-') || ' ' || COALESCE(customer_system, '-') || ' ' || COALESCE(customer_id, '-') FROM input",
        "SELECT COALESCE(timeline, '-') FROM event",
        "SELECT account FROM sealed_token",
        "SELECT CAST(count(*) AS TEXT) FROM sealed_record",
        "SELECT COALESCE(source, '-') || ' ' || COALESCE(id, '-') || ' ' || COALESCE(customer_id, '-') FROM dead_letter",
    ] {
        told.extend(stage.lines(sql).await);
    }
    told.join("\n")
}

async fn an_erased_customers_rows_tell_nothing_of_the_customer(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    linked(ledger, claim, &new_row(claim, 0, "linked"), 1).await;
    let row = new_row(claim, 1, "dead");
    accept(ledger, claim, &row).await;
    ledger.converted(&[claim], &[converted(&row)]).await.unwrap();
    let mut end = ended(&row, RowState::DeadLettered, 2);
    end.timeline = "1 payiq.convert done 200 12\n".to_owned();
    ledger.end(&[claim], &[end]).await.unwrap();
    publish(ledger, claim, 2).await;
    assert!(everything(stage).await.contains("42"));
    assert_eq!(erase(ledger, &customer("42")).await, told(2, 0));
    assert_eq!(everything(stage).await, "- - - -\n- - - -\n-\n-\n0");
    let there = stored(ledger, row.key).await;
    assert_eq!((there.state, there.publish_seq.map(|seq| seq.0)), (RowState::DeadLettered, Some(2)));
    assert!(ledger.find("dead").await.unwrap().is_empty());
    assert_eq!(erase(ledger, &customer("42")).await, Erased::default(), "nobody is found any more");
}

async fn an_erased_event_is_still_known_as_a_duplicate_and_as_a_conflict(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    linked(ledger, claim, &row, 1).await;
    erase(ledger, &customer("42")).await;
    let (again, other) = (new_row(claim, 1, "a"), conflicting(new_row(claim, 2, "a")));
    let acceptance = ledger.accept(&[up_to(claim, 3, 2)], &[row, again, other]).await.unwrap();
    assert_eq!(said(&acceptance.rows), ["ours", "duplicate", "conflict"]);
    assert!(ledger.unfinished(&[claim], None).await.unwrap().is_empty(), "nothing of it is begun again");
}

async fn unfinished_and_unpublished_rows_are_left_and_told(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let (waiting, unpublished) = (new_row(claim, 0, "waiting"), new_row(claim, 1, "unpublished"));
    accept(ledger, claim, &waiting).await;
    dead_letter(ledger, claim, &unpublished, 1).await;
    assert_eq!(erase(ledger, &customer("42")).await, told(0, 2));
    assert_eq!(stored(ledger, waiting.key).await.sealed_record, waiting.sealed_record);
    publish(ledger, claim, 1).await;
    assert_eq!(erase(ledger, &customer("42")).await, told(0, 2), "all or nothing");
    ledger.end(&[claim], &[ended(&waiting, RowState::Linked, 2)]).await.unwrap();
    publish(ledger, claim, 2).await;
    assert_eq!(erase(ledger, &customer("42")).await, told(2, 0), "it may be asked for again");
}

/// An older event that is replayed looks whether a later one has become primary, and must not find it forgotten.
async fn while_a_replay_of_the_customer_is_unfinished_a_later_link_is_remembered(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let (older, later) = (new_row(claim, 0, "older"), new_row(claim, 1, "later"));
    dead_letter(ledger, claim, &older, 1).await;
    linked(ledger, claim, &later, 2).await;
    publish(ledger, claim, 2).await;
    assert_eq!(ledger.reopen(&[reopening(&older, 1)], &act()).await.unwrap(), [older.key]);
    let before = everything(stage).await;
    assert_eq!(erase(ledger, &customer("42")).await, told(0, 2));
    assert_eq!(everything(stage).await, before);
    assert_eq!(ledger.find("later").await.unwrap().len(), 1);
}

async fn an_erasure_that_cannot_write_the_file_anew_tells_what_was_erased(stage: &Stage) {
    if !stage.is_sqlite() {
        return;
    }
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    linked(ledger, claim, &new_row(claim, 0, "a"), 1).await;
    let url = String::from_utf8(stage.url().expose().to_vec()).unwrap();
    let mut reader = sqlx::SqliteConnection::connect(&url).await.unwrap();
    reader.execute("BEGIN").await.unwrap();
    reader.fetch_all("SELECT * FROM input").await.unwrap();
    let expected = Erased { lingers: true, ..told(1, 0) };
    assert_eq!(erase(ledger, &customer("42")).await, expected, "somebody reads the old file still");
    reader.execute("COMMIT").await.unwrap();
    assert_eq!(erase(ledger, &customer("42")).await, told(0, 0), "and a repeat writes it anew");
}

async fn an_erased_dead_letter_is_not_reopened(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    dead_letter(ledger, claim, &row, 1).await;
    publish(ledger, claim, 1).await;
    erase(ledger, &customer("42")).await;
    assert!(ledger.reopen(&[reopening(&row, 1)], &act()).await.unwrap().is_empty());
    assert_eq!(stored(ledger, row.key).await.state, RowState::DeadLettered);
}

async fn another_customers_rows_stay_as_they_are(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let aloha = Customer { system: System::Aloha, id: "42".to_owned() };
    let others = [Some(customer("4")), Some(customer("421")), Some(aloha), None];
    for (number, customer) in (0..).zip(others) {
        let row = NewRow { customer, ..new_row(claim, number, &format!("{number}")) };
        linked(ledger, claim, &row, number + 1).await;
    }
    let before = everything(stage).await;
    assert_eq!(erase(ledger, &customer("42")).await, Erased::default());
    assert_eq!(everything(stage).await, before);
}

async fn a_customers_guid_is_found_in_any_spelling(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let [claim] = raise(ledger, [0]).await;
    let guid = |id: &str| Customer { system: System::Aloha, id: id.to_owned() };
    let row = NewRow { customer: Some(guid("93F5F620-EC93-47DD-AB24-C07BBF0B16BF")), ..new_row(claim, 0, "a") };
    linked(ledger, claim, &row, 1).await;
    let asked = guid("93f5f620-ec93-47dd-ab24-c07bbf0b16bf");
    assert_eq!(erase(ledger, &asked).await, told(1, 0));
}

async fn an_erasure_is_audited_by_a_mark_that_names_nobody(stage: &Stage) {
    let ledger = &*stage.ledger().await;
    let hash_key = HashKey::open(&ledger.identity().await.unwrap(), &vault()).unwrap();
    let mark = hash_key.customer_mark(&customer("42"));
    let act = Act { actor: "ada".to_owned(), why: Some("request 17".to_owned()) };
    ledger.custody().unwrap().erase_customer(&customer("42"), &mark, &act).await.unwrap();
    assert_eq!(stage.audit().await, [format!("ada | erase-customer | {mark} | request 17")]);
    assert_eq!(mark.len(), 32);
    assert_eq!(hash_key.customer_mark(&customer("42")), mark, "whoever is told the customer finds the line");
    assert_ne!(hash_key.customer_mark(&customer("43")), mark);
}
