//! Old rows go while events flow.

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    a_running_worker_removes_old_rows_while_events_flow needs [Kafka, Postgres];
}

/// More than the usual retention.
const AGE: &str = "
UPDATE input SET accepted_at = accepted_at - interval '31 days', record_timestamp = record_timestamp - 31::bigint * 86400000;
UPDATE event SET ended_at = ended_at - interval '31 days';";

/// More than one batch, of a lane whose results are long published.
const MANY: &str = "
INSERT INTO lane (lane, epoch, clean, saved_cursor) VALUES (999, 1, true, 3000);
INSERT INTO input (key, lane, record_offset, record_timestamp, payload_hash, accepted_at)
SELECT decode(md5(n::text), 'hex'), 999, n, 0, '', now() - interval '32 days' FROM generate_series(1, 3000) n;
INSERT INTO event (key, lane, epoch, state, possibly_sent, generation, publish_seq, ended_at)
SELECT key, 999, 1, 3, false, 1, record_offset, accepted_at FROM input WHERE lane = 999;";

async fn publish(stand: &Stand<'_>, ids: [&str; 3]) {
    for id in ids {
        let customer = stand.sandbox.create_customer().await;
        let token = stand.sandbox.tokenise(json!({})).await;
        stand.publish(&events::temporary(id, &customer, &token)).await;
    }
}

async fn linked(stand: &Stand<'_>, count: usize) {
    let mut reader = stand.reader(&[&stand.topics.linked]);
    reader.read_until("results", PATIENCE, |seen| seen.len() >= count).await;
}

async fn a_running_worker_removes_old_rows_while_events_flow(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let first = stand.worker().await;
    publish(&stand, ["old-0", "old-1", "old-2"]).await;
    linked(&stand, 3).await;
    assert_eq!(first.terminate(), 0);
    let mut ledger = PgConnection::connect(&stand.ledger_url()).await.expect("a connection to the ledger");
    ledger.execute(AGE).await.expect("the rows are old");
    ledger.execute(MANY).await.expect("many more old rows");
    let worker = stand.worker().await;
    publish(&stand, ["new-0", "new-1", "new-2"]).await;
    linked(&stand, 6).await;
    let names = "SELECT coalesce(string_agg(coalesce(i.id, '-'), ' ' ORDER BY i.id), '')
        FROM input i JOIN event e ON e.key = i.key";
    eventually("the old rows are gone", PATIENCE, async || {
        let left: String = sqlx::query_scalar(names).fetch_one(&mut ledger).await.expect("a read");
        (left == "new-0 new-1 new-2").then_some(())
    })
    .await;
    eventually("the worker says so", PATIENCE, async || worker.log().contains("old rows were removed").then_some(()))
        .await;
    assert_eq!(worker.log().matches("old rows were removed").count(), 1, "one line a run: {}", worker.log());
    assert_eq!(worker.terminate(), 0);
    assert_eq!(stand.sandbox.booked("profiles").await.len(), 6);
}
