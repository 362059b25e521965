//! What befalls the machine that the ledger is on: its disk is full, its file is locked by another program, its server is lost and
//! the standby takes over.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};

use crate::support::admin::Admin;
use crate::support::detour::Detour;
use crate::support::disk::SmallDisk;
use crate::support::parts::RealParts;
use crate::support::ports::free_ports;
use crate::support::postgres::Postgres;
use crate::support::stand::{Delivery, PATIENCE, Stand};

use super::ledger_outages::Outage;

crate::cases! {
    a_ledger_whose_disk_is_full_for_a_while_loses_nothing needs [Kafka, Postgres, SmallDisk];
    a_ledger_file_whose_disk_is_full_for_a_while_loses_nothing needs [Kafka, Postgres, SmallDisk];
    a_ledger_file_that_another_program_locks_for_a_while_loses_nothing needs [Kafka, Postgres];
    a_ledger_that_fails_over_to_its_standby_loses_nothing needs [Kafka, Postgres];
}

/// What an empty database takes, and a little more.
const DISK_MB: usize = 40;
/// A file has no templates, but a write-ahead log of 4 MB.
const FILE_DISK_MB: usize = 16;

/// The tables' disk; the write-ahead log has another one, as it should: a server that cannot write that one ends.
async fn a_ledger_whose_disk_is_full_for_a_while_loses_nothing(parts: &RealParts) {
    let (disk, server) = (SmallDisk::mount(DISK_MB).expect("a disk"), Postgres::start_own().expect("a server"));
    let tables = disk.path().join("tables");
    std::fs::create_dir(&tables).expect("a folder");
    let database = server.create_database_in(&tables).await;
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    fills_up(moved(stand, &database), &disk, "No space left on device").await;
}

async fn a_ledger_file_whose_disk_is_full_for_a_while_loses_nothing(parts: &RealParts) {
    let disk = SmallDisk::mount(FILE_DISK_MB).expect("a disk");
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let file = format!("sqlite://{}", disk.path().join("ledger.db").display());
    fills_up(moved(stand, &file), &disk, "disk is full").await;
}

/// A backup, or somebody with `sqlite3`: for longer than a write waits for it (5 s, [`Outage::is_noticed`] waits for that).
async fn a_ledger_file_that_another_program_locks_for_a_while_loses_nothing(parts: &RealParts) {
    let stand = Stand::prepare(parts, Delivery::Transactional).await;
    let file = stand.folder().join("ledger.db");
    let stand = moved(stand, &format!("sqlite://{}", file.display()));
    let mut outage = Outage::begin_at(stand).await;
    let options = SqliteConnectOptions::new().filename(&file).busy_timeout(PATIENCE);
    let mut other = options.connect().await.expect("the file opens");
    other.execute("BEGIN IMMEDIATE").await.expect("the lock");
    outage.publish_more().await;
    outage.is_noticed().await;
    let body = Admin::of(&outage.worker).until("ledger", "down").await;
    let reason = body["checks"]["ledger"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("database is locked"), "it is told what is wrong: {body}");
    other.execute("ROLLBACK").await.expect("the lock is let go");
    outage.assert_all_linked_once().await;
}

/// A disk that is full in the midst of the work, and freed when the worker has said so.
async fn fills_up(stand: Stand<'_>, disk: &SmallDisk, said: &str) {
    let mut outage = Outage::begin_at(stand).await;
    disk.fill();
    outage.publish_more().await;
    outage.is_noticed().await;
    let body = Admin::of(&outage.worker).until("ledger", "down").await;
    let reason = body["checks"]["ledger"]["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(said), "it is told what is wrong: {body}");
    disk.free();
    outage.assert_all_linked_once().await;
}

/// A standby that has every commit takes the place of a server that is lost, at the same address.
async fn a_ledger_that_fails_over_to_its_standby_loses_nothing(parts: &RealParts) {
    let mut first = Postgres::start_own().expect("a server");
    let database = first.create_database().await;
    let [port] = free_ports();
    let address = Detour::open(port, first.port()).await;
    let database = database.replace(&format!(":{}/", first.port()), &format!(":{port}/"));
    let stand = moved(Stand::prepare(parts, Delivery::Transactional).await, &database);
    let standby = first.follow().expect("a standby");
    first.commit_at_standby().await;
    let mut outage = Outage::begin_at(stand).await;
    first.kill();
    outage.is_noticed().await;
    // Taken by nobody yet: neither server answers at the address.
    outage.publish_more().await;
    standby.promote().await;
    address.lead_to(standby.port());
    Admin::of(&outage.worker).until("ledger", "ok").await;
    outage.assert_all_linked_once().await;
}

/// The stand with its ledger elsewhere.
fn moved<'a>(stand: Stand<'a>, database: &str) -> Stand<'a> {
    stand.amend(&stand.database, database);
    let migrated = stand.command(&["migrate"]);
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    stand
}
