//! PayIQ's errors: all in the same body as a success, told apart by `ErrorNum`.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::sandbox::answer;
use crate::sandbox::tokens::Outcome;

/// A failed conversion, by PayIQ's name for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are PayIQ's")]
pub enum Trouble {
    SystemError,
    Validation,
    DataNotFound,
    DuplicatePayment,
    PreAuthError,
    Declined,
    ServiceUnavailable,
    UserLocked,
    Undocumented,
}

impl Trouble {
    /// The trouble that a token was made for, if any.
    #[must_use]
    pub fn of(outcome: Outcome) -> Option<Self> {
        Some(match outcome {
            Outcome::SystemError => Self::SystemError,
            Outcome::Validation => Self::Validation,
            Outcome::DataNotFound => Self::DataNotFound,
            Outcome::DuplicatePayment => Self::DuplicatePayment,
            Outcome::PreAuthError => Self::PreAuthError,
            Outcome::Declined => Self::Declined,
            Outcome::ServiceUnavailable => Self::ServiceUnavailable,
            Outcome::UserLocked => Self::UserLocked,
            Outcome::UnknownError => Self::Undocumented,
            _ => return None,
        })
    }

    /// HTTP status, `ErrorNum` and `ErrorCode`. The statuses are ours: the document has none, which is why a client must
    /// judge the body first.
    fn terms(self) -> (StatusCode, u16, &'static str) {
        match self {
            Self::SystemError => (StatusCode::INTERNAL_SERVER_ERROR, 1, "SystemError"),
            Self::Validation => (StatusCode::BAD_REQUEST, 2, "Validation"),
            Self::DataNotFound => (StatusCode::OK, 3, "DataNotFound"),
            Self::DuplicatePayment => (StatusCode::OK, 4, "DuplicatePayment"),
            Self::PreAuthError => (StatusCode::OK, 5, "PreAuthError"),
            Self::Declined => (StatusCode::OK, 6, "Declined"),
            Self::ServiceUnavailable => (StatusCode::SERVICE_UNAVAILABLE, 7, "ServiceUnavailable"),
            Self::UserLocked => (StatusCode::OK, 8, "UserLocked"),
            Self::Undocumented => (StatusCode::OK, 99, "Undocumented"),
        }
    }

    /// The answer, with a text for people.
    #[must_use]
    pub fn response(self, text: &str) -> Response {
        let (status, number, name) = self.terms();
        answer::json(status, &body(false, number, name, &[text], Value::Null))
    }
}

/// No bearer token, or one that is not good (any more).
#[must_use]
pub fn unauthorised(text: &str) -> Response {
    answer::json(StatusCode::UNAUTHORIZED, &json!({ "Message": text }))
}

/// The frame of all conversion answers.
#[must_use]
pub fn body(success: bool, number: u16, name: &str, errors: &[&str], result: Value) -> Value {
    let error_id = if number == 0 { String::new() } else { Uuid::new_v4().simple().to_string() };
    json!({
        "Success": success, "ErrorCode": name, "ErrorNum": number, "ErrorID": error_id,
        "Errors": errors, "Result": result,
    })
}
