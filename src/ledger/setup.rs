//! What both ledgers check before they are used.

use sqlx::migrate::MigrateError;

use super::decode::Columns;
use super::{LedgerError, LedgerIdentity, SCHEMA_VERSION, Serves};

impl LedgerIdentity {
    pub(super) fn of_row(row: &impl Columns) -> Result<Self, LedgerError> {
        let ledger_id = row.bytes("ledger_id")?.try_into();
        Ok(Self {
            ledger_id: ledger_id.map_err(|_| LedgerError::Damaged("the ledger's id is not of 8 bytes".to_owned()))?,
            sealed_hash_key: row.bytes("sealed_hash_key")?,
            adopted_at: row.optional_int("adopted_at")?,
        })
    }
}

/// How far an adoption raises the epochs. More than one: in a ledger restored from the past, the next ones by one were given
/// before, and a worker from then may still hold them. No lane changes hands so often between a backup and its return.
pub(super) const ADOPTED_EPOCHS: i64 = 1_000_000;

pub(super) fn check_version(found: i64) -> Result<(), LedgerError> {
    match found {
        SCHEMA_VERSION => Ok(()),
        _ => Err(LedgerError::WrongVersion { found, needed: SCHEMA_VERSION }),
    }
}

pub(super) fn check_served(row: Option<&impl Columns>, asked: &Serves) -> Result<(), LedgerError> {
    let row = row.ok_or(LedgerError::WrongVersion { found: 0, needed: SCHEMA_VERSION })?;
    let stored =
        Serves { cluster_id: row.text("cluster_id")?, group: row.text("consumer_group")?, topic: row.text("topic")? };
    match stored == *asked {
        true => Ok(()),
        false => Err(LedgerError::ServesAnother { serves: named(&stored), asked: named(asked) }),
    }
}

/// What a ledger serves, for people.
pub(super) fn named(serves: &Serves) -> String {
    format!("cluster {:?}, group {:?}, topic {:?}", serves.cluster_id, serves.group, serves.topic)
}

pub(super) fn migration_failed(error: &MigrateError) -> LedgerError {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => LedgerError::of(error),
        other => LedgerError::Damaged(other.to_string()),
    }
}
