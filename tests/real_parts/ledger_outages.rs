//! PostgreSQL that takes nothing for a while: read-only, without connections, locked, restarted. The worker's process lives,
//! work pauses, and goes on by itself.

use std::collections::BTreeSet;

use serde_json::json;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::admin::Admin;
use crate::support::authority::Authority;
use crate::support::events;
use crate::support::parts::RealParts;
use crate::support::patience::eventually;
use crate::support::postgres::Postgres;
use crate::support::records::Record;
use crate::support::stand::{Delivery, PATIENCE, Stand};
use crate::support::worker::Worker;

crate::cases! {
    a_ledger_that_is_read_only_for_a_while_loses_nothing needs [Kafka, Postgres];
    a_ledger_without_connections_for_a_while_loses_nothing needs [Kafka, Postgres];
    a_ledger_whose_table_is_locked_for_a_while_loses_nothing needs [Kafka, Postgres];
    a_ledger_whose_server_is_killed_and_restarted_loses_nothing needs [Kafka, Postgres];
    a_ledger_whose_authority_is_unknown_for_a_while_loses_nothing needs [Kafka, Postgres];
}

const EVENTS: usize = 60;

async fn a_ledger_that_is_read_only_for_a_while_loses_nothing(parts: &RealParts) {
    let outage = Outage::begin(parts).await;
    outage.on_server("alter database {} set default_transaction_read_only = on").await;
    outage.end_sessions().await;
    outage.is_noticed().await;
    outage.on_server("alter database {} reset default_transaction_read_only").await;
    outage.end_sessions().await;
    outage.assert_all_linked_once().await;
}

async fn a_ledger_without_connections_for_a_while_loses_nothing(parts: &RealParts) {
    let outage = Outage::begin(parts).await;
    outage.on_server("alter database {} allow_connections false").await;
    outage.end_sessions().await;
    outage.is_noticed().await;
    outage.on_server("alter database {} allow_connections true").await;
    outage.assert_all_linked_once().await;
}

async fn a_ledger_whose_table_is_locked_for_a_while_loses_nothing(parts: &RealParts) {
    let outage = Outage::begin(parts).await;
    let mut holder = PgConnection::connect(&outage.stand.database).await.expect("a connection");
    let mut lock = holder.begin().await.expect("a transaction");
    lock.execute("lock table event in access exclusive mode").await.expect("the lock");
    outage.is_noticed().await;
    lock.rollback().await.expect("the lock is released");
    outage.assert_all_linked_once().await;
}

async fn a_ledger_whose_server_is_killed_and_restarted_loses_nothing(parts: &RealParts) {
    let mut server = Postgres::start_own().expect("a server of its own");
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    stand.amend(&stand.database, &server.create_database().await);
    let migrated = stand.command(&["migrate"]);
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let outage = Outage::begin_at(stand).await;
    for _ in 0..2 {
        server.crash_and_restart();
    }
    outage.assert_all_linked_once().await;
}

/// The file that `sslrootcert` names is read by each new connection.
async fn a_ledger_whose_authority_is_unknown_for_a_while_loses_nothing(parts: &RealParts) {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = Postgres::start_with_tls(&authority.server(&["127.0.0.1"])).expect("a server with TLS");
    let mut stand = Stand::prepare(parts, Delivery::Transactional).await;
    let (file, database) = (stand.file("ledger-ca.pem", &authority.pem()), server.create_database().await);
    stand.amend(&stand.database, &format!("{database}?sslmode=verify-full&sslrootcert={}", file.display()));
    stand.database = database;
    let migrated = stand.command(&["migrate"]);
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let outage = Outage::begin_at(stand).await;
    std::fs::write(&file, stranger.pem()).expect("another authority");
    outage.end_sessions().await;
    outage.is_noticed().await;
    std::fs::write(&file, authority.pem()).expect("the right one");
    outage.assert_all_linked_once().await;
}

/// A worker with events half way.
pub struct Outage<'a> {
    pub stand: Stand<'a>,
    pub worker: Worker,
    ids: BTreeSet<String>,
}

impl<'a> Outage<'a> {
    async fn begin(parts: &'a RealParts) -> Self {
        Self::begin_at(Stand::prepare(parts, Delivery::Transactional).await).await
    }

    /// The same on a stand whose ledger is another one.
    pub async fn begin_at(stand: Stand<'a>) -> Self {
        stand.sandbox.fault(json!({"route": "*", "action": "delay", "delay": 0.2})).await;
        let worker = stand.worker().await;
        let mut outage = Self { stand, worker, ids: BTreeSet::new() };
        outage.publish_more().await;
        outage
    }

    /// Publishes events.
    pub async fn publish_more(&mut self) {
        let stand = &self.stand;
        for _ in 0..EVENTS {
            let (customer, id) = (stand.sandbox.create_customer().await, format!("event-{}", self.ids.len()));
            let token = stand.sandbox.tokenise(json!({})).await;
            stand.publish(&events::temporary(&id, &customer, &token)).await;
            self.ids.insert(id);
        }
    }

    /// A statement about the database, from outside of it.
    async fn on_server(&self, statement: &str) {
        let (server, name) = self.stand.database.rsplit_once('/').expect("a server and a name");
        let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.expect("a connection");
        let statement = sqlx::AssertSqlSafe(statement.replace("{}", name));
        connection.execute(statement).await.expect("the statement");
    }

    /// What is decided for new sessions holds for all of them.
    async fn end_sessions(&self) {
        self.on_server("select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'").await;
    }

    /// The worker, and its readiness, say that the ledger is away; the process lives.
    pub async fn is_noticed(&self) {
        eventually("the worker says that its ledger is down", PATIENCE, async || {
            self.worker.log().contains("ledger is down").then_some(())
        })
        .await;
        let admin = Admin::of(&self.worker);
        let body = admin.until("ledger", "down").await;
        assert_eq!((&body["ready"], &body["checks"]["loanpro"]["status"]), (&json!(false), &json!("ok")), "{body}");
        assert_eq!(admin.get("/healthz").await.status, 200, "a restart would mend nothing");
    }

    /// After the outage, and without anybody's help.
    pub async fn assert_all_linked_once(self) {
        let Self { stand, worker, ids } = self;
        let of = |record: &Record| record.json()["causationid"].as_str().map(str::to_owned);
        let complete = |seen: &[Record]| seen.len() >= ids.len();
        let mut reader = stand.reader(&[&stand.topics.linked, &stand.topics.rejected]);
        reader.read_until("every event has a result", PATIENCE, complete).await;
        Admin::of(&worker).until("ledger", "ok").await;
        assert_eq!(worker.terminate(), 0, "it is the process that met the outage");
        let linked: Vec<String> = stand.all(&stand.topics.linked).await.iter().filter_map(of).collect();
        assert!(stand.all(&stand.topics.rejected).await.is_empty(), "nothing is rejected because of it");
        assert_eq!(linked.iter().cloned().collect::<BTreeSet<_>>(), ids, "nothing is lost");
        assert_eq!(linked.len(), ids.len(), "one result each");
        assert_eq!(stand.sandbox.booked("profiles").await.len(), ids.len(), "one profile each");
    }
}
