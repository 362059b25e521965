//! Schema, identity, and what the ledger serves.

use profile_linker::domain::Secret;
use profile_linker::ledger::{self, HashKey, LedgerError, MigrationStatus, Serves};

use crate::rows::*;
use crate::stage::{Stage, vault};

crate::ledger_cases!(Both:
    a_second_migration_finds_everything_present_and_changes_no_identity,
    a_ledger_of_the_first_version_is_refused_until_it_is_migrated_and_keeps_its_rows,
    a_ledger_without_schema_is_of_version_0,
    a_newer_ledger_is_refused_by_use_and_by_migration,
    a_migration_that_was_cut_short_before_the_identity_is_repeated,
    a_ledger_serves_what_it_was_bound_to_first,
    a_ledger_file_belongs_to_one_process_and_a_database_to_many,
    an_address_that_leads_nowhere_is_told_without_its_password,
);

async fn a_second_migration_finds_everything_present_and_changes_no_identity(stage: &Stage) {
    let first = ledger::migrate(&stage.url(), &vault()).await.unwrap();
    assert_eq!(
        first.iter().map(|step| step.step.as_str()).collect::<Vec<_>>(),
        [
            "schema 1 ledger",
            "schema 2 reopening",
            "schema 3 retention",
            "schema 4 pauses",
            "schema 5 dead_letters",
            "schema 6 flood_limit",
            "schema 7 replacements",
            "schema 8 topics",
            "schema 9 gathering",
            "identity"
        ]
    );
    assert!(first.iter().all(|step| step.status == MigrationStatus::Applied));
    let before = stage.open().await.identity().await.unwrap();
    let second = ledger::migrate(&stage.url(), &vault()).await.unwrap();
    assert!(second.iter().all(|step| step.status == MigrationStatus::Present));
    let after = stage.open().await.identity().await.unwrap();
    assert_eq!(before.ledger_id, after.ledger_id);
    assert_ne!(after.ledger_id, [0; 8]);
    let hash = |identity| HashKey::open(identity, &vault()).unwrap().payload_hash(b"payload");
    assert_eq!(hash(&before), hash(&after));
}

async fn a_ledger_of_the_first_version_is_refused_until_it_is_migrated_and_keeps_its_rows(stage: &Stage) {
    let ledger = stage.ledger().await;
    let [claim] = raise(&*ledger, [0]).await;
    let row = new_row(claim, 0, "a");
    accept(&*ledger, claim, &row).await;
    drop(ledger);
    stage
        .sql(
            "ALTER TABLE sealed_record DROP COLUMN topic; DROP TABLE flood_limit; DROP TABLE replacement; DROP TABLE dead_letter; DROP TABLE pause; DROP INDEX input_accepted; DROP TABLE note; ALTER TABLE event DROP COLUMN starts;
             DELETE FROM _sqlx_migrations WHERE version > 1",
        )
        .await;
    let used = stage.open().await.identity().await.map(drop);
    assert!(matches!(used, Err(LedgerError::WrongVersion { found: 1, needed: 9 })), "{used:?}");
    let steps = ledger::migrate(&stage.url(), &vault()).await.unwrap();
    let done: Vec<_> = steps.iter().map(|step| step.status).collect();
    let (present, applied) = (MigrationStatus::Present, MigrationStatus::Applied);
    assert_eq!(done, [present, applied, applied, applied, applied, applied, applied, applied, applied, present]);
    let ledger = stage.open().await;
    ledger.identity().await.unwrap();
    let [there] = &ledger.unfinished(&[claim], None).await.unwrap()[..] else { panic!("the row is gone") };
    assert_eq!((there.key, there.starts), (row.key, 0));
}

async fn a_ledger_without_schema_is_of_version_0(stage: &Stage) {
    if stage.is_sqlite() {
        assert!(matches!(ledger::open(&stage.url()).await.err(), Some(LedgerError::WrongVersion { found: 0, .. })));
        stage.ledger().await;
        stage.sql("DROP TABLE _sqlx_migrations").await;
    }
    let found = stage.open().await.identity().await;
    assert!(matches!(found, Err(LedgerError::WrongVersion { found: 0, needed: 9 })));
}

async fn a_newer_ledger_is_refused_by_use_and_by_migration(stage: &Stage) {
    drop(stage.ledger().await);
    stage
        .sql("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (10, '', true, '', 0)")
        .await;
    let used = stage.open().await.identity().await.map(drop);
    assert!(matches!(used, Err(LedgerError::WrongVersion { found: 10, needed: 9 })), "{used:?}");
    let migrated = ledger::migrate(&stage.url(), &vault()).await.map(drop);
    assert!(matches!(migrated, Err(LedgerError::WrongVersion { found: 10, needed: 9 })), "{migrated:?}");
}

async fn a_migration_that_was_cut_short_before_the_identity_is_repeated(stage: &Stage) {
    drop(stage.ledger().await);
    stage.sql("DELETE FROM ledger").await;
    assert!(matches!(stage.open().await.identity().await, Err(LedgerError::WrongVersion { found: 0, .. })));
    let steps = ledger::migrate(&stage.url(), &vault()).await.unwrap();
    assert_eq!(steps.last().map(|step| step.status), Some(MigrationStatus::Applied));
    stage.open().await.identity().await.unwrap();
}

async fn a_ledger_serves_what_it_was_bound_to_first(stage: &Stage) {
    let serves = |cluster: &str, group: &str, topic: &str| Serves {
        cluster_id: cluster.to_owned(),
        group: group.to_owned(),
        topic: topic.to_owned(),
    };
    let ledger = stage.ledger().await;
    ledger.bind(&serves("one", "group", "topic")).await.unwrap();
    ledger.bind(&serves("one", "group", "topic")).await.unwrap();
    for other in [serves("two", "group", "topic"), serves("one", "other", "topic"), serves("one", "group", "other")] {
        let Err(LedgerError::ServesAnother { serves, asked }) = ledger.bind(&other).await else {
            panic!("bound twice")
        };
        assert!(serves.contains("\"one\""), "{serves}");
        assert!(asked.contains(&other.group), "{asked}");
    }
}

async fn a_ledger_file_belongs_to_one_process_and_a_database_to_many(stage: &Stage) {
    let first = stage.ledger().await;
    match (ledger::open(&stage.url()).await, stage.is_sqlite()) {
        (Err(LedgerError::InUse(why)), true) => assert!(why.contains("another process"), "{why}"),
        (Ok(second), false) => drop(second.identity().await.unwrap()),
        (opened, _) => panic!("{:?}", opened.err()),
    }
    drop(first);
    stage.open().await.identity().await.unwrap();
}

async fn an_address_that_leads_nowhere_is_told_without_its_password(stage: &Stage) {
    let url = match stage.is_sqlite() {
        true => "sqlite:///no/such/folder/ledger.db",
        false => "postgres://postgres:hunter2@127.0.0.1:1/none",
    };
    let error = ledger::migrate(&Secret::from(url.to_owned()), &vault()).await.unwrap_err();
    assert!(matches!(error, LedgerError::Unusable(_) | LedgerError::Unavailable(_)), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}
