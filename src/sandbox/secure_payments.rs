//! Secure Payments: `POST checking-account` turns a bank account into a permanent token. Cards go through its hosted form
//! only (`POST /sandbox/tokens` with `permanent`). The account number is looked at and forgotten.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::answer;
use super::books::Moment;
use super::calls::{Call, Route};
use super::stage::{Effect, Stage, World};
use super::tokens::{self, TokenRequest};
use crate::contract::AccountKind;

/// Digits of a routing number in the United States.
const ROUTING_DIGITS: usize = 9;
/// Digits of an account number: 4 for a last four, 17 at most in ACH files.
const ACCOUNT_DIGITS: std::ops::RangeInclusive<usize> = 4..=17;

#[derive(Deserialize)]
struct Request {
    #[serde(rename = "checking-account")]
    account: BankAccount,
}

#[derive(Deserialize)]
struct BankAccount {
    accountholder_name: String,
    account_number: String,
    routing_number: String,
    account_type: String,
}

/// The routes below `/secure-payments`.
pub fn routes() -> Router<Stage> {
    Router::new().route("/checking-account", post(checking_account))
}

async fn checking_account(State(stage): State<Stage>, headers: HeaderMap, body: Bytes) -> Response {
    let request = Json::<Request>::from_bytes(&body).map_err(|rejection| rejection.body_text());
    let request = request.and_then(|Json(request)| token_request(&request.account));
    let call = Call::new(Route::SECURE_PAYMENTS_ACCOUNT, &headers);
    stage.perform(call, |world, effect| tokenise(world, request, effect)).await
}

fn tokenise(world: &mut World, request: Result<TokenRequest, String>, _: Effect) -> Response {
    match request {
        Ok(request) => {
            let token = tokens::issue(&mut world.books, &request, Moment::now());
            answer::json(StatusCode::OK, &json!({ "token": token }))
        }
        Err(message) => answer::json(StatusCode::BAD_REQUEST, &json!({ "code": 400, "message": message })),
    }
}

fn token_request(account: &BankAccount) -> Result<TokenRequest, String> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if account.accountholder_name.is_empty() {
        return Err("accountholder_name is required".to_owned());
    }
    if account.routing_number.len() != ROUTING_DIGITS || !digits(&account.routing_number) {
        return Err("routing_number must be nine digits".to_owned());
    }
    let number = &account.account_number;
    if !digits(number) || !ACCOUNT_DIGITS.contains(&number.len()) {
        return Err("account_number must be 4 to 17 digits".to_owned());
    }
    let kind = match account.account_type.as_str() {
        "checking" => AccountKind::Checking,
        "savings" => AccountKind::Savings,
        _ => return Err("account_type must be checking or savings".to_owned()),
    };
    let last_four = number[number.len() - 4..].to_owned();
    Ok(TokenRequest { kind, last_four, permanent: true, ..TokenRequest::default() })
}
