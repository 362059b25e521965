//! NCR Aloha Online Ordering: saves a card token for a customer (upstreams, section 3). Cards only.
//!
//! Only `PUT v1/Customers/Payment/Token` is used. The similar `POST v1/Customers/{id}/Payments` *replaces* all of a
//! customer's payment methods and takes a raw card number: it must never be called.

mod answer;
mod card;

use std::sync::Arc;

use async_trait::async_trait;
use data_encoding::BASE64;
use hyper::Method;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use answer::{classify_link, classify_payments};

use self::card::card;
use super::credential::{Credential, CredentialError, header_value, idempotency_header};
use super::http::{Call, Exchange, Transport};
use super::{
    CallOutcome, CustomerCheck, Gate, IDEMPOTENCY_KEY, Link, LinkAnswer, LinkTarget, LookOutcome, LookUp, OpenGate,
    Promotion, Refusal,
};
use crate::config::SecretSource;
use crate::domain::{Customer, ReasonCode, Secret, System};

/// Names the company.
const COMPANY_CODE: HeaderName = HeaderName::from_static("x-api-companycode");
/// Where to link, below the base URL.
const TOKEN: &str = "v1/Customers/Payment/Token";

/// The client of Aloha.
pub struct Aloha {
    transport: Arc<dyn Transport>,
    user: String,
    password: Credential,
    company_code: HeaderValue,
}

impl Aloha {
    /// A client for one company.
    ///
    /// # Errors
    /// The user holds a colon (HTTP Basic cannot tell it from the separator), or the company code cannot be sent.
    pub fn new(
        transport: Arc<dyn Transport>,
        user: &str,
        password: SecretSource,
        company_code: &str,
    ) -> Result<Self, CredentialError> {
        if user.contains(':') {
            return Err(CredentialError::Unsendable("aloha user"));
        }
        let company_code =
            HeaderValue::from_str(company_code).map_err(|_| CredentialError::Unsendable("company_code"))?;
        Ok(Self { transport, user: user.to_owned(), password: Credential::new(password), company_code })
    }

    /// A call, and what its answer's texts must not show: the password, and the header's value that holds it.
    fn authorised(
        &self,
        operation: &'static str,
        method: Method,
        target: String,
    ) -> Result<(Call, [Secret; 2]), CredentialError> {
        let password = self.password.current()?;
        let mut pair = Zeroizing::new(Vec::with_capacity(self.user.len() + 1 + password.expose().len()));
        pair.extend_from_slice(self.user.as_bytes());
        pair.push(b':');
        pair.extend_from_slice(password.expose());
        let basic = Secret::from(BASE64.encode(&pair));
        let call = Call::new(operation, method, target)
            .header(AUTHORIZATION, header_value("Basic ", &basic, "aloha password")?)
            .header(COMPANY_CODE, self.company_code.clone());
        Ok((call, [password, basic]))
    }

    async fn payments(&self, operation: &'static str, id: Uuid) -> Result<(Exchange, [Secret; 2]), CredentialError> {
        let (call, secrets) = self.authorised(operation, Method::GET, format!("v1/Customers/{id}/Payments"))?;
        Ok((self.transport.exchange(call, &OpenGate).await, secrets))
    }
}

#[async_trait]
impl LinkTarget for Aloha {
    async fn link(&self, link: &Link, gate: &dyn Gate) -> CallOutcome<LinkAnswer> {
        let Some(customer) = customer_id(&link.customer) else {
            return refused(ReasonCode::LinkRefused, "the customer id is not one of Aloha's");
        };
        let body = match card(link, customer) {
            Ok(body) => body,
            Err(why) => return refused(ReasonCode::AccountUnsupported, why),
        };
        let (call, [password, basic]) = match self.authorised("link", Method::PUT, TOKEN.to_owned()) {
            Ok(authorised) => authorised,
            Err(error) => {
                return CallOutcome::Misconfigured { detail: error.to_string() };
            }
        };
        let call = call.header(IDEMPOTENCY_KEY, idempotency_header(link.idempotency_key)).json(body);
        let exchange = self.transport.exchange(call, gate).await;
        classify_link(exchange, &[&link.token, &password, &basic])
    }

    async fn promote(&self, _promotion: &Promotion, _gate: &dyn Gate) -> CallOutcome<()> {
        let detail = "Aloha knows no primary payment method".to_owned();
        CallOutcome::Refused(Refusal { code: ReasonCode::LinkRefused, detail })
    }

    async fn look_up(&self, look_up: &LookUp) -> LookOutcome {
        let Some(customer) = customer_id(&look_up.customer) else {
            let detail = "the customer id is not one of Aloha's".to_owned();
            return LookOutcome::Failed { retry_after: None, detail };
        };
        let Some(token) = &look_up.token else {
            let detail = "Aloha's payments can be told by their card token only, and it is not known yet".to_owned();
            return LookOutcome::Failed { retry_after: None, detail };
        };
        match self.payments("lookup", customer).await {
            Ok((exchange, [password, basic])) => classify_payments(exchange, token, &[token, &password, &basic]),
            Err(error) => LookOutcome::Misconfigured { detail: error.to_string() },
        }
    }

    /// Aloha's own "not found" counts: there is one company behind a credential, and a wrong address shows differently.
    async fn check_customer(&self, customer: &Customer) -> CustomerCheck {
        let Some(id) = customer_id(customer) else {
            return CustomerCheck::Unclear { detail: "the customer id is not one of Aloha's".to_owned() };
        };
        match self.payments("customer", id).await {
            Ok((exchange, [password, basic])) => answer::customer_check(exchange, &[&password, &basic]),
            Err(error) => CustomerCheck::Misconfigured { detail: error.to_string() },
        }
    }
}

fn customer_id(customer: &Customer) -> Option<Uuid> {
    (customer.system == System::Aloha).then(|| Uuid::try_parse(&customer.id).ok())?
}

fn refused(code: ReasonCode, detail: &str) -> CallOutcome<LinkAnswer> {
    CallOutcome::Refused(Refusal { code, detail: detail.to_owned() })
}
