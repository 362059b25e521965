//! LoanPro's refusals. Their bodies come in several shapes, as seen in the field; each situation here uses another one, so
//! that a client must read them all.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use thiserror::Error;

use crate::sandbox::answer;
use crate::sandbox::credentials::LoanProDoor;

/// Why LoanPro refuses.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// Bearer token or tenant missing, or the token wrong.
    #[error("Authentication failed")]
    Unauthorised,
    /// Another tenant's id.
    #[error("Resource not found: this instance has no such entity")]
    WrongTenant,
    /// No such customer.
    #[error("Resource not found: customer {0} does not exist")]
    NoSuchCustomer(i64),
    /// No such loan.
    #[error("Resource not found: loan {0} does not exist")]
    NoSuchLoan(i64),
    /// The customer has a profile of that title.
    #[error("A payment account with this title already exists (duplicate title)")]
    DuplicateTitle,
    /// A token that was not given out by Secure Payments or by a conversion, or one of another kind.
    #[error("The payment profile could not be saved: {0}")]
    BadToken(&'static str),
    /// A business rule.
    #[error("Transaction cannot be completed: {0}")]
    Rule(&'static str),
    /// Something in the payload.
    #[error("Invalid payload: {0}")]
    BadPayload(&'static str),
    /// A call that LoanPro may have and the sandbox has not.
    #[error("The sandbox does not play this call")]
    NotPlayed,
}

impl From<LoanProDoor> for Refused {
    fn from(door: LoanProDoor) -> Self {
        match door {
            LoanProDoor::Unauthorised => Self::Unauthorised,
            LoanProDoor::WrongTenant => Self::WrongTenant,
        }
    }
}

impl Refused {
    /// The answer, in the shape that this situation has.
    #[must_use]
    pub fn response(&self) -> Response {
        let text = self.to_string();
        let status = match self {
            Self::Unauthorised => StatusCode::UNAUTHORIZED,
            Self::NotPlayed => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::CONFLICT,
        };
        answer::json(status, &self.body(&text))
    }

    fn body(&self, text: &str) -> Value {
        match self {
            Self::Unauthorised | Self::NotPlayed => json!({ "code": 0, "message": text, "context": [] }),
            Self::WrongTenant | Self::NoSuchCustomer(_) | Self::NoSuchLoan(_) => {
                json!({ "error": { "message": { "lang": "en-US", "value": text }, "type": "EntityException" } })
            }
            Self::DuplicateTitle => json!({ "d": { "error": { "message": { "lang": "en-US", "value": text } } } }),
            Self::BadToken(_) => json!({
                "error": { "message": text },
                "error_v2": { "event": "paymentAccount.save", "data": { "error": { "code": "token" } } },
            }),
            Self::Rule(_) => json!({ "d": { "error": { "message": text } } }),
            Self::BadPayload(_) => json!({ "error": { "message": text, "type": "ValidationException" } }),
        }
    }
}

/// Not LoanPro's answer but its web server's: the address is wrong.
#[must_use]
pub fn no_such_address() -> Response {
    answer::html(StatusCode::NOT_FOUND, "<html><body><h1>404 Not Found</h1></body></html>")
}
