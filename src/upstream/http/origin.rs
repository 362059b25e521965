//! Where an upstream lives: a base URL, checked once.

use std::net::IpAddr;

use hyper::Uri;
use hyper::http::uri::Scheme;

/// Why a base URL cannot be used. Never quotes it: a URL may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Not `http(s)://host[:port]/path/`.
    #[error("base_url is not an absolute http or https url")]
    NotAUrl,
    /// Holds `user:password@`.
    #[error("base_url must not hold credentials")]
    Credentials,
    /// Does not end in `/`, or has a query.
    #[error("base_url must end in '/' and have no query")]
    NotABase,
    /// Plain http to somewhere else.
    #[error("base_url is plain http, which is accepted on loopback only, unless allow_plain_http = true")]
    PlainHttp,
}

/// A checked base URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Host name or address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether to speak TLS.
    pub tls: bool,
    /// The `Host` header's value.
    pub authority: String,
    /// Path of the base URL; begins and ends with `/`.
    pub base_path: String,
}

impl Origin {
    /// Checks a base URL.
    ///
    /// # Errors
    /// See [`OriginError`].
    pub fn parse(base_url: &str, allow_plain_http: bool) -> Result<Self, OriginError> {
        let uri: Uri = base_url.parse().map_err(|_| OriginError::NotAUrl)?;
        let tls = is_tls(&uri)?;
        let authority = uri.authority().ok_or(OriginError::NotAUrl)?;
        if authority.as_str().contains('@') {
            return Err(OriginError::Credentials);
        }
        if uri.query().is_some() || base_url.contains('#') || !uri.path().ends_with('/') {
            return Err(OriginError::NotABase);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(OriginError::NotAUrl);
        }
        if !tls && !allow_plain_http && !is_loopback(&host) {
            return Err(OriginError::PlainHttp);
        }
        let port = port_of(authority, tls)?;
        Ok(Self { host, port, tls, authority: authority.to_string(), base_path: uri.path().to_owned() })
    }
}

fn is_tls(uri: &Uri) -> Result<bool, OriginError> {
    match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTPS => Ok(true),
        Some(scheme) if *scheme == Scheme::HTTP => Ok(false),
        _ => Err(OriginError::NotAUrl),
    }
}

/// A port that is written but cannot be one (`:99999`) is an error, not the default.
fn port_of(authority: &hyper::http::uri::Authority, tls: bool) -> Result<u16, OriginError> {
    let written = authority.as_str().rsplit_once(':').filter(|(_, port)| !port.ends_with(']'));
    match (written, authority.port_u16()) {
        (_, Some(0)) | (Some(_), None) => Err(OriginError::NotAUrl),
        (_, Some(port)) => Ok(port),
        (None, None) => Ok(if tls { 443 } else { 80 }),
    }
}

/// A name other than `localhost` may resolve to anything, whatever it resolves to today.
fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}
