//! LoanPro LMS: customers and loans as OData entities, payment profiles that are *appended* by a PUT, and all the ways in
//! which it says no.

pub mod customers;
pub mod link;
pub mod link_plan;
pub mod loans;
pub mod lookup;
pub mod refusals;
pub mod shapes;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::Response;
use axum::routing::any;
use serde_json::{Value, json};

use super::answer;
use super::calls::{Call, Route};
use super::stage::{Effect, Stage, World};
use lookup::Page;
use refusals::Refused;

/// The routes below `/loanpro`. OData puts the id in brackets behind the name, so the names are taken apart here.
pub fn routes() -> Router<Stage> {
    Router::new()
        .route("/odata.svc/{entity}", any(entity))
        .route("/odata.svc/{entity}/PaymentAccounts", any(payment_accounts))
}

/// What an address names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entity {
    Customers,
    Customer(i64),
    Loans,
    Loan(i64),
}

impl Entity {
    fn parse(text: &str) -> Option<Self> {
        let id = |rest: &str| rest.strip_prefix('(')?.strip_suffix(')')?.parse().ok().filter(|id: &i64| *id > 0);
        match text {
            "Customers" => Some(Self::Customers),
            "Loans" => Some(Self::Loans),
            _ => text
                .strip_prefix("Customers")
                .and_then(id)
                .map(Self::Customer)
                .or_else(|| text.strip_prefix("Loans").and_then(id).map(Self::Loan)),
        }
    }
}

/// One call as it came in.
struct Request {
    headers: HeaderMap,
    /// Null if it is not JSON.
    body: Value,
    key: Option<String>,
}

async fn entity(
    State(stage): State<Stage>,
    method: Method,
    Path(entity): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(entity) = Entity::parse(&entity) else {
        return refusals::no_such_address();
    };
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let call = match (&method, entity) {
        (&Method::PUT, Entity::Customer(id)) => Call::new(Route::LOANPRO_LINK, &headers).about(id),
        (&Method::GET, Entity::Customer(id)) => Call::new(Route::LOANPRO_CUSTOMER, &headers).about(id),
        (_, Entity::Loan(_)) if body.get("Payments").is_some() => Call::new(Route::LOANPRO_PAYMENT, &headers),
        _ => Call::new(Route::LOANPRO_SETUP, &headers),
    };
    let request = Request { key: call.idempotency_key.clone(), headers, body };
    let play = |world: &mut World, effect: Effect| {
        if let Err(door) = world.credentials.check_loanpro(&request.headers) {
            return Err(door.into());
        }
        match (method, entity) {
            (Method::POST, Entity::Customers) => customers::create(&mut world.books, &request.body),
            (Method::GET, Entity::Customer(id)) => customers::show(&world.books, id),
            (Method::PUT, Entity::Customer(id)) => link::update(&mut world.books, id, &request, effect),
            (Method::POST, Entity::Loans) => loans::create(&mut world.books, &request.body),
            (Method::GET, Entity::Loan(id)) => loans::show(&world.books, id),
            (Method::PUT, Entity::Loan(id)) => loans::update(&mut world.books, id, &request.body),
            _ => Err(Refused::NotPlayed),
        }
    };
    stage.perform(call, |world, effect| respond(play(world, effect))).await
}

async fn payment_accounts(
    State(stage): State<Stage>,
    method: Method,
    Path(entity): Path<String>,
    Query(query): Query<Vec<(String, String)>>,
    headers: HeaderMap,
) -> Response {
    let Some(Entity::Customer(id)) = Entity::parse(&entity) else {
        return refusals::no_such_address();
    };
    if method != Method::GET {
        return respond(Err(Refused::NotPlayed));
    }
    let page = Page::parse(&query);
    let call = Call::new(Route::LOANPRO_LOOKUP, &headers).about(id);
    let play = |world: &mut World| {
        world.credentials.check_loanpro(&headers).map_err(Refused::from)?;
        lookup::profiles(&world.books, id, &page)
    };
    stage.perform(call, |world, _| respond(play(world))).await
}

/// A good answer is wrapped in `d`.
fn respond(result: Result<Value, Refused>) -> Response {
    match result {
        Ok(body) => answer::json(StatusCode::OK, &json!({ "d": body })),
        Err(refused) => refused.response(),
    }
}
