//! What a database's error means to us; the failure class is chosen here, where the answer is read.

use super::LedgerError;

impl LedgerError {
    /// From an error of either database. Its text never holds an address or a bound value.
    pub(super) fn of(error: &sqlx::Error) -> Self {
        match error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default();
                let text = format!("{} ({code})", told(&code, database.message()));
                match database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
                    Some(_) => of_sqlstate(&code, text),
                    None => of_sqlite_code(&code, text),
                }
            }
            sqlx::Error::Configuration(_) => Self::Unusable("the ledger's address cannot be used".to_owned()),
            // The pool's own words speak of the pool, and it keeps to itself why it had no connection.
            sqlx::Error::PoolTimedOut => Self::Unavailable("no connection to the database in time".to_owned()),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error.to_string()),
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// The message, without PostgreSQL's details, hints and context, which quote rows. Of a data exception (class 22) the message
/// itself quotes the value.
fn told<'a>(code: &str, message: &'a str) -> &'a str {
    match code.get(..2) {
        Some("22") if code.len() == 5 => "the database refuses a value",
        _ => message,
    }
}

/// By class of the SQLSTATE (PostgreSQL's manual, appendix A).
fn of_sqlstate(code: &str, text: String) -> LedgerError {
    match code.get(..2).unwrap_or_default() {
        // Connection, transaction state (a read-only standby), rollback, resources, object in use, operator, system.
        "08" | "25" | "40" | "53" | "55" | "57" | "58" => LedgerError::Unavailable(text),
        // Credentials, no such database, no privilege.
        "28" | "3D" => LedgerError::Unusable(text),
        _ if code == "42501" => LedgerError::Unusable(text),
        _ => LedgerError::Damaged(text),
    }
}

/// By primary result code (sqlite.org/rescode.html); the extended one carries it in its low byte.
fn of_sqlite_code(code: &str, text: String) -> LedgerError {
    match code.parse::<u32>().map(|code| code & 0xff) {
        // BUSY, LOCKED, NOMEM, INTERRUPT, IOERR, FULL, CANTOPEN.
        Ok(5 | 6 | 7 | 9 | 10 | 13 | 14) => LedgerError::Unavailable(text),
        // PERM, READONLY, AUTH.
        Ok(3 | 8 | 23) => LedgerError::Unusable(text),
        _ => LedgerError::Damaged(text),
    }
}

/// Whether PostgreSQL rolled the statement back for the sake of another one, and it may just be sent again.
pub(super) fn is_collision(error: &sqlx::Error) -> bool {
    matches!(error.as_database_error().and_then(|database| database.code()).as_deref(), Some("40P01" | "40001"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_from_damage_and_from_configuration() {
        let of = |code: &str| of_sqlstate(code, String::new());
        for code in ["08006", "25006", "40001", "53300", "55P03", "57014", "57P01", "58030"] {
            assert!(matches!(of(code), LedgerError::Unavailable(_)), "{code}");
        }
        for code in ["28P01", "3D000", "42501"] {
            assert!(matches!(of(code), LedgerError::Unusable(_)), "{code}");
        }
        for code in ["23505", "42P01", "22021", ""] {
            assert!(matches!(of(code), LedgerError::Damaged(_)), "{code}");
        }
    }

    #[test]
    fn an_extended_code_of_sqlite_counts_as_its_primary_one() {
        let of = |code: &str| of_sqlite_code(code, String::new());
        for code in ["5", "517", "266", "13", "14"] {
            assert!(matches!(of(code), LedgerError::Unavailable(_)), "{code}");
        }
        assert!(matches!(of("1032"), LedgerError::Unusable(_)));
        for code in ["11", "2067", "?"] {
            assert!(matches!(of(code), LedgerError::Damaged(_)), "{code}");
        }
    }
}
