//! The conversion: a temporary token works once, before it expires, and its outcome was set when it was made.

use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde_json::Value;

use super::account;
use super::errors::{Trouble, body, unauthorised};
use crate::sandbox::answer;
use crate::sandbox::books::{Books, Conversion, Moment};
use crate::sandbox::credentials::bearer;
use crate::sandbox::stage::{Effect, World};
use crate::sandbox::tokens::{Fingerprint, Outcome, PermanentToken, TemporaryToken, permanent};

/// Longest temporary token in bytes (vendor page).
const MAX_TEMPORARY_TOKEN: usize = 1024;
/// Longest ExternalUserID in characters (vendor page).
const MAX_EXTERNAL_USER_ID: usize = 256;

/// A conversion as asked for.
pub struct Request<'a> {
    /// The bearer token is in here.
    pub headers: &'a HeaderMap,
    /// The JSON body; null if it is none.
    pub body: &'a Value,
    /// The caller's idempotency key.
    pub key: Option<String>,
}

impl Request<'_> {
    fn external_user_id(&self) -> Option<&str> {
        self.body["ExternalUserID"].as_str()
    }

    fn temporary_token(&self) -> Result<&str, &'static str> {
        let optional = |name: &str| matches!(self.body[name], Value::Null | Value::String(_));
        if !optional("CustomerToken") || !optional("ExternalUserID") {
            return Err("CustomerToken and ExternalUserID must be strings");
        }
        if self.external_user_id().is_some_and(|id| id.chars().count() > MAX_EXTERNAL_USER_ID) {
            return Err("ExternalUserID is longer than 256 characters");
        }
        let token = self.body["TemporaryToken"].as_str().ok_or("TemporaryToken is required")?;
        let fits = (1..=MAX_TEMPORARY_TOKEN).contains(&token.len());
        fits.then_some(token).ok_or("TemporaryToken must have 1 to 1024 characters")
    }
}

/// Answers a conversion.
pub fn convert(world: &mut World, request: &Request, effect: Effect) -> Response {
    let now = Moment::now();
    if !bearer(request.headers).is_some_and(|token| world.sessions.admits(token, now)) {
        return unauthorised("the bearer token is missing, unknown or expired");
    }
    let token = match request.temporary_token() {
        Ok(token) => Fingerprint::of(token),
        Err(text) => return Trouble::Validation.response(text),
    };
    match convertible(&mut world.books, token, now) {
        Ok(found) => succeed(&mut world.books, token, &found, request, effect),
        Err((trouble, text)) => trouble.response(text),
    }
}

fn convertible(books: &mut Books, token: Fingerprint, now: Moment) -> Result<TemporaryToken, (Trouble, &'static str)> {
    let found = books.temporary.get(&token).cloned();
    let found = found.ok_or((Trouble::DataNotFound, "the temporary token is not known"))?;
    if let Some(conversion) = found.converted.and_then(|place| books.conversions.get_mut(place)) {
        conversion.refused += 1;
        books.changes += 1;
        return Err((Trouble::Validation, "the temporary token has been used"));
    }
    if now >= found.expires_at {
        return Err((Trouble::Validation, "the temporary token has expired"));
    }
    match Trouble::of(found.outcome) {
        Some(trouble) => Err((trouble, "this token was made to fail so")),
        None => Ok(found),
    }
}

fn succeed(
    books: &mut Books,
    token: Fingerprint,
    found: &TemporaryToken,
    request: &Request,
    effect: Effect,
) -> Response {
    let made = if found.outcome == Outcome::EmptyToken { String::new() } else { permanent(found.account.kind) };
    if effect.is_real() {
        write(books, token, found, &made, request);
    }
    let result = account::result(found, &made, request.external_user_id());
    let answered = match found.outcome {
        Outcome::Contradictory => body(true, 6, "Declined", &["approved and declined"], result),
        _ => body(true, 0, "None", &[], result),
    };
    answer::json(StatusCode::OK, &answered)
}

fn write(books: &mut Books, token: Fingerprint, found: &TemporaryToken, made: &str, request: &Request) {
    let permanent_token = Fingerprint::of(made);
    books.permanent.insert(permanent_token, PermanentToken { kind: found.account.kind });
    if let Some(temporary) = books.temporary.get_mut(&token) {
        temporary.converted = Some(books.conversions.len());
    }
    books.conversions.push(Conversion {
        token,
        permanent_token,
        times: 1,
        refused: 0,
        customer: request.external_user_id().map(str::to_owned),
        at: Moment::now(),
        idempotency_key: request.key.clone(),
    });
    books.changes += 1;
}
