//! `migrate`: brings a ledger's schema up to date and makes its identity, once. Nothing else ever changes the schema.

use std::borrow::Cow;

use chacha20poly1305::aead::Generate;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::address::Address;
use super::hash_key::HashKey;
use super::{LedgerError, Vault, postgres, sqlite};
use crate::domain::Secret;

/// The schema's steps; the last one's number is [`super::SCHEMA_VERSION`]. Later ones only add.
const POSTGRES: &[Step] = &[
    (1, "ledger", include_str!("../../migrations/postgres/0001_ledger.sql")),
    (2, "reopening", include_str!("../../migrations/postgres/0002_reopening.sql")),
    (3, "retention", include_str!("../../migrations/postgres/0003_retention.sql")),
    (4, "pauses", include_str!("../../migrations/postgres/0004_pauses.sql")),
    (5, "dead_letters", include_str!("../../migrations/postgres/0005_dead_letters.sql")),
    (6, "flood_limit", include_str!("../../migrations/postgres/0006_flood_limit.sql")),
    (7, "replacements", include_str!("../../migrations/postgres/0007_replacements.sql")),
    (8, "topics", include_str!("../../migrations/postgres/0008_topics.sql")),
    (9, "gathering", include_str!("../../migrations/postgres/0009_gathering.sql")),
];
pub(super) const SQLITE: &[Step] = &[
    (1, "ledger", include_str!("../../migrations/sqlite/0001_ledger.sql")),
    (2, "reopening", include_str!("../../migrations/sqlite/0002_reopening.sql")),
    (3, "retention", include_str!("../../migrations/sqlite/0003_retention.sql")),
    (4, "pauses", include_str!("../../migrations/sqlite/0004_pauses.sql")),
    (5, "dead_letters", include_str!("../../migrations/sqlite/0005_dead_letters.sql")),
    (6, "flood_limit", include_str!("../../migrations/sqlite/0006_flood_limit.sql")),
    (7, "replacements", include_str!("../../migrations/sqlite/0007_replacements.sql")),
    (8, "topics", include_str!("../../migrations/sqlite/0008_topics.sql")),
    (9, "gathering", include_str!("../../migrations/sqlite/0009_gathering.sql")),
];

pub(super) type Step = (i64, &'static str, &'static str);

/// One step of a migration, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MigrationStep {
    /// What.
    pub step: String,
    /// Whether this run did it.
    pub status: MigrationStatus,
}

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationStatus {
    /// Done by this run.
    Applied,
    /// Done before.
    Present,
}

impl MigrationStatus {
    /// The name in the command's output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Present => "present",
        }
    }

    fn of(applied: bool) -> Self {
        if applied { Self::Applied } else { Self::Present }
    }
}

/// A new ledger's identity.
pub(super) struct NewIdentity {
    pub ledger_id: [u8; 8],
    pub sealed_hash_key: Vec<u8>,
}

/// What a database reports of a migration: the schema's version before, and whether the identity was made now.
pub(super) struct Migrated {
    pub version_before: i64,
    pub identity_made: bool,
}

/// Brings the ledger at `url` up to date: schema, id and hash key. May be repeated, also by several at once.
///
/// # Errors
/// `Unusable` for an address or file that cannot be used, `WrongVersion` if the ledger is newer than this build.
pub async fn migrate(url: &Secret, vault: &Vault) -> Result<Vec<MigrationStep>, LedgerError> {
    let identity = NewIdentity { ledger_id: <[u8; 8]>::generate(), sealed_hash_key: HashKey::make_sealed(vault) };
    let (steps, migrated) = match Address::parse(url)? {
        Address::Postgres(options) => (POSTGRES, postgres::migrate(&options, &migrator(POSTGRES), &identity).await?),
        Address::Sqlite(path) => (SQLITE, sqlite::migrate(&path, &migrator(SQLITE), &identity).await?),
    };
    Ok(report(steps, &migrated))
}

fn report(steps: &[Step], migrated: &Migrated) -> Vec<MigrationStep> {
    let schema = steps.iter().map(|(version, name, _)| MigrationStep {
        step: format!("schema {version} {name}"),
        status: MigrationStatus::of(*version > migrated.version_before),
    });
    let identity = MigrationStep { step: "identity".to_owned(), status: MigrationStatus::of(migrated.identity_made) };
    schema.chain([identity]).collect()
}

/// `sqlx::migrate!` would need sqlx's macros, which are not built.
pub(super) fn migrator(steps: &[Step]) -> Migrator {
    let migration = |&(version, name, sql): &Step| {
        Migration::new(version, Cow::Borrowed(name), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(steps.iter().map(migration).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::SCHEMA_VERSION;

    #[test]
    fn the_last_step_of_both_ledgers_is_the_version_of_this_build() {
        for steps in [POSTGRES, SQLITE] {
            assert_eq!(steps.last().unwrap().0, SCHEMA_VERSION);
        }
    }
}
