//! PayIQ: `POST Api/Auth` for a bearer token, `POST Api/PaymentAccount/ConvertJSToken` to convert.

pub mod account;
pub mod convert;
pub mod errors;
pub mod sessions;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer;
use super::books::Moment;
use super::calls::{Call, Route};
use super::stage::{Effect, Stage, World};
use errors::Trouble;
use sessions::LIFE_SECONDS;

/// The routes below `/payiq`.
pub fn routes() -> Router<Stage> {
    Router::new().route("/Api/Auth", post(auth)).route("/Api/PaymentAccount/ConvertJSToken", post(convert))
}

async fn auth(State(stage): State<Stage>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let call = Call::new(Route::PAYIQ_AUTH, &headers);
    stage.perform(call, |world, effect| authenticate(world, &body, effect)).await
}

async fn convert(State(stage): State<Stage>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let call = Call::new(Route::PAYIQ_CONVERT, &headers).about_member(&body, "ExternalUserID");
    let request = convert::Request { headers: &headers, body: &body, key: call.idempotency_key.clone() };
    stage.perform(call, |world, effect| convert::convert(world, &request, effect)).await
}

/// Checks what the document demands of an auth request. How the signature is made is not documented, so any will do.
fn authenticate(world: &mut World, body: &Value, effect: Effect) -> Response {
    if let Err(missing) = check_auth(body) {
        return Trouble::Validation.response(missing);
    }
    let known = body["APIKey"].as_str().is_some_and(|key| world.credentials.knows_payiq(key));
    if !known {
        return errors::unauthorised("the API key is not known");
    }
    let token = world.sessions.open(Moment::now(), effect);
    let body = json!({ "access_token": token, "token_type": "Bearer", "expires_in": LIFE_SECONDS });
    answer::json(StatusCode::OK, &body)
}

fn check_auth(body: &Value) -> Result<(), &'static str> {
    let text = |name: &str| body[name].as_str().filter(|text| !text.is_empty());
    text("APIKey").and_then(|key| Uuid::parse_str(key).ok()).ok_or("APIKey must be a GUID")?;
    text("CreationDate").filter(|date| is_iso_8601(date)).ok_or("CreationDate must be an ISO 8601 time")?;
    text("Signature").ok_or("Signature is required")?;
    text("grant_type").filter(|kind| *kind == "client_credentials").ok_or("grant_type must be client_credentials")?;
    Ok(())
}

/// With or without an offset: the document shows both.
fn is_iso_8601(text: &str) -> bool {
    text.parse::<Timestamp>().is_ok() || text.parse::<jiff::civil::DateTime>().is_ok()
}
