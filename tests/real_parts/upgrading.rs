//! The next build's `migrate` while this build's workers run.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    running_workers_do_not_mind_the_migration_of_their_successor needs [Kafka, Postgres];
}

/// What a later build may do to a ledger: it only adds. Each table is locked for a moment, in the midst of the writes.
const NEXT_VERSION: &str = "
ALTER TABLE lane ADD COLUMN of_the_next_build text;
ALTER TABLE input ADD COLUMN of_the_next_build text;
ALTER TABLE event ADD COLUMN of_the_next_build bigint NOT NULL DEFAULT 7;
ALTER TABLE outbox ADD COLUMN of_the_next_build text;
CREATE TABLE of_the_next_build (key bytea PRIMARY KEY);
INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
SELECT max(version) + 1, 'of the next build', true, '\\x00', 0 FROM _sqlx_migrations;";

/// Before, amidst and after the migration.
const EVENTS: usize = 120;

async fn running_workers_do_not_mind_the_migration_of_their_successor(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let (first, second) = (stand.worker().await, stand.worker().await);
    let mut ledger = PgConnection::connect(&stand.ledger_url()).await.expect("a connection to the ledger");
    let customer = stand.sandbox.create_customer().await;
    for number in 0..EVENTS {
        if number == EVENTS / 2 {
            ledger.execute(NEXT_VERSION).await.expect("the next version");
        }
        let customer = if number % 2 == 0 { customer.clone() } else { stand.sandbox.create_customer().await };
        let token = stand.sandbox.tokenise(json!({})).await;
        stand.publish(&events::temporary(&format!("e{number}"), &customer, &token)).await;
    }
    let mut reader = stand.reader(&[&stand.topics.linked]);
    let seen = reader.read_until("every event is linked", PATIENCE, |seen| seen.len() >= EVENTS).await;
    let id = |record: &Record| record.json()["causationid"].as_str().map(str::to_owned);
    assert_eq!(seen.iter().filter_map(id).collect::<BTreeSet<_>>().len(), EVENTS, "each has its result");
    assert_eq!(stand.sandbox.booked("profiles").await.len(), EVENTS, "and none was linked twice");
    // One of them goes; the other one takes over what it had, by statements that were prepared before the migration.
    assert_eq!(first.terminate(), 0);
    let token = stand.sandbox.tokenise(json!({})).await;
    stand.publish(&events::temporary("last", &customer, &token)).await;
    reader.read_until("the last event is linked", PATIENCE, |seen| seen.len() > EVENTS).await;
    assert_eq!(second.terminate(), 0);
    assert!(stand.all(&stand.topics.rejected).await.is_empty(), "nothing was refused meanwhile");
    an_older_build_does_not_start_on_it(&stand);
}

fn an_older_build_does_not_start_on_it(stand: &Stand<'_>) {
    for command in ["run", "migrate"] {
        let output = stand.command(&[command]);
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{told}");
        assert!(told.contains("newer"), "it says what to use: {told}");
    }
}
