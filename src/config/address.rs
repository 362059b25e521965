//! Addresses of vendors and ledgers: whether they are usable, whether they stay on this machine, how they are shown.

use std::net::IpAddr;
use std::str::FromStr;

use hyper::Uri;
use sqlx::postgres::{PgConnectOptions, PgSslMode};

/// The base URL with a `/` at its end, if it is http or https, names a host, and has no user, query or fragment.
#[must_use]
pub fn base_url(text: &str) -> Option<String> {
    let plain = is_web(text) && !text.contains(['?', '#', '@']);
    plain.then(|| if text.ends_with('/') { text.to_owned() } else { format!("{text}/") })
}

/// Whether the text is an http or https address with a host, and without a user.
#[must_use]
pub fn is_web(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    let user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
    scheme && !user && uri.host().is_some_and(|host| !host.is_empty())
}

/// Whether a web address sends its requests in clear beyond this machine.
#[must_use]
pub fn is_plain_beyond_loopback(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return true };
    uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_loopback)
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Whether the text is the address of a kind of ledger that we know. A server's is read as the ledger will read it, so
/// that a port or an `sslmode` that cannot be is noticed before anything starts.
#[must_use]
pub fn is_ledger(text: &str) -> bool {
    let after = |scheme: &str| text.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty());
    let is_server = ["postgres://", "postgresql://"].into_iter().any(after);
    let is_readable = if is_server { PgConnectOptions::from_str(text).is_ok() } else { after("sqlite:") };
    is_readable && !text.chars().any(char::is_control)
}

/// Whether the address is of a database beyond this machine whose certificate and name nobody checks. Read as the ledger will
/// read it, which asks the environment, too, where the address leaves something out.
#[must_use]
pub fn is_unverified_beyond_loopback(text: &str) -> bool {
    if text.starts_with("sqlite:") {
        return false;
    }
    let Ok(options) = PgConnectOptions::from_str(text) else { return true };
    // A socket by default, where there is no host at all, is told as a host.
    let host = options.get_host();
    let is_here = options.get_socket().is_some() || host.starts_with('/') || is_loopback(host);
    !is_here && !matches!(options.get_ssl_mode(), PgSslMode::VerifyFull)
}

/// The text with what stands between `://` and `@` masked: people put passwords there, also where they do not belong.
#[must_use]
pub fn without_user(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    // The last `@`, because a password may hold one that nobody escaped, or a `/`.
    match rest.rsplit_once('@') {
        Some((_, place)) => format!("{scheme}://***@{place}"),
        None => text.to_owned(),
    }
}

/// A ledger's address as it may be shown: no user, no password, no parameters.
#[must_use]
pub fn ledger_shown(text: &str) -> String {
    let place = text.split('?').next().unwrap_or_default();
    without_user(place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_gets_its_slash_and_loses_nothing() {
        assert_eq!(base_url("https://a.example/x").as_deref(), Some("https://a.example/x/"));
        assert_eq!(base_url("http://127.0.0.1:8710/payiq/").as_deref(), Some("http://127.0.0.1:8710/payiq/"));
        for text in
            ["", "a.example", "ftp://a.example/", "https://u:p@a.example/", "https://a.example/?x=1", "https:///x"]
        {
            assert!(base_url(text).is_none(), "{text} was taken");
        }
    }

    #[test]
    fn plain_http_is_noticed_beyond_loopback_only() {
        for text in ["http://a.example/", "http://10.0.0.1/", "http://localhost.example/"] {
            assert!(is_plain_beyond_loopback(text), "{text}");
        }
        for text in ["https://a.example/", "http://localhost:1/", "http://127.3.0.1/", "http://[::1]:80/"] {
            assert!(!is_plain_beyond_loopback(text), "{text}");
        }
    }

    #[test]
    fn a_ledgers_address_that_cannot_be_is_noticed() {
        for text in
            ["postgres://db/x", "postgresql://u:p@db:5433/x?sslmode=verify-full", "sqlite:l.db", "sqlite:///l.db"]
        {
            assert!(is_ledger(text), "{text}");
        }
        for text in [
            "postgres://db:99999/x",
            "postgres://db:port/x",
            "postgres://db/x?sslmode=nonsense",
            "postgres://",
            "sqlite:",
            "mysql://db/x",
            "sqlite:a\nb",
        ] {
            assert!(!is_ledger(text), "{text}");
        }
    }

    #[test]
    fn a_database_whose_name_nobody_checks_is_noticed_beyond_loopback_only() {
        for text in [
            "postgres://db.example/x",
            "postgres://u:p@10.0.0.1:5433/x?sslmode=require",
            "postgres://db.example/x?sslmode=verify-ca",
            "postgres://localhost.example/x?sslmode=disable",
        ] {
            assert!(is_unverified_beyond_loopback(text), "{text}");
        }
        for text in [
            "postgres://db.example/x?sslmode=verify-full",
            "postgres://localhost/x",
            "postgres://127.0.0.1:5433/x?sslmode=disable",
            "postgres://[::1]/x",
            "postgres:///x?host=/run/postgresql",
            "postgres:///x",
            "sqlite:///l.db",
        ] {
            assert!(!is_unverified_beyond_loopback(text), "{text}");
        }
    }

    #[test]
    fn a_password_in_an_address_is_never_shown() {
        assert_eq!(ledger_shown("postgres://me:pa/ss@wo:rd@db:5432/x?password=more"), "postgres://***@db:5432/x");
        assert_eq!(ledger_shown("sqlite:ledger.db"), "sqlite:ledger.db");
        assert_eq!(without_user("https://u:p@a.example/"), "https://***@a.example/");
    }
}
