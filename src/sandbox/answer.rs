//! The kinds of answer that vendors give, one constructor each.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

use super::server::Severed;

/// A JSON answer. A body that cannot be serialised becomes an empty 500.
#[must_use]
pub fn json<T: Serialize + ?Sized>(status: StatusCode, body: &T) -> Response {
    match serde_json::to_vec(body) {
        Ok(bytes) => with_type(status, "application/json; charset=utf-8", bytes),
        Err(error) => {
            tracing::error!(%error, "the sandbox could not write an answer");
            with_type(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", Vec::new())
        }
    }
}

/// An answer that a proxy or a web server would give.
#[must_use]
pub fn html(status: StatusCode, body: &'static str) -> Response {
    with_type(status, "text/html; charset=utf-8", body.into())
}

/// Says 200 and JSON, and is not JSON.
#[must_use]
pub fn garbage() -> Response {
    with_type(
        StatusCode::OK,
        "application/json; charset=utf-8",
        b"\x1f\x8b{\"d\":{\"resul\xff\xfe<!doctype ht".to_vec(),
    )
}

/// No answer at all: the connection is closed.
#[must_use]
pub fn severed() -> Response {
    let mut response = Response::default();
    response.extensions_mut().insert(Severed);
    response
}

/// The status of an answer; `None` if the connection is closed instead.
#[must_use]
pub fn status(response: &Response) -> Option<u16> {
    response.extensions().get::<Severed>().is_none().then(|| response.status().as_u16())
}

fn with_type(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
