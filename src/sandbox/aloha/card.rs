//! What Aloha's page demands of a card token's header.

use axum::http::StatusCode;
use serde_json::Value;
use thiserror::Error;
use uuid::Uuid;

/// Connected Payments, which demands more than the other providers.
const CONNECTED_PAYMENTS: u64 = 2;
/// FreedomPay, which demands the holder's name.
const FREEDOM_PAY: u64 = 6;
/// The page's providers: ConnectedPayments, CreditCall, FreedomPay.
const PROVIDERS: [u64; 3] = [CONNECTED_PAYMENTS, 4, FREEDOM_PAY];
/// The page's card types: American Express, Discover, JCB, MasterCard, Visa.
const CARD_TYPES: [u64; 5] = [0, 3, 5, 6, 7];

/// Longest text that is kept, in bytes: the longest token that an event can carry.
const MAX_TEXT: usize = 8192;

/// Why Aloha refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// Credentials or company code missing or wrong.
    #[error("the credentials or the company code are not accepted")]
    Unauthorised,
    /// Something in the request.
    #[error("{0}")]
    BadRequest(&'static str),
    /// No such customer.
    #[error("the customer does not exist")]
    NotFound,
}

impl Refused {
    /// HTTP status and Aloha's name for the error. How the body looks is not documented.
    #[must_use]
    pub fn terms(self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthorised => (StatusCode::UNAUTHORIZED, "Unauthorized"),
            Self::BadRequest(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
            Self::NotFound => (StatusCode::NOT_FOUND, "NotFound"),
        }
    }
}

/// `CustomerCreditCardTokenHeader`, checked.
pub struct CardHeader {
    /// Whom to link to.
    pub customer_id: Uuid,
    /// One of the three providers.
    pub provider_type: u64,
    /// With its middle masked.
    pub masked_card_number: String,
    /// `MM/YY`.
    pub expiration_date: String,
    /// The token.
    pub card_token: String,
    /// One of the five types.
    pub card_type: u64,
}

impl CardHeader {
    /// Reads the body of a link.
    ///
    /// # Errors
    /// [`Refused::BadRequest`] with the first thing that is wrong.
    pub fn parse(body: &Value) -> Result<Self, Refused> {
        let customer_id = text(body, "CustomerId").and_then(|id| Uuid::parse_str(&id).ok()).filter(|id| !id.is_nil());
        let header = Self {
            customer_id: customer_id.ok_or(Refused::BadRequest("CustomerId must be a GUID"))?,
            provider_type: one_of(body, "ProviderType", &PROVIDERS)
                .ok_or(Refused::BadRequest("ProviderType must be 2, 4 or 6"))?,
            masked_card_number: text(body, "MaskedCardNumber")
                .ok_or(Refused::BadRequest("MaskedCardNumber must have 1 to 8192 characters"))?,
            expiration_date: text(body, "ExpirationDate")
                .filter(|date| is_month_of_year(date))
                .ok_or(Refused::BadRequest("ExpirationDate must be MM/YY"))?,
            card_token: text(body, "CardToken")
                .ok_or(Refused::BadRequest("CardToken must have 1 to 8192 characters"))?,
            card_type: one_of(body, "CardType", &CARD_TYPES)
                .ok_or(Refused::BadRequest("CardType must be 0, 3, 5, 6 or 7"))?,
        };
        header.check_provider(text(body, "CardHolderName").is_some())?;
        Ok(header)
    }

    fn check_provider(&self, has_holder: bool) -> Result<(), Refused> {
        if self.provider_type == FREEDOM_PAY && !has_holder {
            return Err(Refused::BadRequest("CardHolderName is required for FreedomPay"));
        }
        if self.provider_type != CONNECTED_PAYMENTS {
            return Ok(());
        }
        if !is_masked(&self.masked_card_number) {
            return Err(Refused::BadRequest("MaskedCardNumber must look like 123456******1234"));
        }
        let typed = self.card_token.split_once(':').is_some_and(|(kind, value)| is_digits(kind) && !value.is_empty());
        typed.then_some(()).ok_or(Refused::BadRequest("CardToken must be TokenType:TokenValue"))
    }
}

fn text(body: &Value, name: &str) -> Option<String> {
    body[name].as_str().filter(|text| !text.trim().is_empty() && text.len() <= MAX_TEXT).map(str::to_owned)
}

fn one_of(body: &Value, name: &str, allowed: &[u64]) -> Option<u64> {
    body[name].as_u64().filter(|number| allowed.contains(number))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_month_of_year(text: &str) -> bool {
    let Some((month, year)) = text.split_once('/') else {
        return false;
    };
    let two = |part: &str| part.len() == 2 && is_digits(part);
    two(year) && two(month) && ("01"..="12").contains(&month)
}

/// Six digits, mask, four digits; characters that are neither digit nor mask are ignored, says the page.
fn is_masked(text: &str) -> bool {
    let marks: String = text.chars().filter(|mark| mark.is_ascii_digit() || "*xX●".contains(*mark)).collect();
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let Some((start, middle)) = marks.split_at_checked(6) else {
        return false;
    };
    let end = middle.trim_start_matches(['*', 'x', 'X', '●']);
    digits(start) && end.len() == 4 && digits(end) && end.len() < middle.len()
}
