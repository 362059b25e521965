//! PayIQ: turns a temporary token into a permanent one (upstreams, section 1).
//!
//! Converting is not repeatable: a temporary token is mostly good for one use, and there is no call that tells whether it
//! happened. So an answer that cannot be trusted is never taken for a refusal.

mod account;
mod answer;
mod auth;
mod signer;

use std::sync::Arc;

use async_trait::async_trait;
use hyper::Method;
use hyper::header::AUTHORIZATION;
use serde::Serialize;

pub use answer::classify;
pub use signer::{HmacSha256Signer, Signer};

use self::auth::{Auth, AuthFailure, Bearer};
use super::credential::{CredentialError, header_value, idempotency_header};
use super::http::{Call, Exchange, Transport};
use super::{CallOutcome, Conversion, Converted, Converter, Gate, IDEMPOTENCY_KEY, Refusal, json};
use crate::config::SecretSource;
use crate::domain::{ReasonCode, Secret};

/// Where to convert, below the base URL.
const CONVERT: &str = "Api/PaymentAccount/ConvertJSToken";

/// The client of PayIQ.
pub struct PayIq {
    transport: Arc<dyn Transport>,
    auth: Auth,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_token: Option<&'a str>,
    #[serde(rename = "ExternalUserID", skip_serializing_if = "Option::is_none")]
    external_user_id: Option<&'a str>,
    temporary_token: &'a str,
}

/// Why PayIQ gives us no access token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogInFailure {
    /// It does not answer, or has trouble of its own.
    Passing(String),
    /// Our key, signature, clock or address.
    Misconfigured(String),
}

/// Why a conversion never left.
enum Unsent {
    Auth(AuthFailure),
    Credential(CredentialError),
    /// The token is not text; the schema lets only text in.
    Token,
}

impl PayIq {
    /// A client that signs with [`HmacSha256Signer`].
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, api_key: SecretSource, signing_key: SecretSource) -> Self {
        Self::signing_with(transport, api_key, signing_key, Box::new(HmacSha256Signer))
    }

    /// A client with another signature: the vendor does not publish its algorithm.
    #[must_use]
    pub fn signing_with(
        transport: Arc<dyn Transport>,
        api_key: SecretSource,
        signing_key: SecretSource,
        signer: Box<dyn Signer>,
    ) -> Self {
        Self { auth: Auth::new(Arc::clone(&transport), api_key, signing_key, signer), transport }
    }

    /// Logs in, which changes nothing: whether key and signature are taken.
    ///
    /// # Errors
    /// See [`LogInFailure`].
    pub async fn log_in(&self) -> Result<(), LogInFailure> {
        self.auth.bearer(None).await.map(drop).map_err(|failure| match failure {
            AuthFailure::Passing { detail, .. } => LogInFailure::Passing(detail),
            AuthFailure::Misconfigured(detail) => LogInFailure::Misconfigured(detail),
        })
    }

    /// Sends, and once more with a renewed bearer if the first one was refused.
    async fn convert_authorised(
        &self,
        conversion: &Conversion,
        gate: &dyn Gate,
    ) -> Result<CallOutcome<Converted>, Unsent> {
        let bearer = self.auth.bearer(None).await.map_err(Unsent::Auth)?;
        let exchange = self.send(conversion, &bearer, gate).await?;
        if !answer::refuses_bearer(&exchange) {
            return Ok(judge(exchange, conversion, &bearer));
        }
        let renewed = self.auth.bearer(Some(&bearer)).await.map_err(Unsent::Auth)?;
        let exchange = self.send(conversion, &renewed, gate).await?;
        Ok(judge(exchange, conversion, &renewed))
    }

    async fn send(&self, conversion: &Conversion, bearer: &Bearer, gate: &dyn Gate) -> Result<Exchange, Unsent> {
        let call = request(conversion, bearer)?;
        Ok(self.transport.exchange(call, gate).await)
    }
}

#[async_trait]
impl Converter for PayIq {
    async fn convert(&self, conversion: &Conversion, gate: &dyn Gate) -> CallOutcome<Converted> {
        match self.convert_authorised(conversion, gate).await {
            Ok(outcome) => outcome,
            Err(Unsent::Auth(AuthFailure::Passing { retry_after, detail })) => {
                CallOutcome::NotApplied { retry_after, detail }
            }
            Err(Unsent::Auth(AuthFailure::Misconfigured(detail))) => CallOutcome::Misconfigured { detail },
            Err(Unsent::Credential(error)) => CallOutcome::Misconfigured { detail: error.to_string() },
            Err(Unsent::Token) => CallOutcome::Refused(Refusal {
                code: ReasonCode::TokenRejected,
                detail: "the temporary token or customer token is not text".to_owned(),
            }),
        }
    }
}

fn request(conversion: &Conversion, bearer: &Bearer) -> Result<Call, Unsent> {
    let temporary_token = text_of(&conversion.temporary_token)?;
    let customer_token = conversion.customer_token.as_ref().map(text_of).transpose()?;
    let length = temporary_token.len() + customer_token.map_or(0, str::len);
    let external_user_id = conversion.external_user_id.as_deref();
    let body = Request { customer_token, external_user_id, temporary_token };
    let body = json::write(&body, length).map_err(|_| Unsent::Token)?;
    let authorization = header_value("Bearer ", &bearer.token, "access token").map_err(Unsent::Credential)?;
    Ok(Call::new("convert", Method::POST, CONVERT)
        .header(AUTHORIZATION, authorization)
        .header(IDEMPOTENCY_KEY, idempotency_header(conversion.idempotency_key))
        .json(body))
}

fn text_of(secret: &Secret) -> Result<&str, Unsent> {
    secret.expose_str().ok_or(Unsent::Token)
}

fn judge(exchange: Exchange, conversion: &Conversion, bearer: &Bearer) -> CallOutcome<Converted> {
    let mut secrets = vec![&conversion.temporary_token, &bearer.token];
    secrets.extend(&conversion.customer_token);
    classify(exchange, &secrets)
}
