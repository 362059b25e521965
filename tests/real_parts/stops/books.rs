//! What is asked of the ledger and of the broker, from outside of the worker.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{Connection, PgConnection};

use super::supply::{Kind, Published};
use crate::support::positions::Positions;
use crate::support::stand::Stand;

/// Partitions of a cell's topics: two, so that two workers can have one each.
pub const PARTITIONS: i32 = 2;

/// A connection to the ledger and a client of the broker, neither of which takes part in anything.
pub struct Books {
    ledger: PgConnection,
    group: Positions,
    left: String,
}

impl Books {
    pub async fn open(stand: &Stand<'_>) -> Self {
        let ledger = PgConnection::connect(&stand.database).await.expect("a connection to the ledger");
        let created = &stand.topics.created;
        let group = Positions::of(stand.kafka.brokers(), &stand.group, created, PARTITIONS);
        Self { ledger, group, left: String::new() }
    }

    /// Whether the ledger has accepted all of this and nothing is unfinished; if not, [`Books::left`] says what is.
    pub async fn all_ended(&mut self, published: &[Published]) -> bool {
        let positions = self.positions().await;
        let accepted = |record: &&Published| positions.get(&record.partition).is_some_and(|end| record.offset < *end);
        let missing: Vec<_> = published.iter().filter(|record| !accepted(record)).collect();
        let unfinished = self.unfinished().await;
        let ended = missing.is_empty() && unfinished.is_empty();
        self.left = format!("not accepted: {missing:?}; unfinished: {unfinished:?}; positions: {positions:?}");
        ended
    }

    /// What the last look found undone.
    pub fn left(&self) -> &str {
        &self.left
    }

    async fn unfinished(&mut self) -> Vec<(String, i32, i16)> {
        let rows = sqlx::query_as(
            "select i.id, e.lane, e.state from event e join input i using (key) where e.state in (1, 2)",
        );
        rows.fetch_all(&mut self.ledger).await.expect("the unfinished events")
    }

    async fn positions(&mut self) -> BTreeMap<i32, i64> {
        let rows = sqlx::query_as("select lane, position from lane where position is not null");
        let rows: Vec<(i32, i64)> = rows.fetch_all(&mut self.ledger).await.expect("positions");
        rows.into_iter().collect()
    }

    /// Whether the process owns every partition.
    pub async fn owns_all(&mut self, pid: u32) -> bool {
        let owned = sqlx::query_scalar("select count(*) from lane where owner like $1").bind(format!("{pid}-%"));
        let owned: i64 = owned.fetch_one(&mut self.ledger).await.expect("a count");
        owned == i64::from(PARTITIONS)
    }

    /// I3: what the group's committed positions cover is in the ledger.
    pub async fn assert_no_position_passes_unaccepted_input(&mut self, published: &[Published]) {
        // The positions first: what they cover then, the ledger had before.
        let committed = self.committed();
        let rows = sqlx::query_as("select lane, record_offset, coalesce(id, '') from input");
        let rows: Vec<(i32, i64, String)> = rows.fetch_all(&mut self.ledger).await.expect("accepted input");
        let places: BTreeSet<(i32, i64)> = rows.iter().map(|(lane, offset, _)| (*lane, *offset)).collect();
        let ids: BTreeSet<&str> = rows.iter().map(|(.., id)| id.as_str()).collect();
        for record in published {
            let covered = committed.get(&record.partition).is_some_and(|end| record.offset < *end);
            let accepted = match record.kind {
                Kind::Event | Kind::Duplicate => ids.contains(record.id.as_str()),
                Kind::Conflict | Kind::Unreadable => places.contains(&(record.partition, record.offset)),
            };
            assert!(accepted || !covered, "a committed position passes {record:?}, which was not accepted");
        }
    }

    /// The group's committed positions.
    pub fn committed(&self) -> BTreeMap<i32, i64> {
        self.group.committed()
    }
}
