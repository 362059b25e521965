//! NCR Aloha Online Ordering: a card token is added to a customer's payment methods, answered with a bare GUID, and the
//! methods can be listed. The call that replaces all methods with a raw number is not played on purpose.

pub mod card;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post, put};
use serde_json::{Value, json};
use uuid::Uuid;

use super::answer;
use super::books::{AlohaMethod, Books, Moment, Profile};
use super::calls::{Call, Route};
use super::stage::{Effect, Stage, World};
use super::tokens::Fingerprint;
use crate::contract::AccountKind;
use crate::domain::System;
use card::{CardHeader, Refused};

/// The routes below `/aloha`.
pub fn routes() -> Router<Stage> {
    Router::new()
        .route("/v1/Customers", post(create))
        .route("/v1/Customers/Payment/Token", put(link))
        .route("/v1/Customers/{id}/Payments", get(list))
}

async fn create(State(stage): State<Stage>, headers: HeaderMap) -> Response {
    let call = Call::new(Route::ALOHA_SETUP, &headers);
    let play = |world: &mut World, _: Effect| {
        world.credentials.knows_aloha(&headers).then_some(()).ok_or(Refused::Unauthorised)?;
        Ok(json!(world.books.add_aloha_customer()))
    };
    stage.perform(call, |world, effect| respond(play(world, effect))).await
}

async fn link(State(stage): State<Stage>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let call = Call::new(Route::ALOHA_LINK, &headers).about_member(&body, "CustomerId");
    let key = call.idempotency_key.clone();
    let play = |world: &mut World, effect: Effect| {
        world.credentials.knows_aloha(&headers).then_some(()).ok_or(Refused::Unauthorised)?;
        let header = CardHeader::parse(&body)?;
        let account_id = add(&mut world.books, header, key, effect)?;
        Ok(json!(account_id))
    };
    stage.perform(call, |world, effect| respond(play(world, effect))).await
}

async fn list(State(stage): State<Stage>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    let call = Call::new(Route::ALOHA_LOOKUP, &headers).about(&id);
    let play = |world: &mut World| {
        world.credentials.knows_aloha(&headers).then_some(()).ok_or(Refused::Unauthorised)?;
        let id = Uuid::parse_str(&id).map_err(|_| Refused::BadRequest("customerId must be a GUID"))?;
        let methods = world.books.aloha.get(&id).ok_or(Refused::NotFound)?;
        Ok(json!(methods))
    };
    stage.perform(call, |world, _| respond(play(world))).await
}

/// Adds the method and, if it is real, writes it down. The same token twice makes two.
fn add(books: &mut Books, header: CardHeader, key: Option<String>, effect: Effect) -> Result<Uuid, Refused> {
    let methods = books.aloha.get_mut(&header.customer_id).ok_or(Refused::NotFound)?;
    let account_id = Uuid::new_v4();
    if !effect.is_real() {
        return Ok(account_id);
    }
    books.profiles.push(Profile {
        id: account_id.to_string(),
        customer: header.customer_id.to_string(),
        system: System::Aloha,
        title: None,
        kind: AccountKind::Card,
        token: Fingerprint::of(&header.card_token),
        primary: false,
        secondary: false,
        active: true,
        created_at: Moment::now(),
        idempotency_key: key,
    });
    methods.push(AlohaMethod {
        account_id,
        method_type: header.card_type,
        account_number: header.card_token,
        expiration_date: header.expiration_date,
        masked_account_number: header.masked_card_number,
        provider_type: header.provider_type,
    });
    books.changes += 1;
    Ok(account_id)
}

fn respond(result: Result<Value, Refused>) -> Response {
    match result {
        Ok(body) => answer::json(StatusCode::OK, &body),
        Err(refused) => {
            let (status, code) = refused.terms();
            answer::json(status, &json!({ "Message": refused.to_string(), "ErrorCode": code }))
        }
    }
}
