//! What is where.

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};

use super::{State, answer, guard, health, intake};
use crate::metrics::CONTENT_TYPE;

/// Bytes of a request's body. The largest lawful one is a reason of 500 characters.
pub(super) const MAX_BODY_BYTES: usize = 8 * 1024;

pub(super) fn routes(state: Arc<State>) -> Router {
    let changing = Router::new()
        .route("/api/v1/intake/pause", post(intake::pause))
        .route("/api/v1/intake/resume", post(intake::resume))
        // Asked before the body is read.
        .route_layer(middleware::from_fn_with_state(Arc::clone(&state), guard::admit));
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(changing)
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_so)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), guard::at_home))
        .layer(middleware::from_fn(answer::guard))
        .with_state(state)
}

/// Whether the worker does what it is there for, and what keeps it from that.
async fn ready(Shared(state): Shared<Arc<State>>) -> Response {
    let readiness = state.conditions.readiness();
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    answer::json(status, &readiness)
}

async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    match state.metrics.text() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the metrics cannot be told");
            answer::refused(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be told")
        }
    }
}

async fn nothing_here() -> Response {
    answer::refused(StatusCode::NOT_FOUND, "there is nothing at this address")
}

async fn not_so() -> Response {
    answer::refused(StatusCode::METHOD_NOT_ALLOWED, "this address does not take this method")
}
