//! `/sandbox/...`: the director's side. Tokens as the hosted form would give them, faults, and what was really done.

pub mod fields;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{delete, get, post};
use serde::Serialize;
use serde_json::{Value, json};

use super::answer;
use super::books::{Conversion, Moment, Payment, Profile};
use super::calls::CallLog;
use super::faults::{MAX_RULES, parse};
use super::stage::Stage;
use super::tokens::{self, TokenRequest};
use fields::{FieldError, Fields};

/// Longest life of a token: a year, in seconds.
const MAX_LIFE: u64 = 366 * 86_400;

/// The routes below `/sandbox`.
pub fn routes() -> Router<Stage> {
    Router::new()
        .route("/tokens", post(issue))
        .route("/faults", post(set_faults).get(list_faults).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/state", get(state))
}

async fn issue(State(stage): State<Stage>, body: Bytes) -> Response {
    match object(&body).and_then(token_request) {
        Ok(request) => {
            let mut world = stage.world();
            if world.books.full() {
                return refuse(StatusCode::INSUFFICIENT_STORAGE, "the sandbox's books are full");
            }
            let token = tokens::issue(&mut world.books, &request, Moment::now());
            answer::json(StatusCode::OK, &json!({ "token": token }))
        }
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

fn token_request(value: Value) -> Result<TokenRequest, FieldError> {
    let mut fields = Fields::of(value)?;
    let default = TokenRequest::default();
    let request = TokenRequest {
        kind: fields.take("kind", "checking, savings or card")?.unwrap_or(default.kind),
        last_four: fields.take("lastFour", "a text of four digits")?.unwrap_or(default.last_four),
        brand: fields.take("brand", "visa, mastercard, amex, discover or jcb")?.unwrap_or(default.brand),
        expires_in: fields.take("expiresIn", "seconds, a whole number")?.unwrap_or(default.expires_in),
        outcome: fields.take("outcome", tokens::OUTCOMES)?.unwrap_or(default.outcome),
        permanent: fields.take("permanent", "true or false")?.unwrap_or(default.permanent),
    };
    fields.end()?;
    let four = request.last_four.len() == 4 && request.last_four.bytes().all(|byte| byte.is_ascii_digit());
    fields::check(four, "lastFour", "a text of four digits")?;
    fields::check(request.expires_in <= MAX_LIFE, "expiresIn", "at most a year, in seconds")?;
    Ok(request)
}

async fn set_faults(State(stage): State<Stage>, body: Bytes) -> Response {
    match object(&body).and_then(parse::rules) {
        Ok(rules) => match stage.world().faults.set(rules) {
            Some(ids) => answer::json(StatusCode::OK, &json!({ "ids": ids })),
            None => refuse(StatusCode::BAD_REQUEST, &format!("at most {MAX_RULES} rules at once")),
        },
        Err(error) => refuse(StatusCode::BAD_REQUEST, &error.to_string()),
    }
}

async fn list_faults(State(stage): State<Stage>) -> Response {
    answer::json(StatusCode::OK, &stage.world().faults.list())
}

async fn clear_faults(State(stage): State<Stage>) -> Response {
    stage.world().faults.clear();
    answer::json(StatusCode::OK, &json!({}))
}

async fn remove_fault(State(stage): State<Stage>, Path(id): Path<String>) -> Response {
    let removed = id.parse().is_ok_and(|id| stage.world().faults.remove(id));
    if removed {
        answer::json(StatusCode::OK, &json!({}))
    } else {
        refuse(StatusCode::NOT_FOUND, "there is no such rule; it may be used up")
    }
}

/// What was really done. Borrowed from the books, so that showing it copies only the answer.
#[derive(Serialize)]
struct Shown<'a> {
    profiles: &'a [Profile],
    conversions: &'a [Conversion],
    payments: &'a [Payment],
    calls: &'a CallLog,
}

async fn state(State(stage): State<Stage>) -> Response {
    let world = stage.world();
    let (books, calls) = (&world.books, &world.calls);
    let (profiles, conversions, payments) = (&books.profiles, &books.conversions, &books.payments);
    answer::json(StatusCode::OK, &Shown { profiles, conversions, payments, calls })
}

/// The body as JSON; an empty one is an empty object.
fn object(body: &Bytes) -> Result<Value, FieldError> {
    if body.is_empty() {
        return Ok(json!({}));
    }
    serde_json::from_slice(body).map_err(FieldError::Json)
}

fn refuse(status: StatusCode, message: &str) -> Response {
    answer::json(status, &json!({ "error": message }))
}
