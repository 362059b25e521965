//! Records that a worker has fetched and not accepted when it is stopped during a pause: it lets go of them, does not wait for
//! what the pause holds, and whoever comes next reads them again.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use profile_linker::domain::Secret;
use profile_linker::domain::flow_control::FloodLimits;
use profile_linker::ledger::{self, Act, PauseKind};
use sqlx::{Connection, Executor, PgConnection};

use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};

crate::cases! {
    records_let_go_of_at_a_stop_are_read_again_by_the_next_worker needs [Kafka, Postgres];
}

/// Several times what the ledger is asked to accept at once.
const HELD: usize = 400;
const AT_ONCE: usize = 32;
/// Well below `shutdown_timeout` of the stand.
const SOON: Duration = Duration::from_secs(7);

async fn records_let_go_of_at_a_stop_are_read_again_by_the_next_worker(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let worker = stand.worker().await;
    let mut ids = publish(&stand, "first", 1).await;
    linked(&stand, 1).await;
    // Nothing can be accepted, so what is fetched is held in the worker's memory.
    let mut holder = PgConnection::connect(&stand.database).await.expect("a connection");
    let mut lock = holder.begin().await.expect("a transaction");
    lock.execute("lock table event in access exclusive mode").await.expect("the lock");
    ids.extend(publish(&stand, "held", HELD).await);
    eventually("the records are fetched", PATIENCE, async || worker.log().contains("ledger is down").then_some(()))
        .await;
    let ledger = ledger::open(&Secret::from(stand.database.clone())).await.expect("the ledger");
    let act = Act { actor: "ada".to_owned(), why: None };
    ledger.pause(PauseKind::Operator, &act).await.expect("it is paused");
    eventually("the worker stands still", PATIENCE, async || {
        worker.log().contains("paused: nothing is taken in").then_some(())
    })
    .await;
    lock.rollback().await.expect("the lock is released");
    let accepted = eventually("what was asked for is accepted", PATIENCE, async || {
        Some(accepted(&stand).await).filter(|count| *count > 1)
    });
    assert!(accepted.await < HELD, "the rest is held");
    let began = Instant::now();
    assert_eq!(worker.terminate(), 0);
    assert!(began.elapsed() < SOON, "it does not wait for what the pause holds: {:?}", began.elapsed());
    ledger.resume(None, FloodLimits::default(), &act).await.expect("it is resumed");
    let next = stand.worker().await;
    linked(&stand, ids.len()).await;
    assert_eq!(next.terminate(), 0);
    let results = stand.all(&stand.topics.linked).await;
    let causes = results.iter().filter_map(|record| record.json()["causationid"].as_str().map(str::to_owned));
    assert_eq!(causes.collect::<BTreeSet<_>>(), ids, "none is passed over");
    let profiles = stand.sandbox.booked("profiles").await.len();
    assert_eq!((results.len(), profiles), (ids.len(), ids.len()), "each once");
}

async fn linked(stand: &Stand<'_>, count: usize) {
    let complete = |seen: &[Record]| seen.len() >= count;
    stand.reader(&[&stand.topics.linked]).read_until("all are linked", PATIENCE, complete).await;
}

async fn publish(stand: &Stand<'_>, name: &str, count: usize) -> BTreeSet<String> {
    let ids: BTreeSet<String> = (0..count).map(|number| format!("{name}-{number}")).collect();
    let published = ids.iter().map(async |id| {
        let (customer, token) = (stand.sandbox.create_customer().await, stand.sandbox.permanent_token().await);
        stand.publish(&events::permanent(id, &customer, &token)).await
    });
    stream::iter(published).buffer_unordered(AT_ONCE).collect::<Vec<_>>().await;
    ids
}

async fn accepted(stand: &Stand<'_>) -> usize {
    let mut connection = PgConnection::connect(&stand.database).await.expect("a connection");
    let count: i64 =
        sqlx::query_scalar("select count(*) from event").fetch_one(&mut connection).await.expect("a count");
    usize::try_from(count).expect("a count")
}
