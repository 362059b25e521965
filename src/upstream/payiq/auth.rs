//! PayIQ's access token: one for all calls, renewed by one caller at a time.
//!
//! Callers that find a renewal under way wait for it and share its result, good or bad: a thousand conversions that wait
//! for a dead `Api/Auth` must not ask it a thousand times, one after the other. While it is away the token goes on being
//! used until it expires.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::{Method, StatusCode};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::Signer;
use crate::config::SecretSource;
use crate::domain::Secret;
use crate::upstream::credential::Credential;
use crate::upstream::http::{Answer, Call, Exchange, Transport};
use crate::upstream::json::{self, Json};
use crate::upstream::retry_after::retry_after;
use crate::upstream::{OpenGate, answer_text};

/// Where to ask, below the base URL.
const AUTH: &str = "Api/Auth";
/// A token is renewed this long before it expires, or at half of its life if that is shorter: longer than any call takes.
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// After a renewal that failed, a token that is still good is used for so long before the next one is tried: a dead
/// `Api/Auth` must not cost every call its time-out.
const RENEW_AGAIN: Duration = Duration::from_secs(5);
/// Longest life believed: beyond it an `expires_in` says nothing, and the 401 that follows renews the token anyway.
const MAX_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// The least that a token is good for: one whose life is shorter would be renewed for every call.
const MIN_LIFE: Duration = Duration::from_secs(1);

/// An access token, and which renewal it came from.
#[derive(Clone)]
pub struct Bearer {
    pub token: Secret,
    renewal: u64,
}

/// Why there is no access token. Nothing was sent that could change anything.
#[derive(Clone)]
pub enum AuthFailure {
    /// May be better next time.
    Passing { retry_after: Option<Duration>, detail: String },
    /// Our key, signature, clock or URL.
    Misconfigured(String),
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    last_failure: Option<AuthFailure>,
}

/// The present token and its times; none where the answer gave it no life.
struct Held {
    bearer: Bearer,
    times: Option<Times>,
}

#[derive(Clone, Copy)]
struct Times {
    renew_at: Instant,
    expires_at: Instant,
}

/// Keeps the access token.
pub struct Auth {
    transport: Arc<dyn Transport>,
    api_key: Credential,
    signing_key: Credential,
    signer: Box<dyn Signer>,
    state: Mutex<State>,
    /// Renewals that have ended; changed under the lock of `state` only.
    ended: AtomicU64,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(rename = "APIKey")]
    api_key: &'a str,
    creation_date: &'a str,
    signature: &'a str,
    #[serde(rename = "grant_type")]
    grant_type: &'a str,
}

impl Auth {
    /// Nothing is asked before the first call needs it.
    pub fn new(
        transport: Arc<dyn Transport>,
        api_key: SecretSource,
        signing_key: SecretSource,
        signer: Box<dyn Signer>,
    ) -> Self {
        let (api_key, signing_key) = (Credential::new(api_key), Credential::new(signing_key));
        Self { transport, api_key, signing_key, signer, state: Mutex::default(), ended: AtomicU64::new(0) }
    }

    /// The present token; another one than `refused` if that is given.
    pub async fn bearer(&self, refused: Option<&Bearer>) -> Result<Bearer, AuthFailure> {
        let seen = self.ended.load(Ordering::Acquire);
        let mut state = self.state.lock().await;
        if let Some(bearer) = usable(&state, refused) {
            return Ok(bearer);
        }
        if self.ended.load(Ordering::Acquire) != seen
            && let Some(failure) = &state.last_failure
        {
            return Err(failure.clone());
        }
        let renewal = seen.max(self.ended.load(Ordering::Acquire)) + 1;
        let renewed = self.renew(renewal).await;
        self.ended.store(renewal, Ordering::Release);
        state.last_failure = renewed.as_ref().err().cloned();
        match renewed {
            Ok(held) => Ok(state.held.insert(held).bearer.clone()),
            Err(failure) => state.held.as_mut().and_then(|held| held.still_good(&failure, refused)).ok_or(failure),
        }
    }

    async fn renew(&self, renewal: u64) -> Result<Held, AuthFailure> {
        let api_key = self.api_key.current().map_err(|error| AuthFailure::Misconfigured(error.to_string()))?;
        let signing_key = self.signing_key.current().map_err(|error| AuthFailure::Misconfigured(error.to_string()))?;
        let call = self.request(&api_key, &signing_key)?;
        let exchange = self.transport.exchange(call, &OpenGate).await;
        let (token, life) = read(exchange, &[&api_key, &signing_key])?;
        Ok(Held { bearer: Bearer { token, renewal }, times: life.map(Times::of) })
    }

    fn request(&self, api_key: &Secret, signing_key: &Secret) -> Result<Call, AuthFailure> {
        let unusable = || AuthFailure::Misconfigured("api_key or signing_key cannot be used to sign".to_owned());
        let creation_date = format!("{:.3}", Timestamp::now());
        let signature = self.signer.sign(api_key, &creation_date, signing_key).ok_or_else(unusable)?;
        let body = Request {
            api_key: api_key.expose_str().ok_or_else(unusable)?,
            creation_date: &creation_date,
            signature: &signature,
            grant_type: "client_credentials",
        };
        let body = json::write(&body, api_key.expose().len()).map_err(|_| unusable())?;
        Ok(Call::new("auth", Method::POST, AUTH).json(body))
    }
}

impl Times {
    fn of(life: Duration) -> Self {
        let expires_at = Instant::now() + life;
        Self { renew_at: expires_at - RENEW_BEFORE.min(life / 2), expires_at }
    }
}

impl Held {
    fn is_another_than(&self, refused: Option<&Bearer>) -> bool {
        refused.is_none_or(|refused| refused.renewal != self.bearer.renewal)
    }

    /// The token though its renewal failed, if that may pass and it has not expired; the next renewal is put off. A verdict
    /// on our key is told at once, while there is still time to mend it.
    fn still_good(&mut self, failure: &AuthFailure, refused: Option<&Bearer>) -> Option<Bearer> {
        let AuthFailure::Passing { retry_after, .. } = failure else { return None };
        let (now, another) = (Instant::now(), self.is_another_than(refused));
        let times = self.times.as_mut().filter(|times| another && now < times.expires_at)?;
        let pause = retry_after.unwrap_or_default().max(RENEW_AGAIN);
        times.renew_at = times.expires_at.min(now + pause);
        Some(self.bearer.clone())
    }
}

fn usable(state: &State, refused: Option<&Bearer>) -> Option<Bearer> {
    let held = state.held.as_ref()?;
    let fresh = held.times.is_none_or(|times| Instant::now() < times.renew_at);
    (fresh && held.is_another_than(refused)).then(|| held.bearer.clone())
}

/// Reads the answer. It concerns no event, so every definite refusal is our configuration's.
fn read(exchange: Exchange, secrets: &[&Secret]) -> Result<(Secret, Option<Duration>), AuthFailure> {
    let answer = exchange.map_err(|error| AuthFailure::Passing {
        retry_after: None,
        detail: format!("no answer to the request for an access token: {error}"),
    })?;
    if answer.status.is_success()
        && let Some(token) = token(&answer)
    {
        return Ok(token);
    }
    let detail = format!("the request for an access token: {}", answer_text::describe(&answer, secrets));
    if is_passing(answer.status) {
        return Err(AuthFailure::Passing { retry_after: retry_after(&answer.headers, answer.received_at), detail });
    }
    Err(AuthFailure::Misconfigured(detail))
}

/// A 2xx without a token is some page in between, not a verdict on our key.
fn is_passing(status: StatusCode) -> bool {
    status.is_success()
        || status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
}

fn token(answer: &Answer) -> Option<(Secret, Option<Duration>)> {
    let mut body = Json::parse(&answer.body)?;
    let life = body.value().get("expires_in").and_then(seconds);
    Some((body.take_secret("/access_token")?, life))
}

/// Seconds as a number or as text. What cannot be one counts as not given.
fn seconds(value: &Value) -> Option<Duration> {
    let seconds = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
    let life = Duration::try_from_secs_f64(seconds).ok()?;
    Some(life.clamp(MIN_LIFE, MAX_LIFE))
}
