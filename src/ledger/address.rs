//! Where a ledger is.

use std::path::PathBuf;
use std::str::FromStr;

use sqlx::postgres::PgConnectOptions;

use super::LedgerError;
use crate::domain::Secret;

/// A ledger's address, parsed.
pub(super) enum Address {
    /// `postgres://` or `postgresql://`.
    Postgres(Box<PgConnectOptions>),
    /// `sqlite:relative.db` or `sqlite:///absolute.db`.
    Sqlite(PathBuf),
}

impl Address {
    /// Parses an address. Its text may hold a password, so no error repeats any of it.
    pub fn parse(url: &Secret) -> Result<Self, LedgerError> {
        let text = url.expose_str().ok_or_else(|| unusable("it is not UTF-8"))?;
        match text.split_once(':') {
            Some(("postgres" | "postgresql", _)) => PgConnectOptions::from_str(text)
                .map(|options| Self::Postgres(Box::new(options)))
                .map_err(|_| unusable("it is not of the form postgres://user:password@host:port/database")),
            Some(("sqlite", path)) => sqlite_path(path).map(Self::Sqlite),
            _ => Err(unusable("it must begin with postgres:// or sqlite:")),
        }
    }
}

fn sqlite_path(rest: &str) -> Result<PathBuf, LedgerError> {
    let path = match rest.strip_prefix("//") {
        Some(absolute) if absolute.starts_with('/') => absolute,
        Some(_) => return Err(unusable("an absolute path takes three slashes: sqlite:///absolute.db")),
        None => rest,
    };
    if path.is_empty() || path.contains(['?', '#']) || path.contains(":memory:") {
        return Err(unusable("after sqlite: it must be the path of a file, without parameters"));
    }
    Ok(PathBuf::from(path))
}

fn unusable(why: &str) -> LedgerError {
    LedgerError::Unusable(format!("the ledger's address cannot be used: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, LedgerError> {
        Address::parse(&Secret::from(text.to_owned()))
    }

    #[test]
    fn both_spellings_of_both_ledgers_are_understood() {
        for text in ["postgres://u:p@h:1/d", "postgresql://h/d"] {
            assert!(matches!(parse(text), Ok(Address::Postgres(_))), "{text}");
        }
        for (text, path) in [("sqlite:a/b.db", "a/b.db"), ("sqlite:///a/b.db", "/a/b.db"), ("sqlite:/a.db", "/a.db")] {
            assert!(matches!(parse(text), Ok(Address::Sqlite(found)) if found.to_str() == Some(path)), "{text}");
        }
    }

    #[test]
    fn a_wrong_address_is_refused_without_its_password() {
        for text in [
            "mysql://u:hunter2@h/d",
            "postgres://u:hunter2@h:port/d",
            "postgres://u:hunter2@h/d?sslmode=hunter2",
            "sqlite://hunter2.db",
            "sqlite:hunter2.db?mode=ro",
            "sqlite::memory:",
            "sqlite:",
            "hunter2",
        ] {
            let Err(LedgerError::Unusable(why)) = parse(text) else { panic!("{text} was accepted") };
            assert!(!why.contains("hunter2"), "{why}");
        }
    }
}
