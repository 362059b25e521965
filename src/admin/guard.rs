//! Who may change something: whoever knows the token, and from no other site's page.
//!
//! A browser sends no `Authorization` by itself, so the token alone keeps other sites out. The origin is asked all the same,
//! as the contract says; and where the server listens on loopback, the name by which it was called: a foreign name that
//! leads here is a rebinding attack, whose page could read what it cannot change.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64URL_NOPAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use super::pace::Pace;
use super::{State, answer};
use crate::config::SecretSource;
use crate::domain::Secret;
use crate::upstream::credential::Credential;

/// Random bytes of a token that is made at start.
const TOKEN_BYTES: usize = 32;
/// A configured token shorter than this is warned of: 128 bits, where each is random. Whoever reaches the port may try as many as
/// it takes, since nobody who knows the token is kept out by one who guesses.
pub(crate) const MIN_TOKEN_BYTES: usize = 16;
/// What is said where the worker cannot read its own token; `intake` knows it by these words.
pub(crate) const TOKEN_UNREADABLE: &str = "the token's file cannot be read";

/// See the module.
pub(super) struct Guard {
    token: Credential,
    on_loopback: bool,
    changes: Pace,
    /// Of its own, so that whoever guesses tokens slows down nobody who knows one.
    guesses: Pace,
}

/// Why a request may change nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// No token, or another one.
    Token,
    /// From another site's page, or by a name that is not ours.
    Origin,
    /// The token's file cannot be read now.
    NoToken,
    /// Too many in a row.
    Pace,
}

impl Guard {
    /// With the configured token, else with one made now, which is answered.
    pub fn new(token: Option<SecretSource>, address: SocketAddr) -> (Self, Option<Secret>) {
        let on_loopback = address.ip().is_loopback();
        match token {
            Some(source) => {
                let token = Credential::new(source);
                if let Some(length) = guessable(&token) {
                    tracing::warn!(
                        length,
                        "the admin token is so short that it can be guessed; `check` tells what to do"
                    );
                }
                (Self::with(token, on_loopback), None)
            }
            None => {
                let made = Secret::from(BASE64URL_NOPAD.encode(&rand::random::<[u8; TOKEN_BYTES]>()));
                let token = Credential::new(SecretSource::Value(made.clone()));
                (Self::with(token, on_loopback), Some(made))
            }
        }
    }

    fn with(token: Credential, on_loopback: bool) -> Self {
        Self { token, on_loopback, changes: Pace::default(), guesses: Pace::default() }
    }

    /// Whether a browser was led here by a name that is not loopback's. A browser always says a name.
    fn is_rebound(&self, headers: &HeaderMap) -> bool {
        let is_foreign = |host: &HeaderValue| !host.to_str().is_ok_and(is_loopback);
        self.on_loopback && headers.get_all(header::HOST).iter().any(is_foreign)
    }

    /// The judgement, at its pace.
    fn admit(&self, headers: &HeaderMap, now: Instant) -> Result<(), Refusal> {
        let judged = self.judge(headers);
        let pace = if judged.is_ok() { &self.changes } else { &self.guesses };
        if pace.admits(now) { judged } else { Err(Refusal::Pace) }
    }

    fn judge(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let token = self.token.current().map_err(|_| Refusal::NoToken)?;
        if !bearer(headers).is_some_and(|given| is_same(given, token.expose())) {
            return Err(Refusal::Token);
        }
        match is_ours(headers, self.on_loopback) {
            true => Ok(()),
            false => Err(Refusal::Origin),
        }
    }
}

/// How many bytes a token has that is too short; `None` also where it cannot be read.
pub(crate) fn guessable(token: &Credential) -> Option<usize> {
    token.current().ok().map(|token| token.expose().len()).filter(|length| *length < MIN_TOKEN_BYTES)
}

/// Answers nothing, not even what everybody may read, to a page whose name was made to lead here.
pub(super) async fn at_home(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    match state.guard.is_rebound(request.headers()) {
        true => Refusal::Origin.into_response(),
        false => next.run(request).await,
    }
}

/// Lets nobody else through.
pub(super) async fn admit(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    match state.guard.admit(request.headers(), Instant::now()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Token => {
                let why = "the header `Authorization: Bearer <token>` with the token of [admin] is needed";
                let mut response = answer::refused(StatusCode::UNAUTHORIZED, why);
                let challenge = HeaderValue::from_static("Bearer");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                response
            }
            Self::Origin => answer::refused(
                StatusCode::FORBIDDEN,
                "the request comes from another site's page, or by a name that is not ours: on loopback that is \
                 localhost or 127.0.0.1, and a proxy must say so in Host",
            ),
            Self::NoToken => answer::refused(StatusCode::SERVICE_UNAVAILABLE, TOKEN_UNREADABLE),
            Self::Pace => {
                let mut response = answer::refused(StatusCode::TOO_MANY_REQUESTS, "too many changes in a row");
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
                response
            }
        }
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?.as_bytes(), values.next()) else { return None };
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

/// In a time that depends on neither's content nor length.
fn is_same(given: &[u8], token: &[u8]) -> bool {
    Sha256::digest(given)[..].ct_eq(&Sha256::digest(token)[..]).into()
}

/// No origin at all is a program's call. `null` is an opaque one, a sandboxed frame's say, and never ours.
fn is_ours(headers: &HeaderMap, on_loopback: bool) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else { return false };
    if on_loopback && !is_loopback(host) {
        return false;
    }
    headers.get_all(header::ORIGIN).iter().all(|origin| {
        let origin = origin.to_str().unwrap_or_default();
        // Behind a proxy that speaks TLS we are called by https.
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    })
}

fn is_loopback(host: &str) -> bool {
    let Ok(uri) = host.parse::<Uri>() else { return false };
    let name = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderName;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        headers
    }

    fn judged(address: &str, pairs: &[(&'static str, &str)]) -> Result<(), Refusal> {
        let token = SecretSource::Value(Secret::from("s3cret-of-16-bytes".to_owned()));
        Guard::new(Some(token), address.parse().unwrap()).0.judge(&headers(pairs))
    }

    const HOST: (&str, &str) = ("host", "127.0.0.1:8700");
    const TOKEN: (&str, &str) = ("authorization", "Bearer s3cret-of-16-bytes");

    #[test]
    fn only_the_very_token_opens() {
        let here = "127.0.0.1:8700";
        assert_eq!(judged(here, &[HOST, TOKEN]), Ok(()));
        assert_eq!(
            judged(here, &[HOST, ("authorization", "bearer s3cret-of-16-bytes")]),
            Ok(()),
            "a scheme has no case"
        );
        for given in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer s3cret-of-16-byte",
            "Bearer s3cret-of-16-bytess",
            "Basic s3cret-of-16-bytes",
            "s3cret-of-16-bytes",
            "Bearer  s3cret-of-16-bytes",
        ] {
            assert_eq!(judged(here, &[HOST, ("authorization", given)]), Err(Refusal::Token), "{given:?}");
        }
        assert_eq!(judged(here, &[HOST]), Err(Refusal::Token));
        assert_eq!(judged(here, &[HOST, TOKEN, TOKEN]), Err(Refusal::Token), "two of them contradict each other");
    }

    #[test]
    fn an_origin_must_be_our_own() {
        let here = "127.0.0.1:8700";
        for (origin, expected) in [
            ("http://127.0.0.1:8700", Ok(())),
            ("https://127.0.0.1:8700", Ok(())),
            ("null", Err(Refusal::Origin)),
            ("", Err(Refusal::Origin)),
            ("http://127.0.0.1:8701", Err(Refusal::Origin)),
            ("http://evil.example", Err(Refusal::Origin)),
            ("http://127.0.0.1:8700.evil.example", Err(Refusal::Origin)),
            ("127.0.0.1:8700", Err(Refusal::Origin)),
        ] {
            assert_eq!(judged(here, &[HOST, TOKEN, ("origin", origin)]), expected, "{origin}");
        }
        let two = [HOST, TOKEN, ("origin", "http://127.0.0.1:8700"), ("origin", "null")];
        assert_eq!(judged(here, &two), Err(Refusal::Origin));
    }

    #[test]
    fn on_loopback_a_foreign_name_is_refused() {
        for host in ["localhost:8700", "127.0.0.1:8700", "[::1]:8700", "localhost"] {
            assert_eq!(judged("127.0.0.1:8700", &[("host", host), TOKEN]), Ok(()), "{host}");
        }
        let foreign = [("host", "evil.example:8700"), TOKEN, ("origin", "http://evil.example:8700")];
        assert_eq!(judged("127.0.0.1:8700", &foreign), Err(Refusal::Origin));
        assert_eq!(judged("10.0.0.7:8700", &foreign), Ok(()), "beyond loopback any name may lead here");
        assert_eq!(judged("127.0.0.1:8700", &[TOKEN]), Err(Refusal::Origin), "a request without a host");
    }

    #[test]
    fn a_page_whose_name_leads_to_loopback_reads_nothing() {
        let guard = |address: &str| Guard::new(None, address.parse().unwrap()).0;
        for (pairs, rebound) in [
            (&[HOST][..], false),
            (&[("host", "localhost")], false),
            (&[], false),
            (&[("host", "evil.example:8700")], true),
            (&[("host", "127.0.0.1.evil.example")], true),
            (&[("host", "")], true),
            (&[HOST, ("host", "evil.example")], true),
        ] {
            assert_eq!(guard("127.0.0.1:8700").is_rebound(&headers(pairs)), rebound, "{pairs:?}");
            assert!(!guard("10.0.0.7:8700").is_rebound(&headers(pairs)), "beyond loopback any name may lead here");
        }
    }

    #[test]
    fn a_tokens_file_that_changes_counts_at_once_and_one_that_is_gone_opens_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let guard = Guard::new(Some(SecretSource::File(path.clone())), "127.0.0.1:8700".parse().unwrap()).0;
        let judged = |token: &str| guard.judge(&headers(&[HOST, ("authorization", &format!("Bearer {token}"))]));
        assert_eq!(judged(""), Err(Refusal::NoToken));
        let [first, second] = ["the first token of all", "the second that there is"];
        std::fs::write(&path, format!("{first}\n")).unwrap();
        assert_eq!((judged(first), judged(second)), (Ok(()), Err(Refusal::Token)));
        std::fs::write(&path, format!("{second}\n")).unwrap();
        assert_eq!((judged(first), judged(second)), (Err(Refusal::Token), Ok(())));
    }

    #[test]
    fn a_token_that_is_made_is_long_and_another_each_time() {
        let address = "127.0.0.1:0".parse().unwrap();
        let made = || Guard::new(None, address).1.unwrap();
        let (first, second) = (made(), made());
        assert_eq!(first.expose().len(), 43);
        assert_ne!(first.expose(), second.expose());
    }

    #[test]
    fn guesses_are_slowed_down_and_slow_down_nobody_who_knows_the_token() {
        let token = SecretSource::Value(Secret::from("s3cret-of-16-bytes".to_owned()));
        let guard = Guard::new(Some(token), "127.0.0.1:8700".parse().unwrap()).0;
        let now = Instant::now();
        let wrong = headers(&[HOST, ("authorization", "Bearer guess")]);
        let told: Vec<_> = (0..100).map(|_| guard.admit(&wrong, now)).collect();
        assert_eq!((told[0], told[99]), (Err(Refusal::Token), Err(Refusal::Pace)));
        let right = headers(&[HOST, TOKEN]);
        assert_eq!(guard.admit(&right, now), Ok(()));
        assert!((0..100).any(|_| guard.admit(&right, now) == Err(Refusal::Pace)), "changes have a pace, too");
    }
}
